"""What the server and the process that renders templates send one another. The server imports no more of that process:
importing Jinja takes a while."""

from collections.abc import Sequence
from datetime import datetime

import msgspec


class Request(msgspec.Struct, frozen=True, array_like=True):
    """One mail to render: the template, the event's payload as JSON, and the event's metadata."""

    template: str
    payload: str
    id: str
    type: str
    source: str
    time: datetime


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """A rendered mail, or the error in words; `unavailable` if the template itself is unusable."""

    html: str = ""
    text: str = ""
    fault: str | None = None
    unavailable: bool = False


def frame(message: Sequence[Request] | Answer) -> bytes:
    encoded = msgspec.msgpack.encode(message)
    return len(encoded).to_bytes(4, "big") + encoded
