"""`herald token`: makes a token, or says whether and why Herald accepts or refuses one."""

import asyncio
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
import msgspec
import structlog

from domain.caller_errors import Unavailable
from domain.safe_text import visible
from entrypoints.cli.input_files import content, opened
from entrypoints.settings.loader import Settings, SettingsInvalid, read

if TYPE_CHECKING:
    from adapters.jwt.refusal import Refusal
    from adapters.jwt.verifier import Accepted, JwtVerifier

DEFAULT_MINUTES: Final = 60
# Lifetimes above this are made with a warning, because a token can't be withdrawn alone.
LONG_MINUTES: Final = 24 * 60
MAX_MINUTES: Final = 10 * 366 * 24 * 60

# At most this much is read from standard input; a token of this length is refused in any case.
MAX_INPUT_BYTES: Final = 1_000_000

_CLAIM: Final = re.compile(r"(?P<name>[^=]+?)(?P<json>:?)=(?P<value>.*)", re.DOTALL)


class KeysUnavailable(click.ClickException):
    """Raised if a token can be neither accepted nor refused, because the issuer's keys can't be fetched. Ends the
    command with exit code 3."""

    exit_code = 3


@click.command(short_help="Make a token, or say why one is refused.")
@click.argument("text", metavar="SUB | --check [TOKEN]", required=False)
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="A scope of the new token. May be repeated.")
@click.option(
    "--minutes",
    type=click.IntRange(1, MAX_MINUTES),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="The lifetime of the new token.",
)
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="NAME=TEXT",
    help="An additional claim of the new token; NAME:=JSON for a value that is not text. May be repeated.",
)
@click.option(
    "--key",
    metavar="FILE",
    help="Sign with the private key in this PEM file instead of HERALD_JWT_SECRET.",
)
@click.option("--kid", help="The id of the key, for the header of the new token.")
@click.option("--check", is_flag=True, help="Check a token instead of making one.")
@click.pass_context
def token(
    context: click.Context,
    text: str | None,
    scopes: tuple[str, ...],
    minutes: int,
    claims: tuple[str, ...],
    key: str | None,
    kid: str | None,
    check: bool,
) -> None:
    """Print a token for the user SUB; or with --check, say who the caller with a token is, or why it is refused.

    The token has the configured issuer and audience, and is signed with HERALD_JWT_SECRET or with --key. With
    HERALD_JWT_SECRET or HERALD_JWT_PUBLIC_KEY, it is printed only if `herald serve` with the same settings would accept
    it.

    --check reads TOKEN from standard input if it is not given, so that it does not become visible to other users of the
    machine. It decides as `herald serve` does, but does not know whether the user has signed out. Exit codes: 0
    accepted, 1 refused, 2 invalid settings, 3 the issuer's keys are unavailable.

    \b
    Examples:
      export HERALD_TOKEN=$(herald token publisher --scope events:publish)
      herald token ada --key private.pem --kid 2026-11 --claim 'groups:=["staff"]'
      echo "$HERALD_TOKEN" | herald token --check
    """
    settings = read(os.environ, "serve", {})
    if check:
        if scopes or claims or key or kid or _given(context, "minutes"):
            raise click.UsageError("--check takes no other options: they are for making a token.")
        _check(_token_given(text), settings)
    elif text is None:
        raise click.UsageError("Name the user for whom to make a token, or use --check.")
    else:
        _make(text, tuple(dict.fromkeys(scopes)), minutes, _additional(claims), key, kid, settings)


def _make(
    user: str,
    scopes: tuple[str, ...],
    minutes: int,
    additional: dict[str, Any],
    key: str | None,
    kid: str | None,
    settings: Settings,
) -> None:
    # Imported here, because importing cryptography takes a while and other commands do not need it.
    from adapters.jwt.signing import configured_secret, make_claims, private_key

    try:
        signing_key = private_key(content(key), settings.jwt, kid) if key else configured_secret(settings.jwt, kid)
        claims = make_claims(
            user, scopes, additional, now=int(time.time()), lifetime_s=minutes * 60, settings=settings.jwt
        )
        made = signing_key.sign(claims)
    except ValueError as error:
        raise click.ClickException(visible(str(error))) from None
    if settings.jwt.secret or settings.jwt.public_key:
        _refuse_to_print(made, settings)
    if minutes > LONG_MINUTES:
        click.echo(
            f"warning: this token is valid for {_span(minutes * 60)}. It can't be withdrawn alone: only a sign-out of"
            " the user, or another key, ends it before.",
            err=True,
        )
    click.echo(made)


def _refuse_to_print(made: str, settings: Settings) -> None:
    """Raises ClickException if the server would refuse this new token."""
    from adapters.jwt.refusal import Refusal

    examined = _examined(made, settings)
    if isinstance(examined, Refusal):
        raise click.ClickException(f"The server would refuse this token. {examined.explanation} {examined.advice}")


def _check(text: str, settings: Settings) -> None:
    from adapters.jwt.verifier import Accepted

    examined = _examined(text, settings)
    if isinstance(examined, Accepted):
        click.echo("\n".join(_accepted_lines(examined, settings)))
        return
    click.echo(f"refused: {examined.code}\n{examined.explanation}\n{examined.advice}")
    raise click.exceptions.Exit(1)


def _examined(text: str, settings: Settings) -> "Accepted | Refusal":
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
        yield f"issued:   {shown_time(identity.issued_at)}, {_span(now - identity.issued_at)} ago"
    if identity.expires_at is not None:
        yield f"expires:  {shown_time(identity.expires_at)}, in {_span(identity.expires_at - now)}"
    yield f"claims:   {visible(', '.join(sorted(accepted.claims)))}"
    if identity.expires_at is None:
        yield "note: the token has no `exp`, so it never expires."
    if identity.issued_at is None:
        yield "note: the token has no `iat`, so it is refused for ever once its user has signed out."
    if "aud" in accepted.claims and not settings.jwt.audience:
        yield "note: HERALD_JWT_AUDIENCE is not set, so tokens that are meant for other services are accepted too."
    if settings.server.auth == "open":
        yield "note: HERALD_AUTH is open, so the server does not look at tokens."


def _token_given(text: str | None) -> str:
    """Returns the token to check: the argument, or the text from standard input, without spaces around it and without
    the word `Bearer` before it, as it is in the header `Authorization`."""
    if text is None:
        if sys.stdin.isatty():
            click.echo("Paste the token, then press Enter and Ctrl-D.", err=True)
        with opened("-") as stream:
            text = stream.read(MAX_INPUT_BYTES).decode("utf-8", "replace")
    text = text.strip()
    return text[7:].strip() if text[:7].lower() == "bearer " else text


def _additional(claims: tuple[str, ...]) -> dict[str, Any]:
    """Returns the claims of the options --claim: `name=text` and `name:=JSON`. Raises UsageError if one has another
    form, or a name twice."""
    named: dict[str, Any] = {}
    for claim in claims:
        parts = _CLAIM.fullmatch(claim)
        if parts is None:
            raise click.UsageError(f"--claim {claim!r} is not NAME=TEXT or NAME:=JSON.")
        if parts["name"] in named:
            raise click.UsageError(f"--claim {parts['name']} is given twice.")
        try:
            named[parts["name"]] = msgspec.json.decode(parts["value"]) if parts["json"] else parts["value"]
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise click.UsageError(f"--claim {parts['name']}: the value is not JSON: {error}") from None
    return named


def _given(context: click.Context, option: str) -> bool:
    return context.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE


def _span(seconds: float) -> str:
    """Returns a period for display, in its largest unit: `59 min`. Negative periods count as 0."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
