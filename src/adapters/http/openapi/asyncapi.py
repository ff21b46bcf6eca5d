"""The AsyncAPI 3.0 document of WebSockets and event streams. docs/protocol.md describes the same protocol in prose.

The schemas of messages that the server sends allow additional fields, because later versions may add fields. Clients
must ignore fields that they do not use.
"""

from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from adapters.http.errors.problem_catalogue import KINDS
from domain.endpoints import Endpoint
from domain.protocol.commands import Command
from domain.protocol.herald_v1 import SUBPROTOCOL, CloseCode
from domain.public_url import PublicUrl
from domain.route_table import RouteTable
from domain.streams import Envelope

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_POSITION: Final = {"type": "integer", "minimum": 1}
_TIME: Final = {"type": "string", "format": "date-time"}
_NAMES: Final = {"type": "array", "items": _TEXT}
_ANY: Final[dict[str, Any]] = {}

# The position of an entry in its stream, and the id of its notification or broadcast.
_POSITIONED: Final = {"stream": _TEXT, "seq": _POSITION, "id": {"type": "string", "format": "uuid"}}
_EVENT: Final = {"event_id": _TEXT, "type": _TEXT, "time": _TIME, "data": _ANY}
_CHANGED: Final = {"changed": _POSITION}

# Left out only in objects that were published by a node of version 0.4, during an upgrade.
_UNSEEN: Final = {"unseen": _COUNT}

# The objects of herald.v1 that the server sends, by kind: required fields, optional fields, and a summary.
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
        {"unread": _COUNT, "unseen": _COUNT},
        "The first object of a session. (If the server opens no session, it sends only `bye`.) `gap` names the streams"
        " in which entries that were stored after the requested cursor may be missing.",
    ),
    "notification": (
        {**_POSITIONED, **_EVENT, "title": _TEXT, "message": _TEXT, "read": {"type": "boolean"}, "unread": _COUNT},
        {**_CHANGED, **_UNSEEN, "url": _TEXT},
        "One event addressed to the session's user. `unread` is the number of unread notifications in the inbox,"
        " including this one; `unseen` is the number of those that have arrived after the watermark. `url` is the"
        " address that the notification links to, if it links to one: an http or https URL, or a path that begins with"
        " a slash.",
    ),
    "broadcast": ({**_POSITIONED, **_EVENT}, _CHANGED, "One event that was published to a feed."),
    **{
        kind: (
            {**_POSITIONED, "unread": _COUNT},
            {**_CHANGED, **_UNSEEN},
            f"A notification is now {kind}: the user changed it, on this or another device.",
        )
        for kind in ("read", "unread", "archived")
    },
    "seen": (
        {"stream": _TEXT, "seq": _POSITION, "changed": _POSITION, "unseen": _COUNT},
        {},
        "The user has seen all notifications up to position `seq`, the watermark, on this or another device. `changed`"
        " is the position of this object. It has no `id`, because it is not about one notification.",
    ),
    "gap": (
        {"stream": _TEXT, "after": _COUNT, "upto": _COUNT},
        {},
        "The entries after position `after`, up to and including `upto`, are missing: they are no longer stored.",
    ),
    "heartbeat": (
        {"time": _TIME, "cursor": _TEXT},
        {},
        "Sent if nothing else was sent during the heartbeat interval (`heartbeat` in `hello`, in seconds).",
    ),
    "pong": ({}, {"ping": _ANY}, "The response to the command `ping`, with the same value."),
    "auth": (
        {"expires_at": {"type": ["number", "null"]}},
        {},
        "The response to the command `auth`, if the token is valid. `expires_at` is the time at which the session ends"
        " unless it gets another token, in seconds since 1970; null if the token does not expire.",
    ),
    "error": ({"code": _TEXT, "detail": _TEXT}, {}, "The response to an invalid command."),
    "bye": (
        {"code": {"type": "integer", "description": "The close code that follows."}, "reason": _TEXT},
        {"reconnect_in": {"type": "number"}},
        "The last object before the server closes the connection. It is the only object if no session was opened.",
    ),
}

_USER_IN_PATH: Final = "The user's id. With a token, it must be the token's user. Percent-encode it: a slash is `%2F`."

_SHAPES: Final[dict[Envelope, str]] = {
    "raw": "the payload's own text",
    "typed": "`{type, data}`",
    "event": "`{event_type, data}`",
    "flat": "the payload with `broadcastTimestamp`",
}


@lru_cache(4)
def asyncapi_document(public_url: PublicUrl, table: RouteTable) -> dict[str, Any]:
    """Returns the AsyncAPI document, with one channel for each endpoint of the route table. The servers in it are those
    of the public URL; if no public URL is set, the document has no servers."""
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
        "channels": {endpoint.name: _channel(public_url, endpoint, table) for endpoint in table.endpoints},
        "operations": {name: operation for endpoint in table.endpoints for name, operation in _operations(endpoint)},
        "components": {
            "messages": {
                **sent,
                "plain": {
                    "summary": "What a client without herald.v1 receives: one JSON object, or one text, per frame.",
                    "payload": _ANY,
                },
                "command": {"summary": "A command that a client of herald.v1 may send.", "payload": command},
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
        f"Clients that offer the subprotocol `{SUBPROTOCOL}` (on an event stream: `?protocol=1`) receive the objects"
        " below, one or more per frame, separated by newlines. All other clients receive messages of the kind `plain`."
        " Ignore unknown fields and objects of an unknown `kind`: later versions may add them.\n\n"
        f"A handshake may be refused with {refused}. After the close codes 1001, 1006, 1011, 1012, 1013 and 4000 to"
        f" 4499, reconnect. After 4500 to 4999, do not reconnect. The close codes of the server:\n\n{codes}\n"
    )


def _servers(public_url: PublicUrl) -> dict[str, Any]:
    """Returns the `servers` of the document, keyed by transport: `ws` for WebSockets, `sse` for event streams."""
    servers = {}
    for transport, url in (("ws", public_url.of_socket("")), ("sse", public_url.base)):
        parts = urlsplit(url)
        servers[transport] = {"host": parts.netloc, "protocol": parts.scheme, "pathname": parts.path or "/"}
    return servers


def _channel(public_url: PublicUrl, endpoint: Endpoint, table: RouteTable) -> dict[str, Any]:
    names = [*SENT, "plain", *(["command"] if endpoint.transport == "ws" else [])]
    channel: dict[str, Any] = {
        "address": endpoint.path,
        "description": f"Plain clients: {endpoint.description or _plain_messages(endpoint, table)}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }
    if public_url.base:
        channel["servers"] = [{"$ref": f"#/servers/{endpoint.transport}"}]
    if endpoint.path_parameter:
        channel["parameters"] = {endpoint.path_parameter: {"description": _USER_IN_PATH}}
    if endpoint.transport == "ws":
        channel["bindings"] = {"ws": {"method": "GET", "query": _query_schema(endpoint), "bindingVersion": "0.1.0"}}
    return channel


def _plain_messages(endpoint: Endpoint, table: RouteTable) -> str:
    """Returns a sentence about the messages that a client without `herald.v1` receives at the endpoint, such as
    "`{type, data}`: the feed `tickets`, the user's own notifications."."""
    profile = table.shown_profile(endpoint)
    shapes = dict.fromkeys(_SHAPES[route.envelope] for route in table.routes if profile in (None, route.profile))
    feeds = [f"the feed `{name}`" for name in table.feeds_of(profile)] if endpoint.feeds else []
    inbox = [] if endpoint.inbox == "none" else ["the user's own notifications"]
    return f"{' or '.join(shapes)}: {', '.join((*feeds, *inbox))}."


def _query_schema(endpoint: Endpoint) -> dict[str, Any]:
    """Returns the JSON schema of the query parameters with which a client may connect at the endpoint."""
    known: dict[str, Any] = {"feeds": _TEXT, "types": _TEXT, "cursor": _TEXT, "jwt": _TEXT, "token": _TEXT}
    if endpoint.query_parameter:
        known[endpoint.query_parameter] = _TEXT
    if endpoint.transport == "sse":
        known |= {"protocol": {"enum": ["1"]}, "last_event_id": _TEXT}
    return {"type": "object", "properties": known}


def _operations(endpoint: Endpoint) -> list[tuple[str, dict[str, Any]]]:
    channel = f"#/channels/{endpoint.name}"
    security = [{"$ref": "#/components/securitySchemes/bearer"}]
    sending: dict[str, Any] = {
        "action": "send",
        "channel": {"$ref": channel},
        "summary": f"The messages that clients receive at `{endpoint.name}`.",
        "security": security,
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in (*SENT, "plain")],
    }
    if endpoint.transport == "sse":
        sending["bindings"] = {"http": {"method": "GET", "query": _query_schema(endpoint), "bindingVersion": "0.3.0"}}
        return [(f"{endpoint.name}_send", sending)]
    receiving = {
        "action": "receive",
        "channel": {"$ref": channel},
        "summary": f"The commands that clients of herald.v1 may send at `{endpoint.name}`.",
        "security": security,
        "messages": [{"$ref": f"{channel}/messages/command"}],
    }
    return [(f"{endpoint.name}_send", sending), (f"{endpoint.name}_receive", receiving)]


def _message(kind: str, always: dict[str, Any], maybe: dict[str, Any], about: str) -> dict[str, Any]:
    payload = {
        "type": "object",
        "properties": {"kind": {"const": kind}, **always, **maybe},
        "required": ["kind", *always],
    }
    return {"name": kind, "summary": about, "payload": payload}


def _command_schemas() -> tuple[Any, dict[str, Any]]:
    (schema,), parts = msgspec.json.schema_components([Command], ref_template="#/components/schemas/{name}")
    return schema, parts
