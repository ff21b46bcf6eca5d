"""Warnings about conditions and exclusions that no sample shows to have an effect, and about brackets in paths."""

import pytest

from domain.path_warnings import warnings_of_paths
from domain.recipient_list_warnings import warnings_of_lists
from domain.routes_file import read_profile
from entrypoints.profiles.loader import EVERY, read_file, shipped
from tests.support.core import ROUTE_CHANNELS


def warnings(route: str, *payloads: str) -> list[str]:
    """Return the warnings of a route with samples, which have a user."""
    payloads = tuple(one.replace("{", '{ to = "ada",' if "=" in one else '{ to = "ada"', 1) for one in payloads)
    samples = "".join(f'[[samples]]\ntitle = "S"\nsource = "a.b"\npayload = {one}\n' for one in payloads)
    text = f'profile = "p"\n[[routes]]\nsource = "a.*"\nusers = ["to"]\n{route}\n{samples}'
    return list(warnings_of_paths(read_profile(text, "p.toml", ROUTE_CHANNELS)))


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


EMAIL = 'email = { to = "%s", subject = "%s", template = "order_created.html" }'


@pytest.mark.parametrize(
    ("route", "warning"),
    [
        ('exclude = ["autor.id"]', "exclude: no sample names a user at 'autor.id': did you mean 'author.id'?"),
        ("when = { kid = [1] }", "when.kid: no sample fulfils it: expected 1, found nothing: did you mean 'kind'?"),
        ("when = { kin = { present = false } }", "when.kin: no sample has it: did you mean 'kind'?"),
        ('omit = ["cc[].mial"]', "omit: no sample has 'cc[].mial': did you mean 'cc[].mail'?"),
        ('id = "numbr"', "id: no sample has 'numbr': did you mean 'number'?"),
        ('sign_out = "id"', "sign_out: no sample has 'id': did you mean 'author.id'?"),
        (EMAIL % ("cc.mail", "S"), "email.to: no sample has 'cc.mail': did you mean 'cc[].mail'?"),
        (EMAIL % ("cc[].mail", "{nmber}"), "email.subject: no sample has 'nmber': did you mean 'number'?"),
        ('reference = "nunber"\n' + EMAIL % ("cc", "S"), "reference: no sample has 'nunber': did you mean 'number'?"),
        ('inbox.title = "{author.nme}"', "inbox.title: no sample has 'author.nme': did you mean 'author.name'?"),
        ('inbox.title = "{text|kid|}"', "inbox.title: no sample has 'kid': did you mean 'kind'?"),
        ('inbox.title = "{xyz}"', "inbox.title: no sample has 'xyz'"),
        (
            'inbox.title = "{text|upper}"',
            "inbox.title: 'upper' in {text|upper} is read as the path of a field: templates in routes have no filters",
        ),
    ],
)
def test_a_path_that_no_sample_has_is_reported_with_a_similar_one(route: str, warning: str) -> None:
    payload = '{ author = { id = "ben", name = "B" }, kind = "bug", number = 7, text = "T", cc = [{ mail = "a" }] }'
    assert warnings(route, payload) == [f"route 1 ('a.*'): {warning}"]


def test_a_path_that_one_sample_has_or_that_events_may_lack_causes_no_warning() -> None:
    route = 'omit = ["cc"]\nid = "id"\nwhen = { "closed_at" = { present = false } }\n'
    route += 'inbox = { title = "{text|subject}", message = "{data.x.y}{a.b}" }'
    assert warnings(route, '{ text = "T", created_at = 1, "a.b" = 2, data = { x = { y = 1 } } }', "{ }") == []


def test_users_may_be_at_one_of_several_paths() -> None:
    profile = 'profile = "p"\n[[routes]]\nsource = "a"\nusers = [%s]\n[[samples]]\ntitle = "S"\nsource = "a"\n'
    text = profile + 'payload = { owner = { id = "ada" }, watchers = ["kim"] }'
    assert list(warnings_of_paths(read_profile(text % '"x", "owner.id"', "p"))) == []
    misspelt = "route 1 ('a'): users: no sample has 'watcher': did you mean 'watchers'?"
    assert list(warnings_of_paths(read_profile(text % '"x", "owner.id", "watcher"', "p"))) == [misspelt]
    unknown = "route 1 ('a'): users: no sample has 'x'"
    assert list(warnings_of_paths(read_profile(text % '"x", "watcher"', "p"))) == [unknown, misspelt]


def test_without_samples_a_filter_is_recognised_by_its_name() -> None:
    assert warnings('inbox.title = "{subject|title}"') == []
    assert len(warnings('inbox.title = "{subject|title}"', '{ subject = "S" }')) == 1
    assert len(warnings('inbox.title = "{subject|upper}"')) == 1


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
