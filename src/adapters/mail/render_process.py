"""The process that fills templates: `python -m adapters.mail.render_process LIMIT PATIENCE [FOLDER]`.

A template is a program, and its author may err: an endless loop must cost one mail, not the server. Requests come on
standard input, several together, and answers leave on standard output one by one, in the same order, as MessagePack
behind its length in 4 bytes; the first answer is an empty one, and says that the process is ready. It ends when
standard input does, which is when the server that started it has ended.
"""

import resource
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import BinaryIO, Final

import msgspec

from adapters.mail.mailer import TemplateUnavailable, Unrenderable
from adapters.mail.rendering import Request, Templates

# Bytes of address space. Python and Jinja take a tenth of it.
MEMORY: Final = 512 * 1024 * 1024

# How much longer than the server waits for an answer the process may live at one mail, though it be deaf to all else,
# in a search through gigabytes: for the case that there is no server any more.
LIFETIME: Final = 1.2

# Seconds between further calls to stop, should the first be lost: errors can't leave a finalizer.
AGAIN: Final = 0.1


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """A filled mail, or the words for what is wrong; with `unavailable`, the template itself is."""

    html: str = ""
    text: str = ""
    fault: str | None = None
    unavailable: bool = False


class _TooLong(BaseException):
    """The limit is over. No Exception, so that nothing on the way takes it for a template's own."""


def frame(message: Sequence[Request] | Answer) -> bytes:
    encoded = msgspec.msgpack.encode(message)
    return len(encoded).to_bytes(4, "big") + encoded


def answer(templates: Templates, request: Request, limit: float, patience: float) -> Answer:
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, patience * LIFETIME)
            signal.setitimer(signal.ITIMER_PROF, limit, AGAIN)
            rendered = templates.render(request)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Unrenderable as fault:
        return Answer(fault=str(fault), unavailable=isinstance(fault, TemplateUnavailable))
    except _TooLong:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return Answer(fault=f"{request.template}: still not done after {limit:g} s")
    return Answer(rendered.html, rendered.text)


def serve(requests: BinaryIO, answers: BinaryIO, templates: Templates, limit: float, patience: float) -> None:
    decode = msgspec.msgpack.Decoder(list[Request]).decode
    answers.write(frame(Answer()))
    answers.flush()
    while length := requests.read(4):
        for request in decode(requests.read(int.from_bytes(length, "big"))):
            answers.write(frame(answer(templates, request, limit, patience)))
            answers.flush()


def _stop(_: int, __: FrameType | None) -> None:
    raise _TooLong


def _prepare() -> None:
    # Ctrl-C and `systemctl stop` reach this process as well, and the server has mails to fill before it leaves.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # An answer that nobody reads any more ends the process too, without a word.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, _stop)
    # Left to itself, it ends the process. A thread of the server's may have had either blocked.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF, signal.SIGALRM})
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # An unfilled mail is no reason to fill a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    _prepare()
    limit, patience, *folder = sys.argv[1:]
    templates = Templates(folder[0] if folder else None)
    serve(sys.stdin.buffer, sys.stdout.buffer, templates, float(limit), float(patience))


if __name__ == "__main__":
    main()
