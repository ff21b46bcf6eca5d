"""`/client/`: the JavaScript client, for pages of any origin. The files are those of `clients/javascript/src`; an
installed Herald has a copy of them in the folder `client` beside this module."""

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from adapters.http.monitoring import About

_INSTALLED: Final = Path(__file__).parent / "client"
_CHECKOUT: Final = Path(__file__).parents[4] / "clients" / "javascript" / "src"

_FOR_EVER: Final = "public, max-age=31536000, immutable"
_REVALIDATED: Final = "public, no-cache"

# Comments that have their lines for themselves: half of the source, because they contain the types.
_COMMENT: Final = re.compile(r"^[ \t]*(?:/\*.*?\*/[ \t]*|//.*?)$", re.DOTALL | re.MULTILINE)


class ClientFile(msgspec.Struct, frozen=True):
    """A file of the client as it is served: without comments, plain and compressed, and the entity tag of both."""

    content: bytes
    compressed: bytes
    etag: str


@get("/client/{path:path}", include_in_schema=False)
@inject
async def client_file(
    request: Request[Any, Any, Any], path: FromPath[str], about: FromDishka[About]
) -> Response[bytes | None]:
    """Serves a file of the client: under `/client/<version of Herald>/` to be cached for ever, under `/client/` to be
    revalidated by its entity tag. Responds 404 for all other paths."""
    name = path.removeprefix("/")
    versioned = name.removeprefix(f"{about.version}/")
    file = client_files().get(versioned)
    if file is None:
        raise NotFoundException
    headers = {
        "access-control-allow-origin": "*",
        "cache-control": _REVALIDATED if versioned == name else _FOR_EVER,
        "etag": file.etag,
        "vary": "Accept-Encoding",
    }
    known = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {file.etag, file.etag.removeprefix("W/"), "*"}:
        return Response(None, status_code=304, headers=headers)
    accepted = request.headers.get("accept-encoding", "")
    content = file.content
    if re.search(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", accepted):
        content = file.compressed
        headers["content-encoding"] = "gzip"
    return Response(content, media_type="text/javascript", headers=headers)


@cache
def client_files() -> dict[str, ClientFile]:
    """Returns the files of the client by their paths, such as `inbox/store.js`."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    return {file.relative_to(folder).as_posix(): _read(file) for file in sorted(folder.rglob("*.js"))}


def _read(path: Path) -> ClientFile:
    content = without_comments(path.read_text(encoding="utf-8")).encode()
    # Weak, because the plain and the compressed content have the same tag.
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    return ClientFile(content, gzip.compress(content, mtime=0), etag)


def without_comments(source: str) -> str:
    """Returns a module of the client without the comments that have lines for themselves. These lines become empty, so
    that errors name the lines of the source."""
    return _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), source)
