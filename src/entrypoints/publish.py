"""What `herald publish` does: events from a file to `POST /api/v1/events` of a running Herald."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpx
import msgspec

from domain.events import Undecoded, decode_json

PATH: Final = "/api/v1/events"

# What the service takes in one request, and a bound on its bytes that stays clear of the limits of servers and proxies.
MOST_EVENTS: Final = 500
MOST_BYTES: Final = 1_000_000

# The service answers when the events are stored.
TIMEOUT: Final = 30.0


class PublishFailed(Exception):
    """The events, or some of them, were not accepted. The text says why."""


def as_event(body: bytes, source: str, **more: str | None) -> bytes:
    """The event as the service takes it. JSON goes in as it stands, every digit kept; other text as a JSON string."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise PublishFailed(f"The event is not UTF-8 from byte {error.start} on.") from None
    payload: Any = text if isinstance(decode_json(text), Undecoded) else msgspec.Raw(body.strip())
    named = {name: value for name, value in more.items() if value is not None}
    return msgspec.json.encode({"source": source, "payload": payload, **named})


def publish(bodies: Iterable[bytes], url: str, token: str | None) -> Iterator[list[str]]:
    """Sends each body, and yields the ids of the events in it as they are accepted; raises PublishFailed."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    with httpx.Client(headers=headers, timeout=TIMEOUT) as client:
        for body in bodies:
            try:
                answer = client.post(url + PATH, content=body)
            except httpx.ConnectError:
                raise PublishFailed(f"Nothing answers at {url}: is Herald running there?") from None
            except httpx.TimeoutException:
                raise PublishFailed(f"{url} did not answer within {TIMEOUT:g} s.") from None
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
                raise PublishFailed(f"{url} could not be asked: {error}") from None
            if answer.status_code != 202:
                raise PublishFailed(_reason(answer))
            yield _ids(answer)


def in_lists(events: Iterable[bytes]) -> Iterator[bytes]:
    """JSON lists of the events, as many in one as a request may hold."""
    waiting: list[bytes] = []
    size = 0
    for event in events:
        if waiting and (len(waiting) == MOST_EVENTS or size + len(event) > MOST_BYTES):
            yield b"[" + b",".join(waiting) + b"]"
            waiting, size = [], 0
        waiting.append(event)
        size += len(event)
    if waiting:
        yield b"[" + b",".join(waiting) + b"]"


def _ids(answer: httpx.Response) -> list[str]:
    try:
        return msgspec.json.decode(answer.content, type=_Accepted).ids
    except msgspec.DecodeError:
        raise PublishFailed(f"{answer.url} answered 202, but not as Herald does.") from None


def _reason(answer: httpx.Response) -> str:
    """The words of an RFC 9457 problem, or what there is in place of them."""
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    words = ": ".join(part for part in ((problem.title or "").rstrip("."), problem.detail) if part)
    return f"Refused with {answer.status_code}: {words or answer.reason_phrase or 'no reason given'}"


class _Accepted(msgspec.Struct):
    ids: list[str]


class _Problem(msgspec.Struct):
    title: str | None = None
    detail: str | None = None
