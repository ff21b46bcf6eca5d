"""Renders mails in a child process, which this module starts, watches and stops."""

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
from domain.public_url import PublicUrl

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

NO_URL: Final = PublicUrl()

_SOURCES: Final = Path(__file__).parents[2]


class ProcessRenderer:
    """Implements MailRenderer with a child process (render_process), which renders one mail after another. Requests
    that arrive while it is busy wait in a queue, and are then sent to it in batches.

    The child is started for the first mail, and again for the next mail after it has ended. It inherits no environment
    variables except PYTHONPATH, so templates can't read secrets. A mail may take `limit` seconds of CPU time. If the
    child does not answer within `timeout_s` seconds, it is killed.

    In addition to the exceptions of the port, `render` raises OSError if the child can't be started, and RuntimeError
    after `close`.
    """

    def __init__(
        self,
        folder: str | None,
        limit: float = CPU_LIMIT_S,
        timeout_s: float = RENDER_TIMEOUT_S,
        *,
        profile_templates: Sequence[Path] = (),
        public_url: PublicUrl = NO_URL,
    ) -> None:
        """`folder` is the operator's folder of templates, which take precedence over shipped templates of the same
        name; None if there is no such folder. `profile_templates` are the folders with the templates of shipped
        profiles. `public_url` makes the URLs of notifications absolute."""
        self._arguments = [str(limit), str(timeout_s), folder or "", *map(str, profile_templates)]
        self._timeout_s = timeout_s
        self._public_url = public_url
        self._waiting: list[_PendingRequest] = []
        self._sending: asyncio.Task[None] | None = None
        self._child: Process | None = None
        self._closed = False

    async def render(self, item: Item) -> RenderedMail:
        url = self._public_url.absolute(item.url) if item.url is not None else None
        request = Request(item.template, item.payload, item.event_id, item.type, item.source, item.time, url)
        asked = _PendingRequest(request, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())
        try:
            answer = await asked.answer
        finally:
            self._remove(asked)
        if answer.fault is not None:
            raise (TemplateUnavailable if answer.unavailable else Unrenderable)(answer.fault)
        return RenderedMail(answer.html, answer.text)

    async def _send_all(self) -> None:
        """Sends batches of requests to the child until no request is waiting. If the child can't be started, all
        waiting requests fail."""
        while self._waiting:
            try:
                await self._send_batch(self._next_batch())
            except Exception as error:
                # The child can't be started, so all waiting requests fail.
                for asked in self._waiting:
                    if not asked.answer.done():
                        asked.answer.set_exception(error)
                self._waiting.clear()

    def _next_batch(self) -> list["_PendingRequest"]:
        """Returns the oldest waiting requests: at most MAX_BATCH_SIZE, whose payloads have at most MAX_BATCH_BYTES
        characters together. A single request may exceed the second limit."""
        some: list[_PendingRequest] = []
        size = 0
        for asked in self._waiting[:MAX_BATCH_SIZE]:
            size += len(asked.request.payload)
            if some and size > MAX_BATCH_BYTES:
                break
            some.append(asked)
        return some

    async def _send_batch(self, some: list["_PendingRequest"]) -> None:
        """Sends the requests to the child, and sets the answer of each when it arrives. If the child ends or does
        not respond in time, it is killed, and the requests without an answer stay in the queue. Only the oldest of
        them, which the child was rendering, fails after MAX_ATTEMPTS such attempts."""
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

    def _set_answer(self, asked: "_PendingRequest", answer: Answer) -> None:
        if not asked.answer.done():
            asked.answer.set_result(answer)
        self._remove(asked)

    def _remove(self, asked: "_PendingRequest") -> None:
        """Removes a request from the queue, because it was answered or its caller was cancelled."""
        if asked in self._waiting:
            self._waiting.remove(asked)

    async def close(self) -> None:
        """Kills the child process. All waiting requests fail, and later ones raise RuntimeError."""
        self._closed = True
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
        if self._sending is not None:
            await self._sending
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


class _PendingRequest(msgspec.Struct, eq=False):
    """A request in the queue, the future of its answer, and the number of attempts in which the child crashed or did
    not respond while it rendered this request."""

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
