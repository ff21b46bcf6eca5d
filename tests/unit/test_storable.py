"""Which text can be stored."""

import pytest

from domain.caller_errors import InvalidInput
from domain.planning import plan
from domain.plans import refused
from domain.storable_text import require_storable
from tests.support.core import NOW, message, table

ROUTES = table(
    """
profile = "trading"
[feeds.news]
access = "public"
[[routes]]
source = "direct"
users = ["to"]
inbox = { title = "{title}", message = "{text}" }
[[routes]]
source = "news"
feed = "news"
envelope = "raw"
"""
)


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (r'{"to":"ada","text":"fine"}', True),
        (r'{"to":"ada","text":"\u0000"}', False),
        (r'{"to":"ada","text":"a\\u0000"}', True),
        (r'{"to":"ada","text":"a\\\u0000"}', False),
        (r'{"to":"ada","deep":[{"a\u0000":1}]}', False),
        (r'{"to":"ada","title":"\u0000"}', False),
        ('{"to":"ada","text":"é😀\\ud83d\\ude00"}', True),
    ],
)
def test_a_notification_must_be_storable_as_jsonb(body: str, stored: bool) -> None:
    made = plan(message("direct", body), ROUTES)
    assert bool(made.addressed) is stored
    assert (made.dead_letter is None) is stored
    if made.dead_letter:
        assert made.dead_letter.reason == "unstorable_text"


def test_a_broadcast_is_stored_as_text_so_escapes_are_allowed() -> None:
    assert plan(message("news", r'{"text":"\u0000"}'), ROUTES).broadcasts
    assert plan(message("news", "no JSON, and \0"), ROUTES).dead_letter


@pytest.mark.parametrize("id", ["a\0b"])
def test_the_identity_of_an_event_must_be_storable(id: str) -> None:
    made = plan(message("direct", {"to": "ada"}, id), ROUTES)
    assert made.dead_letter is not None
    assert made.dead_letter.event_id == id


HALF = "\ud800"
IDENTITY = "The origin and the id have {} bytes together; at most 1600 can be stored."


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"ce_source": "\0"}, "The origin contains U+0000, which can't be stored."),
        ({"ce_source": HALF}, "The origin contains an unpaired surrogate, which can't be stored."),
        ({"ce_id": "\0"}, "The id contains U+0000, which can't be stored."),
        ({"ce_id": HALF}, "The id contains an unpaired surrogate, which can't be stored."),
        ({"ce_type": "\0"}, "The type contains U+0000, which can't be stored."),
        ({"ce_type": "x" * 256}, "The type has 256 characters; at most 255 can be stored."),
        ({"ce_id": "😀" * 273, "ce_source": "x"}, "The id has 1092 bytes; at most 1088 can be stored."),
        ({"ce_id": "😀" * 272, "ce_source": "x" * 511 + "é"}, IDENTITY.format(1601)),
        ({"ce_id": "é" * 512, "ce_source": "x" * 512}, None),
        ({"ce_id": "😀" * 272, "ce_source": "x" * 512}, None),
    ],
)
def test_values_too_large_for_a_column_or_index_are_detected_before_storing(
    headers: dict[str, str], detail: str | None
) -> None:
    payload = {"to": "ada", "title": "t", "text": "x"}
    made = plan(message("direct", payload, headers={"ce_specversion": "1.0", **headers}), ROUTES)
    assert (made.dead_letter.detail if made.dead_letter else None) == detail
    assert bool(made.addressed) is (detail is None)


def test_a_type_is_checked_even_if_clients_see_another() -> None:
    routes = table('profile = "p"\n[[routes]]\nsource = "direct"\nusers = ["to"]\nas_type = "note"')
    for type_ in ("\0", "x" * 256):
        made = plan(message("direct", {"to": "ada", "type": type_}), routes)
        assert made.dead_letter is not None
        assert made.dead_letter.reason == "unstorable_text"


def test_a_source_longer_than_an_index_row_is_refused() -> None:
    routes = table('profile = "p"\n[feeds.f]\n[[routes]]\nsource = "#"\nfeed = "f"')
    made = plan(message("x" * 9_000, {}), routes)
    assert made.dead_letter is not None
    assert made.dead_letter.reason == "unstorable_text"


def test_a_filter_with_unstorable_text_names_its_field() -> None:
    for text in ("a\0b", HALF):
        with pytest.raises(InvalidInput, match="can't be stored or searched for") as caught:
            require_storable(text, "type")
        assert caught.value.field == "type"
    assert require_storable("é😀", "type") == "é😀"


def test_an_unstorable_plan_becomes_a_dead_letter_as_a_whole() -> None:
    sent = message("direct", {"to": "ada"}, "e-1", time=NOW)
    made = refused(plan(sent, ROUTES), "value too long")
    assert made.dead_letter is not None
    assert (made.dead_letter.message, made.dead_letter.event_id) == (sent, "e-1")
    assert (made.dead_letter.reason, made.dead_letter.detail) == ("refused_by_store", "value too long")
    assert (made.addressed, made.broadcasts, made.sign_outs) == ((), (), ())
