"""Mail templates filled in a process of their own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

import msgspec

from adapters.mail.render_process import PATIENCE, Answer, frame
from adapters.mail.rendering import Request
from application.ports.mailer import Letter, Unrenderable
from domain.deliveries import Delivery

# Seconds of computing that one mail may take. The shipped ones take less than a thousandth of it.
LIMIT: Final = 2.0

# Seconds for the process to start. It needs a quarter of one, on a machine that does little else.
START: Final = 30.0

# One process may be killed by chance, for want of memory. Two are a template's fault.
TRIES: Final = 2

# Mails that are filled together at most, and the bytes of their events. Each way there and back costs as much as
# filling one of the shipped templates.
TOGETHER: Final = 20
TOGETHER_BYTES: Final = 1_000_000

_SOURCES: Final = Path(__file__).parents[2]


class ProcessRenderer:
    """Fills templates in a child process, one mail after the other; those that are asked for meanwhile go together.

    The child is started for the first mail, and again after it has ended. It inherits where its modules are and nothing
    else: no secret of the environment is within a template's reach. `limit` is how many seconds of computing one mail
    may take.

    Beside Unrenderable, `render` raises OSError where no child can be started, which is no fault of the mail's, and
    RuntimeError once it is closed.
    """

    def __init__(self, folder: str | None, limit: float = LIMIT) -> None:
        self._arguments = [str(limit), *([folder] if folder else [])]
        self._patience = limit * PATIENCE
        self._turn = asyncio.Lock()
        self._waiting: list[_Asked] = []
        self._child: Process | None = None
        self._closed = False

    async def render(self, delivery: Delivery) -> Letter:
        mail = delivery.mail
        asked = _Asked(Request(mail.template, mail.payload, mail.event_id, mail.type, mail.source, mail.time))
        self._waiting.append(asked)
        try:
            async with self._turn:
                while asked.answer is None:
                    await self._answer(self._next())
        finally:
            self._leave(asked)
        if asked.answer.fault is not None:
            raise Unrenderable(asked.answer.fault)
        return Letter(asked.answer.html, asked.answer.text)

    def _next(self) -> list["_Asked"]:
        """Those that have waited longest."""
        some, size = self._waiting[:1], 0
        for asked in self._waiting[1:TOGETHER]:
            size += len(asked.request.payload)
            if size > TOGETHER_BYTES:
                break
            some.append(asked)
        return some

    async def _answer(self, some: list["_Asked"]) -> None:
        """Who has an answer does not wait any more."""
        answers = await self._ask(some)
        if answers is None and len(some) > 1:
            # By itself each shows whether it was the one.
            for asked in some:
                if asked in self._waiting:
                    await self._answer([asked])
            return
        for _ in range(TRIES - 1):
            answers = answers or await self._ask(some)
        for asked, answer in zip(some, answers or [_dead(some[0])], strict=True):
            asked.answer = answer
            self._leave(asked)

    def _leave(self, asked: "_Asked") -> None:
        """With an answer, or without waiting for one any longer."""
        if asked in self._waiting:
            self._waiting.remove(asked)

    async def close(self) -> None:
        """What is being filled is given up."""
        self._closed = True
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
        async with self._turn:
            await self._end()

    async def _ask(self, some: list["_Asked"]) -> list[Answer] | None:
        """The child's answers, or None if it ended without any, or gave none in time."""
        child = self._child or await self._start()
        answers = None
        try:
            async with asyncio.timeout(self._patience * len(some)):
                answers = await _exchange(child, frame([asked.request for asked in some]))
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            # Also where nobody waits for the answers any more: the next one to ask would get them.
            if answers is None:
                await self._end()
        return answers

    async def _start(self) -> Process:
        if self._closed:
            raise RuntimeError("the renderer is closed")
        self._child = child = await asyncio.create_subprocess_exec(
            # -P: a file in the working directory is not taken for a module.
            *(sys.executable, "-P", "-m", "adapters.mail.render_process", *self._arguments),
            stdin=PIPE,
            stdout=PIPE,
            env={"PYTHONPATH": os.pathsep.join(filter(None, (str(_SOURCES), os.environ.get("PYTHONPATH"))))},
            start_new_session=True,
        )
        ready = None
        try:
            async with asyncio.timeout(START):
                ready = await _read(child)
        except (TimeoutError, asyncio.IncompleteReadError):
            raise OSError("the process that fills mail templates does not start") from None
        finally:
            if ready is None:
                await self._end()
        return child

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            child.kill()
        # Reads what is left, too: a pipe that is not read to its end stays open.
        await child.communicate()


class _Asked(msgspec.Struct, eq=False):
    """One who asks, and the answer once there is one."""

    request: Request
    answer: Answer | None = None


def _dead(asked: _Asked) -> Answer:
    return Answer(fault=f"{asked.request.template}: the process that fills it dies of it, or hangs")


async def _exchange(child: Process, requests: bytes) -> list[Answer]:
    assert child.stdin is not None  # noqa: S101 - PIPE
    child.stdin.write(requests)
    await child.stdin.drain()
    return await _read(child)


async def _read(child: Process) -> list[Answer]:
    assert child.stdout is not None  # noqa: S101 - PIPE
    length = int.from_bytes(await child.stdout.readexactly(4), "big")
    return msgspec.msgpack.decode(await child.stdout.readexactly(length), type=list[Answer])
