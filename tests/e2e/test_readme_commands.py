"""The commands of README.md, "Use it", work as they stand there, on a Herald that `task run` has started."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from websockets.sync.client import connect

from tests.support.pages_of_commands import REPEAT, Commands, Shell, commands
from tests.support.server import Server

ROOT: Final = Path(__file__).parents[2]
EXAMPLES, LISTEN, INBOX = commands(ROOT / "README.md")
# For each profile: a comment, a client, a command that publishes.
PROFILES: Final = [example.splitlines() for example in EXAMPLES.text.strip().split("\n\n")]
(PUBLISH_TO_GROUP,) = (publish for *_, publish in PROFILES if "user-b" in publish)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, dev_server: Server) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("clone")
    (folder / ".venv").symlink_to(ROOT / ".venv")
    address = dev_server.url.removeprefix("http://")
    shell = Shell(folder, {"HERALD_URL": dev_server.url}, {"localhost:8000": address})
    # A response with an error is a failure of the command.
    shell.run('curl() { command curl --fail --silent --show-error "$@"; }')
    yield shell
    shell.close()
    print(shell.transcript)


def command(text: str, output: str | None = None, marker: str = "") -> Commands:
    return Commands(EXAMPLES.line, marker, text, output)


@pytest.mark.parametrize("example", PROFILES, ids=lambda example: example[0].split(":")[0].strip("# "))
def test_a_client_receives_what_the_next_command_publishes(
    shell: Shell, dev_server: Server, example: list[str]
) -> None:
    _, client, publish = example
    program, *arguments = shlex.split(client)
    if program == "websocat":
        # There is no websocat where tests run.
        url = arguments[-1].replace("ws://localhost:8000", dev_server.ws_url)
        with connect(url, proxy=None) as socket:
            shell.follow(command(publish))
            assert socket.recv(timeout=20)
        return
    shell.follow(command(f"{client} > stream.txt &"))
    shell.follow(command("grep connection stream.txt", "…\n", REPEAT))
    shell.follow(command(publish))
    shell.follow(command("grep LowStockWarning stream.txt", "…\n", REPEAT))


def test_the_listener_and_the_inbox(shell: Shell) -> None:
    # The notification that the inbox shows: the tests of a module may be divided between processes.
    shell.follow(command(PUBLISH_TO_GROUP))
    shell.follow(command(f"{LISTEN.text.strip()} > listen.txt 2> listen.log &"))
    shell.follow(command("cat listen.log", "connected to …\n", REPEAT))
    shell.follow(command(PROFILES[1][-1]))
    shell.follow(command("cat listen.txt", '{"kind":"notification",…"severity":"high"…}\n', REPEAT))
    read, mark = INBOX.text.strip().splitlines()
    shell.follow(command(read, '{…"title":…}\n'))
    shell.follow(command(mark))
    shell.follow(command(read, '{…"unread_count":0…}\n'))
