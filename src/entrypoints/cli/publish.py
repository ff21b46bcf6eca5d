"""The implementation of `herald publish`: sends events from a file to `POST /api/v1/events` of a running Herald."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from domain.events import Undecoded, decode_json
from entrypoints.cli.http_client import RequestFailed, open_client

PATH: Final = "/api/v1/events"

# Maximum number of events in one request, which the service sets; and maximum size of a request's body, which is below
# the limits of servers and proxies.
MAX_EVENTS: Final = 500
MAX_BYTES: Final = 1_000_000


def as_event(body: bytes, source: str, **more: str | None) -> bytes:
    """Returns the JSON of an event for the API, with the content of a file as payload. If `body` is JSON, it is
    copied unchanged, with all digits of its numbers; any other text becomes a JSON string. `more` are the event's
    id, type and key; None is omitted. Raises RequestFailed if `body` is not UTF-8."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestFailed(f"The event is not UTF-8 from byte {error.start} on.") from None
    payload: Any = text if isinstance(decode_json(text), Undecoded) else msgspec.Raw(text.strip().encode())
    named = {name: value for name, value in more.items() if value is not None}
    return msgspec.json.encode({"source": source, "payload": payload, **named})


def publish(bodies: Iterable[bytes], url: str, token: str | None) -> Iterator[list[str]]:
    """Sends each of the bodies in a request of its own. After each response, yields the ids of the events that
    Herald has accepted. Raises RequestFailed."""
    with open_client(url, token) as client:
        for body in bodies:
            yield client.request("POST", PATH, _Accepted, status=202, content=body).ids


def in_lists(events: Iterable[bytes]) -> Iterator[bytes]:
    """Joins the JSON texts of events to JSON arrays, and yields them. Each array is the body of one request: at most
    MAX_EVENTS events and about MAX_BYTES bytes."""
    waiting: list[bytes] = []
    size = 0
    for event in events:
        if waiting and (len(waiting) == MAX_EVENTS or size + len(event) > MAX_BYTES):
            yield b"[" + b",".join(waiting) + b"]"
            waiting, size = [], 0
        waiting.append(event)
        size += len(event)
    if waiting:
        yield b"[" + b",".join(waiting) + b"]"


class _Accepted(msgspec.Struct):
    ids: list[str]
