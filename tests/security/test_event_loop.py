"""No input from outside blocks the event loop of a node for more than 50 ms of CPU time, at default limits.

Each input goes through the whole application, as it would arrive from outside.
"""

import base64
import socket
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest
from aiokafka import ConsumerRecord
from litestar import _parsers

from adapters.http.middleware.url_and_header_limits import MAX_HEADER_BYTES
from adapters.http.request_bodies import SMALL_BODY_BYTES
from adapters.kafka.records import message_of
from adapters.web.request_limits import MAX_TARGET_BYTES
from adapters.web.socket import MAX_FRAME_LENGTH
from application.ports.event_publisher import EventPublisher
from domain.broker_messages import Message
from tests.security.loop_time import MeasuredServer
from tests.security.scans import SHAPES, closed, garbage_as_in_a_server, hostile
from tests.support.clients import token
from tests.support.server import SECRET

BUDGET_MS: Final = 50.0
RUNS: Final = 5
PATIENCE_S: Final = 60.0

# The server's answer to a close frame of code 1000.
CLOSE_ANSWER: Final = b"\x88\x02\x03\xe8"

EVENT: Final = 1_048_576
BODY: Final = 8 * EVENT
HEADERS: Final = MAX_HEADER_BYTES - 2048
QUERY: Final = MAX_TARGET_BYTES - 512
ADMIN: Final = token("ada", scope="admin")

# Litestar's caches of parsed requests. They are cleared so that each input is parsed anew.
CACHED: Final = (_parsers.parse_cookie_string, _parsers.parse_query_string, _parsers.parse_url_encoded_form_data)

ENVIRON: Final = {
    "HERALD_AUTH": "jwt",
    "HERALD_JWT_SECRET": SECRET,
    "HERALD_BROKER": "memory",
    # Cookies are parsed only if a list of origins is set.
    "HERALD_ORIGINS": "https://app.example",
    # So that repeated inputs are not rate limited.
    "HERALD_REST_RATE": "0",
    "HERALD_PUBLISH_RATE": "0",
    "HERALD_CONNECT_RATE": "0",
}


@pytest.fixture(scope="module")
def server() -> Iterator[MeasuredServer]:
    with garbage_as_in_a_server(), MeasuredServer(ENVIRON) as server:
        yield server


def longest_ms(server: MeasuredServer, act: Callable[[], Any]) -> float:
    """Return the longest iteration of the loop in ms for an input: the median of RUNS, or the first if it is below half
    the budget."""
    first = _once(server, act)
    if first < BUDGET_MS / 2:
        return first
    return statistics.median([first, *(_once(server, act) for _ in range(RUNS - 1))])


def _once(server: MeasuredServer, act: Callable[[], Any]) -> float:
    for cached in CACHED:
        cached.cache_clear()
    server.loop.longest_ms = 0.0
    act()
    return server.loop.longest_ms


def exchange(server: MeasuredServer, *pieces: bytes) -> bytes:
    """Send the pieces. Returns everything received until the server closes, or has answered the close frame."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
            while not answer.endswith(CLOSE_ANSWER) and (part := client.recv(65_536)):
                answer += part
        except ConnectionError:
            pass
        except TimeoutError:
            pytest.fail(f"The server neither closed nor answered the close frame. It sent: {answer[-500:]!r}")
    return answer


def request(method: str, target: str, body: bytes = b"", headers: str = "", auth: str = ADMIN) -> bytes:
    shown = f"Authorization: Bearer {auth}\r\n" if auth else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{shown}{headers}"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def repeated(text: str, length: int) -> str:
    return text * (length // len(text))


def numbered(template: str, length: int) -> str:
    """Repeat the template with 0, 1, 2 and so on in place of `#`, up to the length."""
    parts, size, number = [], 0, 0
    while size < length - len(template) - 8:
        parts.append(template.replace("#", str(number)))
        size, number = size + len(parts[-1]), number + 1
    return "".join(parts)


def check(server: MeasuredServer, *pieces: bytes) -> None:
    """Assert that the pieces get a response and stay within the CPU budget of the loop."""
    answers = []
    assert longest_ms(server, lambda: answers.append(exchange(server, *pieces))) < BUDGET_MS
    assert all(answers)


def an_event(payload: str) -> bytes:
    return f'{{"source":"nowhere","payload":{payload}}}'.encode()


# The smallest and largest floats, and integers beyond the range of floats: the most expensive numbers to parse.
NUMBERS: Final = ("1e308", "4.9e-324", "1.7976931348623157e308", "9" * 4000)

BODIES: Final[dict[str, Callable[[int], str]]] = {
    **{shape: lambda size, shape=shape: closed(shape, size) for shape in SHAPES},
    **{f"{shape}, cut off": lambda size, shape=shape: hostile(shape, size) for shape in SHAPES},
    "keys": lambda size: "{" + numbered('"k#":1,', size - 100) + '"z":1}',
    "the same key": lambda size: "{" + repeated('"muted_types":[],', size - 100) + '"muted_types":[]}',
    "numbers": lambda size: "[" + repeated("1,", size - 100) + "1]",
    "texts": lambda size: "[" + repeated('"",', size - 100) + '""]',
    "nulls": lambda size: "[" + repeated("null,", size - 100) + "null]",
    **{number: lambda size, number=number: "[" + repeated(f"{number},", size - 100) + "1]" for number in NUMBERS},
    "escapes": lambda size: '"' + repeated("\\ud83d\\ude00", size - 100) + '"',
    "muted types": lambda size: '{"muted_types":[' + numbered('"t#",', size - 100) + '"z"]}',
    "one muted type": lambda size: '{"muted_types":["' + repeated("\\u0001", size - 100) + '"]}',
    "blanks before": lambda size: repeated(" ", size - 2) + "{}",
}


@pytest.mark.parametrize("shape", BODIES)
def test_small_bodies_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    body = BODIES[shape](SMALL_BODY_BYTES - 1024).encode()
    check(server, request("PATCH", "/api/v2/preferences", body))


@pytest.mark.parametrize("shape", BODIES)
def test_published_bodies_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    check(server, request("POST", "/api/v1/events", BODIES[shape](BODY - 1024).encode()))


@pytest.mark.parametrize("shape", BODIES)
def test_payloads_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    check(server, request("POST", "/api/v1/events", an_event(BODIES[shape](EVENT - 1024))))


EVENT_LISTS: Final[dict[str, Callable[[], str]]] = {
    "events": lambda: repeated('{"source":"s","payload":1},', BODY - 100),
    "500 events": lambda: '{"source":"trading_signals","payload":1},' * 499,
    "500 events of nowhere": lambda: '{"source":"nowhere","payload":1},' * 499,
    "500 large events": lambda: ('{"source":"trading_signals","payload":[' + "[]," * 5000 + "1]},") * 499,
    "500 events of text": lambda: ('{"source":"trading_signals","payload":"' + "\\\\n" * 5000 + '"},') * 499,
    "large events": lambda: ('{"source":"trading_signals","payload":[' + "[]," * 333_000 + "1]},") * 7,
    "sources": lambda: numbered('{"source":"s#","payload":1},', BODY - 100),
    "unknown fields": lambda: '{"source":"s","payload":1,' + numbered('"k#":1,', BODY - 100) + '"z":1},',
}


@pytest.mark.parametrize("shape", EVENT_LISTS)
def test_lists_of_events_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    body = f'[{EVENT_LISTS[shape]()}{{"source":"trading_signals","payload":1}}]'.encode()
    check(server, request("POST", "/api/v1/events", body))


def test_one_byte_chunks_stay_within_the_loop_budget(server: MeasuredServer) -> None:
    head = request("POST", "/api/v1/events").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    check(server, head, b"1\r\n[\r\n" * 5_000 + b"0\r\n\r\n")


QUERIES: Final[dict[str, str]] = {
    "unknown parameters": numbered("p#=&", QUERY),
    "one parameter again": repeated("a=&", QUERY),
    "null parameters": repeated("cursor=null&", QUERY),
    "known parameters again": repeated("type=a&", QUERY),
    "separators": repeated("&", QUERY),
    "equals signs": repeated("=", QUERY),
    "escapes": "type=" + repeated("%f0%9f%98%80", QUERY),
    "broken escapes": "type=" + repeated("%", QUERY),
    "plus signs": "type=" + repeated("+", QUERY),
    "a page cursor": "cursor=p1." + repeated("0", QUERY),
    "a cursor": "cursor=1.a.." + repeated("a:1,", QUERY),
    "digits as a date": "start_date=" + repeated("9", QUERY),
    "a long date": "start_date=" + repeated("2026-01-01T00:00:00", QUERY),
    "a date of colons": "start_date=" + repeated(":00+00", QUERY),
    "digits as a limit": "limit=" + repeated("9", QUERY),
    "digits as a page": "page=" + repeated("1", QUERY),
    "a user": "user_id=" + repeated("a", QUERY),
    "a token": "jwt=" + repeated("a.", QUERY),
    "feeds": "feeds=" + repeated("a,", QUERY),
    "types": "types=" + numbered("t#,", QUERY),
}
PATHS: Final = (
    "/api/v2/notifications",
    "/api/v1/dead-letters",
    "/api/v1/notifications/log",
    "/events/stream",
    "/nowhere",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shape", QUERIES)
def test_queries_stay_within_the_loop_budget(server: MeasuredServer, shape: str, path: str) -> None:
    check(server, request("HEAD" if path == "/events/stream" else "GET", f"{path}?{QUERIES[shape]}"))


@pytest.mark.parametrize("path", [repeated("/", QUERY), repeated("/a", QUERY), "/page/" + repeated("%2f", QUERY)])
def test_paths_stay_within_the_loop_budget(server: MeasuredServer, path: str) -> None:
    check(server, request("GET", path, auth=""))


HEADS: Final[dict[str, str]] = {
    "cookies": "Cookie: " + numbered("c#=;", HEADERS),
    "cookies without names": "Cookie: " + repeated(";", HEADERS),
    "quoted cookies": 'Cookie: a="' + repeated("\\", HEADERS) + '"',
    "escaped cookies": 'Cookie: a="' + repeated("\\101", HEADERS) + '"',
    "cookies of blanks": "Cookie: a=" + repeated(" =", HEADERS),
    "cookie lines": "\r\n".join(["Cookie: " + repeated("a=b;", 700)] * 80),
    "an authorization": "Authorization: " + repeated("a ", HEADERS),
    "a bearer": "Authorization: Bearer " + repeated("a.", HEADERS),
    "subprotocols": "Sec-WebSocket-Protocol: " + repeated("a,", HEADERS),
    "a request id": "X-Request-ID: " + repeated("a", HEADERS),
    "accept": "Accept: " + numbered("a/b;q=0.#,", HEADERS),
    "accept of commas": "Accept: " + repeated(",", HEADERS),
    "accept of parameters": "Accept: a/b" + repeated(";a=b", HEADERS),
    "an origin": "Origin: http://" + repeated("a.", HEADERS),
    "an origin of colons": "Origin: http://" + repeated(":", HEADERS),
    "if-none-match": "If-None-Match: " + repeated('"a",', HEADERS),
    "if-modified-since": "If-Modified-Since: " + repeated("a", HEADERS),
    "last-event-id": "Last-Event-ID: 1.a.." + repeated("a:1,", HEADERS),
    "a content type": "Content-Type: " + repeated("a/b;", HEADERS),
    "forwarded": "X-Forwarded-For: " + repeated("1.1.1.1,", HEADERS),
    "many headers": "\r\n".join(f"X-{number}: a" for number in range(90)),
}


@pytest.mark.parametrize("path", ["/", "/api/v2/notifications", "/nowhere", "/health"])
@pytest.mark.parametrize("shape", HEADS)
def test_headers_stay_within_the_loop_budget(server: MeasuredServer, shape: str, path: str) -> None:
    check(server, request("GET", path, headers=HEADS[shape] + "\r\n", auth=""))
    check(server, request("OPTIONS", path, headers=f"Origin: https://app.example\r\n{HEADS[shape]}\r\n", auth=""))


def _part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


LONGEST_TOKEN: Final = 16_000
HS256: Final = _part('{"alg":"HS256","typ":"JWT"}')
TOKENS: Final[dict[str, str]] = {
    "dots": repeated(".", LONGEST_TOKEN),
    "no base64": repeated("!", LONGEST_TOKEN),
    "a deep header": f"{_part('[' * 9000)}.e30.e30",
    "a deep header value": f"""{_part('{"alg":"HS256","x":' + "[" * 4000 + "]" * 4000 + "}")}.e30.e30""",
    "header fields": f"""{_part('{"alg":"HS256"' + numbered(',"k#":1', 9000) + "}")}.e30.e30""",
    "a number in the header": f"""{_part('{"alg":"HS256","kid":' + "9" * 9000 + "}")}.e30.e30""",
    "a long kid": f"""{_part('{"alg":"HS256","kid":"' + "k" * 9000 + '"}')}.e30.e30""",
    "critical headers": f"""{_part('{"alg":"HS256","crit":[' + numbered('"c#",', 9000) + '"b64"]}')}..e30""",
    "a deep payload": f"{HS256}.{_part('[' * 9000)}.e30",
    "a number in the payload": f"""{HS256}.{_part('{"exp":' + "9" * 9000 + "}")}.e30""",
    "a signature": f"{HS256}.e30.{repeated('a', LONGEST_TOKEN - 100)}",
    "an encrypted one": f"""{_part('{"alg":"RSA-OAEP","enc":"A128GCM"}')}.{repeated("a.", 8000)}""",
    "too long": repeated("a.", HEADERS),
}


@pytest.mark.parametrize("shape", TOKENS)
def test_tokens_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    check(server, request("GET", "/api/v2/notifications", auth=TOKENS[shape]))


TEXT, BINARY, CLOSE = 1, 2, 8


def frame(opcode: int, payload: bytes) -> bytes:
    """Encode a frame masked with zeros (RFC 6455, section 5.2)."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xff" + length.to_bytes(8)
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


def handshake(path: str, headers: str = "", protocols: str = "herald.v1") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {protocols}\r\n{headers}\r\n"
    ).encode()


OWN: Final = "/ws/v2/notification-service/notifications/users/ada"
READERS: Final[dict[str, bytes]] = {
    "pending": handshake(OWN),
    "the first frame": handshake(f"{OWN}?jwt={ADMIN}"),
    "a later frame": handshake(f"{OWN}?jwt={ADMIN}") + frame(TEXT, b'{"resume":{}}'),
    "of nobody": handshake("/ws"),
    "plain": handshake("/ws/notifications", protocols="x"),
}
F: Final = MAX_FRAME_LENGTH
FRAMES: Final[dict[str, bytes]] = {
    **{shape: closed(shape, F).encode()[:F] for shape in SHAPES},
    **{f"{shape}, cut off": hostile(shape, F - 1).encode()[:F] for shape in SHAPES},
    **{f"ping: {shape}": f'{{"ping":{closed(shape, F - 20)}}}'.encode()[:F] for shape in SHAPES},
    "a token of dots": f'{{"auth":"{repeated(".", F - 20)}"}}'.encode(),
    "a token": f'{{"auth":"{TOKENS["header fields"]}"}}'.encode(),
    "positions": ('{"resume":{"positions":{' + numbered('"p#":1,', F - 60) + '"z":1}}}').encode(),
    "negative positions": ('{"resume":{"positions":{' + numbered('"p#":-1,', F - 60) + '"z":1}}}').encode(),
    "a cursor": ('{"resume":{"cursor":"1.a..' + repeated("a:1,", 16_000) + '"}}').encode(),
    "a long cursor": ('{"resume":{"cursor":"1.a..' + repeated("a:1,", F - 60) + '"}}').encode(),
    "a cursor and positions": (
        '{"resume":{"cursor":"1.a..'
        + numbered("a#:1,", 16_000)
        + '","positions":{'
        + numbered('"p#":1,', 40_000)
        + '"z":1}}}'
    ).encode(),
    **{f"ping: {shape}": ('{"ping":' + BODIES[shape](F - 60) + "}").encode() for shape in NUMBERS},
    "pings of keys": ('{"ping":{' + numbered('"p#":1,', F - 60) + '"z":1}}').encode(),
    "a ping of escapes": ('{"ping":"' + repeated("\\u0001", F - 60) + '"}').encode(),
    "escaped surrogates": ('{"ping":"' + repeated("\\ud83d\\ude00", F - 60) + '"}').encode(),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("shape", FRAMES)
def test_frames_stay_within_the_loop_budget(server: MeasuredServer, shape: str, reader: str) -> None:
    check(server, READERS[reader], frame(TEXT, FRAMES[shape]), frame(CLOSE, b"\x03\xe8"))


@pytest.mark.parametrize("shape", ["ping: brackets in pairs", "pings of keys", "positions"])
def test_many_frames_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    check(server, READERS["a later frame"] + frame(TEXT, FRAMES[shape]) * 50 + frame(CLOSE, b"\x03\xe8"))


def test_small_frames_stay_within_the_loop_budget(server: MeasuredServer) -> None:
    check(server, READERS["a later frame"] + frame(TEXT, b"{}") * 2_000 + frame(CLOSE, b"\x03\xe8"))
    check(server, READERS["plain"] + frame(BINARY, b"") * 2_000 + frame(CLOSE, b"\x03\xe8"))


@pytest.mark.parametrize("shape", [*HEADS, *(f"?{shape}" for shape in QUERIES), "protocols", "bearers"])
def test_handshakes_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    end = frame(CLOSE, b"\x03\xe8")
    if shape.startswith("?"):
        check(server, handshake(f"/ws?{QUERIES[shape[1:]]}"), end)
    elif shape in HEADS:
        check(server, handshake("/ws/notifications", HEADS[shape] + "\r\n"), end)
    else:
        name = {"protocols": "a,", "bearers": "bearer.a,"}[shape]
        check(server, handshake("/ws/notifications", protocols=repeated(name, HEADERS)), end)


HEADERS_OF_EVENTS: Final[dict[str, Callable[[], list[tuple[str, bytes]]]]] = {
    "many": lambda: [(f"h{number}", b"") for number in range(150_000)],
    "one name": lambda: [("h", b"a")] * 150_000,
    "attributes": lambda: [("ce_specversion", b"1.0"), *((f"ce_{number}", b"") for number in range(100_000))],
    "long": lambda: [("ce_specversion", b"1.0"), ("ce_id", b"\xff" * 1_000_000)],
    "no text": lambda: [("h", b"\xff\xfe" * 250_000), ("i", b"\xc3" * 500_000)],
}


@pytest.mark.parametrize("shape", HEADERS_OF_EVENTS)
def test_headers_of_kafka_records_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    headers = HEADERS_OF_EVENTS[shape]()

    def record(body: bytes) -> ConsumerRecord[bytes, bytes]:
        return ConsumerRecord("nowhere", 0, 1, 1_800_000_000_000, 0, None, body, None, 0, len(body), tuple(headers))

    async def consume() -> None:
        publisher = await server.provided(EventPublisher)  # type: ignore[type-abstract]  # a port
        await publisher.publish([message_of(record(b"{}"), datetime.now(UTC))])

    assert longest_ms(server, lambda: server.call(consume())) < BUDGET_MS


BROKER_EVENTS: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "recipients": ("user_service.group.add_users", lambda: _group(range(100_000))),
    "too many recipients": ("user_service.group.add_users", lambda: _group(range(140_000))),
    "text": ("trading_signals", lambda: repeated("\\n", EVENT)),
}


def _group(users: range) -> str:
    return msgspec.json.encode({"event_type": "group_user_add", "user_ids": list(users), "users": list(users)}).decode()


@pytest.mark.parametrize("shape", [*SHAPES, *BROKER_EVENTS])
def test_broker_events_stay_within_the_loop_budget(server: MeasuredServer, shape: str) -> None:
    source, make = BROKER_EVENTS.get(shape) or ("trading_signals", lambda: closed(shape, EVENT))
    body = make().encode()
    number = iter(range(RUNS))

    async def consume() -> None:
        publisher = await server.provided(EventPublisher)  # type: ignore[type-abstract]  # a port
        await publisher.publish([Message(source, body, datetime.now(UTC), f"{shape}/{next(number)}")])

    assert longest_ms(server, lambda: server.call(consume())) < BUDGET_MS
