"""`herald listen`: prints the notifications of a user and the events of feeds, as lines of JSON."""

import asyncio
import os
import sys

import click

from domain.setting_parsers import items
from domain.text import visible
from entrypoints.settings.loader import SETTINGS, read


@click.command(short_help="Print notifications of a user and events of feeds as they arrive.")
@click.option(
    "--url", "urls", multiple=True, help="The URL of a Herald node. Repeat the option for further nodes. [HERALD_URL]"
)
@click.option("--user", help="The user id, if the server verifies no tokens (HERALD_AUTH=open).")
@click.option("--token", help=f"{SETTINGS['client.token'].help} [HERALD_TOKEN]")
@click.option(
    "--feeds", metavar="NAME,…", multiple=True, help="Print only events of these feeds. The option can be repeated."
)
@click.option(
    "--types", metavar="TYPE,…", multiple=True, help="Print only events of these types. The option can be repeated."
)
@click.option(
    "--cursor",
    metavar="FILE",
    help="Store the position in this file. The next run with the same file continues from there.",
)
def listen(
    urls: tuple[str, ...],
    user: str | None,
    token: str | None,
    feeds: tuple[str, ...],
    types: tuple[str, ...],
    cursor: str | None,
) -> None:
    """Print the entries of a user's inbox and of the feeds open to them as they arrive, one JSON object per line.

    The command reconnects whenever the connection is lost, and then receives the entries that it missed. The state of
    the connection is reported on standard error. If entries may be missing, a line with `"kind": "hello"` is printed
    whose `gap` names the streams concerned.

    \b
    Examples:
      herald listen --user user-123                    new entries, until Ctrl-C
      herald listen --feeds market | jq .data
      herald listen --cursor shop.cursor >> shop.jsonl
                                                       continues where it stopped
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
        raise click.ClickException(visible(f"{listener.url}: {end.reason}{code}")) from None
    except CursorUnreadable as fault:
        raise click.ClickException(str(fault)) from None
    except NotPrinted as fault:
        raise click.ClickException(f"Standard output can't be written to: {fault}") from None
    except OSError as fault:
        raise click.ClickException(f"The cursor can't be stored in {cursor}: {fault.strerror}") from None
