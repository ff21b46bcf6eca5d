"""Which `users` paths are warned of: those that may be lists and are stored with every notification."""

import pytest

from domain.recipient_lists import warnings_of_lists
from domain.routes_file import read_profile
from entrypoints.profiles.loader import EVERY, read_file, shipped


def warnings(route: str, samples: str = "") -> list[str]:
    text = f'profile = "p"\n[[routes]]\nsource = "a.*"\n{route}\n{samples}'
    return list(warnings_of_lists(read_profile(text, "p.toml")))


def sample(payload: str, source: str = "a.b") -> str:
    return f'[[samples]]\ntitle = "A sample"\nsource = "{source}"\npayload = {payload}\n'


@pytest.mark.parametrize("path", ["watchers", "member_ids", "data.watchers", "project.members", "mailing_list"])
def test_a_plural_may_be_a_list(path: str) -> None:
    (warning,) = warnings(f'users = ["{path}"]')
    assert (
        warning
        == f"route 1 ('a.*'): users: {path!r} may be a list, which every recipient stores as a whole: name it in omit"
    )


@pytest.mark.parametrize("path", ["user_id", "customer", "order.status", "address", "owner.id"])
def test_a_singular_is_not(path: str) -> None:
    assert warnings(f'users = ["{path}"]') == []


def test_a_sample_knows_better_than_the_name() -> None:
    assert warnings('users = ["to"]', sample('{ to = ["ada"] }'))
    assert warnings('users = ["watchers"]', sample('{ watchers = "ada" }')) == []
    assert warnings('users = ["to"]', sample('{ data = { to = ["ada"] } }'))


def test_only_the_routes_own_samples_count() -> None:
    assert warnings('users = ["to"]', sample('{ to = ["ada"] }', source="b.b")) == []
    assert warnings('type = "t"\nusers = ["to"]', sample('{ type = "other", to = ["ada"] }')) == []
    assert warnings('type = "t"\nusers = ["to"]', sample('{ type = "t", to = ["ada"] }'))


@pytest.mark.parametrize(
    ("path", "omit"),
    [("watchers", "watchers"), ("data.watchers", "watchers"), ("project.members", "project"), ("data.p.ids", "p")],
)
def test_what_is_omitted_is_not_warned_of(path: str, omit: str) -> None:
    assert warnings(f'users = ["{path}"]\nomit = ["{omit}"]') == []


def test_a_raw_envelope_omits_nothing() -> None:
    (warning,) = warnings('users = ["watchers"]\nenvelope = "raw"\nomit = ["watchers"]')
    assert "another envelope" in warning


def test_the_shipped_profiles_and_the_example_are_without_warnings() -> None:
    for profile in (*shipped([EVERY]), read_file("docs/examples/orders-private.toml")):
        assert list(warnings_of_lists(profile)) == []
