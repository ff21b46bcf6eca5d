"""What `herald listen` does: prints until a signal comes, or nobody reads."""

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Final

import click

from domain.visible import visible
from herald_client import Away, Batch, Hello, Listener

# What a shell makes of a command that a signal has ended.
BY_SIGNAL: Final = 128

# Seconds for the reader of our output to take a frame, once we were told to end.
PATIENCE: Final = 1.0

# A close code that passes by itself: a node leaves, and others, or the next process, take over.
_RESTARTS: Final = 1012


class _NobodyReads(Exception):
    """Raised into a write that nobody takes, since nothing else gets out of one."""


class NotPrinted(Exception):
    """Standard output takes nothing. The text says why."""


class Listening:
    """Prints what a listener hands over: all of a frame, and then the next, so that no line is lost or printed twice
    by a signal."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._signal = 0
        self._is_printing = False

    async def run(self) -> int:
        """Returns the exit code. Raises NotPrinted, and what Listener raises."""
        loop = asyncio.get_running_loop()
        printing = asyncio.create_task(self._run())

        def end(number: int, _: FrameType | None) -> None:
            self._signal = number
            # After the frame that is being printed, unless that takes for ever.
            loop.call_soon_threadsafe(printing.cancel)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

        signal.signal(signal.SIGALRM, self._give_up)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        try:
            await printing
        except (BrokenPipeError, _NobodyReads):
            # Whoever read has had enough.
            _drop_output()
        except NotPrinted:
            _drop_output()
            raise
        except asyncio.CancelledError:
            if not self._signal:
                raise
        return BY_SIGNAL + self._signal if self._signal == signal.SIGINT else 0

    def _give_up(self, *_: object) -> None:
        if self._is_printing:
            raise _NobodyReads

    async def _run(self) -> None:
        async with self._listener as listener:
            async for batch in listener.batches():
                self._print(batch)

    def _print(self, batch: Batch) -> None:
        lines = []
        for item, line in zip(batch.items, batch.lines, strict=True):
            if isinstance(item, Hello | Away):
                _tell(self._listener.url, item)
            if line and not (isinstance(item, Hello) and not item.gap):
                lines.append(f"{visible(line)}\n")
        if lines:
            self._is_printing = True
            try:
                sys.stdout.buffer.write("".join(lines).encode())
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                raise
            except OSError as fault:
                # Not as it is: the cursor file's would look the same.
                raise NotPrinted(fault.strerror) from None
            finally:
                self._is_printing = False


def _drop_output() -> None:
    """What is left in the buffer must not be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(url: str, item: Hello | Away) -> None:
    """News of the connection, for people."""
    if isinstance(item, Hello):
        missing = f"; something is missing in {', '.join(item.gap)}" if item.gap else ""
        click.echo(visible(f"connected to {url}, {'going on' if item.resumed else 'from now on'}{missing}"), err=True)
        return
    why = "restarts" if item.code == _RESTARTS else f"is away: {item.reason}"
    where = f" at {item.next_url}" if item.next_url != item.url else ""
    click.echo(visible(f"{item.url} {why}; going on{where} in {item.retry_in:.1f} s"), err=True)
