"""Samples that no route matches, routes without samples, and keys of routes without an effect."""

import pytest

from domain.effect_warnings import warnings_of_no_effect
from domain.profiles import Profile
from domain.routes_file import read_profile
from domain.sample_notes import notes_on_samples
from entrypoints.profiles.loader import EVERY, read_file, shipped

ROUTES = """
profile = "p"
[feeds.f]
[[routes]]
source = "shop.*.created"
type = "created"
feed = "f"
[[routes]]
source = "shop.paid"
when = { kind = ["x"] }
feed = "f"
"""
CREATED = '[[samples]]\ntitle = "C"\nsource = "shop.book.created"\npayload.type = "created"\n'
PAID = '[[samples]]\ntitle = "P"\nsource = "shop.paid"\npayload = { kind = "x" }\n'


def profile(text: str) -> Profile:
    return read_profile(text, "p.toml")


@pytest.mark.parametrize(
    ("samples", "notes"),
    [
        (CREATED + PAID, []),
        ("", ["it has no samples: with samples, this command finds misspelt paths and renders the mails"]),
        (CREATED, ["route 2 ('shop.paid') has no sample"]),
        (CREATED + PAID.replace('"x"', '"y"'), ["route 2 ('shop.paid') has no sample that fulfils its conditions"]),
        (
            CREATED + PAID + PAID.replace("shop.paid", "shop.payed").replace("P", "Q"),
            ["sample 3 ('Q'): No route matches source 'shop.payed': did you mean 'shop.paid'?"],
        ),
        (
            CREATED + PAID + CREATED.replace('"created"', '"made"'),
            [
                "sample 3 ('C'): No route matches source 'shop.book.created' and type 'made': the routes of this source"
                " need type 'created' (route 1)"
            ],
        ),
    ],
)
def test_samples_and_routes_that_do_not_match_are_listed(samples: str, notes: list[str]) -> None:
    assert list(notes_on_samples(profile(ROUTES + samples))) == notes


def test_a_feed_beside_users_that_is_never_used_causes_a_warning() -> None:
    text = ROUTES.replace('feed = "f"', 'feed = "f"\nusers = ["to"]', 1)
    (warning,) = warnings_of_no_effect(profile(text))
    assert warning.startswith("route 1 ('shop.*.created'): feed: it has no effect beside users")
    broadcast = text.replace("users", 'otherwise = "broadcast"\nusers')
    assert list(warnings_of_no_effect(profile(broadcast))) == []


def test_shipped_profiles_and_the_examples_have_no_warnings() -> None:
    files = ("docs/examples/orders-private.toml", "docs/examples/helpdesk/routes/helpdesk.toml")
    for one in (*shipped([EVERY]), *map(read_file, files)):
        assert list(warnings_of_no_effect(one)) == []
