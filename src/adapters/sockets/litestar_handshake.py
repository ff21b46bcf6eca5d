"""Converts a connection object of Litestar to a Handshake (adapters.web.handshake_request)."""

from typing import Any

from litestar.connection import ASGIConnection

from adapters.web.handshake_request import Handshake


def handshake_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Handshake:
    headers = connection.headers
    return Handshake(
        headers,
        connection.query_params,
        subprotocol_lines=headers.getall("sec-websocket-protocol", []),
        cookie_lines=headers.getall("cookie", []),
    )
