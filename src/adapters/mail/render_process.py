"""The process that renders templates: `python -m adapters.mail.render_process CPU_LIMIT_S TIMEOUT_S SITE [FOLDER ...]`.

A template is a program that may have errors: an endless loop must cost one mail, not the server. Requests are read from
standard input, several together. Answers are written to standard output one by one, in the same order, as MessagePack
with a 4-byte length before it; the first answer is empty and signals that the process is ready. The process ends when
standard input is closed, which is the case when the server that started it has ended.
"""

import resource
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final

import msgspec

from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.render_messages import Answer, Request, frame
from adapters.mail.rendering import Templates

# Limit of the address space in bytes. Python and Jinja need a tenth of it.
MAX_MEMORY_BYTES: Final = 512 * 1024 * 1024

# Maximum time for one mail, as a multiple of the time that the server waits for an answer. It ends a process that
# reacts to no signal (a regular expression over gigabytes, for example), in case the server that should kill it no
# longer exists.
LIFETIME_FACTOR: Final = 1.2

# Seconds between repetitions of the stop signal, in case the first is lost: an exception can't leave a finalizer.
RETRY_S: Final = 0.1


class _TooLong(BaseException):
    """The time limit is exceeded. A BaseException, so that no `except Exception` handles it as a template's error."""


def answer(templates: Templates, request: Request, limit: float, timeout_s: float) -> Answer:
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
        return Answer(fault=f"{request.template}: still not done after {limit:g} s")
    return Answer(rendered.html, rendered.text)


def serve(requests: BinaryIO, answers: BinaryIO, templates: Templates, limit: float, timeout_s: float) -> None:
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
    # Ctrl-C and `systemctl stop` signal this process too, but the server still has mails to render before it stops.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # If nobody reads the answers any more, the process ends silently.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, _stop)
    # The default action of SIGALRM ends the process. The server's thread that started it may have had both signals
    # blocked.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF, signal.SIGALRM})
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    # A failed template is no reason to write a core dump.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    _prepare()
    limit, timeout_s, site, *profile_templates = sys.argv[1:]
    templates = Templates(site or None, [Path(folder) for folder in profile_templates])
    serve(sys.stdin.buffer, sys.stdout.buffer, templates, float(limit), float(timeout_s))


if __name__ == "__main__":
    main()
