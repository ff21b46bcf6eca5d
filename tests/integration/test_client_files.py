"""The JavaScript client as Herald serves it, and its types of the REST API."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from adapters.http.site.client_files import client_files, without_comments
from scripts.client_types import FILE, document, types_of
from tests.support.app import in_process

ROOT = Path(__file__).parents[2]
FOREIGN = {"origin": "https://shop.example"}


@pytest.mark.parametrize("origins", ["", "https://shop.example", "*"])
async def test_any_page_may_load_the_client_whatever_origins_are_allowed(origins: str) -> None:
    async with in_process(HERALD_ORIGINS=origins) as client:
        version = (await client.get("/")).json()["version"]
        for path, caching in (
            ("/client/index.js", "public, no-cache"),
            (f"/client/{version}/index.js", "public, max-age=31536000, immutable"),
            ("/client/inbox/store.js", "public, no-cache"),
        ):
            answer = await client.get(path, headers=FOREIGN)
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers
            assert answer.headers["vary"] == "Accept-Encoding"
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == caching
            head = await client.head(path)
            assert (head.content, head.headers["etag"]) == (b"", answer.headers["etag"])
            for known in (answer.headers["etag"], f'"other", {answer.headers["etag"].removeprefix("W/")}', "*"):
                unchanged = await client.get(path, headers={"if-none-match": known})
                assert (unchanged.status_code, unchanged.content) == (304, b"")
            assert (await client.get(path, headers={"if-none-match": '"other"'})).status_code == 200


async def test_files_are_compressed_for_clients_that_accept_it() -> None:
    async with in_process() as client:
        plain = await client.get("/client/herald.js", headers={"accept-encoding": "gzip;q=0, br"})
        assert "content-encoding" not in plain.headers
        compressed = await client.get("/client/herald.js", headers={"accept-encoding": "br, gzip"})
        assert compressed.headers["content-encoding"] == "gzip"
        assert compressed.content == plain.content == client_files()["herald.js"].content


def test_the_client_is_at_most_30_kilobytes_as_it_is_served() -> None:
    assert sum(len(file.compressed) for file in client_files().values()) <= 30_000


def test_comments_are_left_out_and_lines_keep_their_numbers() -> None:
    source = (
        "/** One. */\nlet a = /** @type {any} */ (1);\n\t// Two.\n  /*\n   * Three.\n   */\nlet b = 'c'; // Four.\n"
    )
    kept = "\nlet a = /** @type {any} */ (1);\n\n\n\n\nlet b = 'c'; // Four.\n"
    assert without_comments(source) == kept


async def test_only_the_files_of_the_client_are_served() -> None:
    async with in_process() as client:
        for path in (
            "/client/",
            "/client/inbox",
            "/client/nothing.js",
            "/client/0.0.0/index.js",
            "/client/../package.json",
            "/client/%2e%2e/package.json",
            "/client/..%2Fpackage.json",
            "/client/inbox/../../package.json",
            "/client//etc/passwd",
        ):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def test_a_wheel_has_the_files_of_the_checkout(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    prefix = "adapters/http/site/client/"
    with ZipFile(wheel) as archive:
        packed = {
            name.removeprefix(prefix): archive.read(name) for name in archive.namelist() if name.startswith(prefix)
        }
    source = ROOT / "clients" / "javascript" / "src"
    assert packed == {name: (source / name).read_bytes() for name in client_files()}
    assert "index.js" in packed


async def test_the_types_of_the_client_are_those_of_the_openapi_document() -> None:
    assert FILE.read_text(encoding="utf-8") == types_of(await document()), "run `task docs`"
