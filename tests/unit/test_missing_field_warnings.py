"""Texts with placeholders: which fields may be missing, and which texts an event then loses."""

from typing import Any

import pytest

from domain.missing_field_warnings import unfilled_templates, warnings_of_missing_fields
from domain.routes_file import read_profile
from entrypoints.profiles.loader import EVERY, read_file, shipped
from tests.support.core import ROUTE_CHANNELS

INBOX = 'users = ["to"]\ninbox = {{ title = "{0}", message = "{1}" }}'
EMAIL = 'email = {{ to = "mail", subject = "{0}", template = "order_created.html" }}'


def profile_of(route: str, samples: str = "") -> Any:
    return read_profile(f'profile = "p"\n[[routes]]\nsource = "a.*"\n{route}\n{samples}', "p.toml", ROUTE_CHANNELS)


def warnings(route: str, samples: str = "") -> list[str]:
    return list(warnings_of_missing_fields(profile_of(route, samples)))


def sample(payload: str, source: str = "a.b") -> str:
    return f'[[samples]]\ntitle = "A sample"\nsource = "{source}"\npayload = {payload}\n'


def test_one_warning_per_line_describes_the_effect() -> None:
    assert warnings(INBOX.format("{name} is new", "For {price|cost}, {by} and {price|cost}")) == [
        "route 1 ('a.*'): inbox.title: if an event lacks {name}, the title is that of its type:"
        " write {name|} to use empty text instead",
        "route 1 ('a.*'): inbox.message: if an event lacks {price|cost} or {by}, the message is empty:"
        " write {price|cost|} to use empty text instead",
    ]
    assert warnings(EMAIL.format("Order {order_id}")) == [
        "route 1 ('a.*'): email.subject: if an event lacks {order_id}, its mail fails:"
        " write {order_id|} to use empty text instead"
    ]


def test_a_fallback_removes_the_warning() -> None:
    assert warnings(INBOX.format("{name|}", "For {price|cost|}")) == []
    assert warnings(EMAIL.format("Order {order_id|}")) == []
    assert warnings(INBOX.format("A title", "")) == []


def test_samples_show_which_fields_events_have() -> None:
    route = INBOX.format("{name}", "{price|cost}")
    assert warnings(route, sample('{ name = "x", price = 1 }') + sample('{ data = { name = "y", cost = 2 } }')) == []
    (warning,) = warnings(route, sample('{ name = "x", price = 1 }') + sample('{ name = "y" }'))
    assert "{price|cost}" in warning
    (warning,) = warnings(route, sample('{ name = ["x"], price = 1 }'))
    assert "{name}" in warning
    # Only a misspelt field is in no sample, and `warnings_of_paths` reports it.
    assert warnings(route, sample('{ nmae = "x", price = 1 }')) == []
    assert len(warnings(route, sample('{ name = "x", price = 1 }', source="b.b"))) == 2
    assert len(warnings('type = "t"\n' + route, sample('{ type = "u", name = "x", price = 1 }'))) == 2
    assert warnings('type = "t"\n' + route, sample('{ type = "t", name = "x", price = 1 }')) == []


def test_texts_that_are_never_shown_cause_no_warning() -> None:
    route = 'feed = "f"\ninbox = { title = "{name}" }'
    assert warnings(route, '[feeds.f]\naccess = "public"') == []


def test_a_url_is_also_used_by_mails() -> None:
    url = 'inbox = { title = "{name}", url = "/{id}" }'
    (warning,) = warnings(f'users = ["to"]\n{url}', sample('{ name = "x" }') + sample('{ name = "x", id = 1 }'))
    assert "inbox.url: if an event lacks {id}, there is no url: write {id|} to use empty text instead" in warning
    (warning,) = warnings(f"{EMAIL.format('x')}\n{url}")
    assert "inbox.url: if an event lacks {id}, there is no url" in warning
    assert warnings(f'feed = "f"\n{url}', '[feeds.f]\naccess = "public"') == []


@pytest.mark.parametrize(
    ("payload", "lost"),
    [
        ({"name": "x", "by": "y", "id": 1}, []),
        ({"name": "x", "id": 1}, ["inbox.message: the event lacks {by|author}: the message is empty"]),
        ({"name": "x", "author": "y", "id": 1}, []),
        (
            {"by": []},
            [
                "inbox.title: the event lacks {name}: the title is that of its type",
                "inbox.message: the event lacks {by|author} and {id}: the message is empty",
            ],
        ),
    ],
)
def test_lines_that_an_event_loses(payload: Any, lost: list[str]) -> None:
    (route,) = profile_of(INBOX.format("{name}", "By {by|author}{id}")).routes
    assert list(unfilled_templates(route, payload)) == lost


def test_the_subject_that_an_event_loses() -> None:
    (route,) = profile_of(EMAIL.format("{a}{b}{c|}")).routes
    assert list(unfilled_templates(route, {"a": 1})) == ["email.subject: the event lacks {b}: its mail fails"]
    assert list(unfilled_templates(route, {"a": 1, "b": 0})) == []


def test_shipped_profiles_and_the_example_have_no_warnings() -> None:
    for profile in (*shipped([EVERY]), read_file("docs/examples/orders-private.toml")):
        assert list(warnings_of_missing_fields(profile)) == []
