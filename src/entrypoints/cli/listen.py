"""`herald listen`: prints what a user or a feed receives, as lines of JSON."""

import asyncio
import os
import sys

import click

from domain.setting_values import items
from domain.text import visible
from entrypoints.settings.loader import SETTINGS, read


@click.command(short_help="Print what a user, or a feed, is shown.")
@click.option(
    "--url", "urls", multiple=True, help="A Herald to listen to, or several of one: give it again. [HERALD_URL]"
)
@click.option("--user", help="The user who listens, if there is no token (HERALD_AUTH=open).")
@click.option("--token", help=f"{SETTINGS['client.token'].help} [HERALD_TOKEN]")
@click.option("--feeds", metavar="NAME,…", multiple=True, help="Of the feeds only these; may be given again.")
@click.option("--types", metavar="TYPE,…", multiple=True, help="Events of these types only; may be given again.")
@click.option("--cursor", metavar="FILE", help="Keep the place in this file, and go on from it the next time.")
def listen(
    urls: tuple[str, ...],
    user: str | None,
    token: str | None,
    feeds: tuple[str, ...],
    types: tuple[str, ...],
    cursor: str | None,
) -> None:
    """Print the entries of a user's inbox and of the feeds open to them as they arrive, one JSON object per line.

    The command reconnects whenever the connection is lost, and receives what it missed. The state of the connection is
    reported on standard error. A `hello` is printed only if its `gap` names streams with entries that are lost or may
    be.

    \b
    Examples:
      herald listen --user user-123                    from now on, until Ctrl-C
      herald listen --feeds market | jq .data
      herald listen --cursor shop.cursor >> shop.jsonl
                                                       continues where it stopped
      herald listen --url https://a.example --url https://b.example --token …
    """
    settings = read(os.environ, "dev", {"client.token": token} if token is not None else {})
    # Imported here: the other commands open no socket, and importing the client takes a while.
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
