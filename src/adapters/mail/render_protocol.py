"""The messages between the server and the child process that renders mail templates.

They have a module of their own so that the server can use them without importing Jinja, which takes a while.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A request to the child process to render one mail: the name of the template, the event's payload as JSON text,
    and the event's metadata. `url` is the address that the event's notification links to; None if there is none."""

    template: str
    payload: str
    id: str
    type: str
    source: str
    time: datetime
    url: str | None = None


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The answer of the child process to one Request: the rendered mail in HTML and as plain text, or the error
    (`fault`). `unavailable` is true if the error is a template that is missing or does not compile."""

    html: str = ""
    text: str = ""
    fault: str | None = None
    unavailable: bool = False


def frame(message: Sequence[Request] | Answer) -> bytes:
    """Encodes a message for the pipe between the two processes: its length in 4 bytes, then the message in
    MessagePack."""
    encoded = msgspec.msgpack.encode(message)
    return len(encoded).to_bytes(4, "big") + encoded
