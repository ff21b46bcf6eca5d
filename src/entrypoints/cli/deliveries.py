"""`herald deliveries`: lists, shows and retries mails through the REST API of a running Herald."""

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, TypeVar

import click
import msgspec

from domain.safe_text import visible
from entrypoints.cli.http_client import Client, RequestFailed, client_from_settings, client_options, path_segment

PATH: Final = "/api/v1/notifications"
KIND: Final = "delivery"

# The maximum number of items in one response of the service.
PAGE_SIZE: Final = 100


_Command = TypeVar("_Command", bound=Callable[..., Any])


def _filter_options(command: _Command) -> _Command:
    """Adds the filter options that `list` and `retry` share to a command. Their parameters have the names of the
    REST API."""
    for option in (
        click.option(
            "--since",
            metavar="TIME",
            help="Only mails created at this time or later: ISO 8601 (UTC by default), or seconds since 1970.",
        ),
        click.option("--event", "event_id", metavar="ID", help="Only mails that were sent for the event with this id."),
        click.option("--user", help="Only mails to the user with this id."),
        click.option(
            "--order",
            "order_id",
            metavar="ID",
            help="Only mails about this order: the value of the route's `reference`.",
        ),
        click.option("--recipient", metavar="ADDRESS", help="Only mails to this e-mail address."),
    ):
        command = option(command)
    return command


@click.group(short_help="Show the status of each mail, and retry failed mails.")
def deliveries() -> None:
    """Show the status of each mail, and retry failed mails.

    Needs a running Herald and, if it verifies tokens, a token with the scope `deliveries:read` or, to retry, `admin`.
    """


@deliveries.command("list")
@click.option(
    "--status", type=click.Choice(["pending", "sent", "failed", "skipped"]), help="Only mails with this status."
)
@_filter_options
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="The maximum number of mails to list."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print each mail as a JSON object on one line, as in the REST API."
)
@client_options
def list_(limit: int, as_json: bool, url: str | None, token: str | None, **chosen: str | None) -> None:
    """List mails, newest first.

    Each line has the id, the time of creation (UTC), the status, the recipient and the subject, and the error if there
    is one.
    """
    shown, total = 0, 0
    with client_from_settings(url, token) as client:
        for page in _pages(client, _given(chosen), limit):
            for item in page.items:
                text = bytes(item).decode() if as_json else _summary(msgspec.json.decode(item, type=_Delivery))
                click.echo(visible(text))
            shown, total = shown + len(page.items), total if page.total is None else page.total
    click.echo(f"{shown} of {total}", err=True)


def _summary(one: "_Delivery") -> str:
    created_at = one.created_at.strftime("%Y-%m-%d %H:%M:%S")
    about = f"{_line(one.recipient)}  {_line(one.subject or '(no subject)')}"
    fault = f": {_line(one.error_message)}" if one.error_message else ""
    return f"{one.id}  {created_at}  {one.status:<7}  {about}{fault}"


@deliveries.command()
@click.argument("id")
@client_options
def show(id: str, url: str | None, token: str | None) -> None:
    """Show one mail, and all attempts to send it."""
    with client_from_settings(url, token) as client:
        delivery = client.request("GET", f"{PATH}/{path_segment(id, KIND)}", _DeliveryWithAttempts)
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
@click.option(
    "--all-failed", is_flag=True, help="Retry all mails that match the filters and failed after too many attempts."
)
@click.option(
    "--refused",
    "with_refused",
    is_flag=True,
    help="With --all-failed: also retry mails that were refused, or could not be rendered.",
)
@_filter_options
@client_options
def retry(
    ids: tuple[str, ...], all_failed: bool, with_refused: bool, url: str | None, token: str | None, **chosen: str | None
) -> None:
    """Retry failed mails, selected by their ids or with --all-failed.

    --all-failed selects the mails that failed after too many attempts. Mails that the mail server refused, or that
    could not be rendered, would fail again unless you have removed the cause. To retry them too, add --refused, or give
    their ids. A mail that was skipped because it had no address can be retried by its id.

    A retried mail is pending again. Mails in any other state are not changed, so no mail is sent twice. The exit code
    is 1 if a selected mail could not be retried.
    """
    if bool(ids) == all_failed:
        raise click.UsageError("Select mails either by ids or with --all-failed.")
    filters = _given(chosen)
    if ids and (filters or with_refused):
        raise click.UsageError("Use filters and --refused with --all-failed, not with ids.")
    if not with_refused:
        filters["refused"] = "false"
    ids = tuple(path_segment(id, KIND) for id in ids)
    retried = refused = 0
    with client_from_settings(url, token) as client:
        try:
            for id in _failed(client, filters) if all_failed else ids:
                if fault := _retry_one(client, id):
                    refused += 1
                    click.echo(f"{id}  {fault}")
                else:
                    retried += 1
        finally:
            click.echo(f"To be tried again: {retried}, refused: {refused}")
    sys.exit(1 if refused else 0)


def _failed(client: Client, filters: dict[str, str]) -> Iterator[str]:
    for page in _pages(client, {**filters, "status": "failed"}):
        yield from (msgspec.json.decode(item, type=_Delivery).id for item in page.items)


def _given(chosen: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in chosen.items() if value is not None}


def _retry_one(client: Client, id: str) -> str | None:
    """Requests the retry of one delivery. Returns None if it will be retried, or the reason if it does not exist or
    can't be retried in its present state. Raises RequestFailed for an error that other deliveries would have as
    well."""
    try:
        client.request_with_retries("POST", f"{PATH}/retry/{id}", _Delivery)
    except RequestFailed as error:
        if error.status not in (404, 409):
            raise
        return str(error)
    return None


def _pages(client: Client, chosen: dict[str, str], limit: int | None = None) -> Iterator["_Page"]:
    """Yields pages of the deliveries that the filters `chosen` select, newest first: at most `limit` deliveries in
    all, or all if it is None. Only the first page has the total number. Later pages are requested by cursor, so that
    deliveries which are created meanwhile do not shift them."""
    place: dict[str, str] = {}
    left = limit
    while left is None or left > 0:
        size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
        page = client.request_with_retries("GET", PATH, _Page, params={**chosen, **place, "page_size": str(size)})
        yield page
        if page.next_cursor is None:
            return
        place = {"cursor": page.next_cursor}
        left = None if left is None else left - len(page.items)


def _line(text: str) -> str:
    """Returns the text as one line with control characters escaped: it may contain the reply of a mail server."""
    return visible(" ".join(text.split()))


class _Delivery(msgspec.Struct):
    id: str
    status: str
    recipient: str
    subject: str | None
    error_message: str | None
    created_at: datetime


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]  # each is a _Delivery
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
