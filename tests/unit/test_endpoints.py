"""Endpoints of routes files: which are refused and which are served."""

import pytest

from adapters.http.routes import HTTP_ROUTES
from application.live.addresses import addresses
from domain.endpoints import HERALD_V1_PATHS, RESERVED_SEGMENTS
from domain.profiles import Profile
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from domain.routes_file import read_profile
from entrypoints.profiles.backward_compatibility import compatibility
from entrypoints.profiles.loader import SHIPPED
from tests.support.core import shipped_table

FEED = '[feeds.news]\naccess = "public"\n'
ROUTE = '[[routes]]\nsource = "a"\nusers = ["to"]\n'
WS = 'name = "desk"\npath = "/ws/desk"\ntransport = "ws"\n'
SSE = 'name = "desk"\npath = "/desk"\ntransport = "sse"\n'


def profile(*endpoints: str, feeds: str = FEED) -> Profile:
    declared = "".join(f"[[endpoints]]\n{endpoint}\n" for endpoint in endpoints)
    return read_profile(f'profile = "mine"\n{feeds}{ROUTE}{declared}', "mine.toml")


def at(path: str, more: str = "", *, name: str = "x", transport: str = "ws") -> str:
    return f'name = "{name}"\npath = "{path}"\ntransport = "{transport}"\n{more}'


def with_shipped(own: Profile) -> RouteTable:
    return RouteTable((own,), compatibility().endpoints, ("mine.toml",))


# What is written as an endpoint, and the key that the error must name besides the file and the endpoint.
REFUSED = {
    'path = "/x"\ntransport = "ws"': "name",
    'name = "x"\ntransport = "ws"': "path",
    'name = "x"\npath = "/x"': "transport",
    'name = "My desk"\npath = "/x"\ntransport = "ws"': "name",
    f'name = "{"n" * 65}"\npath = "/x"\ntransport = "ws"': "name",
    at("/x", transport="http"): "transport",
    at("/x", "feed = true"): "feed",
    at("/x", 'feeds = ["news"]'): "feeds",
    at("/x", 'inbox = "own"'): "inbox",
    at("/x", "feeds = false"): "feeds",
    at("/x", 'profile = "other"'): "profile",
    at("/x", 'connected = { type = "hi" }'): "connected",
    at("/x", 'heartbeat = { type = "hi" }'): "heartbeat",
    at("/x", 'connected = { cursor = "c" }', transport="sse"): "connected",
    at("/x", 'heartbeat = { timestamp = "c" }', transport="sse"): "heartbeat",
    at("/x", 'user = "user_id"'): "user",
    at("/x", 'user = "header:x-user"'): "user",
    at("/x", 'user = "query:"'): "user",
    at("/x", 'user = "query:a b"'): "user",
    **{at("/x", f'user = "query:{name}"'): "user" for name in ("token", "jwt", "feeds", "cursor", "last_event_id")},
    at("/x", 'user = "path:user"'): "user",
    at("/x/{user}/y", 'user = "path:user"'): "user",
    at("/x/{user}", 'user = "path:id"'): "user",
    at("/x/{user}", 'user = "query:user"'): "path",
    at("/x/{user}"): "path",
    at("/{a}/{user}", 'user = "path:user"'): "path",
    at("/{user}", 'user = "path:user"'): "path",
    **{at(path): "path" for path in ("", "/", "x", "ws://x", "/x/", "//x", "/x y", "/x?y", "/x#y", "/%41", "/ä")},
    **{at(path): "path" for path in ("/x/..", "/./x", "/x/*", "/{x}/y", f"/{'x' * 256}")},
    **{at(f"/{segment}/x"): "path" for segment in sorted(RESERVED_SEGMENTS)},
    at("/health"): "path",
    at("/ws", 'user = "query:user_id"', transport="sse"): "transport",
    at("/events/stream", 'user = "query:user_id"'): "transport",
    at("/ws"): "user",
    at("/ws", 'user = "query:u"'): "user",
    at("/events/stream", transport="sse"): "user",
}


@pytest.mark.parametrize("endpoint", REFUSED)
def test_an_invalid_endpoint_is_refused_with_file_endpoint_and_key(endpoint: str) -> None:
    with pytest.raises(RoutesInvalid) as caught:
        profile(WS, endpoint)
    text = str(caught.value)
    assert text.startswith("mine.toml: endpoint 2")
    assert REFUSED[endpoint] in text.partition("endpoint 2")[2]


def test_an_endpoint_without_streams_is_refused() -> None:
    with pytest.raises(RoutesInvalid, match=r"mine\.toml: endpoint 1 \('desk'\): feeds: .* no feeds"):
        profile(WS, feeds="")
    assert profile(WS + 'inbox = "profile"', feeds="").endpoints[0].inbox == "profile"


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        (at("/x"), at("/y"), "name"),
        (at("/x"), at("/x", name="y"), "path"),
        (at("/x", 'user = "query:a"'), at("/x", 'user = "query:b"', name="y"), "path"),
        (at("/x/{a}", 'user = "path:a"'), at("/x/{b}", 'user = "path:b"', name="y"), "path"),
        (at("/x"), at("/x", 'user = "query:a"', name="y", transport="sse"), "transport"),
    ],
)
def test_conflicting_endpoints_are_refused(first: str, second: str, key: str) -> None:
    with pytest.raises(RoutesInvalid, match=rf"mine\.toml: endpoint 2 \('[xy]'\): {key}: "):
        profile(first, second)
    # Also if they belong to two profiles.
    one, other = (
        read_profile(f'profile = "{number}"\n{FEED}{ROUTE}[[endpoints]]\n{text}', "p.toml")
        for number, text in enumerate((first, second))
    )
    with pytest.raises(RoutesInvalid, match=rf"^b\.toml: endpoint '[xy]': {key}: .* \(that endpoint is in a\.toml\)"):
        RouteTable((one, other), files=("a.toml", "b.toml"))


def test_three_endpoints_on_one_path_are_refused() -> None:
    users = ('user = "query:a"', "", 'user = "query:b"')
    with pytest.raises(RoutesInvalid, match=r"endpoint 3 \('e2'\): path: "):
        profile(*(at("/x", user, name=f"e{number}") for number, user in enumerate(users)))


def test_an_endpoint_belongs_to_its_profile() -> None:
    table = RouteTable((profile(WS),))
    (endpoint,) = table.endpoints
    assert (endpoint.profile, table.shown_profile(endpoint)) == ("mine", "mine")


def test_shipped_endpoints_apply_unless_a_profile_declares_their_path() -> None:
    own = profile(WS, at("/ws", 'user = "query:user_id"', name="own"))
    table = with_shipped(own)
    names = [endpoint.name for endpoint in table.endpoints]
    assert names == ["desk", "own", "signals", "groups", "products"]
    table = with_shipped(profile(at("/ws/v2/notification-service/notifications/users/{id}", 'user = "path:id"')))
    assert [endpoint.name for endpoint in table.endpoints] == ["x", "signals", "trading", "orders", "products"]


def test_the_name_of_a_shipped_endpoint_is_refused_with_the_file() -> None:
    with pytest.raises(RoutesInvalid, match=r"^mine\.toml: endpoint 'orders': name: .*'/ws' has .*Herald ships"):
        with_shipped(profile(at("/ws/mine", name="orders")))


@pytest.mark.parametrize("name", [*SHIPPED, "mine"])
def test_herald_v1_has_its_paths_with_every_profile(name: str) -> None:
    table = with_shipped(profile(WS)) if name == "mine" else shipped_table(name)
    transports = {address.path: address.transport for address in addresses(table)}
    assert transports.items() >= HERALD_V1_PATHS.items()


def test_shipped_endpoints_are_valid_without_profiles() -> None:
    table = RouteTable((), compatibility().endpoints)
    assert {endpoint.profile for endpoint in table.endpoints} == set(SHIPPED)
    assert all(table.shown_profile(endpoint) is None for endpoint in table.endpoints)


def test_every_operation_of_herald_is_below_a_reserved_segment() -> None:
    paths = {path for route in HTTP_ROUTES for path in getattr(route, "paths", ()) or [getattr(route, "path", "")]}
    segments = {path.strip("/").split("/")[0] for path in paths} - {""}
    assert segments
    assert segments <= RESERVED_SEGMENTS
