"""The child process that renders mail templates: `python -m adapters.mail.render_process CPU_LIMIT_S TIMEOUT_S SITE
[FOLDER ...]`. SITE is the operator's folder of templates, or an empty text; each FOLDER has templates of shipped
profiles.

Templates are rendered in a separate process because a template is a program: if it runs in an endless loop, only its
mail fails, and the server is not blocked.

Standard input receives lists of requests; standard output returns an answer for each request, in the same order. Every
message is MessagePack, preceded by its length in 4 bytes. The first answer is empty, and means that the process is
ready. The process ends when standard input is closed, at the latest by the end of the server process.
"""

import resource
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final

import msgspec

from adapters.mail.jinja_rendering import Templates
from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.render_protocol import Answer, Request, frame

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
    """Raised while a template is rendered, when the limit of CPU time is exceeded. It is a BaseException, so that no
    `except Exception` treats it as an error of the template."""


def answer(templates: Templates, request: Request, limit: float, timeout_s: float) -> Answer:
    """Renders one mail, and returns an Answer with the mail, or with the error. If rendering takes more than `limit`
    seconds of CPU time, the Answer has that error. If it takes more than LIFETIME_FACTOR times `timeout_s` seconds,
    this process is killed."""
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
    """Reads requests from the stream `requests`, and writes an answer for each to the stream `answers`, until
    `requests` ends. `limit` and `timeout_s` apply to each mail, as in `answer`."""
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
