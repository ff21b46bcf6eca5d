"""Where sockets and event streams connect."""

from typing import Annotated, Any, Final
from urllib.parse import unquote_to_bytes

from dishka.integrations.litestar import FromDishka, inject, inject_websocket
from litestar import Request, Response, WebSocket, get, websocket
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from adapters.sockets.event_stream import StreamGate
from adapters.sockets.websocket import LitestarSocket
from adapters.web.refusals import NOT_FOUND
from adapters.web.socket_gate import SocketGate
from application.live.endpoints import GROUPS, SIGNALS, at_ws
from domain.routes import RouteTable

Socket = WebSocket[Any, Any, Any]

_REFUSALS: Final = {
    400: "A parameter has a value that it can't have.",
    401: "A token is needed, or the one shown is not valid.",
    403: "This belongs to someone else.",
    404: "A feed that was asked for does not exist here.",
    422: "The request can't be understood.",
    429: "Too many connections of this user, or too often.",
    500: "Something went wrong on our side.",
    503: "This node is about to leave, has as many connections without a token as it may have, or something that Herald"
    " depends on is unavailable.",
}
_USERS_PATH: Final = "/ws/v2/notification-service/notifications/users"

ANSWERS: Final = {204: ResponseSpec(None, description="The user has signed out: stop.")} | {
    status: ResponseSpec(dict[str, Any], False, description, "application/problem+json")
    for status, description in _REFUSALS.items()
}


@websocket("/ws/notifications")
@inject_websocket
async def signals_socket(socket: Socket, gate: FromDishka[SocketGate]) -> None:
    """Signals as they are published."""
    await gate.serve(LitestarSocket(socket), SIGNALS, _claimed(socket))


@websocket("/ws")
@inject_websocket
async def user_or_orders_socket(socket: Socket, gate: FromDishka[SocketGate], table: FromDishka[RouteTable]) -> None:
    """With `?user_id=` the market and that user's own; without it, orders."""
    claimed = _claimed(socket)
    await gate.serve(LitestarSocket(socket), at_ws(table, claimed), claimed)


@websocket(_USERS_PATH + "/{user_id:path}")
@inject_websocket
async def groups_socket(socket: Socket, gate: FromDishka[SocketGate]) -> None:
    """One user's own. A slash in the user's id is written as `%2F`."""
    segments = socket.scope["raw_path"].removesuffix(b"/").split(b"/")
    if len(segments) != _USERS_PATH.count("/") + 2:
        await LitestarSocket(socket).refuse(NOT_FOUND)
        return
    await gate.serve(LitestarSocket(socket), GROUPS, unquote_to_bytes(segments[-1]).decode(errors="replace"))


@get(
    "/events/stream",
    media_type="text/event-stream",
    tags=["events"],
    summary="Listen to events",
    responses=ANSWERS,
)
@inject
async def event_stream(
    request: Request[Any, Any, Any],
    gate: FromDishka[StreamGate],
    user_id: Annotated[str | None, Parameter(description="Whose inbox is listened to as well.")] = None,
) -> Response[Any]:
    """Events as server-sent events: the products feed, and with an identity that user's inbox. Never ends by itself;
    `/schema/asyncapi.json` says what comes."""
    return await gate.serve(request, user_id)


# Where answers never end.
EVENT_STREAMS: Final = frozenset({"/events/stream"})

SOCKET_ROUTES = (signals_socket, user_or_orders_socket, groups_socket, event_stream)


def _claimed(socket: Socket) -> str | None:
    return socket.query_params.get("user_id")
