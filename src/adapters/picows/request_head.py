"""Reads the request with which a client opens a WebSocket (RFC 6455, section 4.2.1), from its bytes."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import h11
import msgspec
from multidict import CIMultiDict

from adapters.web.handshake_request import Handshake
from adapters.web.refusals import (
    ADDRESS_TOO_LONG,
    HEADERS_TOO_LARGE,
    HandshakeRefusal,
    invalid_handshake,
    upgrade_required,
)
from adapters.web.request_limits import MAX_PARAMETERS, MAX_TARGET_BYTES

# Maximum size of the request line and the headers together, so that 10,000 clients that never complete them occupy at
# most 240 MB. A token of the maximum size fits in.
MAX_HEAD_BYTES: Final = 24 * 1024

END: Final = b"\r\n\r\n"


class RequestHead(msgspec.Struct, frozen=True):
    """The request of a WebSocket handshake. `path` is as it was sent, percent-encoded, without the query."""

    path: bytes
    host: str | None
    key: str
    handshake: Handshake
    query: Mapping[str, str]


class HandshakeInvalid(Exception):
    """The request is no valid WebSocket handshake. `refusal` is the response."""

    def __init__(self, refusal: HandshakeRefusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def read_head(data: bytes, main_port: int) -> RequestHead:
    """Returns the request with these bytes, which end with an empty line. Raises HandshakeInvalid; for a request that
    is no WebSocket handshake, its refusal names the main port."""
    if len(data) > MAX_HEAD_BYTES:
        raise HandshakeInvalid(HEADERS_TOO_LARGE)
    request = _parsed(data)
    headers: CIMultiDict[str] = CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers
    )
    path, _, query = request.target.partition(b"?")
    if len(request.target) > MAX_TARGET_BYTES:
        raise HandshakeInvalid(ADDRESS_TOO_LONG)
    if query.count(b"&") >= MAX_PARAMETERS:
        raise HandshakeInvalid(invalid_handshake(f"A query may have at most {MAX_PARAMETERS} parameters."))
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        raise HandshakeInvalid(
            upgrade_required(f"This port serves only WebSockets: send HTTP requests to port {main_port}.")
        )
    if headers.get("sec-websocket-version") != "13":
        raise HandshakeInvalid(upgrade_required("The handshake must have the header Sec-WebSocket-Version: 13."))
    if request.method != b"GET" or request.http_version != b"1.1":
        raise HandshakeInvalid(invalid_handshake("A WebSocket handshake must be a GET request of HTTP/1.1."))
    key = headers.get("sec-websocket-key", "")
    if not _is_key(key):
        raise HandshakeInvalid(invalid_handshake("The header Sec-WebSocket-Key must be 16 bytes in base64."))
    # As in the framework of the main port: of several values of a parameter the last one counts.
    parameters = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace"))
    handshake = Handshake(
        headers, parameters, headers.getall("sec-websocket-protocol", []), headers.getall("cookie", []), "second"
    )
    return RequestHead(path, headers.get("host"), key, handshake, parameters)


def _parsed(data: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        raise HandshakeInvalid(invalid_handshake("The request is not valid HTTP/1.1.")) from None
    if not isinstance(event, h11.Request):
        raise HandshakeInvalid(invalid_handshake("The request is not valid HTTP/1.1."))
    return event


def _tokens(headers: "CIMultiDict[str]", name: str) -> set[str]:
    return {token.strip().lower() for value in headers.getall(name, []) for token in value.split(",")}


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
