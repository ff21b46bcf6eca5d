"""Routes files: what is refused and with which error, and which routes match an event."""

import msgspec
import pytest

from domain.route_table import CACHED_SOURCES, RouteTable
from domain.routes import RoutesInvalid
from domain.routes_file import read_profile
from tests.support.core import ROUTE_CHANNELS

HEAD = 'profile = "mine"\n[feeds.news]\naccess = "public"\n[[routes]]\nsource = "first"\nfeed = "news"\n[[routes]]\n'

# What is written as the second route, and what the error must name besides the file and the route.
REFUSED = {
    'source = "a.b"\nfeeds = "news"': "feeds",
    'source = "a.b"\nfeed = 5': "feed",
    'source = "a.b"\nfeed = "else"': "feed",
    'source = "a.b"\nfeed = ""': "feed",
    'source = 5\nfeed = "news"': "source",
    'feed = "news"': "source",
    'source = ""\nfeed = "news"': "source",
    'source = "a..b"\nfeed = "news"': "source",
    'source = "a*"\nfeed = "news"': "source",
    'source = "a.b"\nusers = "to"': "users",
    'source = "a.b"\nusers = [5]': "users",
    'source = "a.b"\nfeed = "news"\nenvelope = "fancy"': "envelope",
    'source = "a.b"\nusers = ["to"]\notherwise = "ignore"': "otherwise",
    'source = "a.b"\nusers = ["to"]\ntombstone = "drop"': "tombstone",
    'source = "a.b"\nusers = ["to"]\notherwise = "broadcast"': "otherwise",
    'source = "a.b"\nfeed = "news"\notherwise = "broadcast"': "otherwise",
    'source = "a.b"\nfeed = "news"\ntype = 5': "type",
    'source = "a.b"\nfeed = "news"\nas_type = []': "as_type",
    'source = "a.b"\nfeed = "news"\nas_type = "a\\u0000b"': "as_type",
    f'source = "a.b"\nfeed = "news"\nas_type = "{"x" * 256}"': "as_type",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "\\u0000" }': "inbox.title",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "x", message = "\\u0000" }': "inbox.message",
    'source = "a.b"\nemail = { to = "a", subject = "\\u0000", template = "t" }': "email.subject",
    'source = "a.b"\nemail = { to = "a", subject = "x", template = "\\u0000" }': "email.template",
    'source = "a.b"\nfeed = "news"\nomit = "a"': "omit",
    'source = "a.b"\nfeed = "news"\nid = 1': "id",
    'source = "a.b"\nfeed = "news"\nidentity = "source"': "identity",
    'source = "a.b"\nfeed = "news"\nprofile = "other"': "profile",
    'source = "a.b"\nsign_out = ["user_id"]': "sign_out",
    'source = "a.b"\nsign_out = ""': "sign_out",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "{" }': "inbox.title",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "x", message = "{a b}" }': "inbox.message",
    'source = "a.b"\nusers = ["to"]\ninbox = { message = "x" }': "title",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "x", body = "y" }': "body",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "x", url = 5 }': "inbox.url",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "x", url = "javascript:alert(1)" }': "inbox.url",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "x", url = "//evil.example" }': "inbox.url",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "x", url = "https://{host}/" }': "inbox.url",
    'source = "a.b"\nusers = ["to"]\ninbox = { title = "x", url = "/{a b}" }': "inbox.url",
    'source = "a.b"\nemail = { to = "a", subject = "{}", template = "t" }': "email.subject",
    'source = "a.b"\nemail = { to = "a", subject = "x" }': "template",
    'source = "a.b"\nemail = { to = "a", subject = "x", template = "t" }\nreference = 5': "reference",
    'source = "a.b"\nfeed = "news"\nreference = "number"': "reference",
    'source = "a.b"\nemail = { to = 5, subject = "x", template = "t" }': "to",
}


@pytest.mark.parametrize("route", REFUSED)
def test_an_invalid_route_is_refused_with_file_route_and_field(route: str) -> None:
    with pytest.raises(RoutesInvalid) as caught:
        read_profile(HEAD + route, "mine.toml", ROUTE_CHANNELS)
    text = str(caught.value)
    assert text.startswith("mine.toml: ")
    assert "route 2" in text
    assert REFUSED[route] in text.partition("route 2")[2]


def test_a_route_without_effect_is_refused() -> None:
    with pytest.raises(RoutesInvalid, match=r"mine\.toml: route 2 \('a'\): it has no effect"):
        read_profile(HEAD + 'source = "a"', "mine.toml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "profile"),
        ("profile = 5\nroutes = []", "profile"),
        ('profile = "Mine"\nroutes = []', "profile"),
        ('profile = ""\nroutes = []', "profile"),
        ('profile = "mine\\n"\nroutes = []', "profile"),
        ('profile = "mine"', "routes"),
        ('profile = "mine"\nroutes = []', "routes"),
        ('profile = "mine"\nroutes = {}', "routes"),
        ('profile = "mine"\nbroker = 3\nroutes = []', "broker"),
        ('profile = "mine"\nroute = []\nroutes = []', "route"),
        ('profile = "mine"\nroutes = []\nfeeds = { inbox = {} }', "inbox"),
        ('profile = "mine"\nroutes = []\nfeeds = { "a b" = {} }', "a b"),
        ('profile = "mine"\nroutes = []\nfeeds = { a = { access = "all" } }', "a: access"),
        ('profile = "mine"\nroutes = []\nfeeds = { a = { access = "scope:" } }', "a: access"),
        ('profile = "mine"\nroutes = []\nfeeds = { a = { acess = "public" } }', "acess"),
        ('profile = "mine"\nroutes = []\n[[samples]]\ntitle = "x"', "samples"),
        ("profile =", "TOML"),
    ],
)
def test_an_invalid_file_is_refused_with_file_and_field(text: str, named: str) -> None:
    with pytest.raises(RoutesInvalid) as caught:
        read_profile(text, "mine.toml", ROUTE_CHANNELS)
    assert str(caught.value).startswith("mine.toml: ")
    assert named.rstrip("s") in str(caught.value).removeprefix("mine.toml: ")


def test_routes_have_their_profile_and_the_order_of_the_file() -> None:
    one = read_profile(HEAD + 'source = "#"\nusers = ["to"]', "mine.toml")
    two = read_profile('profile = "other"\n[[routes]]\nsource = "first"\nusers = ["to"]', "other.toml")
    table = RouteTable((one, two))
    assert [(route.profile, route.source) for route in table.for_source("first")] == [
        ("mine", "first"),
        ("mine", "#"),
        ("other", "first"),
    ]
    assert [route.source for route in table.for_source("else")] == ["#"]
    assert table.for_source("first") == table.for_source("first")
    assert (table.feeds_of(None), table.feeds_of("mine"), table.feeds_of("other")) == (("news",), ("news",), ())
    assert table.has_profile("other")
    assert not table.has_profile("third")


def test_a_setting_moves_all_routes_to_another_broker() -> None:
    one = read_profile(HEAD + 'source = "a"\nusers = ["to"]', "mine.toml")
    two = read_profile('profile = "o"\nbroker = "rabbitmq"\n[[routes]]\nsource = "a"\nusers = ["to"]', "o.toml")
    table = RouteTable((one, two))
    assert table.sources("kafka") == ("first", "a")
    assert table.sources("rabbitmq") == ("a",)
    assert table.sources("kafka", "kafka") == ("first", "a")
    assert table.sources("rabbitmq", "kafka") == ()


# --- identity -------------------------------------------------------------------------------------------------

SHARED = 'identity = "cloudevents"\n'


def identities(*routes: tuple[str, str]) -> RouteTable:
    text = 'profile = "mine"\n[feeds.news]\naccess = "public"\n'
    text += "".join(f'[[routes]]\nsource = "{source}"\nfeed = "news"\n{identity}' for source, identity in routes)
    return RouteTable((read_profile(text, "mine.toml", ROUTE_CHANNELS),))


def test_the_first_route_of_a_source_determines_its_event_identity() -> None:
    table = identities(("a.#", SHARED), ("b", SHARED), ("#", ""), ("a.b", ""))
    assert table.for_source("a.b")[0].identity == "cloudevents"
    assert table.for_source("c")[0].identity is None


@pytest.mark.parametrize("earlier", ["a.b", "a.*", "#", "*.b", "#.b"])
def test_a_later_route_with_another_identity_is_refused(earlier: str) -> None:
    with pytest.raises(RoutesInvalid, match=r"profile mine: route 3 \('a.#'\): identity: ") as refused:
        identities(("c", ""), (earlier, ""), ("a.#", SHARED))
    assert repr(earlier) in str(refused.value)


def test_conflicting_routes_of_two_profiles_are_refused() -> None:
    (one,), (shared,) = identities(("a", "")).profiles, identities(("a", SHARED)).profiles
    other = msgspec.structs.replace(shared, profile="other")
    RouteTable((other, one))
    with pytest.raises(RoutesInvalid, match=r"^b\.toml: route 1 \('a'\): identity: .*'a' of a\.toml\) matches"):
        RouteTable((one, other), files=("a.toml", "b.toml"))


def test_the_cache_of_sources_is_limited() -> None:
    wide = RouteTable((read_profile('profile = "p"\n[[routes]]\nsource = "#"\nusers = ["to"]', "p.toml"),))
    for number in range(CACHED_SOURCES + 10):
        assert len(wide.for_source(f"s.{number}")) == 1
    assert wide._by_source.cache_info().currsize == CACHED_SOURCES


def test_the_broker_of_a_profile_must_be_registered() -> None:
    text = 'profile = "mine"\nbroker = "zeromq"\n[[routes]]\nsource = "a"\nusers = ["to"]\n'
    assert read_profile(text, "mine.toml", brokers=("kafka", "zeromq")).broker == "zeromq"
    with pytest.raises(RoutesInvalid) as caught:
        read_profile(text, "mine.toml", brokers=("kafka", "memory"))
    assert str(caught.value) == (
        "mine.toml: broker: 'zeromq' is not possible; did you mean 'memory'? Possible values: 'kafka', 'memory'"
    )
