"""The process that renders templates: `python -m adapters.mail.render_process CPU_LIMIT_S TIMEOUT_S SITE [FOLDER ...]`.

It is a separate process, because a template is a program that may have errors: an endless loop must make one mail fail,
and not block the server.

Requests are read from standard input in lists. Answers are written to standard output one by one, in the same order, as
MessagePack with a 4-byte length before it. The first answer is empty, and says that the process is ready. The process
ends when standard input is closed, which happens at the latest when the server ends.
"""

import resource
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final

import msgspec

from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.render_protocol import Answer, Request, frame
from adapters.mail.rendering import Templates

# Maximum size of the address space in bytes. Python and Jinja need a tenth of it.
MAX_MEMORY_BYTES: Final = 512 * 1024 * 1024

# Maximum time for one mail, as a multiple of the server's timeout for an answer. Usually the server kills this process
# when the timeout expires. If the server no longer exists, the process ends itself after this time, even within a long
# operation that Python can't interrupt.
LIFETIME_FACTOR: Final = 1.2

# Seconds after which the stop signal is repeated. It may have had no effect, because Python ignores exceptions that are
# raised in a finalizer.
RETRY_S: Final = 0.1


class _TooLong(BaseException):
    """The limit of CPU time is exceeded. It is a BaseException, so that `except Exception` does not handle it as an
    error of the template."""


def answer(templates: Templates, request: Request, limit: float, timeout_s: float) -> Answer:
    """Renders one mail within `limit` seconds of CPU time. Returns the mail or the error."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, timeout_s * LIFETIME_FACTOR)
            signal.setitimer(signal.ITIMER_PROF, limit, RETRY_S)
            rendered = templates.render(request)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Unrenderable as error:
        return Answer(fault=str(error), unavailable=isinstance(error, TemplateUnavailable))
    except _TooLong:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return Answer(fault=f"{request.template}: still not rendered after {limit:g} s of CPU time")
    return Answer(rendered.html, rendered.text)


def serve(requests: BinaryIO, answers: BinaryIO, templates: Templates, limit: float, timeout_s: float) -> None:
    """Answers requests until their stream ends."""
    decode = msgspec.msgpack.Decoder(list[Request]).decode
    answers.write(frame(Answer()))
    answers.flush()
    while length := requests.read(4):
        for request in decode(requests.read(int.from_bytes(length, "big"))):
            answers.write(frame(answer(templates, request, limit, timeout_s)))
            answers.flush()


def _stop(_: int, __: FrameType | None) -> None:
    raise _TooLong


def _prepare() -> None:
    # Ctrl-C and `systemctl stop` send their signal to this process too, but the server still renders mails before it
    # stops.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # When standard output is closed, the process ends without an error message.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, _stop)
    # SIGALRM ends the process, which is its default action. Both signals are unblocked, because a process inherits
    # blocked signals from the thread that started it.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF, signal.SIGALRM})
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    # No core dump is written if a template crashes the process.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    _prepare()
    limit, timeout_s, site, *profile_templates = sys.argv[1:]
    templates = Templates(site or None, [Path(folder) for folder in profile_templates])
    serve(sys.stdin.buffer, sys.stdout.buffer, templates, float(limit), float(timeout_s))


if __name__ == "__main__":
    main()
