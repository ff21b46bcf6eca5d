"""The messages between the server and the process that renders templates. They are in a separate module so that the
server need not import Jinja, which takes a while."""

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
    """A rendered mail, or the error as text (`fault`). `unavailable` is true if the template is missing or does not
    compile."""

    html: str = ""
    text: str = ""
    fault: str | None = None
    unavailable: bool = False


def frame(message: Sequence[Request] | Answer) -> bytes:
    """Encodes a message as MessagePack, with its length in 4 bytes before it."""
    encoded = msgspec.msgpack.encode(message)
    return len(encoded).to_bytes(4, "big") + encoded
