"""`herald routes`: checks routes files, and shows how an event would be processed."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Final

import click

from domain.effect_warnings import warnings_of_no_effect
from domain.endpoints import Endpoint
from domain.missing_field_warnings import warnings_of_missing_fields
from domain.notification_types import notification_types, warnings_of_unused_types
from domain.path_warnings import warnings_of_paths
from domain.profiles import Profile
from domain.recipient_list_warnings import warnings_of_lists
from domain.route_table import RouteTable
from domain.routes import Route, RoutesInvalid
from domain.routes_version import version_of
from domain.safe_text import visible
from domain.sample_notes import notes_on_samples
from domain.setting_parsers import items
from entrypoints.channels import CHANNELS, check_channels
from entrypoints.cli.explain import explain
from entrypoints.cli.input_files import content
from entrypoints.cli.sample_deliveries import warnings_of_deliveries
from entrypoints.profiles.loader import load_table, make_table, named_profiles, read_profiles, written_format
from entrypoints.profiles.routes_files import ENDING, SHIPPED_PREFIX, find_ignored_files
from entrypoints.profiles.schema import routes_schema
from entrypoints.settings.loader import Settings, SettingsInvalid, read

# What `herald routes check` warns of.
_WARNINGS: Final = (
    warnings_of_lists,
    warnings_of_missing_fields,
    warnings_of_no_effect,
    warnings_of_paths,
    warnings_of_unused_types,
)


@click.group()
def routes() -> None:
    """Check routes files, or explain how they process an event."""


@routes.command("check")
@click.argument("files", nargs=-1, metavar="[FILE]…")
@click.option(
    "--broker",
    is_flag=True,
    help="Also show the offset at which Herald would start to read each partition of its Kafka topics.",
)
def check_routes(files: tuple[str, ...], broker: bool) -> None:
    """Check whether routes files are valid, alone and together, and list their routes, endpoints and
    notification types.

    A FILE may be a folder of routes files, or a shipped profile such as shipped:groups. Without FILE, the command
    checks what `herald serve` would load: HERALD_ROUTES, or else HERALD_PROFILE. The last line is the version of the
    routes, a hash. `/health` of a node shows the version that the node uses.

    With --broker, the command also connects to Kafka and the database that `herald serve` would use. It only reads from
    them, and joins no consumer group, so running nodes are not disturbed.
    """
    try:
        settings = read(os.environ, "dev", {})
        table = _table(files, settings)
        check_deliveries(table, settings)
        ignored = find_ignored_files(files or named_profiles(settings))
    except (RoutesInvalid, SettingsInvalid) as error:
        raise click.ClickException(str(error)) from None
    for file, profile in zip(table.files, table.profiles, strict=True):
        _describe(file, profile, settings)
    for known in notification_types(table):
        click.echo(visible(f"type {known.type}: {known.title}"))
    click.echo(f"Version of these routes: {version_of(table)}")
    for file in ignored:
        click.echo(f"{file}: warning: this is not read: only files whose names end with {ENDING} are", err=True)
    if broker:
        _check_broker(table)


def _table(files: tuple[str, ...], settings: Settings) -> RouteTable:
    """Returns the routes in these files and folders; without any, those that the settings name."""
    return make_table(read_profiles(files), settings) if files else load_table(settings)


def _describe(file: str, profile: Profile, settings: Settings) -> None:
    click.echo(f"{file}: profile {profile.profile}, events from {profile.broker}, {_counted(profile)}, valid.")
    for number, route in enumerate(profile.routes, 1):
        click.echo(f"  {number}. {_described(route)}")
    for endpoint in profile.endpoints:
        click.echo(f"  {endpoint.name}: {'; '.join(_keys(endpoint))}")
    for warning in (*warnings_of(profile), *warnings_of_deliveries(profile, settings)):
        click.echo(f"{file}: warning: {visible(warning)}", err=True)
    for note in notes_on_samples(profile):
        click.echo(f"{file}: note: {visible(note)}", err=True)


def warnings_of(profile: Profile) -> Iterator[str]:
    """Returns what is probably a mistake in a profile, as far as its file and its samples show it."""
    return chain.from_iterable(warnings(profile) for warnings in _WARNINGS)


def _counted(profile: Profile) -> str:
    counts = [f"{len(profile.routes)} routes"]
    if profile.endpoints:
        counts.append(f"{len(profile.endpoints)} endpoints")
    return ", ".join(counts)


def _described(route: Route) -> str:
    keys = {
        "when": ", ".join(route.when),
        "users": ", ".join(route.users),
        "exclude": ", ".join(route.exclude),
        "feed": route.feed,
        **dict(table.summary for table in route.channels),
        "sign-out": route.sign_out,
        "tombstone": route.tombstone if route.tombstone != "ignore" else None,
    }
    values = "; ".join(f"{key} {value}" for key, value in keys.items() if value)
    return f"{route.source}{f' of type {route.type}' if route.type else ''}: {values}"


def _keys(endpoint: Endpoint) -> Iterator[str]:
    yield f"{endpoint.transport} {endpoint.path}"
    if endpoint.user:
        yield f"user {endpoint.user}"
    if endpoint.feeds:
        yield "feeds"
    yield f"inbox {endpoint.inbox}"


def _check_broker(table: RouteTable) -> None:
    # Imported here, because importing a broker takes a while and other commands do not need it.
    from entrypoints.cli.start_offsets_output import BrokerUnreachable, start_offset_lines

    try:
        for line in start_offset_lines(table, read(os.environ, "serve", {})):
            click.echo(line)
    except BrokerUnreachable as error:
        raise click.ClickException(str(error)) from None


@routes.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of routes files, with which editors complete keys and mark mistakes.

    \b
    Example:
      herald routes schema > routes.schema.json
      # first line of shop.toml: #:schema ./routes.schema.json
    """
    click.echo(json.dumps(routes_schema(written_format()), indent=2, ensure_ascii=False))


@routes.command("explain")
@click.argument("files", nargs=-1, metavar="[FILE]… EVENT.json")
@click.option("--source", required=True, help="The topic or routing key of the event.")
@click.option(
    "--profile",
    metavar="NAME,…",
    help="The shipped profiles to use, comma separated, if no FILE is given.",
)
@click.option(
    "--tombstone", is_flag=True, help="Explain a Kafka record without a value (a tombstone), instead of EVENT.json."
)
def explain_routes(files: tuple[str, ...], source: str, profile: str | None, tombstone: bool) -> None:
    """Show how an event would be processed, without storing or sending anything.

    EVENT.json is the event (`-` is standard input). It is processed by the routes in all FILEs, which may be routes
    files, folders of them, and shipped profiles such as shipped:groups. Without FILE, it is processed by the routes
    that the server would load: HERALD_ROUTES, or else HERALD_PROFILE. The positions, ids and times in the output are
    examples. Preferences of users are in the database, which this command does not read.

    The exit code is 1 if the event becomes a dead letter, for example because no route matches it.
    """
    event = None if tombstone or not files else files[-1]
    own = files if event is None else files[:-1]
    if (own and profile) or (event is None and not tombstone):
        raise click.UsageError("Give one event or --tombstone. Before it, you may give routes files; or use --profile.")
    settings = read(os.environ, "dev", {})
    table = _table(own or tuple(f"{SHIPPED_PREFIX}{name}" for name in items(profile or "")), settings)
    explained = explain(source, None if event is None else content(event), table, datetime.now(UTC))
    click.echo(explained.text)
    if explained.is_dead_letter:
        raise SystemExit(1)


def check_deliveries(table: RouteTable, settings: Settings) -> None:
    """Checks the tables of outbound channels in all routes. Raises SettingsInvalid if deliveries of a route could
    never be sent under these settings, for example because its mail template is missing."""
    check_channels(CHANNELS, table, settings)
