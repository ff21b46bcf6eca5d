"""`/problems`: pages that explain each kind of problem (error response). The `type` in an error response is the address
of the page about its kind."""

from html import escape
from typing import Any, Final

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from adapters.http.errors.problem_catalogue import KINDS, Kind, address_of
from adapters.http.openapi.operation_parts import also_answers, problems
from adapters.http.request_checks import public_url_of
from domain.public_url import PublicUrl

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Herald</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem }}
  code {{ background: #8882; border-radius: .2rem; padding: .1rem .3rem }}
  dt {{ font-weight: bold; margin-top: 1rem }} dd {{ margin: 0 }}
  :root {{ color-scheme: light dark }}
</style>
<h1>{title}</h1>
{content}
</html>
"""


def _described(kind: Kind, public_url: PublicUrl) -> dict[str, Any]:
    return {
        "type": public_url.of(address_of(kind.code)),
        "code": kind.code,
        "status": kind.status,
        "title": kind.title,
        "meaning": kind.meaning,
        "advice": kind.advice,
        "retry_after": kind.retry_after,
    }


@get(
    "/problems",
    tags=["problems"],
    summary="List problems",
    response_description="The kinds of problems.",
    operation_class=also_answers("text/html"),
    responses=problems(),
)
async def list_problems(request: Request[Any, Any, Any]) -> Response[list[dict[str, Any]]]:
    """Lists all kinds of problems, which are the error responses of Herald: as an HTML page if the `Accept` header
    contains `text/html`, otherwise as JSON."""
    public_url = public_url_of(request)
    if not _wants_page(request):
        return Response([_described(kind, public_url) for kind in KINDS.values()], headers={"vary": "accept"})
    rows = "".join(
        f'<dt><a href="{escape(public_url.of(address_of(kind.code)))}">{escape(kind.title)}</a>'
        f" <code>{kind.status}</code></dt>"
        f"<dd>{_as_html(kind.meaning)}</dd>"
        for kind in KINDS.values()
    )
    return _page("Problems", f"<dl>{rows}</dl>")


@get(
    "/problems/{code:str}",
    tags=["problems"],
    summary="Explain a problem",
    response_description="The explanation of the problem.",
    operation_class=also_answers("text/html"),
    responses=problems(404),
)
async def show_problem(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[dict[str, Any]]:
    """Explains the kind of problem with this `code`: what it means, and what the client can do about it. Returns an
    HTML page if the `Accept` header contains `text/html`, otherwise JSON. Responds 404 if no problem has this
    `code`."""
    kind = KINDS.get(code)
    if kind is None:
        raise NotFoundException
    public_url = public_url_of(request)
    if not _wants_page(request):
        return Response(_described(kind, public_url), headers={"vary": "accept"})
    again = f"<dt>Retry</dt><dd>after {kind.retry_after} s, or the seconds in <code>Retry-After</code></dd>"
    return _page(
        kind.title,
        f"<p><code>{kind.status}</code> <code>{kind.code}</code></p><p>{_as_html(kind.meaning)}</p>"
        f"<dl><dt>What to do</dt><dd>{_as_html(kind.advice)}</dd>{again if kind.retry_after else ''}</dl>"
        f'<p><a href="{escape(public_url.of("/problems"))}">All problems</a></p>',
    )


def _wants_page(request: Request[Any, Any, Any]) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _page(title: str, content: str) -> Response[Any]:
    page = _PAGE.format(title=escape(title), content=content)
    return Response(page, media_type="text/html", headers={"vary": "accept"})


def _as_html(text: str) -> str:
    """Returns the text as HTML: special characters are escaped, and text between backquotes becomes a `<code>`
    element."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
