"""The paths under `/schema`: a Swagger UI page about the REST API (`/schema`), the OpenAPI document
(`/schema/openapi.json`), and the AsyncAPI document of WebSockets and event streams (`/schema/asyncapi.json`)."""

from functools import cache
from html import escape
from pathlib import PurePath
from typing import Any, Final

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Response, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag
from swagger_ui_bundle import swagger_ui_path

from adapters.http.openapi.asyncapi import asyncapi_document
from adapters.http.request_checks import public_url_of
from application.routes_in_force import RoutesInForce
from domain.public_url import PublicUrl

PATH: Final = "/schema"

_DESCRIPTION: Final = """\
Herald consumes events from a broker and delivers them as notifications: to every connected client exactly once and in
order, to the users' inboxes, and by e-mail.

Error responses are `application/problem+json` (RFC 9457); [/problems]({problems}) explains each problem. The
[AsyncAPI document]({asyncapi}) describes WebSockets and event streams. Ignore unknown fields in responses: later
versions may add some.
"""

_TAGS: Final = (
    Tag(
        "notifications",
        "The inbox of a user: list notifications, count the unread ones, change their state, and follow changes.",
    ),
    Tag("preferences", "Which notifications a user receives, and through which channels."),
    Tag("events", "Publish events, and receive them as server-sent events."),
    Tag(
        "deliveries",
        "The status of each mail, and all attempts to send it. These operations need the scope `deliveries:read`."
        " E-mail addresses are masked unless the token also has the scope `admin`.",
    ),
    Tag(
        "mails",
        "Mails that were written to a folder, because no mail server is configured. These operations need the scope"
        " `admin`.",
    ),
    Tag("dead letters", "Events that could not be processed. These operations need the scope `admin`."),
    Tag("operations", "Health and metrics."),
    Tag("problems", "The meaning of each error response."),
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Herald's API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}/schema/swagger-ui.css">
<style>
  /* Codes of problems are long words for narrow screens. */
  .swagger-ui .responses-table td {{ overflow-wrap: anywhere }}
</style>
<div id="page"></div>
<script src="{base}/schema/swagger-ui-bundle.js"></script>
<script>
  SwaggerUIBundle({{url: "{base}/schema/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null}})
</script>
</html>
"""

_PARTS: Final = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


class SchemaPage(OpenAPIRenderPlugin):
    """The Swagger UI page at `/schema`. It loads scripts and styles from Herald, and nothing from other servers."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return _PAGE.format(base=escape(public_url_of(request).base)).encode()


def openapi_config(version: str, public_url: PublicUrl) -> OpenAPIConfig:
    """Returns what Litestar needs for the OpenAPI document besides the handlers: title, description, tags, server and
    authentication. The document is served at `/schema/openapi.json`."""
    bearer = SecurityScheme(
        type="http",
        scheme="bearer",
        bearer_format="JWT",
        description="A JSON Web Token. Needed if the server's setting `HERALD_AUTH` is `jwt`.",
    )
    return OpenAPIConfig(
        title="Herald",
        version=version,
        description=_DESCRIPTION.format(
            problems=public_url.of("/problems"), asyncapi=public_url.of("/schema/asyncapi.json")
        ),
        servers=[Server(url=public_url.base or "/")],
        path=PATH,
        tags=list(_TAGS),
        components=Components(security_schemes={"bearer": bearer}),
        # A token is optional in the document, because open mode and public operations need none.
        security=[{"bearer": []}, {}],
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, method, path: handler.handler_name,
        render_plugins=[SchemaPage(path="/"), JsonRenderPlugin()],
    )


@get("/schema/asyncapi.json", include_in_schema=False)
@inject
async def asyncapi(request: Request[Any, Any, Any], routes: FromDishka[RoutesInForce]) -> Response[bytes]:
    document = asyncapi_document(public_url_of(request), routes.table)
    return Response(msgspec.json.encode(document), media_type="application/json")


@get([f"/schema/{name}" for name in _PARTS], include_in_schema=False)
async def schema_part(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Serves the stylesheet and the script of the Swagger UI page, at `/schema/swagger-ui.css` and
    `/schema/swagger-ui-bundle.js`."""
    name = PurePath(request.scope["path"]).name
    return Response(_part(name), media_type=_PARTS[name], headers={"cache-control": "public, max-age=86400"})


@cache
def _part(name: str) -> bytes:
    content: bytes = (swagger_ui_path / name).read_bytes()
    return content
