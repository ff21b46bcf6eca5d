"""The AsyncAPI 3.0 document of sockets and event streams. docs/protocol.md says the same in words."""

from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from adapters.http.errors.catalogue import KINDS
from application.live.endpoints import GROUPS, ORDERS, PRODUCTS, SIGNALS, TRADING, Endpoint
from domain.protocol.herald_v1 import SUBPROTOCOL, CloseCode, Command
from domain.public_url import PublicUrl

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_POSITION: Final = {"type": "integer", "minimum": 1}
_TIME: Final = {"type": "string", "format": "date-time"}
_NAMES: Final = {"type": "array", "items": _TEXT}
_ANY: Final[dict[str, Any]] = {}

# Where an entry stands in its stream, and what its event was.
_PLACE: Final = {"stream": _TEXT, "seq": _POSITION, "id": {"type": "string", "format": "uuid"}}
_EVENT: Final = {"event_id": _TEXT, "type": _TEXT, "time": _TIME, "data": _ANY}
_CHANGED: Final = {"changed": _POSITION}

# The objects of herald.v1 that the server sends, by kind: what is always in them, and what may be.
SENT: Final[dict[str, tuple[dict[str, Any], dict[str, Any], str]]] = {
    "hello": (
        {
            "session": _TEXT,
            "epoch": _TEXT,
            "positions": {"type": "object", "additionalProperties": _COUNT},
            "cursor": _TEXT,
            "heartbeat": {"type": "number"},
            "resumed": {"type": "boolean"},
            "gap": _NAMES,
        },
        {"unread": _COUNT},
        "Begins a session; only `bye` may come instead. `gap` names the streams in which something may be missing that"
        " was asked for.",
    ),
    "notification": (
        {**_PLACE, **_EVENT, "title": _TEXT, "message": _TEXT, "read": {"type": "boolean"}, "unread": _COUNT},
        _CHANGED,
        "One event, addressed to the user of the session. `unread` is the inbox's total after it.",
    ),
    "broadcast": ({**_PLACE, **_EVENT}, _CHANGED, "One event of a feed."),
    **{
        kind: ({**_PLACE, "unread": _COUNT}, _CHANGED, f"A notification is {kind} now, here or on another device.")
        for kind in ("read", "unread", "archived")
    },
    "gap": (
        {"stream": _TEXT, "after": _COUNT, "upto": _COUNT},
        {},
        "What lay between these positions is kept no more.",
    ),
    "heartbeat": ({"time": _TIME, "cursor": _TEXT}, {}, "Nothing else was to say for a while."),
    "pong": ({}, {"ping": _ANY}, "Answers a ping."),
    "auth": ({"expires_at": {"type": ["number", "null"]}}, {}, "Answers a fresh token: when the session ends."),
    "error": ({"code": _TEXT, "detail": _TEXT}, {}, "Answers what could not be understood."),
    "bye": (
        {"code": {"enum": sorted(int(code) for code in CloseCode)}, "reason": _TEXT},
        {"reconnect_in": {"type": "number"}},
        "The last object before the server closes; the only one where no session was opened.",
    ),
}

_GROUPS_USER: Final = "Whose notifications; a token must be this user's own. Percent-encoded: a slash in it is `%2F`."

# The addresses of the endpoints, and what their plain clients receive.
CHANNELS: Final[tuple[tuple[Endpoint, str, str], ...]] = (
    (SIGNALS, "/ws/notifications", "The payload's own text, JSON or not."),
    (TRADING, "/ws?user_id=", "`{type, data}`: the feed `market`, and what is the user's own."),
    (GROUPS, "/ws/v2/notification-service/notifications/users/{user_id}", "`{event_type, data}`: the user's own."),
    (ORDERS, "/ws", "`{type, data}`: every order event, or, by other routes, what is the user's own."),
    (
        PRODUCTS,
        "/events/stream",
        "Server-sent events: `connection`, the payload with `broadcastTimestamp`, `heartbeat`; the user's inbox too.",
    ),
)


@cache
def asyncapi_document(public_url: PublicUrl) -> dict[str, Any]:
    """The document of a service that clients reach at this URL; without one it names no servers."""
    command, parts = _command_schemas()
    sent = {kind: _message(kind, *fields) for kind, fields in SENT.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Herald: sockets and event streams",
            "version": "1",
            "description": _description(),
        },
        "defaultContentType": "application/json",
        **({"servers": _servers(public_url)} if public_url.base else {}),
        "channels": {endpoint.name: _channel(public_url, endpoint, *rest) for endpoint, *rest in CHANNELS},
        "operations": {name: operation for endpoint, _, _ in CHANNELS for name, operation in _operations(endpoint)},
        "components": {
            "messages": {
                **sent,
                "plain": {
                    "summary": "What a plain client receives: one JSON object (or text) a frame.",
                    "payload": _ANY,
                },
                "command": {"summary": "What a client of herald.v1 may say.", "payload": command},
            },
            "schemas": parts,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _description() -> str:
    codes = "\n".join(f"- {int(code)}: {code.name.lower().replace('_', ' ')}" for code in CloseCode)
    codes_of_refusal = ("origin_refused", "too_many_requests", "too_many_anonymous", "node_full", "draining")
    refused = ", ".join(f"{KINDS[code].status} `{code}`" for code in codes_of_refusal)
    return (
        f"Clients that offer the subprotocol `{SUBPROTOCOL}` (on an event stream: `?protocol=1`) get the objects below,"
        " one or more a frame, separated by newlines; all others get plain messages.\n\n"
        f"A handshake may be refused with {refused}. Close codes, of which 1001, 1006, 1011, 1012, 1013 and 4000 to"
        f" 4499 mean to reconnect, and 4500 to 4999 to stop:\n\n{codes}\n"
    )


def _servers(public_url: PublicUrl) -> dict[str, Any]:
    """By the transport of the endpoints that they serve."""
    servers = {}
    for transport, url in (("ws", public_url.of_socket("")), ("sse", public_url.base)):
        parts = urlsplit(url)
        servers[transport] = {"host": parts.netloc, "protocol": parts.scheme, "pathname": parts.path or "/"}
    return servers


def _channel(public_url: PublicUrl, endpoint: Endpoint, address: str, about: str) -> dict[str, Any]:
    path = address.partition("?")[0]
    names = [*SENT, "plain", *(["command"] if endpoint.transport == "ws" else [])]
    channel: dict[str, Any] = {
        "address": path,
        "description": f"Plain clients: {about}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }
    if public_url.base:
        channel["servers"] = [{"$ref": f"#/servers/{endpoint.transport}"}]
    if "{user_id}" in path:
        channel["parameters"] = {"user_id": {"description": _GROUPS_USER}}
    if endpoint.transport == "ws":
        channel["bindings"] = {"ws": {"method": "GET", "query": _query(endpoint), "bindingVersion": "0.1.0"}}
    return channel


def _query(endpoint: Endpoint) -> dict[str, Any]:
    """The query parameters of a handshake, as a schema."""
    known: dict[str, Any] = {"feeds": _TEXT, "types": _TEXT, "cursor": _TEXT, "jwt": _TEXT, "token": _TEXT}
    if endpoint is not GROUPS:
        known["user_id"] = _TEXT
    if endpoint.transport == "sse":
        known |= {"protocol": {"enum": ["1"]}, "last_event_id": _TEXT}
    return {"type": "object", "properties": known}


def _operations(endpoint: Endpoint) -> list[tuple[str, dict[str, Any]]]:
    channel = f"#/channels/{endpoint.name}"
    security = [{"$ref": "#/components/securitySchemes/bearer"}]
    sending: dict[str, Any] = {
        "action": "send",
        "channel": {"$ref": channel},
        "summary": f"What clients at `{endpoint.name}` receive.",
        "security": security,
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in (*SENT, "plain")],
    }
    if endpoint.transport == "sse":
        sending["bindings"] = {"http": {"method": "GET", "query": _query(endpoint), "bindingVersion": "0.3.0"}}
        return [(f"{endpoint.name}_send", sending)]
    receiving = {
        "action": "receive",
        "channel": {"$ref": channel},
        "summary": f"What clients of herald.v1 at `{endpoint.name}` may say.",
        "security": security,
        "messages": [{"$ref": f"{channel}/messages/command"}],
    }
    return [(f"{endpoint.name}_send", sending), (f"{endpoint.name}_receive", receiving)]


def _message(kind: str, always: dict[str, Any], maybe: dict[str, Any], about: str) -> dict[str, Any]:
    payload = {
        "type": "object",
        "properties": {"kind": {"const": kind}, **always, **maybe},
        "required": ["kind", *always],
        "additionalProperties": False,
    }
    return {"name": kind, "summary": about, "payload": payload}


def _command_schemas() -> tuple[Any, dict[str, Any]]:
    (schema,), parts = msgspec.json.schema_components([Command], ref_template="#/components/schemas/{name}")
    return schema, parts
