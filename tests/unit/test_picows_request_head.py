"""The request of a handshake at the second listener for WebSockets, and the choice of the address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.picows.request_head import MAX_HEAD_BYTES, HandshakeInvalid, read_head
from adapters.web.find_address import find_address, user_in_url
from application.live.addresses import addresses
from domain.endpoints import Endpoint
from domain.route_table import RouteTable
from tests.support.core import table

VALID = {
    "Host": "shop.example:8001",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def request(line: str = "GET /ws?user_id=u HTTP/1.1", **changes: str | None) -> bytes:
    headers = VALID | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


def refusal(data: bytes) -> tuple[int, str]:
    with pytest.raises(HandshakeInvalid) as caught:
        read_head(data, 8000)
    return caught.value.refusal.status, caught.value.refusal.code


def test_a_valid_request() -> None:
    head = read_head(
        request("GET /ws/a%2Fb?user_id=%C3%A9&feeds=a,b&user_id=u HTTP/1.1", Authorization="Bearer t"), 8000
    )
    assert (head.path, head.host) == (b"/ws/a%2Fb", "shop.example:8001")
    assert head.query == {"user_id": "u", "feeds": "a,b"}
    assert head.handshake.token(cookies=False) == "t"
    assert not head.handshake.has_protocol


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (request(Upgrade=None), 426, "upgrade_required"),
        (request(Connection="close"), 426, "upgrade_required"),
        (request(Sec_WebSocket_Version="8"), 426, "upgrade_required"),
        (request("POST /ws HTTP/1.1", Content_Length="0"), 400, "invalid_request"),
        (request("GET /ws HTTP/1.0"), 400, "invalid_request"),
        (request(Sec_WebSocket_Key="c2hvcnQ="), 400, "invalid_request"),
        (request(Sec_WebSocket_Key="no base64!"), 400, "invalid_request"),
        (request("GET /ws?" + "&" * 100 + " HTTP/1.1"), 400, "invalid_request"),
        (request("GET /ws?" + "x" * 17_000 + " HTTP/1.1"), 414, "address_too_long"),
        (request(Cookie="x" * MAX_HEAD_BYTES), 431, "headers_too_large"),
        (request().replace(b"Upgrade: ", b"Host: other\r\nUpgrade: ", 1), 400, "invalid_request"),
        (b"rubbish\r\n\r\n", 400, "invalid_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "invalid_request"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
def test_other_requests_are_refused_with_the_reason(data: bytes, status: int, code: str) -> None:
    assert refusal(data) == (status, code)


@given(st.binary(max_size=400))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    # Bytes that are a valid handshake by chance are possible, but too rare to be seen.
    assert refusal(data + b"\r\n\r\n")[0] in (400, 414, 426, 431)


ROUTES = table(
    """
    profile = "shop"
    [[endpoints]]
    name = "one"
    path = "/live/{member}"
    transport = "ws"
    user = "path:member"
    inbox = "profile"
    [[endpoints]]
    name = "two"
    path = "/live/all"
    transport = "ws"
    user = "query:member"
    inbox = "profile"
    [[endpoints]]
    name = "three"
    path = "/live/events"
    transport = "sse"
    user = "query:member"
    inbox = "profile"
    [[routes]]
    source = "x"
    users = ["to"]
    """
)


@pytest.mark.parametrize(
    ("path", "name", "user"),
    [
        ("/live/ada", "one", "ada"),
        ("/live/ada/", "one", "ada"),
        ("/live/a%2Fb%C3%A9", "one", "a/bé"),
        ("/live/all", "two", "kim"),
        ("/live/events", "one", "events"),
        ("/live/a/b", None, None),
        ("/live/", None, None),
        ("/live", None, None),
        ("/", None, None),
        ("", None, None),
    ],
)
def test_the_address_and_the_user_of_a_path(path: str, name: str | None, user: str | None) -> None:
    found = find_address(path.encode(), addresses(ROUTES))
    assert (found.endpoints[0].name if found else None) == name
    if found is not None:
        assert user_in_url(found, path.encode(), {"member": "kim"}) == user


def test_every_endpoint_is_found_by_its_path() -> None:
    shipped = (Endpoint(name="plain", path="/ws/plain", transport="ws"),)
    (address,) = [one for one in addresses(RouteTable((), shipped)) if one.transport == "ws"]
    assert find_address(b"/ws/plain", [address]) is address
