"""The HTTP client of the commands that send requests to a running Herald.

httpx is imported only when a request is sent, because the import takes a while and other commands do not need it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from domain.safe_text import visible
from entrypoints.settings.loader import read

if TYPE_CHECKING:
    import httpx

# Timeout of a request. The service responds only when the work is done, for example when dead letters are replayed.
TIMEOUT_S: Final = 30.0

# The help of the options --url and --token.
URL_HELP: Final = "The URL of the running Herald. [HERALD_URL]"
TOKEN_HELP: Final = "The token that identifies the caller. [HERALD_TOKEN]"  # noqa: S105
# What to do if a token is needed and none was sent.
NO_TOKEN: Final = "Give one by the option --token, or set HERALD_TOKEN; `herald token --help` makes one."  # noqa: S105

_Answer = TypeVar("_Answer")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class RequestFailed(Exception):
    """A request to Herald got no response, an error response, or one that is not from Herald. The text is the reason,
    with control characters escaped. `status` is the HTTP status of an error response, otherwise None.

    If the rate limit was exceeded, `retry_after_s` is the number of seconds after which the request can be repeated.
    """

    def __init__(self, text: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(visible(text))
        self.status = status
        self.retry_after_s = retry_after_s


class Client:
    """Sends requests to the Herald at one URL. Every method raises RequestFailed if the request fails."""

    def __init__(self, http: "httpx.Client", url: str) -> None:
        self._http = http
        self._url = url

    def request(self, method: str, path: str, answer: type[_Answer], *, status: int = 200, **request: Any) -> _Answer:
        """Sends a request and returns the body of the response, decoded as the type `answer`. Raises RequestFailed
        if there is no response, if its status is not `status`, or if its body can't be decoded."""
        got = self._send(method, path, request)
        if got.status_code != status:
            hint = f" {NO_TOKEN}" if got.status_code == 401 and "authorization" not in self._http.headers else ""
            raise RequestFailed(f"{_reason(got)}{hint}", got.status_code, _retry_after_s(got))
        try:
            return msgspec.json.decode(got.content, type=answer)
        except msgspec.DecodeError:
            raise RequestFailed(
                f"The response of {got.url} has status {status}, but is not a response of Herald."
            ) from None

    def request_with_retries(self, method: str, path: str, answer: type[_Answer], **request: Any) -> _Answer:
        """Does the same as `request`, except that a request that exceeds the rate limit (429) is repeated after the
        delay in the response. For commands that send many requests."""
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
            raise RequestFailed(f"No server responds at {self._url}: is Herald running there?") from None
        except httpx.TimeoutException:
            raise RequestFailed(f"{self._url} did not answer within {TIMEOUT_S:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            raise RequestFailed(f"The request to {self._url} failed: {error}") from None


@contextmanager
def open_client(url: str, token: str | None) -> Iterator[Client]:
    import httpx

    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    with httpx.Client(headers=headers, timeout=TIMEOUT_S) as http:
        yield Client(http, url)


def client_options(command: _Command) -> _Command:
    """Adds the options --url and --token to a command that sends requests to Herald."""
    command = click.option("--token", help=TOKEN_HELP)(command)
    return click.option("--url", help=URL_HELP)(command)


@contextmanager
def client_from_settings(url: str | None, token: str | None) -> Iterator[Client]:
    """Yields a Client for the given URL and token. If one is None, HERALD_URL or HERALD_TOKEN is used. Converts
    RequestFailed in the `with` block to ClickException, which ends the command with its text."""
    given = {name: value for name, value in (("client.url", url), ("client.token", token)) if value is not None}
    settings = read(os.environ, "dev", given)
    try:
        with open_client(settings.client.url, settings.client.token) as client:
            yield client
    except RequestFailed as error:
        raise click.ClickException(str(error)) from None


def path_segment(id: str, kind: str) -> str:
    """Checks that an id consists of letters, digits and hyphens, so that it is safe in the path of a URL, and
    returns it. Raises ClickException otherwise; `kind`, such as "delivery", is used in its text."""
    if not id or not all(character.isalnum() or character == "-" for character in id):
        raise click.ClickException(f"{id!r} is not the id of a {kind}.")
    return id


def _retry_after_s(answer: "httpx.Response") -> float | None:
    if answer.status_code != 429:
        return None
    after = answer.headers.get("retry-after", "")
    return float(after) if after.isascii() and after.isdigit() else 1.0


def _reason(answer: "httpx.Response") -> str:
    """Returns why Herald refused a request, for the text of RequestFailed: the title, detail and field errors of the
    problem (RFC 9457) in the response. If the response contains no problem, returns its HTTP reason phrase."""
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
