"""Asking a running Herald, for the commands that do."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click
import httpx
import msgspec

from domain.visible import visible
from entrypoints.settings.loader import SETTINGS, read

# Seconds. The service answers when what was asked for is done: events are stored, letters replayed.
TIMEOUT: Final = 30.0

_Answer = TypeVar("_Answer")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class AskFailed(Exception):
    """There was no answer, or a refusal. The text says why and is fit for a terminal, `status` with which HTTP status
    it was refused.

    `wait` is the seconds to wait before asking again, where asking too often was all that was wrong.
    """

    def __init__(self, text: str, status: int | None = None, wait: float | None = None) -> None:
        super().__init__(visible(text))
        self.status = status
        self.wait = wait


class Client:
    """Asks one Herald. Every method raises AskFailed."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url

    def ask(self, method: str, path: str, answer: type[_Answer], *, status: int = 200, **request: Any) -> _Answer:
        """What is answered with this status, decoded."""
        got = self._send(method, path, request)
        if got.status_code != status:
            raise AskFailed(_reason(got), got.status_code, _wait(got))
        try:
            return msgspec.json.decode(got.content, type=answer)
        except msgspec.DecodeError:
            raise AskFailed(f"{got.url} answered {status}, but not as Herald does.") from None

    def ask_patiently(self, method: str, path: str, answer: type[_Answer], **request: Any) -> _Answer:
        """The same, waiting whenever the service says that it was asked too often: for long runs of requests."""
        while True:
            try:
                return self.ask(method, path, answer, **request)
            except AskFailed as fault:
                if fault.wait is None:
                    raise
                time.sleep(fault.wait)

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


def asks(command: _Command) -> _Command:
    """The options of a command that asks a Herald: where it is, and who asks."""
    command = click.option("--token", help=f"{SETTINGS['client.token'].help} [HERALD_TOKEN]")(command)
    return click.option("--url", help=f"{SETTINGS['client.url'].help} [HERALD_URL]")(command)


@contextmanager
def by_settings(url: str | None, token: str | None) -> Iterator[Client]:
    """A client by the settings; these options go before them. What fails is said in one line."""
    given = {name: value for name, value in (("client.url", url), ("client.token", token)) if value is not None}
    settings = read(os.environ, "dev", given)
    try:
        with asking(settings.client.url, settings.client.token) as client:
            yield client
    except AskFailed as fault:
        raise click.ClickException(str(fault)) from None


def segment(id: str, kind: str) -> str:
    """An id as it may stand in a path. Raises ClickException, which names the kind of thing that it is no id of."""
    if not id or not all(character.isalnum() or character == "-" for character in id):
        raise click.ClickException(f"{id!r} is no id of a {kind}.")
    return id


def _wait(answer: httpx.Response) -> float | None:
    if answer.status_code != 429:
        return None
    after = answer.headers.get("retry-after", "")
    return float(after) if after.isascii() and after.isdigit() else 1.0


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
