"""Notification types: their titles in routes files, and the list of types that the profiles lead to."""

import pytest

from application.inbox.list_types import ListTypes
from application.routes_in_force import RoutesInForce
from domain.notification_types import NotificationType, notification_types, warnings_of_unused_types
from domain.profiles import Profile
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from domain.routes_file import read_profile
from tests.support.core import ROUTE_CHANNELS

ROUTE = '[[routes]]\nsource = "a"\nusers = ["to"]\n'


def profile_of(text: str, name: str = "desk") -> Profile:
    return read_profile(f'profile = "{name}"\n{text}', f"{name}.toml", ROUTE_CHANNELS)


def titled(type_: str, title: str) -> str:
    return f'[types."{type_}"]\ntitle = "{title}"\n'


def listed(*profiles: Profile) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.type, one.title, one.profiles) for one in notification_types(RouteTable(profiles))]


def test_declared_types_come_first_and_others_get_a_title_made_from_the_type() -> None:
    routes = f'{ROUTE}type = "ticket.closed"\n{ROUTE}as_type = "ticket_commented"\n{ROUTE}'
    assert listed(profile_of(titled("ticket_opened", "New tickets") + routes)) == [
        ("ticket_opened", "New tickets", ("desk",)),
        ("ticket.closed", "Ticket closed", ("desk",)),
        ("ticket_commented", "Ticket commented", ("desk",)),
    ]


def test_only_types_that_notify_users_are_listed() -> None:
    feed = '[feeds.f]\n[[routes]]\nsource = "b"\nfeed = "f"\nas_type = "broadcast"\n'
    sign_out = '[[routes]]\nsource = "c"\nsign_out = "id"\nas_type = "signed_out"\n'
    mail = '[[routes]]\nsource = "d"\nas_type = "mailed"\nemail = { to = "a", subject = "b", template = "c.html" }\n'
    assert [one[0] for one in listed(profile_of(feed + sign_out + mail))] == ["mailed"]


def test_a_type_of_two_profiles_is_listed_once() -> None:
    one = profile_of(titled("paid", "Payments") + ROUTE, "one")
    two = profile_of(f'{ROUTE}as_type = "paid"\n', "two")
    assert listed(one, two) == [("paid", "Payments", ("one", "two"))]
    assert listed(two, one) == [("paid", "Payments", ("two", "one"))]


def test_the_list_is_that_of_the_routes_in_force() -> None:
    routes = RoutesInForce(RouteTable((profile_of(titled("paid", "Payments") + ROUTE),)))
    list_types = ListTypes(routes)
    assert [one.title for one in list_types()] == ["Payments"]
    routes.replace(RouteTable((profile_of(titled("paid", "Bills") + ROUTE),)), "v2")
    assert [one.title for one in list_types()] == ["Bills"]


def test_a_title_may_contain_html_which_is_text() -> None:
    title = "<img src=x onerror=alert(1)> & co"
    (one,) = notification_types(RouteTable((profile_of(titled("paid", title) + ROUTE),)))
    assert one == NotificationType("paid", title, ("desk",))


def test_different_titles_of_two_profiles_are_refused() -> None:
    one, two = (profile_of(titled("paid", title) + ROUTE, name) for name, title in (("one", "Paid"), ("two", "Bills")))
    RouteTable((one, profile_of(titled("paid", "Paid") + ROUTE, "two")))
    with pytest.raises(RoutesInvalid) as caught:
        RouteTable((one, two))
    assert str(caught.value) == (
        "profile two: types.paid: title: is 'Bills', but 'Paid' in profile one: profiles that declare the same type"
        " must give it the same title"
    )


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("[types.paid]", "types.paid.title: is missing: it must be text"),
        ("[types]\npaid = 'x'", "types.paid: must be a table, not the text 'x'"),
        ("types = 5", "types: must be a table, not the number 5"),
        ("[types.paid]\ntitle = 5", "types.paid.title: must be text, not the number 5"),
        (
            "[types.order.paid]\ntitle = 'x'",
            'types.order.paid: a type with dots needs quotes: [types."order.paid"]',
        ),
        ("[types.paid]\ntitle = ' '", "types.paid: title: is empty"),
        (
            "[types.paid]\ntitle = 'a\\nb'".replace("'", '"'),
            "types.paid: title: contains a line break or another control character",
        ),
        (
            f"[types.paid]\ntitle = '{'x' * 256}'",
            "types.paid: title: has 256 characters; at most 255 are allowed",
        ),
        ("[types.'']\ntitle = 'x'", "types.: the type must have 1 to 255 characters, and no U+0000"),
    ],
)
def test_an_invalid_type_is_refused_with_file_and_key(table: str, fault: str) -> None:
    with pytest.raises(RoutesInvalid) as caught:
        profile_of(f"{table}\n{ROUTE}")
    assert str(caught.value) == f"desk.toml: {fault}"


def test_a_type_that_no_route_can_lead_to_causes_a_warning() -> None:
    text = titled("paid", "Payments")
    assert list(warnings_of_unused_types(profile_of(f'{text}{ROUTE}as_type = "payed"\n'))) == [
        "types.paid: no route of this profile leads to notifications of this type"
    ]
    assert list(warnings_of_unused_types(profile_of(f'{text}{ROUTE}type = "paid"\n'))) == []
    assert list(warnings_of_unused_types(profile_of(f"{text}{ROUTE}"))) == []
