"""Renders mail templates in a separate process."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.render_protocol import Answer, Request, frame
from application.ports.mail_folder import RenderedMail
from domain.deliveries import Item

# Maximum CPU time for one mail in seconds. The shipped templates need less than a thousandth of it.
CPU_LIMIT_S: Final = 2.0

# Timeout for one answer in seconds. It is longer than CPU_LIMIT_S, because on a busy machine the process may wait for
# the CPU.
RENDER_TIMEOUT_S: Final = 10.0

# Timeout for the start of the process in seconds. The start takes about 0.25 s on an idle machine.
START_TIMEOUT_S: Final = 30.0

# Maximum number of attempts for one mail. One process may be killed for another reason, such as a lack of memory. If a
# second process ends too, the template is assumed to be the cause.
MAX_ATTEMPTS: Final = 2

# Maximum number of mails that are sent to the process together, and of characters in their events together (a single
# event may have more). Several mails are sent together, because one transfer costs as much as rendering a shipped
# template.
MAX_BATCH_SIZE: Final = 20
MAX_BATCH_BYTES: Final = 1_000_000

_SOURCES: Final = Path(__file__).parents[2]


class ProcessRenderer:
    """Implements MailRenderer with a child process, which renders one mail after the other. Requests that arrive
    meanwhile are collected, and sent to it together.

    The child is started for the first mail, and started again when it has ended. Of the environment it inherits only
    the module path, so templates can't read secrets. `limit` is the maximum CPU time for one mail in seconds. If the
    child sends no answer for `timeout_s` seconds, it is killed.

    `render` also raises OSError if the child can't be started, which does not depend on the mail, and RuntimeError if
    the renderer is closed.
    """

    def __init__(
        self,
        folder: str | None,
        limit: float = CPU_LIMIT_S,
        timeout_s: float = RENDER_TIMEOUT_S,
        *,
        profile_templates: Sequence[Path] = (),
    ) -> None:
        """`folder` has the operator's templates. They take precedence over the shipped templates of the same names."""
        self._arguments = [str(limit), str(timeout_s), folder or "", *map(str, profile_templates)]
        self._timeout_s = timeout_s
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
        """Sends requests to the child until none is waiting."""
        while self._waiting:
            try:
                await self._fill(self._next())
            except Exception as error:
                # The child can't be started, so all waiting requests fail.
                for asked in self._waiting:
                    if not asked.answer.done():
                        asked.answer.set_exception(error)
                self._waiting.clear()

    def _next(self) -> list["_Asked"]:
        """Returns the oldest waiting requests, as many as may be sent together."""
        some: list[_Asked] = []
        size = 0
        for asked in self._waiting[:MAX_BATCH_SIZE]:
            size += len(asked.request.payload)
            if some and size > MAX_BATCH_BYTES:
                break
            some.append(asked)
        return some

    async def _fill(self, some: list["_Asked"]) -> None:
        """Sends the requests to the child, and sets their answers in order. If the child ends or does not respond, the
        requests without an answer stay in the queue, and the failed attempt is counted for the first of them only.
        """
        child = await self._ready()
        at, done = some[0], False
        try:
            async with asyncio.timeout(self._timeout_s):
                await _send(child, frame([asked.request for asked in some]))
            for at in some:
                async with asyncio.timeout(self._timeout_s):
                    self._set_answer(at, await _read(child))
            done = True
        # RuntimeError is raised by uvloop if the pipe is closed.
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, RuntimeError):
            at.tries += 1
            if at.tries >= MAX_ATTEMPTS:
                fault = f"{at.request.template}: the process that renders it crashed or did not respond"
                self._set_answer(at, Answer(fault=fault))
        finally:
            # The child is ended, because its remaining output would be read as answers to later requests.
            if not done:
                await self._end()

    def _set_answer(self, asked: "_Asked", answer: Answer) -> None:
        if not asked.answer.done():
            asked.answer.set_result(answer)
        self._leave(asked)

    def _leave(self, asked: "_Asked") -> None:
        """Removes a request from the queue, because it is answered or its caller was cancelled."""
        if asked in self._waiting:
            self._waiting.remove(asked)

    async def close(self) -> None:
        """Kills the child. All waiting requests fail."""
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
            # -P: files in the working directory are not importable as modules.
            *(sys.executable, "-P", "-m", "adapters.mail.render_process", *self._arguments),
            stdin=PIPE,
            stdout=PIPE,
            env={"PYTHONPATH": os.pathsep.join(filter(None, (str(_SOURCES), os.environ.get("PYTHONPATH"))))},
            start_new_session=True,
        )
        ready = None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                ready = await _read(child)
        except (TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            if ready is None or self._closed:
                await self._end()
        if self._closed:
            raise RuntimeError("the renderer is closed")
        if ready is None:
            raise OSError("the process that renders mail templates does not start")
        return child

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            child.kill()
        # Waits for the end of the child, and reads its remaining output, so that the pipe is closed.
        await child.communicate()


class _Asked(msgspec.Struct, eq=False):
    """A waiting request, the future of its answer, and the number of failed attempts."""

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
