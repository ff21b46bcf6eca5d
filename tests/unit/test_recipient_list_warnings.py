"""Warnings about `users` paths that may be lists and are stored with every notification."""

import pytest

from domain.recipient_list_warnings import warnings_of_lists
from domain.routes_file import read_profile
from entrypoints.profiles.loader import EVERY, read_file, shipped


def warnings(route: str, samples: str = "") -> list[str]:
    text = f'profile = "p"\n[[routes]]\nsource = "a.*"\n{route}\n{samples}'
    return list(warnings_of_lists(read_profile(text, "p.toml")))


def sample(payload: str, source: str = "a.b") -> str:
    return f'[[samples]]\ntitle = "A sample"\nsource = "{source}"\npayload = {payload}\n'


@pytest.mark.parametrize(
    "path",
    [
        "watchers",
        "member_ids",
        "data.watchers",
        "project.members",
        "mailing_list",
        "cc[].id",
        "data.cc[].id",
        "team.who[]",
    ],
)
def test_a_plural_name_may_be_a_list(path: str) -> None:
    (warning,) = warnings(f'users = ["{path}"]')
    entry = path.removeprefix("data.").partition("[]")[0]
    assert (
        warning == f"route 1 ('a.*'): users: {path!r} may be a list, which is stored as a whole for every recipient:"
        f" add {entry!r} to omit"
    )
    assert warnings(f'users = ["{path}"]\nomit = ["{entry}"]') == []


@pytest.mark.parametrize("path", ["user_id", "customer", "order.status", "address", "owner.id"])
def test_a_singular_name_is_not_a_list(path: str) -> None:
    assert warnings(f'users = ["{path}"]') == []


def test_a_sample_takes_precedence_over_the_name() -> None:
    assert warnings('users = ["to"]', sample('{ to = ["ada"] }'))
    assert warnings('users = ["watchers"]', sample('{ watchers = "ada" }')) == []
    assert warnings('users = ["to"]', sample('{ data = { to = ["ada"] } }'))


def test_only_samples_of_the_same_route_apply() -> None:
    assert warnings('users = ["to"]', sample('{ to = ["ada"] }', source="b.b")) == []
    assert warnings('type = "t"\nusers = ["to"]', sample('{ type = "other", to = ["ada"] }')) == []
    assert warnings('type = "t"\nusers = ["to"]', sample('{ type = "t", to = ["ada"] }'))


@pytest.mark.parametrize(
    ("path", "omit"),
    [
        ("watchers", "watchers"),
        ("data.watchers", "watchers"),
        ("project.members", "project"),
        ("data.p.ids", "p"),
        ("cc[].id", "cc"),
        ("data.cc[].id", "cc"),
        ("team.who[]", "team"),
    ],
)
def test_omitted_fields_cause_no_warning(path: str, omit: str) -> None:
    assert warnings(f'users = ["{path}"]\nomit = ["{omit}"]') == []


@pytest.mark.parametrize(
    ("path", "payload", "entry"),
    [
        ("watchers", '{ data = { watchers = ["ada"] } }', "data.watchers"),
        ("ticket.watchers", '{ data.ticket.watchers = ["ada"] }', "ticket.watchers"),
        ("ticket.watchers[].id", '{ ticket.watchers = [{ id = "ada" }] }', "ticket.watchers"),
        ("to.ids[]", '{ "to.ids[]" = ["ada"], to = { ids = 1 } }', "to.ids[]"),
    ],
)
def test_the_advice_is_what_the_payloads_of_samples_need(path: str, payload: str, entry: str) -> None:
    route = f'users = ["{path}"]\nenvelope = "flat"\n'
    (warning,) = warnings(route, sample(payload))
    assert warning.endswith(f"add {entry!r} to omit")
    assert warnings(f'{route}omit = ["{entry}"]\n', sample(payload)) == []


def test_a_raw_envelope_omits_nothing() -> None:
    (warning,) = warnings('users = ["watchers"]\nenvelope = "raw"\nomit = ["watchers"]')
    assert "another envelope" in warning


def test_shipped_profiles_and_the_example_have_no_warnings() -> None:
    for profile in (*shipped([EVERY]), read_file("docs/examples/orders-private.toml")):
        assert list(warnings_of_lists(profile)) == []
