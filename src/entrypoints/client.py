"""Asking a running Herald, for the commands that do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import httpx
import msgspec

# Seconds. The service answers when what was asked for is done: events are stored, letters replayed.
TIMEOUT: Final = 30.0

_Answer = TypeVar("_Answer")


class AskFailed(Exception):
    """There was no answer, or a refusal. The text says why."""


class Client:
    """Asks one Herald. Every method raises AskFailed."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url

    def ask(self, method: str, path: str, answer: type[_Answer], *, status: int = 200, **request: Any) -> _Answer:
        """What is answered with this status, decoded."""
        got = self._send(method, path, request)
        if got.status_code != status:
            raise AskFailed(_reason(got))
        try:
            return msgspec.json.decode(got.content, type=answer)
        except msgspec.DecodeError:
            raise AskFailed(f"{got.url} answered {status}, but not as Herald does.") from None

    def _send(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        try:
            return self._http.request(method, self._url + path, **request)
        except httpx.ConnectError:
            raise AskFailed(f"Nothing answers at {self._url}: is Herald running there?") from None
        except httpx.TimeoutException:
            raise AskFailed(f"{self._url} did not answer within {TIMEOUT:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            raise AskFailed(f"{self._url} could not be asked: {error}") from None


@contextmanager
def asking(url: str, token: str | None) -> Iterator[Client]:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    with httpx.Client(headers=headers, timeout=TIMEOUT) as http:
        yield Client(http, url)


def _reason(answer: httpx.Response) -> str:
    """The words of an RFC 9457 problem, or what there is in place of them."""
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    faults = "; ".join(f"{fault.field}: {fault.reason}" for fault in problem.errors)
    words = ": ".join(part for part in ((problem.title or "").rstrip("."), problem.detail, faults) if part)
    return f"Refused with {answer.status_code}: {words or answer.reason_phrase or 'no reason given'}"


class _Fault(msgspec.Struct):
    field: str
    reason: str


class _Problem(msgspec.Struct):
    title: str | None = None
    detail: str | None = None
    errors: list[_Fault] = []
