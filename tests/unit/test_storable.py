"""What text can be kept."""

import pytest

from domain.planning import plan, refused
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


def test_a_broadcast_is_kept_as_text_where_an_escape_does_no_harm() -> None:
    assert plan(message("news", r'{"text":"\u0000"}'), ROUTES).broadcasts
    assert plan(message("news", "no JSON, and \0"), ROUTES).dead_letter


@pytest.mark.parametrize("id", ["a\0b"])
def test_what_names_an_event_must_be_storable_too(id: str) -> None:
    made = plan(message("direct", {"to": "ada"}, id), ROUTES)
    assert made.dead_letter is not None
    assert made.dead_letter.event_id == id


def test_a_plan_that_is_refused_becomes_a_dead_letter_as_a_whole() -> None:
    sent = message("direct", {"to": "ada"}, "e-1", time=NOW)
    made = refused(plan(sent, ROUTES), "value too long")
    assert made.dead_letter is not None
    assert (made.dead_letter.message, made.dead_letter.event_id) == (sent, "e-1")
    assert (made.dead_letter.reason, made.dead_letter.detail) == ("refused_by_store", "value too long")
    assert (made.addressed, made.broadcasts, made.sign_outs) == ((), (), ())
