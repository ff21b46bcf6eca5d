"""Files of Herald are accessible by their owner only, whatever the umask."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from herald_client.cursors import CursorFile
from herald_client.positions import ResumePoint
from tests.support.clients import publish
from tests.support.server import Server


def modes(folder: Path) -> dict[str, int]:
    """Return the permission bits of everything below a folder. Asserts that the folder is not empty."""
    found = {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert found
    return found


@pytest.fixture
def open_umask() -> None:
    """A umask as in most shells: new files are readable by everyone."""
    os.umask(0o022)


@pytest.mark.usefixtures("open_umask")
async def test_database_and_mails_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    server = Server(
        {"DATABASE_URL": f"sqlite+aiosqlite:///{folder}/herald.db", "HERALD_MAIL_FOLDER": f"{folder}/mail"}
    ).start(ready=True)
    try:
        await publish(server, "order.created", {"order_id": 7, "customer_email": "kim@example.com"})
        while not list(folder.glob("mail/*.eml")):
            await asyncio.sleep(0.05)
        found = modes(folder)
    finally:
        server.kill()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert found.pop("mail") == 0o700
    assert {"herald.db", "herald.db-wal"} < found.keys()
    assert set(found.values()) == {0o600}, found


@pytest.mark.usefixtures("open_umask")
def test_mail_previews_are_private(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"order_id": 7, "customer_email": "kim@example.com"}')
    folder = tmp_path / "preview"
    herald = str(Path(sys.executable).with_name("herald"))
    command = [herald, "mail", "preview", str(event), "--source", "order.created", "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    assert set(modes(folder).values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.usefixtures("open_umask")
def test_cursor_files_of_the_client_are_private(tmp_path: Path) -> None:
    """Also in other programs, which have their own umask."""
    file = tmp_path / "cursor"
    CursorFile(file).save(ResumePoint("c1.cursor"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
