"""`herald deliveries`: what became of each mail, looked at and tried again through a running Herald."""

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import click
import msgspec

from domain.visible import visible
from entrypoints.client import AskFailed, Client, asks, by_settings, segment

PATH: Final = "/api/v1/notifications"
KIND: Final = "delivery"

# As many as the service lists at once.
PAGE: Final = 100


@click.group(short_help="Look at what became of each mail, and retry.")
def deliveries() -> None:
    """Look at what became of each mail, and have failed ones tried again, through a running Herald."""


@deliveries.command("list")
@click.option("--recipient", help="Only those to this address.")
@click.option(
    "--status", type=click.Choice(["pending", "sent", "failed", "skipped"]), help="Only those with this status."
)
@click.option("--order", "order_id", help="Only those about this order.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to list.")
@asks
def list_(limit: int, url: str | None, token: str | None, **chosen: str | None) -> None:
    """List deliveries, newest first: id, time, status, recipient, subject, and what went wrong."""
    shown, total = 0, 0
    with by_settings(url, token) as client:
        for page in _pages(client, {name: value for name, value in chosen.items() if value is not None}, limit):
            for one in page.items:
                created_at = one.created_at.strftime("%Y-%m-%d %H:%M:%S")
                about = f"{_line(one.recipient)}  {_line(one.subject or '(no subject)')}"
                fault = f": {_line(one.error_message)}" if one.error_message else ""
                click.echo(f"{one.id}  {created_at}  {one.status:<7}  {about}{fault}")
            shown, total = shown + len(page.items), total if page.total is None else page.total
    click.echo(f"{shown} of {total}", err=True)


@deliveries.command()
@click.argument("id")
@asks
def show(id: str, url: str | None, token: str | None) -> None:
    """Show one delivery with every attempt at it."""
    with by_settings(url, token) as client:
        delivery = client.ask("GET", f"{PATH}/{segment(id, KIND)}", _DeliveryWithAttempts)
    fields = msgspec.to_builtins(delivery)
    del fields["attempt_log"]
    for name, value in fields.items():
        click.echo(f"{name:<15} {'-' if value is None else _line(str(value))}")
    for attempt in delivery.attempt_log:
        words = attempt.text if attempt.code is None else f"{attempt.code} {attempt.text}"
        at = attempt.at.strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"  {at}  {attempt.seconds:.3f} s  {attempt.result}: {_line(words)}")


@deliveries.command()
@click.argument("ids", nargs=-1, metavar="[ID]…")
@click.option("--all-failed", is_flag=True, help="All that have failed.")
@asks
def retry(ids: tuple[str, ...], all_failed: bool, url: str | None, token: str | None) -> None:
    """Have failed mails tried again: by id, or all.

    What is not failed, or not any more, is left alone, and nobody gets a mail twice.
    """
    if bool(ids) == all_failed:
        raise click.UsageError("Say which: by ids, or --all-failed.")
    ids = tuple(segment(id, KIND) for id in ids)
    retried = refused = 0
    with by_settings(url, token) as client:
        try:
            for id in _failed(client) if all_failed else ids:
                if fault := _refusal(client, id):
                    refused += 1
                    click.echo(f"{id}  {fault}")
                else:
                    retried += 1
        finally:
            click.echo(f"To be tried again: {retried}, refused: {refused}")
    sys.exit(1 if refused else 0)


def _failed(client: Client) -> Iterator[str]:
    for page in _pages(client, {"status": "failed"}):
        yield from (one.id for one in page.items)


def _refusal(client: Client, id: str) -> str | None:
    """Why this one can't be retried; None if it will be. Raises AskFailed for what concerns all of them."""
    try:
        client.ask_patiently("POST", f"{PATH}/retry/{id}", _Delivery)
    except AskFailed as fault:
        if fault.status not in (404, 409):
            raise
        return str(fault)
    return None


def _pages(client: Client, chosen: dict[str, str], limit: int | None = None) -> Iterator["_Page"]:
    """What is chosen, newest first: the first page counted, the others by cursor, so that what comes or goes meanwhile
    shifts nothing."""
    place: dict[str, str] = {}
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = client.ask_patiently("GET", PATH, _Page, params={**chosen, **place, "page_size": str(size)})
        yield page
        if page.next_cursor is None:
            return
        place = {"cursor": page.next_cursor}
        left = None if left is None else left - len(page.items)


def _line(text: str) -> str:
    """The text in one line: it may be a mail server's, and terminals obey some characters."""
    return visible(" ".join(text.split()))


class _Delivery(msgspec.Struct):
    id: str
    status: str
    recipient: str
    subject: str | None
    error_message: str | None
    created_at: datetime


class _Page(msgspec.Struct):
    items: list[_Delivery]
    total: int | None
    next_cursor: str | None


class _DeliveryWithAttempts(_Delivery, kw_only=True):
    updated_at: datetime
    sent_at: datetime | None
    next_attempt_at: datetime | None
    type: str
    event: str
    event_id: str
    order_id: str | None
    user_id: str | None
    template: str
    attempts: int
    attempt_log: list["_Attempt"]


class _Attempt(msgspec.Struct):
    at: datetime
    seconds: float
    result: str
    code: int | None
    text: str
