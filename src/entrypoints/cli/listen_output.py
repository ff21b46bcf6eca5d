"""The implementation of `herald listen`: prints entries until a signal ends the command, or the program that reads
its output closes the pipe."""

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Final

import click

from domain.safe_text import visible
from herald_client import Away, Batch, Hello, Listener

# A command that was ended by a signal has this exit code plus the number of the signal, as in shells.
SIGNAL_EXIT_BASE: Final = 128

# After a signal, the reader of the output has this many seconds to accept the frame that is being printed.
PRINT_TIMEOUT_S: Final = 1.0

# The close code of a node that shuts down: another node, or the restarted node, accepts the client.
_RESTARTS: Final = 1012


class _OutputBlocked(Exception):
    """Raised by the handler of SIGALRM, to interrupt a write to standard output that blocks because its reader does
    not read."""


class NotPrinted(Exception):
    """Writing to standard output failed, for example because the disk is full. The text gives the reason."""


class Listening:
    """Prints the frames that a Listener of herald_client receives. Each frame is printed completely before the next
    one is requested. So when a signal ends the command, and it is started again with the same cursor, no line is
    lost or repeated."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._signal = 0
        self._is_printing = False

    async def run(self) -> int:
        """Prints frames until SIGINT or SIGTERM arrives, or the reader of the output closes the pipe. Returns the
        exit code: 130 after SIGINT, otherwise 0. Raises NotPrinted if the output can't be written, and the
        exceptions of Listener."""
        loop = asyncio.get_running_loop()
        printing = asyncio.create_task(self._run())

        def end(number: int, _: FrameType | None) -> None:
            self._signal = number
            # The frame that is being printed is finished first, unless that takes more than PRINT_TIMEOUT_S seconds.
            loop.call_soon_threadsafe(printing.cancel)
            signal.setitimer(signal.ITIMER_REAL, PRINT_TIMEOUT_S)

        signal.signal(signal.SIGALRM, self._give_up)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        try:
            await printing
        except (BrokenPipeError, _OutputBlocked):
            # The reader has closed the pipe, or does not read.
            _drop_output()
        except NotPrinted:
            _drop_output()
            raise
        except asyncio.CancelledError:
            if not self._signal:
                raise
        finally:
            # Without this, the alarm could kill the process while it exits: Python restores the default action of
            # SIGALRM.
            signal.setitimer(signal.ITIMER_REAL, 0)
        return SIGNAL_EXIT_BASE + self._signal if self._signal == signal.SIGINT else 0

    def _give_up(self, *_: object) -> None:
        if self._is_printing:
            raise _OutputBlocked

    async def _run(self) -> None:
        async with self._listener as listener:
            async for batch in listener.batches():
                self._print(batch)

    def _print(self, batch: Batch) -> None:
        lines = []
        for item, line in zip(batch.items, batch.lines, strict=True):
            if isinstance(item, Hello | Away):
                _print_notice(self._listener.url, item)
            if line and not (isinstance(item, Hello) and not item.gap):
                lines.append(f"{visible(line)}\n")
        if lines:
            self._is_printing = True
            try:
                sys.stdout.buffer.write("".join(lines).encode())
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                # A different type, because an error of the cursor file is also an OSError.
                raise NotPrinted(error.strerror) from None
            finally:
                self._is_printing = False


def _drop_output() -> None:
    """Redirects standard output to /dev/null, so that Python does not try at exit to write lines that it has
    buffered."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_notice(url: str, item: Hello | Away) -> None:
    """Prints to standard error that the connection was opened (Hello), or lost (Away)."""
    if isinstance(item, Hello):
        missing = f"; entries may be missing in {', '.join(item.gap)}" if item.gap else ""
        click.echo(visible(f"connected to {url}, {'resumed' if item.resumed else 'from now on'}{missing}"), err=True)
        return
    why = "restarts" if item.code == _RESTARTS else f"is unavailable: {item.reason}"
    where = f" at {item.next_url}" if item.next_url != item.url else ""
    click.echo(visible(f"{item.url} {why}; reconnecting{where} in {item.retry_in:.1f} s"), err=True)
