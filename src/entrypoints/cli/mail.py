"""`herald mail`: writes the mails that would be sent for an event to files, without sending them."""

import asyncio
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from uuid import uuid4

import click

from adapters.mail.mailer import OutgoingMail, Unrenderable
from adapters.mail.route_table import EmailTable
from domain.broker_messages import Message
from domain.deliveries import PlannedDelivery
from domain.event_limits import Limits
from domain.events import Unreadable, read_event
from domain.planning import plan
from domain.route_table import RouteTable
from domain.safe_text import visible
from entrypoints.cli.explain import NO_ID
from entrypoints.profiles.loader import load_table
from entrypoints.settings.loader import Settings, read
from entrypoints.wiring.mail import mail_renderer

if TYPE_CHECKING:
    from adapters.mail.mime import Sender
    from adapters.mail.render_client import ProcessRenderer

FOLDER: Final = "var/mail-preview"


@click.group("mail", short_help="Preview the mails that would be sent for an event.")
def mail() -> None:
    """Preview the mails that would be sent for an event, without sending them."""


@mail.command()
@click.argument("event", metavar="EVENT.json", type=click.File("rb"))
@click.option(
    "--source", help="The topic or routing key of the event. Default: the event's type, if a route has it as source."
)
@click.option(
    "--routes", metavar="FILE,…", help="The routes files and folders to use, comma separated. [HERALD_ROUTES]"
)
@click.option(
    "--profile",
    metavar="NAME,…",
    help="The shipped profiles to use, comma separated, instead of a routes file. [HERALD_PROFILE]",
)
@click.option("--out", metavar="DIR", default=FOLDER, show_default=True, help="The folder to write the mails to.")
def preview(event: BinaryIO, source: str | None, routes: str | None, profile: str | None, out: str) -> None:
    """Write the mails that would be sent for EVENT.json (`-` is standard input) to files.

    Each mail is written as .eml and as HTML; nothing is sent. The sender, the templates and the limits are taken from
    the settings. The exit code is 1 if no mail would be sent for the event, or if one of its mails would fail, for
    example because its template can't be rendered.
    """
    if routes and profile:
        raise click.UsageError("Use either --routes or --profile: a routes file replaces the shipped profiles.")
    settings = _settings(routes, profile)
    table = load_table(settings)
    body = event.read()
    now = datetime.now(UTC)
    message = Message(source or _source_from_type(body, table, now), body, now, NO_ID)
    made = plan(message, table, Limits(addresses=settings.limits.addresses))
    if made.dead_letter:
        click.echo(visible(f"A dead letter: {made.dead_letter.reason}: {made.dead_letter.detail}"), err=True)
    mails = [one for one in made.deliveries if one.channel == EmailTable.channel]
    if not made.dead_letter and not mails:
        click.echo("No route mails this event to anyone.", err=True)
    written = asyncio.run(_write(mails, settings, Path(out), now))
    if made.dead_letter or not written or written < len(mails):
        raise SystemExit(1)


def _settings(routes: str | None, profile: str | None) -> Settings:
    # The option --profile takes precedence over a routes file that is only set in the environment.
    environ = {name: value for name, value in os.environ.items() if name != "HERALD_ROUTES" or not profile}
    given = {"routing.routes": routes, "routing.profile": profile}
    return read(environ, "dev", {name: value for name, value in given.items() if value})


def _source_from_type(body: bytes, table: RouteTable, now: datetime) -> str:
    """Returns the type of the event, to be used as its source when --source is missing. Raises UsageError if the
    event has no type, or if no route has this type as its source."""
    try:
        type_ = read_event(Message("", body, now, NO_ID)).type
    except Unreadable:
        type_ = None
    if type_ is None or type_ not in {route.source for route in table.routes}:
        which = f"No route has the source {type_!r}, the event's type" if type_ else "The event has no type"
        raise click.UsageError(f"{which}: give its topic or routing key with --source.")
    return type_


async def _write(mails: Iterable[PlannedDelivery], settings: Settings, folder: Path, now: datetime) -> int:
    """Writes the mails to files. Prints, for each mail, its recipient and subject, and the files or the error.
    Returns the number of mails written."""
    # Imported here, because importing Jinja takes a while and other commands do not need it.
    from adapters.mail.mime import sender_of

    renderer = mail_renderer(settings)
    sender = sender_of(settings.smtp.sender)
    written = 0
    try:
        for number, mail in enumerate(mails, 1):
            click.echo(visible(f"to       {mail.destination or 'nobody'}"))
            click.echo(visible(f"subject  {mail.item.subject or 'none'}"))
            fault = mail.fault or await _write_one(mail, renderer, sender, folder / str(number), now)
            if fault:
                click.echo(visible(f"fails    {fault}"), err=True)
            written += not fault
    finally:
        await renderer.close()
    return written


async def _write_one(
    mail: PlannedDelivery, renderer: "ProcessRenderer", sender: "Sender", stem: Path, now: datetime
) -> str | None:
    """Writes one mail to the files `stem`.eml and `stem`.html. Returns None, or the reason if this mail can't be
    rendered. Raises ClickException, which ends the command, if no mail can be rendered at all, or if the files can't
    be written."""
    from adapters.mail.mime import compose

    try:
        rendered = await renderer.render(mail.item)
    except Unrenderable as fault:
        return str(fault)
    except OSError as fault:
        raise click.ClickException(str(fault)) from None
    outgoing = OutgoingMail(str(uuid4()), mail.destination, mail.item.subject or "", now, rendered)
    composed = compose(outgoing, sender)
    files = {stem.with_suffix(".eml"): composed.content, stem.with_suffix(".html"): rendered.html.encode()}
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            file.write_bytes(content)
            click.echo(f"written  {file}")
    except OSError as error:
        raise click.ClickException(f"{stem.parent} can't be written to: {error.strerror}") from None
    return None
