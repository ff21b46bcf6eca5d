"""The command `herald`, and those of its subcommands that have no module of their own."""

import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, TypeVar

import click

from domain.routes import RoutesInvalid
from domain.safe_text import visible
from entrypoints.cli.db import db
from entrypoints.cli.dead_letters import dead_letters
from entrypoints.cli.deliveries import deliveries
from entrypoints.cli.http_client import RequestFailed, client_options
from entrypoints.cli.input_files import opened
from entrypoints.cli.listen import listen
from entrypoints.cli.mail import mail
from entrypoints.cli.publish import as_event, in_lists, publish
from entrypoints.cli.routes import check_deliveries, routes
from entrypoints.cli.token import token as token_
from entrypoints.profiles.loader import load_table
from entrypoints.settings.loader import SETTINGS, Mode, SettingsInvalid, check, load, read, table

# The umask of all commands: only the user who runs Herald may access the files and folders that it creates.
PRIVATE_UMASK: Final = 0o077

_Command = TypeVar("_Command", bound=Callable[..., Any])

# The settings that are also options of `herald dev` and `herald serve`, with the name of the value in the help.
SERVER_OPTIONS: Final = {
    "routing.routes": "FILE,…",
    "routing.profile": "NAME,…",
    "server.host": "ADDRESS",
    "server.port": "NUMBER",
}

SECTIONS: Final = {
    "Run": ("dev", "serve", "db"),
    "Use": ("publish", "listen", "token", "dead-letters", "deliveries"),
    "Look": ("config", "routes", "mail", "version"),
}


class Misconfigured(click.ClickException):
    """Raised if the settings or the routes are invalid. Ends the command with exit code 2."""

    exit_code = 2


class _Herald(click.Group):
    """The command group `herald`. Its help lists the subcommands in sections. If the settings or the routes are
    invalid, every subcommand prints one line and ends with exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingsInvalid, RoutesInvalid) as error:
            raise Misconfigured(str(error)) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, names in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(80)) for name in names])


@click.group(cls=_Herald, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Herald consumes events from a broker and delivers them to users: immediately and in order in every open browser
    tab, later in their inbox, and by e-mail.

    Settings are environment variables (`herald config` shows them all). If a command has an option for a setting, the
    option takes precedence. Only the user who runs Herald can read the files that it creates.

    \b
    Examples:
      herald dev                                       try it: no broker, no tokens, this machine only
      echo '{"price": 1}' | herald publish trading_signals -
      herald routes check routes.toml
      herald routes explain event.json --source risk-events
      HERALD_JWT_JWKS_URL=https://id.example/jwks.json HERALD_BROKER=kafka herald serve
    """
    # The database, mails, previews and cursors contain users' messages and addresses.
    click.get_current_context().call_on_close(partial(os.umask, os.umask(PRIVATE_UMASK)))


def _server_options(command: _Command) -> _Command:
    for key, metavar in SERVER_OPTIONS.items():
        setting = SETTINGS[key]
        option = f"--{key.partition('.')[2]}"
        command = click.option(option, key.replace(".", "_"), metavar=metavar, help=f"{setting.help} [{setting.name}]")(
            command
        )
    return command


@main.command(short_help="Try Herald on this machine, without a broker and without tokens.")
@_server_options
def dev(**options: str | None) -> None:
    """Try Herald on this machine, without a broker and without tokens.

    By default, Herald listens on 127.0.0.1, so other machines can't connect; notifications are stored in an SQLite
    file, and mails are written to a folder.
    """
    _run("dev", options)


@main.command(short_help="Run Herald in production.")
@_server_options
@click.option(
    "--migrate", is_flag=True, help="Upgrade the schema of the database before the start, as `herald db upgrade` does."
)
def serve(migrate: bool, **options: str | None) -> None:
    """Run Herald in production: callers are identified by tokens, and events are consumed from the broker that each
    profile names."""
    _run("serve", options, migrate=migrate)


def _run(mode: Mode, options: dict[str, str | None], *, migrate: bool = False) -> None:
    settings = load(os.environ, mode, _given({key: options[key.replace(".", "_")] for key in SERVER_OPTIONS}))
    # Routes are checked before anything starts, so that an error is reported in one line.
    table = load_table(settings)
    check_deliveries(table, settings)
    # Imported here, because importing the server takes a while and other commands do not need it. Garbage collection is
    # disabled meanwhile: it would make the import slower, although it creates hardly any garbage.
    gc.disable()
    try:
        from entrypoints.server import run
    finally:
        gc.enable()

    sys.exit(run(settings, migrate=migrate))


main.add_command(db)
main.add_command(listen)
main.add_command(token_)
main.add_command(dead_letters)
main.add_command(mail)
main.add_command(deliveries)
main.add_command(routes)


@main.command("publish", short_help="Publish an event through a running Herald.")
@click.argument("source")
@click.argument("file")
@click.option(
    "--id", help="The id of the event. If an event with the same source and id is stored already, this one is ignored."
)
@click.option("--type", help="The type of the event. Default: the type in its JSON, if there is one.")
@click.option(
    "--key", help="A key, like that of a Kafka record. Herald does not use it, and stores it only in dead letters."
)
@click.option(
    "--lines", is_flag=True, help="Publish each line of the file as an event of its own; empty lines are skipped."
)
@client_options
def publish_(
    source: str,
    file: str,
    id: str | None,
    type: str | None,
    key: str | None,
    lines: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Publish the content of FILE (`-` is standard input) as an event, through a running Herald. SOURCE is used as the
    topic or routing key of the event: it selects the routes.

    JSON is published unchanged, anything else as text. The command ends when the event is stored.
    """
    if lines and id is not None:
        raise click.UsageError(
            "Use either --id or --lines: --id is the id of one event, and --lines publishes several."
        )
    settings = read(os.environ, "dev", _given({"client.url": url, "client.token": token}))
    accepted = 0
    try:
        with opened(file) as content:
            if lines:
                events = (
                    as_event(line.rstrip(b"\r\n"), source, type=type, key=key) for line in content if line.strip()
                )
                bodies = in_lists(events)
            else:
                bodies = iter([as_event(content.read(), source, id=id, type=type, key=key)])
            for ids in publish(bodies, settings.client.url, settings.client.token):
                accepted += len(ids)
                if not lines:
                    click.echo(visible(f"Accepted: {', '.join(ids)}"))
    except RequestFailed as error:
        before = f" {accepted} events were accepted before." if accepted else ""
        raise click.ClickException(f"{error}{before}") from None
    if lines:
        click.echo(f"Accepted: {accepted} events")


@main.command(short_help="Show the settings in use, and where each comes from.")
@click.option(
    "--mode",
    type=click.Choice(["serve", "dev"]),
    default="serve",
    show_default=True,
    help="Show the settings of `herald serve` or of `herald dev`, which have different defaults.",
)
def config(mode: Mode) -> None:
    """Show the settings in use and where each comes from, and check them and the routes.

    If a setting or a route is invalid, the exit code is 2.
    """
    settings = read(os.environ, mode, {})
    for line in table(settings):
        click.echo(line)
    check(settings)
    check_deliveries(load_table(settings), settings)


@main.command("version")
def show_version() -> None:
    """Show the version of Herald."""
    try:
        click.echo(f"herald {version('herald')}")
    except PackageNotFoundError:
        click.echo("herald, not installed")


def _given(options: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}
