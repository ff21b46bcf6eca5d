"""Identity of events: qualified origins, and which origin an event is stored under."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.event_identity import LONGEST_QUALIFIED_BYTES, find_origin, origin_of, qualified_origin
from domain.events import MAX_ID_LENGTH, read_event
from domain.planning import plan
from tests.support.core import message, table

TEXT = st.text("ab :%/.ü😀\0\ud800", max_size=8) | st.text(max_size=600)


@given(TEXT, TEXT, TEXT, TEXT)
@example("b c", "a", "c", "a b")
@example("c", "a%20b", "c", "a b")
@example("x" * 600, "a", "x" * 601, "a")
def test_a_qualified_origin_identifies_one_origin_and_one_source(one: str, its: str, other: str, others: str) -> None:
    assert (qualified_origin(one, its) == qualified_origin(other, others)) == ((one, its) == (other, others))


@given(TEXT, TEXT)
def test_a_qualified_origin_is_limited_and_begins_with_its_source(origin: str, source: str) -> None:
    qualified = qualified_origin(origin, source)
    assert len(qualified.encode(errors="surrogatepass")) <= LONGEST_QUALIFIED_BYTES
    assert qualified.startswith("herald-source:")
    assert "\0" not in qualified.partition(" ")[0]


def test_a_qualified_origin_can_be_parsed() -> None:
    assert qualified_origin("/billing", "shop.orders") == "herald-source:shop.orders /billing"
    assert qualified_origin("x" * 600, "a").startswith("herald-source:sha256:")


@given(TEXT.filter(bool), TEXT.filter(bool), TEXT.filter(bool))
@example("herald-source:shop.b /billing", "shop.a", "/billing")
def test_no_event_can_declare_the_qualified_origin_of_another_source(declared: str, source: str, origin: str) -> None:
    victim = qualified_origin(origin, "shop.b")
    assert origin_of(declared, source) != victim or source == "shop.b"
    assert origin_of(victim, source) != victim
    # Nor as the name of a topic.
    assert origin_of(None, victim) != victim


def test_the_origin_is_the_cloudevents_source_or_the_topic() -> None:
    assert origin_of("/billing", "shop.a") == "/billing"
    assert origin_of(None, "shop.a") == "shop.a"


def test_events_and_dead_letters_have_no_forged_origin() -> None:
    forged = qualified_origin("/billing", "shop.b")
    event = read_event(message("shop.a", {"specversion": "1.0", "id": "1", "source": forged, "data": 1}))
    assert event.origin == qualified_origin(forged, "shop.a")
    made = plan(message(forged, b"\xff"), table())
    assert made.origin == qualified_origin(forged, forged)
    assert len(read_event(message("a", {"specversion": "1.0", "id": "1", "source": "x" * MAX_ID_LENGTH})).origin) == 512


@pytest.mark.parametrize(
    ("stored", "by_source", "found"),
    [
        ({}, True, ("/o", False)),
        ({"/o": "a"}, True, ("/o", True)),
        ({"/o": "b"}, True, ("herald-source:a /o", False)),
        ({"/o": "b", "herald-source:a /o": "a"}, True, ("herald-source:a /o", True)),
        ({"herald-source:a /o": "a"}, True, ("herald-source:a /o", True)),
        ({}, False, ("/o", False)),
        ({"/o": "a"}, False, ("/o", True)),
        ({"/o": "b"}, False, ("/o", True)),
        ({"herald-source:a /o": "a"}, False, ("herald-source:a /o", True)),
    ],
)
def test_the_stored_origin_of_an_event_of_source_a(
    stored: dict[str, str], by_source: bool, found: tuple[str, bool]
) -> None:
    assert find_origin("/o", "a", by_source, stored.get) == found
