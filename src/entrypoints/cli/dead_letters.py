"""`herald dead-letters`: lists, replays and deletes dead letters through the REST API of a running Herald."""

import base64
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, TypeVar

import click
import msgspec

from domain.safe_text import visible
from entrypoints.cli.http_client import Client, client_from_settings, client_options, path_segment

PATH: Final = "/api/v1/dead-letters"
KIND: Final = "dead letter"

# The maximum number of items in one response of the service.
PAGE_SIZE: Final = 100

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group("dead-letters", short_help="List, replay or delete events that could not be processed.")
def dead_letters() -> None:
    """List, replay or delete dead letters: events that could not be processed.

    Needs a running Herald and, if it verifies tokens, a token with the scope `admin`.
    """


def _filter_options(command: _Command) -> _Command:
    """Adds the options --source, --reason, --since and --until, which select dead letters, to a command."""
    for option, words in (
        ("--until", "Only dead letters that were stored at this time or earlier. A date includes its whole day."),
        (
            "--since",
            "Only dead letters that were stored at this time or later, such as 2026-03-01 or 2026-03-01T12:00Z (UTC).",
        ),
        ("--reason", "Only dead letters with this reason, such as not_json."),
        ("--source", "Only dead letters of events with this topic or routing key."),
    ):
        command = click.option(option, help=words)(command)
    return command


@dead_letters.command("list")
@_filter_options
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="The maximum number of dead letters to list."
)
@client_options
def list_(
    source: str | None,
    reason: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    url: str | None,
    token: str | None,
) -> None:
    """List dead letters, newest first.

    Each line has the id, the time (UTC) at which the dead letter was stored, the source, the reason and its detail.
    """
    with client_from_settings(url, token) as client:
        chosen = _filter(source, reason, since, until)
        shown, total = 0, 0
        while shown < limit:
            query = {**chosen, "limit": str(min(PAGE_SIZE, limit - shown))}
            answer = client.request("GET", PATH, _Letters, params=query)
            for letter in answer.data:
                kept_at = letter.kept_at.strftime("%Y-%m-%d %H:%M:%S")
                click.echo(visible(f"{letter.id}  {kept_at}  {letter.source}  {letter.reason}: {letter.detail}"))
            shown, total = shown + len(answer.data), answer.meta.total
            if answer.meta.next_cursor is None:
                break
            chosen["cursor"] = answer.meta.next_cursor
        click.echo(f"{shown} of {total}", err=True)


@dead_letters.command()
@click.argument("id")
@click.option("--body", is_flag=True, help="Print only the body of the original event, byte for byte.")
@client_options
def show(id: str, body: bool, url: str | None, token: str | None) -> None:
    """Show one dead letter: why the event could not be processed, and the original event."""
    with client_from_settings(url, token) as client:
        letter = client.request("GET", f"{PATH}/{path_segment(id, KIND)}", dict[str, Any])
    content, text = letter.pop("body_base64", None), letter.pop("body_text", None)
    if body:
        sys.stdout.buffer.write(base64.b64decode(content or ""))
        return
    for name, value in letter.items():
        click.echo(visible(f"{name:<9} {value}"))
    shown = text if text is not None else f"base64 {content}" if content is not None else "none"
    click.echo(visible(f"{'body':<9} {shown}", keep="\n\t"))


@dead_letters.command()
@click.argument("ids", nargs=-1, metavar="[ID]…")
@_filter_options
@click.option("--all", "everything", is_flag=True, help="Select all dead letters.")
@client_options
def replay(ids: tuple[str, ...], everything: bool, url: str | None, token: str | None, **chosen: str | None) -> None:
    """Process the events of dead letters again, with the current routes.

    Select the dead letters by their ids, by filters, or with --all. If an event is processed now, its dead letter is
    deleted. If it fails again, its dead letter stays, and the exit code is 1. Users who were already notified of an
    event are not notified again.
    """
    filters = _meant(ids, chosen, everything)
    replayed = failed = 0
    with client_from_settings(url, token) as client:
        for answer in _send_requests(client, "POST", "/replay", ids, filters, _Replayed):
            replayed += len(answer.replayed)
            failed += len(answer.failed)
            for letter in answer.failed:
                click.echo(visible(f"{letter.id}  {letter.reason}: {letter.detail}"))
    click.echo(f"Replayed: {replayed}, failed again: {failed}")
    sys.exit(1 if failed else 0)


@dead_letters.command()
@click.argument("ids", nargs=-1, metavar="[ID]…")
@_filter_options
@click.option("--all", "everything", is_flag=True, help="Select all dead letters.")
@client_options
def drop(ids: tuple[str, ...], everything: bool, url: str | None, token: str | None, **chosen: str | None) -> None:
    """Delete dead letters. Their events are lost.

    Select the dead letters by their ids, by filters, or with --all.
    """
    filters = _meant(ids, chosen, everything)
    with client_from_settings(url, token) as client:
        dropped = sum(answer.dropped for answer in _send_requests(client, "DELETE", "", ids, filters, _Dropped))
    click.echo(f"Dropped: {dropped}")


_Answer = TypeVar("_Answer", "_Replayed", "_Dropped")


def _send_requests(
    client: Client, method: str, verb: str, ids: tuple[str, ...], chosen: dict[str, str], answer: type[_Answer]
) -> Iterator[_Answer]:
    """Sends the requests of `replay` or `drop`, and yields the responses. With `ids`, sends one request for each id.
    Without, sends requests with the filters in `chosen` until all dead letters that match them are handled, because
    the API handles a limited number in one request."""
    for id in ids:
        yield client.request(method, f"{PATH}/{path_segment(id, KIND)}{verb}", answer)
    while not ids:
        query: dict[str, Any] = {"json": chosen} if method == "POST" else {"params": chosen}
        got = client.request(method, PATH + verb, answer, **query)
        yield got
        if got.next_cursor is None:
            return
        chosen = {**chosen, "cursor": got.next_cursor}


def _meant(ids: tuple[str, ...], chosen: dict[str, str | None], everything: bool) -> dict[str, str]:
    filters = _filter(**chosen)
    if sum((bool(ids), bool(filters), everything)) != 1:
        raise click.UsageError("Select dead letters in one of three ways: by ids, by filters, or with --all.")
    return filters


def _filter(source: str | None, reason: str | None, since: str | None, until: str | None) -> dict[str, str]:
    given = {"source": source, "reason": reason, "start_date": since, "end_date": until}
    return {name: value for name, value in given.items() if value is not None}


class _Letter(msgspec.Struct):
    id: str
    kept_at: datetime
    source: str
    reason: str
    detail: str


class _Meta(msgspec.Struct):
    next_cursor: str | None
    total: int


class _Letters(msgspec.Struct):
    data: list[_Letter]
    meta: _Meta


class _Failed(msgspec.Struct):
    id: str
    reason: str
    detail: str


class _Replayed(msgspec.Struct):
    replayed: list[str]
    failed: list[_Failed]
    next_cursor: str | None


class _Dropped(msgspec.Struct):
    dropped: int
    next_cursor: str | None
