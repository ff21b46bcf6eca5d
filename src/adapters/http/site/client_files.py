"""`/client/`: the JavaScript client, for pages of any origin. The files are those of `clients/javascript/src`; an
installed Herald has a copy of them in the folder `client` beside this module."""

import hashlib
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


class ClientFile(msgspec.Struct, frozen=True):
    """A file of the client, and the entity tag of its content."""

    content: bytes
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
    }
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {file.etag, "*"}:
        return Response(None, status_code=304, headers=headers)
    return Response(file.content, media_type="text/javascript", headers=headers)


@cache
def client_files() -> dict[str, ClientFile]:
    """Returns the files of the client by their paths, such as `inbox/store.js`."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    return {file.relative_to(folder).as_posix(): _read(file) for file in sorted(folder.rglob("*.js"))}


def _read(path: Path) -> ClientFile:
    content = path.read_bytes()
    return ClientFile(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
