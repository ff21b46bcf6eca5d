"""`herald listen`: prints the entries of a user's inbox and of feeds as they arrive, one line of JSON for each."""

import asyncio
import os
import sys

import click

from domain.protocol.herald_v1 import CloseCode
from domain.safe_text import visible
from domain.setting_parsers import items
from entrypoints.cli.http_client import NO_TOKEN, TOKEN_HELP
from entrypoints.settings.loader import read


@click.command(short_help="Print notifications of a user and events of feeds as they arrive.")
@click.option(
    "--url",
    "urls",
    multiple=True,
    help="The URL of the running Herald. Repeat the option to name several of its nodes. [HERALD_URL]",
)
@click.option(
    "--user", help="The id of the user whose inbox to print, if Herald verifies no tokens (HERALD_AUTH=open)."
)
@click.option("--token", help=TOKEN_HELP)
@click.option(
    "--feeds",
    metavar="NAME,…",
    multiple=True,
    help="Follow only these feeds, comma separated. The option can be repeated.",
)
@click.option(
    "--types",
    metavar="TYPE,…",
    multiple=True,
    help="Print only events of these types, comma separated. The option can be repeated.",
)
@click.option(
    "--cursor",
    metavar="FILE",
    help="Save the cursor in this file. If the file exists, resume there instead of starting with new entries.",
)
def listen(
    urls: tuple[str, ...],
    user: str | None,
    token: str | None,
    feeds: tuple[str, ...],
    types: tuple[str, ...],
    cursor: str | None,
) -> None:
    """Print the entries of a user's inbox, and of the feeds that the user may follow, as they arrive.

    Each entry is printed as a JSON object on one line. After a lost connection, the command reconnects, and prints the
    entries that it missed. If some of them are no longer stored, it prints a line with `"kind": "hello"`, whose `gap`
    names the streams in which entries are missing. The state of the connection is printed to standard error.

    \b
    Examples:
      herald listen --user user-123                    new entries, until Ctrl-C
      herald listen --feeds market | jq .data
      herald listen --cursor shop.cursor >> shop.jsonl
                                                       continues where it stopped before
      herald listen --url https://a.example --url https://b.example --token …
    """
    settings = read(os.environ, "dev", {"client.token": token} if token is not None else {})
    # Imported here, because importing the client takes a while and other commands do not need it.
    try:
        from herald_client import CursorUnreadable, Listener, Stopped
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"`herald listen` needs the package {error.name!r}: install herald-client, which is `clients/python` in"
            " Herald's repository."
        ) from None

    from entrypoints.cli.listen_output import Listening, NotPrinted

    if user is None and settings.client.token is None and not feeds:
        click.echo("without --token, HERALD_TOKEN or --user, feeds are printed, and no inbox", err=True)
    try:
        listener = Listener(
            urls or (settings.client.url,),
            user=user,
            token=settings.client.token,
            feeds=items(*feeds) if feeds else None,
            types=items(*types) if types else None,
            cursor=cursor,
        )
        sys.exit(asyncio.run(Listening(listener).run()))
    except ValueError as fault:
        raise click.ClickException(f"{fault}.") from None
    except Stopped as end:
        code = f" ({end.code})" if end.code is not None else ""
        hint = f" {NO_TOKEN}" if end.code == CloseCode.TOKEN_REFUSED and settings.client.token is None else ""
        raise click.ClickException(visible(f"{listener.url}: {end.reason}{code}{hint}")) from None
    except CursorUnreadable as fault:
        raise click.ClickException(str(fault)) from None
    except NotPrinted as fault:
        raise click.ClickException(f"Standard output can't be written to: {fault}") from None
    except OSError as fault:
        raise click.ClickException(f"The cursor can't be stored in {cursor}: {fault.strerror}") from None
