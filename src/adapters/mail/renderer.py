"""Mail templates filled in a process of their own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

import msgspec

from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.render_process import Answer, frame
from adapters.mail.rendering import Request
from application.ports.mail_folder import RenderedMail
from domain.deliveries import Item

# Seconds of computing that one mail may take. The shipped ones take less than a thousandth of it.
LIMIT: Final = 2.0

# Seconds that one answer may take. The limit is of computing time, and the machine may be busy.
PATIENCE: Final = 10.0

# Seconds for the process to start. It needs a quarter of one, on a machine that does little else.
START: Final = 30.0

# One process may be killed by chance, for want of memory. Two are a template's fault.
TRIES: Final = 2

# Mails that are sent to the process together, and the characters of their events, unless one has more. Each way there
# costs as much as filling one of the shipped templates.
TOGETHER: Final = 20
TOGETHER_SIZE: Final = 1_000_000

_SOURCES: Final = Path(__file__).parents[2]


class ProcessRenderer:
    """Fills templates in a child process, one mail after the other; those that are asked for meanwhile go together.

    The child is started for the first mail, and again after it has ended. It inherits where its modules are and nothing
    else: no secret of the environment is within a template's reach. `limit` is how many seconds of computing one mail
    may take, `patience` after how many seconds without an answer the child is given up.

    Beside Unrenderable, `render` raises OSError where no child can be started, which is no fault of the mail's, and
    RuntimeError once it is closed.
    """

    def __init__(self, folder: str | None, limit: float = LIMIT, patience: float = PATIENCE) -> None:
        self._arguments = [str(limit), str(patience), *([folder] if folder else [])]
        self._patience = patience
        self._waiting: list[_Asked] = []
        self._filling: asyncio.Task[None] | None = None
        self._child: Process | None = None
        self._closed = False

    async def render(self, item: Item) -> RenderedMail:
        request = Request(item.template, item.payload, item.event_id, item.type, item.source, item.time)
        asked = _Asked(request, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill_all())
        try:
            answer = await asked.answer
        finally:
            self._leave(asked)
        if answer.fault is not None:
            raise (TemplateUnavailable if answer.unavailable else Unrenderable)(answer.fault)
        return RenderedMail(answer.html, answer.text)

    async def _fill_all(self) -> None:
        """Until nobody waits."""
        while self._waiting:
            try:
                await self._fill(self._next())
            except Exception as fault:
                # There is no child to be had: it is the same for all of them.
                for asked in self._waiting:
                    if not asked.answer.done():
                        asked.answer.set_exception(fault)
                self._waiting.clear()

    def _next(self) -> list["_Asked"]:
        """Those that have waited longest."""
        some: list[_Asked] = []
        size = 0
        for asked in self._waiting[:TOGETHER]:
            size += len(asked.request.payload)
            if some and size > TOGETHER_SIZE:
                break
            some.append(asked)
        return some

    async def _fill(self, some: list["_Asked"]) -> None:
        """Answers them in turn, as far as the child gets. Who is not answered goes on waiting; whoever the child ended
        at has one try less."""
        child = await self._ready()
        at, done = some[0], False
        try:
            async with asyncio.timeout(self._patience):
                await _send(child, frame([asked.request for asked in some]))
            for at in some:
                async with asyncio.timeout(self._patience):
                    self._tell(at, await _read(child))
            done = True
        # RuntimeError is uvloop's word for a pipe that is closed already.
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, RuntimeError):
            at.tries += 1
            if at.tries >= TRIES:
                fault = f"{at.request.template}: the process that fills it dies of it, or hangs"
                self._tell(at, Answer(fault=fault))
        finally:
            # What it has yet to say would be taken for answers to others.
            if not done:
                await self._end()

    def _tell(self, asked: "_Asked", answer: Answer) -> None:
        if not asked.answer.done():
            asked.answer.set_result(answer)
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
        if self._filling is not None:
            await self._filling
        await self._end()

    async def _ready(self) -> Process:
        if self._child is not None and self._child.returncode is not None:
            await self._end()
        if self._closed:
            raise RuntimeError("the renderer is closed")
        return self._child or await self._start()

    async def _start(self) -> Process:
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
            pass
        finally:
            if ready is None or self._closed:
                await self._end()
        if self._closed:
            raise RuntimeError("the renderer is closed")
        if ready is None:
            raise OSError("the process that fills mail templates does not start")
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
    """One who asks."""

    request: Request
    answer: asyncio.Future[Answer]
    tries: int = 0


async def _send(child: Process, requests: bytes) -> None:
    assert child.stdin is not None  # noqa: S101 - PIPE
    child.stdin.write(requests)
    await child.stdin.drain()


async def _read(child: Process) -> Answer:
    assert child.stdout is not None  # noqa: S101 - PIPE
    length = int.from_bytes(await child.stdout.readexactly(4), "big")
    return msgspec.msgpack.decode(await child.stdout.readexactly(length), type=Answer)
