"""`/api/v1/mails` on the whole application, and the folder that it reads, as written by a mailer."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import uuid_utils.compat
from hypothesis import given
from hypothesis import strategies as st
from litestar.testing import AsyncTestClient

from adapters.mail.folder_mailer import FolderMailer
from adapters.mail.folder_reader import EmlFolder
from adapters.mail.mailer import OutgoingMail
from application.ports.mail_folder import RenderedMail
from domain.caller_errors import Unavailable
from entrypoints.app import create_app
from entrypoints.settings.loader import load
from tests.support.clients import token
from tests.support.server import SECRET

PATH = "/api/v1/mails"
IN_MEMORY = {"DATABASE_URL": "memory:", "HERALD_BROKER": "memory"}
DATE = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
RENDERED = RenderedMail(html="<p>Grüße &amp; <b>日本</b></p>", text="Grüße, 日本")
OPERATIONS = ["", "/{id}", "/{id}/source"]


class Folder:
    """A folder of mails, and a real mailer that writes to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mailer = FolderMailer(str(path), "Herald <herald@localhost>")

    async def write(
        self,
        subject: str = "Order 7",
        to: str = "kim@example.com",
        rendered: RenderedMail = RENDERED,
        date: datetime = DATE,
    ) -> UUID:
        id = uuid_utils.compat.uuid7()
        await self._mailer.send(OutgoingMail(id.hex, to, subject, date, rendered), time.monotonic() + 20)
        return UUID(id.hex)

    def file(self, id: UUID) -> Path:
        return self.path / f"{id.hex}.eml"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "var" / "mail")


@pytest.fixture
async def client(folder: Folder) -> AsyncIterator[AsyncTestClient[Any]]:
    environ = {**IN_MEMORY, "HERALD_MAIL_FOLDER": str(folder.path)}
    async with AsyncTestClient(create_app(load(environ, "dev", {})), base_url="http://127.0.0.1") as client:
        yield client


async def subjects(folder: Folder, limit: int = 100) -> list[str]:
    return [mail.subject for mail in await EmlFolder(str(folder.path)).newest(limit)]


async def test_mails_are_listed_newest_first(client: AsyncTestClient[Any], folder: Folder) -> None:
    assert (await client.get(PATH)).json() == {"items": []}
    old = await folder.write("Order 7", date=DATE + timedelta(days=1))
    new = await folder.write("Grüße, 日本: " + "x" * 200, "jürgen@bücher.example")
    assert (await client.get(PATH)).json() == {
        "items": [
            {
                "id": str(new),
                "to": "jürgen@xn--bcher-kva.example",
                "subject": "Grüße, 日本: " + "x" * 200,
                "date": "2026-03-01T12:00:07Z",
            },
            {"id": str(old), "to": "kim@example.com", "subject": "Order 7", "date": "2026-03-02T12:00:07Z"},
        ]
    }


async def test_a_list_has_at_most_its_limit(client: AsyncTestClient[Any], folder: Folder) -> None:
    written = [str(await folder.write()) for _ in range(21)]
    for query, count in (({}, 20), ({"limit": 3}, 3), ({"limit": 100}, 21)):
        answer = await client.get(PATH, params=query)
        assert [item["id"] for item in answer.json()["items"]] == written[::-1][:count]
    for limit in (0, 101):
        refusal = await client.get(PATH, params={"limit": limit})
        assert (refusal.status_code, refusal.json()["code"]) == (400, "invalid_request")


async def test_a_mail_is_served_as_a_page_without_scripts_or_remote_content(
    client: AsyncTestClient[Any], folder: Folder
) -> None:
    id = await folder.write(rendered=RenderedMail("<script>1</script><img src=http://x.example>", "read me"))
    answer = await client.get(f"{PATH}/{id}", headers={"accept": "text/html,*/*"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert (
        answer.headers["content-security-policy"]
        == "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.text == "<script>1</script><img src=http://x.example>\r\n"


async def test_accepting_only_text_returns_the_text_part(client: AsyncTestClient[Any], folder: Folder) -> None:
    id = await folder.write()
    for accept, media_type, text in (
        ("text/plain", "text/plain", "Grüße, 日本\r\n"),
        ("text/html,text/plain", "text/html", f"{RENDERED.html}\r\n"),
        ("*/*", "text/html", f"{RENDERED.html}\r\n"),
    ):
        answer = await client.get(f"{PATH}/{id}", headers={"accept": accept})
        assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert answer.headers["vary"] == "accept,Origin"
        assert answer.text == text


async def test_the_source_is_the_unchanged_file(client: AsyncTestClient[Any], folder: Folder) -> None:
    id = await folder.write()
    answer = await client.get(f"{PATH}/{id}/source")
    assert answer.content == folder.file(id).read_bytes()
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == f'attachment; filename="{id.hex}.eml"'


async def test_an_unknown_mail_is_not_found(client: AsyncTestClient[Any], folder: Folder) -> None:
    await folder.write()
    (folder.path.parent / "secret.eml").write_bytes(folder.file(await folder.write()).read_bytes())
    (folder.path / "notes.txt").write_text("not for everyone")
    for id in (str(uuid4()), "notes.txt", "..%2Fsecret", "%2e%2e/secret", "../secret.eml", "\0", "%00"):
        for tail in ("", "/source"):
            refusal = await client.get(f"{PATH}/{id.replace(chr(0), '%00')}{tail}")
            assert (refusal.status_code, refusal.json()["code"]) == (404, "not_found"), id


async def test_a_file_that_is_no_mail_does_not_break_the_list(client: AsyncTestClient[Any], folder: Folder) -> None:
    first = await folder.write("first")
    wrecks = {
        "empty": b"",
        "no headers": b"\0\xff\xfe" * 1_000,
        "no To": b"Subject: x\r\nDate: Sun, 01 Mar 2026 12:00:07 +0000\r\n\r\n",
        "no date": b"To: kim@example.com\r\nSubject: x\r\nDate: some day\r\n\r\nx",
        "no subject, no end": b"To: kim@example.com\r\nDate: Sun, 01 Mar 2026 12:00:07 +0000\r\nSubject",
    }
    ids = []
    for content in wrecks.values():
        ids.append(id := uuid_utils.compat.uuid7())
        (folder.path / f"{id.hex}.eml").write_bytes(content)
    ids.append(id := uuid_utils.compat.uuid7())
    (folder.path / f"{id.hex}.eml").mkdir()
    ids.append(id := uuid_utils.compat.uuid7())
    (folder.path / f"{id.hex}.eml").symlink_to(folder.path / "gone")
    (folder.path / "0123.eml").write_bytes(folder.file(first).read_bytes())
    (folder.path / f".{first.hex}.ab.part").write_bytes(folder.file(first).read_bytes())
    last = await folder.write("last")
    answer = await client.get(PATH, params={"limit": 2})
    assert [item["id"] for item in answer.json()["items"]] == [str(last), str(first)]
    for id in ids:
        assert (await client.get(f"{PATH}/{id}")).status_code == 404


@given(
    st.binary(max_size=200), st.sampled_from([b"To", b"Subject", b"Date", b"Content-Type", b"MIME-Version"]), st.data()
)
def test_invalid_headers_do_not_break_the_list_or_the_json(
    tmp_path_factory: pytest.TempPathFactory, value: bytes, name: bytes, data: st.DataObject
) -> None:
    async def check() -> None:
        folder = Folder(tmp_path_factory.mktemp("mail"))
        await folder.write("whole")
        damaged = await folder.write("damaged")
        source = folder.file(damaged).read_bytes()
        begin = source.index(name + b": ") + len(name) + 2
        cut = data.draw(st.integers(begin, len(source)))
        folder.file(damaged).write_bytes(source[:begin] + value + source[cut:])
        reader = EmlFolder(str(folder.path))
        listed = await reader.newest(10)
        assert listed[-1].subject == "whole"
        for mail in listed:
            f"{mail.to}{mail.subject}".encode()  # no unpaired surrogate, which JSON cannot represent
        if whole := await reader.read(damaged):
            f"{whole.rendered.html}{whole.rendered.text}".encode()

    asyncio.run(check())


async def test_listing_while_mails_are_written_and_removed(folder: Folder) -> None:
    """Every listed mail is complete, whatever is written or removed at the same time."""
    kept = [await folder.write("kept") for _ in range(20)]
    stop = asyncio.Event()

    async def churn() -> None:
        while not stop.is_set():
            folder.file(await folder.write("passing")).unlink()

    churning = asyncio.create_task(churn())
    for _ in range(50):
        listed = await EmlFolder(str(folder.path)).newest(100)
        assert [mail.id for mail in listed if mail.subject == "kept"] == kept[::-1]
    stop.set()
    await churning
    assert await subjects(folder) == ["kept"] * 20


async def test_an_unreadable_folder_is_reported_as_unavailable(client: AsyncTestClient[Any], folder: Folder) -> None:
    folder.path.parent.mkdir(parents=True)
    folder.path.write_text("this is no folder")
    with pytest.raises(Unavailable):
        await subjects(folder)
    refusal = await client.get(PATH)
    assert (refusal.status_code, refusal.json()["code"]) == (503, "unavailable")
    assert str(folder.path) not in refusal.text


async def test_with_a_mail_server_there_is_no_folder_to_read(folder: Folder) -> None:
    id = await folder.write()
    environ = {**IN_MEMORY, "HERALD_MAIL_FOLDER": str(folder.path), "SMTP_HOST": "127.0.0.1"}
    async with AsyncTestClient(create_app(load(environ, "dev", {})), base_url="http://127.0.0.1") as client:
        for path in OPERATIONS:
            refusal = await client.get(PATH + path.replace("{id}", str(id)))
            assert (refusal.status_code, refusal.json()["code"]) == (404, "not_found")
            assert "SMTP_HOST" in refusal.json()["detail"]


@pytest.mark.parametrize("path", OPERATIONS)
async def test_every_operation_requires_the_scope_admin(folder: Folder, path: str) -> None:
    path = PATH + path.replace("{id}", str(await folder.write()))
    environ = {**IN_MEMORY, "HERALD_MAIL_FOLDER": str(folder.path), "HERALD_JWT_SECRET": SECRET}

    def shows(scope: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token('desk', scope=scope)}"}

    async with AsyncTestClient(create_app(load(environ, "serve", {})), base_url="http://127.0.0.1") as client:
        assert (await client.get(path)).json()["code"] == "token_missing"
        for scope in ("", "deliveries:read events:publish"):
            refusal = await client.get(path, headers=shows(scope))
            assert (refusal.status_code, refusal.json()["code"]) == (403, "scope_missing")
        assert (await client.get(path, headers=shows("admin"))).status_code == 200
