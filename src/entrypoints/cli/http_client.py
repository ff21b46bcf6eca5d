"""The HTTP client of the commands that talk to a running Herald.

httpx is imported on demand: the other commands send no requests, and importing it takes a while.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from domain.text import visible
from entrypoints.settings.loader import SETTINGS, read

if TYPE_CHECKING:
    import httpx

# The service responds after the work is done: events are stored, dead letters are replayed.
TIMEOUT_S: Final = 30.0

_Answer = TypeVar("_Answer")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class RequestFailed(Exception):
    """No response, or an error response. The text says why, without control characters; `status` is the HTTP status.

    `retry_after_s` is set if the rate limit was exceeded and the request can be repeated after that time.
    """

    def __init__(self, text: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(visible(text))
        self.status = status
        self.retry_after_s = retry_after_s


class Client:
    """Sends requests to one Herald. Every method raises RequestFailed."""

    def __init__(self, http: "httpx.Client", url: str) -> None:
        self._http = http
        self._url = url

    def request(self, method: str, path: str, answer: type[_Answer], *, status: int = 200, **request: Any) -> _Answer:
        """Send a request and decode the body of a response with this status."""
        got = self._send(method, path, request)
        if got.status_code != status:
            raise RequestFailed(_reason(got), got.status_code, _retry_after_s(got))
        try:
            return msgspec.json.decode(got.content, type=answer)
        except msgspec.DecodeError:
            raise RequestFailed(f"{got.url} answered {status}, but not as Herald does.") from None

    def request_with_retries(self, method: str, path: str, answer: type[_Answer], **request: Any) -> _Answer:
        """As `request`, but wait for `Retry-After` and repeat after each 429: for long series of requests."""
        while True:
            try:
                return self.request(method, path, answer, **request)
            except RequestFailed as error:
                if error.retry_after_s is None:
                    raise
                time.sleep(error.retry_after_s)

    def _send(self, method: str, path: str, request: dict[str, Any]) -> "httpx.Response":
        import httpx

        try:
            return self._http.request(method, self._url + path, **request)
        except httpx.ConnectError:
            raise RequestFailed(f"Nothing answers at {self._url}: is Herald running there?") from None
        except httpx.TimeoutException:
            raise RequestFailed(f"{self._url} did not answer within {TIMEOUT_S:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            raise RequestFailed(f"{self._url} could not be asked: {error}") from None


@contextmanager
def open_client(url: str, token: str | None) -> Iterator[Client]:
    import httpx

    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    with httpx.Client(headers=headers, timeout=TIMEOUT_S) as http:
        yield Client(http, url)


def client_options(command: _Command) -> _Command:
    """Adds the options of a command that sends requests: the URL, and the token."""
    command = click.option("--token", help=f"{SETTINGS['client.token'].help} [HERALD_TOKEN]")(command)
    return click.option("--url", help=f"{SETTINGS['client.url'].help} [HERALD_URL]")(command)


@contextmanager
def client_from_settings(url: str | None, token: str | None) -> Iterator[Client]:
    """A client for the URL and the token of the options, or else of the settings. A RequestFailed ends the command with
    its text.
    """
    given = {name: value for name, value in (("client.url", url), ("client.token", token)) if value is not None}
    settings = read(os.environ, "dev", given)
    try:
        with open_client(settings.client.url, settings.client.token) as client:
            yield client
    except RequestFailed as error:
        raise click.ClickException(str(error)) from None


def path_segment(id: str, kind: str) -> str:
    """An id that is safe in a path. Raises ClickException for any other text; `kind` names what it should identify."""
    if not id or not all(character.isalnum() or character == "-" for character in id):
        raise click.ClickException(f"{id!r} is not the id of a {kind}.")
    return id


def _retry_after_s(answer: "httpx.Response") -> float | None:
    if answer.status_code != 429:
        return None
    after = answer.headers.get("retry-after", "")
    return float(after) if after.isascii() and after.isdigit() else 1.0


def _reason(answer: "httpx.Response") -> str:
    """The title, detail and errors of an RFC 9457 problem, or else the reason phrase."""
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
