"""Routes with conditions (`when`) and exclusions (`exclude`): which of them apply to an event, and whom they notify."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.planning import plan
from domain.plans import Plan
from domain.route_table import RouteTable
from tests.support.core import message, table

HEAD = 'profile = "mine"\n[feeds.news]\naccess = "public"\n'


def routes(*texts: str) -> RouteTable:
    return table(HEAD + "".join(f'[[routes]]\nsource = "t"\n{text}\n' for text in texts))


def users_of(made: Plan) -> list[str]:
    return [user for addressed in made.addressed for user in addressed.users]


def left_out_of(made: Plan) -> list[tuple[str, ...]]:
    return [one.names for one in made.left_out]


def reason_of(made: Plan) -> str | None:
    return made.dead_letter.reason if made.dead_letter else None


# --- when -----------------------------------------------------------------------------------------------------

URGENT = 'users = ["to"]\nas_type = "urgent"\nwhen = { priority = ["urgent"], "ticket.size" = { min = 10 } }'
OTHER = 'users = ["to"]\nas_type = "other"\nwhen = { priority = ["high", "low"] }'


def test_a_route_applies_if_all_its_conditions_are_fulfilled() -> None:
    both = routes(URGENT, OTHER)

    def type_for(payload: dict[str, Any]) -> list[str]:
        return [one.content.type for one in plan(message("t", {"to": "ada", **payload}), both).addressed]

    assert type_for({"priority": "urgent", "ticket": {"size": 10}}) == ["urgent"]
    assert type_for({"priority": "low", "ticket": {"size": 10}}) == ["other"]
    assert type_for({"priority": "urgent", "ticket": {"size": 9}}) == []
    assert type_for({"priority": ["urgent", "low"], "ticket": {"size": 10}}) == ["urgent"]


def test_an_event_that_fulfils_no_conditions_is_filtered_and_no_dead_letter() -> None:
    for payload in ({"to": "ada"}, {}, {"priority": {"urgent": 1}}, {"priority": None}):
        made = plan(message("t", payload), routes(URGENT, OTHER))
        assert (made.ignored, made.dead_letter, made.addressed) == ("filtered", None, ())


def test_an_event_of_another_type_has_no_route() -> None:
    typed = routes('type = "x"\nusers = ["to"]\nwhen = { a = [1] }')
    assert reason_of(plan(message("t", {"type": "y", "to": "ada", "a": 1}), typed)) == "no_route"
    assert plan(message("t", {"type": "x", "to": "ada", "a": 2}), typed).ignored == "filtered"
    assert users_of(plan(message("t", {"type": "x", "to": "ada", "a": 1}), typed)) == ["ada"]


def test_only_the_routes_that_apply_have_an_effect() -> None:
    mixed = routes('feed = "news"\nwhen = { a = [1] }', 'users = ["to"]\nwhen = { a = [2] }', 'sign_out = "bye"')
    made = plan(message("t", {"a": 1, "bye": "bob"}), mixed)
    assert ([one.feed for one in made.broadcasts], users_of(made)) == (["news"], [])
    assert [one.user for one in made.sign_outs] == ["bob"]
    assert (made.ignored, made.dead_letter) == (None, None)
    # The route that applies finds no recipient: a dead letter, although another route is filtered.
    assert reason_of(plan(message("t", {"a": 2, "bye": "bob"}), mixed)) == "no_recipient"


@pytest.mark.parametrize(
    ("body", "reason"), [("no json", "not_json"), ("[1]", "not_an_object"), ("5", "not_an_object")]
)
def test_a_payload_without_fields_is_not_filtered_but_a_dead_letter(body: str, reason: str) -> None:
    for condition in ("{ a = [1] }", "{ a = { present = false } }"):
        made = plan(message("t", body), routes(f'feed = "news"\nenvelope = "raw"\nwhen = {condition}'))
        assert (reason_of(made), made.ignored, made.broadcasts) == (reason, None, ())
    made = plan(message("t", body), routes('feed = "news"\nenvelope = "raw"', f'users = ["to"]\nwhen = {condition}'))
    assert (reason_of(made), len(made.broadcasts)) == (reason, 1)


def test_the_id_is_read_by_a_route_that_is_filtered() -> None:
    """An event's id does not depend on conditions, so that it is the same for every route."""
    made = plan(
        message("t", {"a": 2, "n": "e-7", "to": "ada"}), routes('id = "n"\nfeed = "news"\nwhen = { a = [1] }', OTHER)
    )
    assert (made.event_id, made.ignored) == ("e-7", "filtered")


# --- exclude --------------------------------------------------------------------------------------------------

COMMENT = 'users = ["watchers[].id", "assignee"]\nexclude = ["comment.author_id", "muted[]"]'


def comment(**more: Any) -> Plan:
    payload = {"watchers": [{"id": "ada"}, {"id": "bob"}], "assignee": "cy", **more}
    return plan(message("t", payload), routes(COMMENT))


def test_excluded_users_are_removed_from_the_union_of_users() -> None:
    assert users_of(comment()) == ["ada", "bob", "cy"]
    made = comment(comment={"author_id": "bob"}, assignee="bob")
    assert (users_of(made), left_out_of(made)) == (["ada"], [("bob",)])
    made = comment(muted=["cy", "ada", "zoe"])
    assert (users_of(made), left_out_of(made)) == (["bob"], [("ada", "cy")])


def test_ids_are_compared_as_text_like_recipients() -> None:
    made = comment(watchers=[{"id": 7}, {"id": "8"}], comment={"author_id": "7"}, muted=[8])
    assert users_of(made) == ["cy"]


@pytest.mark.parametrize("author", [None, "", {}, ["x", {}], True, 1.5, "a\nb"])
def test_what_is_not_a_user_excludes_nobody(author: Any) -> None:
    made = comment(comment={"author_id": author})
    assert (users_of(made), made.dead_letter) == (["ada", "bob", "cy"], None)


@pytest.mark.parametrize("otherwise", ["dead-letter", "drop", "broadcast"])
def test_an_event_whose_recipients_are_all_excluded_is_counted_and_kept_nowhere(otherwise: str) -> None:
    text = f'users = ["to"]\nexclude = ["by"]\nfeed = "news"\notherwise = "{otherwise}"'
    made = plan(message("t", {"to": ["ada"], "by": "ada"}), routes(text))
    assert (made.ignored, made.dead_letter, made.addressed, made.broadcasts) == ("excluded", None, (), ())


def test_an_event_without_recipients_is_handled_as_before() -> None:
    def made(otherwise: str) -> Plan:
        text = f'users = ["to"]\nexclude = ["by"]\nfeed = "news"\notherwise = "{otherwise}"'
        return plan(message("t", {"by": "ada"}), routes(text))

    assert reason_of(made("dead-letter")) == "no_recipient"
    assert len(made("broadcast").broadcasts) == 1
    assert (made("drop").ignored, made("drop").dead_letter) == (None, None)


def test_an_invalid_recipient_remains_a_dead_letter() -> None:
    made = plan(message("t", {"to": ["ada", {}], "by": "ada"}), routes('users = ["to"]\nexclude = ["by"]'))
    assert (reason_of(made), made.ignored) == ("bad_recipient", None)


def test_exclude_concerns_its_own_route_only() -> None:
    one, other = 'users = ["to"]\nexclude = ["by"]\nas_type = "one"', 'users = ["cc"]\nas_type = "two"'
    sent = message("t", {"to": ["ada", "bob"], "cc": ["ada", "bob"], "by": "ada"})
    made = plan(sent, routes(one, other))
    assert [(one.content.type, one.users) for one in made.addressed] == [("one", ("bob",)), ("two", ("ada",))]
    made = plan(sent, routes(other, one))
    assert [(one.content.type, one.users) for one in made.addressed] == [("two", ("ada", "bob"))]
    assert (left_out_of(made), made.ignored) == ([("ada",)], None)


# --- exclude and mails ----------------------------------------------------------------------------------------

MAIL = 'exclude = ["by.id", "by.mail"]\nemail = { to = "%s", subject = "S", template = "order_created.html"%s }'


def mails(to: str, user: str, **payload: Any) -> Plan:
    return plan(message("t", payload), routes(MAIL % (to, user)))


def test_the_mails_of_an_excluded_user_are_left_out() -> None:
    user = ', user = "owner.id"'
    owner = {"id": "ada", "mail": "ada@example.com"}
    made = mails("owner.mail", user, owner=owner, by={"id": "ada"})
    assert (made.deliveries, made.ignored, left_out_of(made)) == ((), "excluded", [("ada@example.com",)])
    assert len(mails("owner.mail", user, owner=owner, by={"id": "bob"}).deliveries) == 1


def test_an_excluded_address_is_left_out() -> None:
    watchers = [{"mail": "ada@Example.com"}, {"mail": "bob@example.com"}]
    made = mails("watchers[].mail", "", watchers=watchers, by={"mail": "ada@EXAMPLE.com"})
    assert [one.destination for one in made.deliveries] == ["bob@example.com"]
    assert left_out_of(made) == [("ada@example.com",)]
    # An event without an address remains a delivery that is skipped.
    assert [one.destination for one in mails("watchers[].mail", "", by={"mail": "a@b.c"}).deliveries] == [""]


# --- a naive model --------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["ada", "bob", "cy", 7, "7", "", None])
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        "a": st.sampled_from([1, True, "1", 2, None, [1, 2], {}]),
        "to": st.lists(NAMES, max_size=3),
        "cc": NAMES,
        "by": NAMES | st.lists(NAMES, max_size=2),
    },
)
RULES = st.lists(
    st.tuples(
        st.sampled_from([None, [1], ["1", 2], {"present": True}, {"present": False}, {"min": 2}]),
        st.sampled_from([["to"], ["cc"], ["to", "cc"]]),
        st.sampled_from([[], ["by"]]),
        st.sampled_from(["dead-letter", "drop"]),
    ),
    min_size=1,
    max_size=3,
)


def holds(payload: dict[str, Any], demand: Any) -> bool:
    value = payload.get("a")
    values = [one for one in (value if isinstance(value, list) else [value]) if one is not None]
    if demand is None:
        return True
    if isinstance(demand, list):
        return any(type(one) is type(wanted) and one == wanted for one in values for wanted in demand)
    if "present" in demand:
        return bool(values) == demand["present"]
    return any(type(one) is int and one >= demand["min"] for one in values)


def named(payload: dict[str, Any], paths: list[str]) -> list[str]:
    values = [payload.get(path) for path in paths]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(str(one) for one in flat if one not in (None, "")))


def as_toml(demand: Any) -> str:
    if isinstance(demand, list):
        return f"[{', '.join(repr(one) for one in demand)}]"
    return "{" + ", ".join(f"{key} = {str(value).lower()}" for key, value in demand.items()) + "}"


@given(PAYLOADS, RULES)
def test_plans_agree_with_a_naive_model(payload: dict[str, Any], rules: list[Any]) -> None:
    texts = [
        f'users = {users}\nexclude = {exclude}\notherwise = "{otherwise}"\nas_type = "{number}"\n'
        + (f"when = {{ a = {as_toml(demand)} }}" if demand is not None else "")
        for number, (demand, users, exclude, otherwise) in enumerate(rules)
    ]
    made = plan(message("t", payload), routes(*texts))

    expected: dict[str, str] = {}
    failed = left_out = False
    applied = [(number, rule) for number, rule in enumerate(rules) if holds(payload, rule[0])]
    for number, (_, users, exclude, otherwise) in applied:
        union, excluded = named(payload, users), named(payload, exclude)
        left_out = left_out or not set(union).isdisjoint(excluded)
        failed = failed or (not union and otherwise == "dead-letter")
        for user in union:
            if user not in excluded:
                expected.setdefault(user, str(number))
    assert {user: one.content.type for one in made.addressed for user in one.users} == expected
    assert reason_of(made) == ("no_recipient" if failed else None)
    reason = None if failed or expected else "filtered" if not applied else "excluded" if left_out else None
    assert made.ignored == reason
