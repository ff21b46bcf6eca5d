"""Hostile HTTP over real connections: the node stays responsive, and responses of Herald are problem+json."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.server import Server

PATIENCE = 20.0
JSON = "Content-Type: application/json\r\n"
EVENTS = "POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\n"
PREFERENCES = "PUT /api/v2/preferences?user_id=ada HTTP/1.1\r\nHost: localhost\r\n"


def sized(start: str, body: bytes, more: str = JSON) -> bytes:
    return f"{start}{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def chunked(start: str, *pieces: bytes) -> bytes:
    return f"{start}{JSON}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode() + b"".join(pieces)


def got(path: str, more: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n".encode()


# Requests that Herald answers with problem+json, by name: the request and the status.
ANSWERED = {
    "no JSON": (sized(EVENTS, b"{"), 422),
    "no JSON for preferences": (sized(PREFERENCES, b"{"), 400),
    "a NUL": (sized(EVENTS, b"\0"), 422),
    "no UTF-8": (sized(PREFERENCES, b'{"muted_types": ["\xff"]}'), 400),
    "half a surrogate": (sized(PREFERENCES, b'{"muted_types": ["\\ud800"]}'), 400),
    "an empty body": (sized(PREFERENCES, b""), 400),
    "arrays in arrays": (sized(PREFERENCES, b"[" * 200_000), 400),
    "objects in objects": (sized(PREFERENCES, b'{"a":' * 80_000), 400),
    "arrays in an event": (sized(EVENTS, b"[" * 1_000_000), 422),
    "a string without an end": (sized(EVENTS, b'{"source":"' + b'\\"' * 400_000), 422),
    "a number of a million digits": (sized(PREFERENCES, b"1" * 500_000), 400),
    "many keys": (sized(PREFERENCES, b"{" + b",".join(b'"k%d":1' % n for n in range(40_000)) + b"}"), 400),
    "too long by its length": (
        got("/api/v2/preferences?user_id=ada", f"{JSON}Content-Length: 99999999\r\n", "PUT"),
        413,
    ),
    "gzip that nobody asked for": (sized(EVENTS, b"\x1f\x8b\x08", f"{JSON}Content-Encoding: gzip\r\n"), 422),
    "another media type": (sized(EVENTS, b"{}", "Content-Type: multipart/form-data; boundary=x\r\n"), 415),
    "chunks of a body that is no JSON": (chunked(EVENTS, b"1\r\n{\r\n", b"0\r\n\r\n"), 422),
    "an unknown method": (got("/", method="BREW"), 405),
    "TRACE": (got("/", method="TRACE"), 405),
    "two origins": (got("/api/v1/events", "Origin: http://localhost\r\nOrigin: http://evil.test\r\n", "POST"), 403),
    "another host": (b"GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n", 421),
    "no host": (b"GET / HTTP/1.0\r\n\r\n", 421),
    "a host that is none": (b"GET / HTTP/1.1\r\nHost: a@b/c\r\nConnection: close\r\n\r\n", 421),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\nConnection: close\r\n\r\n", 421),
    "dots in the path": (got("/page/..%2f..%2f..%2fetc%2fpasswd"), 404),
    "dots": (got("/page/../../etc/passwd"), 404),
    "backslashes": (got("/page/..%5c..%5cwindows"), 404),
    "a NUL in the path": (got("/page/%00"), 404),
    "a path that is no UTF-8": (got("/page/%ff%fe"), 404),
    "a path of slashes": (got("/" * 15_000 + "x"), 404),
    "a path of parts": (got("/a" * 7_500), 404),
    "a long address": (got("/" + "a" * 40_000), 414),
    "a long query": (got("/health/live?" + "a=b&" * 10_000), 414),
    "large headers": (got("/", f"X-A: {'a' * 100_000}\r\n"), 431),
    "a large cookie": (got("/", f"Cookie: {'a=b;' * 20_000}\r\n"), 431),
    "many parameters": (got("/api/v2/notifications?user_id=ada&" + "&".join(f"p{n}=1" for n in range(1500))), 400),
    "a NUL in a parameter": (got("/api/v1/dead-letters?source=%00"), 422),
    "a request id that forges a line": (got("/nowhere", "X-Request-ID: a status=200\r\n"), 404),
}

# Requests that the HTTP server (Granian) answers itself, without a body or by closing the connection.
UNDERNEATH = {
    "rubbish": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n",
    "HTTP/2 without TLS": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "an address over 64 KB": got("/" + "a" * 70_000),
    "101 headers": got("/", "X-A: a\r\n" * 101),
    "a head over 400 KB": got("/", f"X-A: {'a' * 500_000}\r\n"),
    "two lengths": f"{EVENTS}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
    "a negative length": f"{EVENTS}Content-Length: -1\r\n\r\n{{}}".encode(),
    "a length beyond numbers": f"{EVENTS}Content-Length: {'9' * 40}\r\n\r\n{{}}".encode(),
    "a header name with a blank": got("/", "X A: a\r\n"),
    "a header with a NUL": got("/", "X-A: a\0b\r\n"),
    "a version that is none": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "a folded header": got("/", "X-A: a\r\n b\r\n"),
}

# Requests that never end: there is no response, and the client has to close the connection.
UNFINISHED = {
    "half a head": b"GET / HTTP/1.1\r\nHost: loc",
    "a body that does not come": f"{PREFERENCES}{JSON}Content-Length: 1000\r\n\r\n".encode(),
    "a chunk that does not come": f"{PREFERENCES}{JSON}Transfer-Encoding: chunked\r\n\r\nff\r\n".encode(),
    "a chunk size that is none": f"{PREFERENCES}{JSON}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
    "a chunk size beyond numbers": f"{PREFERENCES}{JSON}Transfer-Encoding: chunked\r\n\r\n{'f' * 40}\r\n".encode(),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server({"DATABASE_URL": "memory:", "HERALD_REST_RATE": "0"}).start()
    yield server
    server.kill()


def exchange(server: Server, sent: bytes) -> bytes:
    """Send the bytes. Returns everything received until the server closes; data cut off by a reset is missing."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        try:
            client.sendall(sent)
            while piece := client.recv(65_536):
                answer += piece
        except ConnectionError:
            pass
    return answer


def responsive(server: Server) -> None:
    assert httpx.get(server.url + "/health/live", timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("name", ANSWERED)
def test_herald_answers_with_a_problem_document(server: Server, name: str) -> None:
    sent, status = ANSWERED[name]
    answer = exchange(server, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode(), answer[:500]
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["status"] == status
    responsive(server)
    assert '"level": "error"' not in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize("name", UNDERNEATH)
def test_the_http_server_refuses_malformed_requests(server: Server, name: str) -> None:
    answer = exchange(server, UNDERNEATH[name])
    assert answer == b"" or answer.split()[1] in (b"400", b"414", b"431", b"505"), answer[:500]
    responsive(server)


def test_unfinished_requests_do_not_affect_others(server: Server) -> None:
    opened = [socket.create_connection(("127.0.0.1", server.port), PATIENCE) for _ in range(20) for _ in UNFINISHED]
    try:
        for number, client in enumerate(opened):
            client.sendall(list(UNFINISHED.values())[number % len(UNFINISHED)])
        for _ in range(5):
            responsive(server)
    finally:
        for client in opened:
            client.close()
    responsive(server)
    assert "Traceback" not in server.log


def test_keep_alive_seconds_limits_idle_connections() -> None:
    server = Server({"DATABASE_URL": "memory:", "HERALD_KEEP_ALIVE_SECONDS": "1"}).start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
            began = time.monotonic()
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while client.recv(65_536):
                pass
            # The server closed the connection, and not immediately.
            assert time.monotonic() - began > 0.5
    finally:
        server.kill()
