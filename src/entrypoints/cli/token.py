"""`herald token`: makes a token, or says whether and why Herald accepts or refuses one."""

import os
import re
import time
from typing import Any, Final

import click
import msgspec

from domain.safe_text import visible
from entrypoints.cli.input_files import content
from entrypoints.cli.token_check import examined, given_token, print_check, span
from entrypoints.settings.loader import Settings, read

DEFAULT_MINUTES: Final = 60
# Lifetimes above this are made with a warning, because a token can't be withdrawn alone.
LONG_MINUTES: Final = 24 * 60
MAX_MINUTES: Final = 10 * 366 * 24 * 60

_CLAIM: Final = re.compile(r"(?P<name>[^=]+?)(?P<json>:?)=(?P<value>.*)", re.DOTALL)


@click.command(short_help="Make a token, or say why one is refused.")
@click.argument("text", metavar="SUB | --check [TOKEN] | --jwks", required=False)
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
    "keys",
    multiple=True,
    metavar="FILE",
    help="Sign with the private key in this PEM file instead of HERALD_JWT_SECRET. May be repeated with --jwks.",
)
@click.option("--kid", help="The id of the key, for the header of the new token, or for the JWK set.")
@click.option("--check", is_flag=True, help="Check a token instead of making one.")
@click.option("--jwks", is_flag=True, help="Print the JWK set of the keys instead of a token.")
@click.pass_context
def token(
    context: click.Context,
    text: str | None,
    scopes: tuple[str, ...],
    minutes: int,
    claims: tuple[str, ...],
    keys: tuple[str, ...],
    kid: str | None,
    check: bool,
    jwks: bool,
) -> None:
    """Print a token for the user SUB; or with --check, say who the caller with a token is, or why it is refused; or
    with --jwks, print your public keys.

    The token has the configured issuer and audience, and is signed with HERALD_JWT_SECRET or with --key. With
    HERALD_JWT_SECRET or HERALD_JWT_PUBLIC_KEY, it is printed only if `herald serve` with the same settings would accept
    it.

    --check reads TOKEN from standard input if it is not given, so that it does not become visible to other users of the
    machine. It decides as `herald serve` does, but does not know whether the user has signed out. Exit codes: 0
    accepted, 1 refused, 2 invalid settings, 3 the issuer's keys are unavailable.

    --jwks prints the public keys of the files --key as a JWK set, for HERALD_JWT_JWKS_URL. The id of a key is --kid, or
    else a hash of the key. Private keys are not printed.

    \b
    Examples:
      export HERALD_TOKEN=$(herald token publisher --scope events:publish)
      herald token ada --key private.pem --kid 2026-11 --claim 'groups:=["staff"]'
      echo "$HERALD_TOKEN" | herald token --check
      herald token --jwks --key private.pem --kid 2026-11 > jwks.json
    """
    if jwks:
        if text is not None or scopes or claims or check or _given(context, "minutes"):
            raise click.UsageError("--jwks takes no other options than --key and --kid.")
        _print_key_set(keys, kid)
        return
    if len(keys) > 1:
        raise click.UsageError("A token is signed with one key: give --key once.")
    key = keys[0] if keys else None
    settings = read(os.environ, "serve", {})
    if check:
        if scopes or claims or key or kid or _given(context, "minutes"):
            raise click.UsageError("--check takes no other options: they are for making a token.")
        print_check(given_token(text), settings)
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
        _check_made(made, settings)
    if minutes > LONG_MINUTES:
        click.echo(
            f"warning: this token is valid for {span(minutes * 60)}. It can't be withdrawn alone: only a sign-out of"
            " the user, or another key, ends it before.",
            err=True,
        )
    click.echo(made)


def _print_key_set(keys: tuple[str, ...], kid: str | None) -> None:
    # Imported here, because importing cryptography takes a while and other commands do not need it.
    from adapters.jwt.published_keys import make_key_set

    if not keys:
        raise click.UsageError("Name the PEM file of a private or public key with --key.")
    if kid is not None and len(keys) > 1:
        raise click.UsageError("--kid is the id of one key: without it, each key has an id of its own.")
    try:
        click.echo(make_key_set([content(key) for key in keys], kid))
    except ValueError as error:
        raise click.ClickException(visible(str(error))) from None


def _check_made(made: str, settings: Settings) -> None:
    """Raises ClickException if the server would refuse the new token."""
    from adapters.jwt.refusal import Refusal

    result = examined(made, settings)
    if isinstance(result, Refusal):
        raise click.ClickException(f"The server would refuse this token. {result.explanation} {result.advice}")


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
