"""Warnings about conditions and exclusions that no sample shows to have an effect, and about brackets in paths."""

import pytest

from domain.path_warnings import warnings_of_paths
from domain.recipient_list_warnings import warnings_of_lists
from domain.routes_file import read_profile
from entrypoints.profiles.loader import EVERY, read_file, shipped


def warnings(route: str, *payloads: str) -> list[str]:
    samples = "".join(f'[[samples]]\ntitle = "S"\nsource = "a.b"\npayload = {one}\n' for one in payloads)
    text = f'profile = "p"\n[[routes]]\nsource = "a.*"\nusers = ["to"]\n{route}\n{samples}'
    return list(warnings_of_paths(read_profile(text, "p.toml")))


def test_a_condition_that_no_sample_fulfils_causes_a_warning() -> None:
    route = 'when = { "ticket.kind" = ["bug"], size = { min = 3 } }'
    assert warnings(route, '{ ticket = { kind = "bug" }, size = 3 }') == []
    assert warnings(route, '{ ticket = { kind = "bug" }, size = 1 }', '{ ticket = { kind = "task" }, size = 4 }') == []
    assert warnings(route, '{ ticket.kind = "task", size = 3 }', '{ ticket.kind = "Bug" }') == [
        'route 1 (\'a.*\'): when.ticket.kind: no sample fulfils it: expected "bug", found "task" and "Bug"'
    ]


def test_an_exclusion_without_a_user_in_any_sample_causes_a_warning() -> None:
    assert warnings('exclude = ["by.id", "by"]', '{ by = { id = "ada" } }') == [
        "route 1 ('a.*'): exclude: no sample names a user at 'by'"
    ]


def test_without_samples_of_the_route_nothing_is_known() -> None:
    route = 'type = "t"\nwhen = { a = [1] }\nexclude = ["by"]'
    assert warnings(route) == []
    assert warnings(route, '{ type = "u" }') == []
    assert len(warnings(route, '{ type = "t" }')) == 2


@pytest.mark.parametrize("path", ["cc[0].id", "cc[*]", "[].id"])
def test_other_brackets_than_those_of_lists_cause_a_warning(path: str) -> None:
    (warning,) = warnings(f'id = "{path}"') if "[]" not in path else warnings(f'sign_out = "{path}"')
    assert repr(path) in warning
    assert warnings('sign_out = "cc[].id"') == []


def test_samples_that_do_not_fulfil_the_conditions_say_nothing_about_the_route() -> None:
    text = (
        'profile = "p"\n[[routes]]\nsource = "a"\nusers = ["to"]\nwhen = { x = [1] }\n'
        '[[samples]]\ntitle = "S"\nsource = "a"\npayload = { to = ["ada"], x = %d }\n'
    )
    assert len(list(warnings_of_lists(read_profile(text % 1, "p.toml")))) == 1
    assert list(warnings_of_lists(read_profile(text % 2, "p.toml"))) == []


def test_shipped_profiles_and_the_example_have_no_warnings() -> None:
    for profile in (*shipped([EVERY]), read_file("docs/examples/orders-private.toml")):
        assert list(warnings_of_paths(profile)) == []
