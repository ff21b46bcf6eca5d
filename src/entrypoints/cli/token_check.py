"""Checking a token for `herald token`, with the verifier and the settings of the server."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
import structlog

from domain.caller_errors import Unavailable
from domain.safe_text import visible
from entrypoints.cli.input_files import opened
from entrypoints.settings.loader import Settings, SettingsInvalid

if TYPE_CHECKING:
    from adapters.jwt.refusal import Refusal
    from adapters.jwt.verifier import Accepted, JwtVerifier

# At most this much is read from standard input; a token of this length is refused in any case.
MAX_INPUT_BYTES: Final = 1_000_000


class KeysUnavailable(click.ClickException):
    """Raised if a token can be neither accepted nor refused, because the issuer's keys can't be fetched. Ends the
    command with exit code 3."""

    exit_code = 3


def print_check(text: str, settings: Settings) -> None:
    """Prints who the caller with this token is. If the token is refused, prints the reason and ends the command with
    exit code 1."""
    from adapters.jwt.verifier import Accepted

    result = examined(text, settings)
    if isinstance(result, Accepted):
        click.echo("\n".join(_accepted_lines(result, settings)))
        return
    click.echo(f"refused: {result.code}\n{result.explanation}\n{result.advice}")
    raise click.exceptions.Exit(1)


def examined(text: str, settings: Settings) -> "Accepted | Refusal":
    """Returns how the server would decide on a token. Raises SettingsInvalid if the settings have no usable key, and
    KeysUnavailable."""
    from adapters.jwt.verifier import JwtVerifier

    if not settings.jwt.has_key:
        raise SettingsInvalid(
            "No key to verify tokens is configured: set HERALD_JWT_SECRET, HERALD_JWT_PUBLIC_KEY or"
            " HERALD_JWT_JWKS_URL, as for `herald serve`."
        )
    try:
        settings.jwt.check()
        with _without_logs():
            return asyncio.run(_examine(JwtVerifier(settings.jwt), text))
    except ValueError as error:
        raise SettingsInvalid(str(error)) from None


@contextmanager
def _without_logs() -> Iterator[None]:
    """Suppresses log lines, which would be printed between those of the command and repeat them."""

    def drop(*_: Any) -> NoReturn:
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[drop])
    try:
        yield
    finally:
        structlog.configure(**before)


async def _examine(verifier: "JwtVerifier", text: str) -> "Accepted | Refusal":
    try:
        return await verifier.examine(text)
    except Unavailable as error:
        raise KeysUnavailable(f"The token can't be checked: {verifier.fault or error}") from None
    finally:
        await verifier.close()


def _accepted_lines(accepted: "Accepted", settings: Settings) -> Iterator[str]:
    from adapters.jwt.refusal import shown_time

    identity, now = accepted.identity, time.time()
    yield "accepted"
    yield f"user:     {identity.user}"
    yield f"scopes:   {visible(', '.join(sorted(identity.scopes))) or 'none'}"
    if identity.issued_at is not None:
        yield f"issued:   {shown_time(identity.issued_at)}, {span(now - identity.issued_at)} ago"
    if identity.expires_at is not None:
        yield f"expires:  {shown_time(identity.expires_at)}, in {span(identity.expires_at - now)}"
    yield f"claims:   {visible(', '.join(sorted(accepted.claims)))}"
    if identity.expires_at is None:
        yield "note: the token has no `exp`, so it never expires."
    if identity.issued_at is None:
        yield "note: the token has no `iat`, so it is refused for ever once its user has signed out."
    if "aud" in accepted.claims and not settings.jwt.audience:
        yield "note: HERALD_JWT_AUDIENCE is not set, so tokens that are meant for other services are accepted too."
    if settings.server.auth == "open":
        yield "note: HERALD_AUTH is open, so the server does not look at tokens."


def given_token(text: str | None) -> str:
    """Returns the token to check: the argument, or the text from standard input, without spaces around it and without
    the word `Bearer` before it, as it is in the header `Authorization`."""
    if text is None:
        if sys.stdin.isatty():
            click.echo("Paste the token, then press Enter and Ctrl-D.", err=True)
        with opened("-") as stream:
            text = stream.read(MAX_INPUT_BYTES).decode("utf-8", "replace")
    text = text.strip()
    return text[7:].strip() if text[:7].lower() == "bearer " else text


def span(seconds: float) -> str:
    """Returns a period for display, in its largest unit: `59 min`. Negative periods count as 0."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
