"""The Litestar handlers for the addresses (application.live.addresses): the paths where clients connect to WebSockets
and event streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dishka.integrations.litestar import FromDishka, inject, inject_websocket
from litestar import Request, Response, WebSocket, get, websocket
from litestar.connection import ASGIConnection
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema

from adapters.sockets.event_stream import StreamGate
from adapters.sockets.litestar_socket import LitestarSocket
from adapters.web.find_address import user_in_url
from adapters.web.refusals import NOT_FOUND
from adapters.web.serve_socket import SocketGate
from application.live.addresses import Address
from application.routes_in_force import RoutesInForce
from domain.endpoints import HERALD_V1_PATHS

Socket = WebSocket[Any, Any, Any]

_REFUSALS: Final = {
    400: "A parameter has an invalid value.",
    401: "The request needs a token, or its token is not valid.",
    403: "The caller has no access to the feed or the inbox.",
    404: "The parameter `feeds` contains a feed that does not exist.",
    422: "A value in the request is invalid.",
    429: "This user has the maximum number of open connections, or connects too often.",
    500: "An unexpected error occurred. The server's log has the details, under the `trace_id` of the response.",
    503: "The node is shutting down, it has the maximum number of anonymous connections, or a service that it"
    " depends on is unavailable.",
}

ANSWERS: Final = {
    204: ResponseSpec(
        None, description="The user has signed out since the token was issued: do not reconnect with this token."
    )
} | {
    status: ResponseSpec(dict[str, Any], False, description, "application/problem+json")
    for status, description in _REFUSALS.items()
}


def endpoint_routes(addresses: Sequence[Address]) -> Sequence[WebsocketRouteHandler | HTTPRouteHandler]:
    """Returns the Litestar handlers that serve WebSockets and event streams at these addresses."""
    routes: list[WebsocketRouteHandler | HTTPRouteHandler] = []
    for address in addresses:
        hidden = _hidden_paths(address, addresses)
        if address.transport == "ws":
            routes += [_socket(address, path) for path in (_litestar_path(address), *hidden)]
        else:
            routes += [_event_stream(address, _litestar_path(address))]
            routes += [_event_stream(address, path, include_in_schema=False) for path in hidden]
    return routes


def is_event_stream(path: str, addresses: Sequence[Address]) -> bool:
    """Returns whether a request path, such as `/live/events`, is that of an event stream. The path must be
    normalised: without a slash at the end."""
    return any(_serves(address, path) for address in addresses if address.transport == "sse")


def _serves(address: Address, path: str) -> bool:
    if address.path_parameter is None:
        return path == address.path
    return path.startswith(_before_parameter(address))


def _hidden_paths(address: Address, addresses: Sequence[Address]) -> Sequence[str]:
    """Returns the paths for which `address` needs handlers of their own, because Litestar does not match them with its
    path parameter.

    For example, if there are addresses with the paths `/live/{user}` and `/live/a/b`, the result for `/live/{user}`
    is [`/live/a`]: Litestar responds 404 to `/live/a`, because the segment `a` occurs literally in another path.
    """
    if address.path_parameter is None:
        return ()
    before = _before_parameter(address)
    own = {other.path for other in addresses if other.transport == address.transport}
    below = (other.path.removeprefix(before).split("/")[0] for other in addresses if other.path.startswith(before))
    return [before + word for word in dict.fromkeys(below) if "{" not in word and before + word not in own]


def _socket(address: Address, path: str) -> WebsocketRouteHandler:
    @websocket(path)
    @inject_websocket
    async def serve(socket: Socket, gate: FromDishka[SocketGate], routes: FromDishka[RoutesInForce]) -> None:
        try:
            user = _user_in_url(socket, address)
        except NotFoundException:
            await LitestarSocket(socket).refuse(NOT_FOUND)
            return
        await gate.serve(LitestarSocket(socket), address.select(routes.table, user), user)

    return serve


def _event_stream(address: Address, path: str, include_in_schema: bool = True) -> HTTPRouteHandler:
    # The operation of the shipped herald.v1 endpoint has an id without the name of the endpoint, as in earlier
    # versions.
    shipped = address.path in HERALD_V1_PATHS
    operation_id = "event_stream" if shipped else f"event_stream_{address.endpoints[0].name}"

    @get(
        path,
        include_in_schema=include_in_schema,
        media_type="text/event-stream",
        tags=["events"],
        summary="Receive events as server-sent events",
        operation_id=operation_id,
        operation_class=_operation_with_user(address),
        response_description="The event stream.",
        responses=ANSWERS,
    )
    @inject
    async def serve(
        request: Request[Any, Any, Any], gate: FromDishka[StreamGate], routes: FromDishka[RoutesInForce]
    ) -> Response[Any]:
        """Sends events as server-sent events as soon as they are stored: those of the feeds that the caller has access
        to and, if the caller is a user, the user's notifications. To clients without `protocol=1`, an endpoint of a
        profile may send only feeds, or only notifications. The response stays open until the client disconnects or the
        server ends the session. `/schema/asyncapi.json` describes the messages and the query parameters."""
        user = _user_in_url(request, address)
        return await gate.serve(request, address.select(routes.table, user), user)

    return serve


def _operation_with_user(address: Address) -> type[Operation]:
    """Returns the `operation_class` argument of the Litestar handler for an event stream. It adds the path or query
    parameter with the user's id, if the address has one, to the OpenAPI document."""
    place, name = ("path", address.path_parameter) if address.path_parameter else ("query", address.query_parameter)

    @dataclass
    class NamingUser(Operation):
        def __post_init__(self) -> None:
            if name is not None:
                # Without this schema, Litestar documents a path parameter as a URI.
                schema = Schema(type=OpenAPIType.STRING)
                text = "The id of the user whose notifications are sent. With a token, it must be the token's user."
                self.parameters = [Parameter(name, place, schema, text, required=place == "path")]

    return NamingUser


def _litestar_path(address: Address) -> str:
    name = address.path_parameter
    return address.path if name is None else f"{_before_parameter(address)}{{{name}:path}}"


def _before_parameter(address: Address) -> str:
    return address.path.partition("{")[0]


def _user_in_url(connection: ASGIConnection[Any, Any, Any, Any], address: Address) -> str | None:
    """Returns the user id in the path or the query of a connection; None if the address has no parameter for it, or the
    query lacks it. Raises NotFoundException if the path has more segments than the address, because a slash in a user
    id must be written as `%2F`."""
    path = connection.scope["raw_path"]
    if address.path_parameter is not None and path.removesuffix(b"/").count(b"/") != address.path.count("/"):
        raise NotFoundException
    return user_in_url(address, path, connection.query_params)
