"""Plans: what one event leads to, by routes of the tests and by the shipped routes."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.broker_messages import Message
from domain.event_limits import NO_LIMITS, Limits
from domain.events import read_event
from domain.planning import plan
from domain.plans import Plan
from domain.protocol.entry_kinds import protocol_text
from domain.protocol.plain_envelopes import plain_text
from domain.route_table import RouteTable
from domain.streams import Entry
from domain.user_ids import MAX_USER_LENGTH, recipients
from entrypoints.profiles.loader import shipped
from tests.support.core import NOW, entry, message, table
from tests.unit.test_events import JSON

SHIPPED = RouteTable(shipped(["all"]))
SOURCES = SHIPPED.sources("kafka", "kafka")

FIELDS = st.sampled_from(
    [
        "event_type",
        "type",
        "receivers",
        "group_members_ids",
        "user_to_add_id",
        "user_to_remove_id",
        "user_id",
        "data",
        "id",
        "event_id",
        "timestamp",
        "customer_email",
        "order_id",
        "specversion",
        "source",
        "group_name",
        "message",
    ]
)
NAMED = st.dictionaries(FIELDS, JSON | st.dictionaries(FIELDS, JSON, max_size=5), max_size=8)


def routes(*texts: str, feeds: str = "") -> RouteTable:
    declared = "".join(f'[feeds.{name}]\naccess = "public"\n' for name in feeds.split())
    return table('profile = "mine"\n' + declared + "".join(f"[[routes]]\n{text}\n" for text in texts))


def entries_of(made: Plan) -> list[Entry]:
    contents = [addressed.content for addressed in made.addressed] + [one.content for one in made.broadcasts]
    return [
        entry(
            content.body,
            stream=stream,
            envelope=content.envelope,
            type=content.type,
            title=content.title,
            message=content.message,
            url=content.url,
        )
        for content in contents
        for stream in ("inbox:u", "feed:news")
    ]


def users_of(made: Plan) -> list[str]:
    return [user for addressed in made.addressed for user in addressed.users]


# --- recipients -----------------------------------------------------------------------------------------------

PEOPLE = st.lists(st.sampled_from(["ada", "bob", 7, "7", 12, "", None]), max_size=5)


@given(PEOPLE, PEOPLE, st.sampled_from(["ada", 7, "zoe", None, ""]))
def test_flat_and_wrapped_payloads_have_the_same_recipients(some: list[Any], others: list[Any], added: Any) -> None:
    fields = {"group_members_ids": others, "user_to_add_id": added, "group_name": "g"}
    flat = {"event_type": "group_user_added", "receivers": some, **fields}
    wrapped = {"event_type": "group_user_added", "receivers": some, "data": fields}
    inside = {"event_type": "group_user_added", "data": {"receivers": some, **fields}}
    plans = [plan(message("user_service.group.add_users", one), SHIPPED) for one in (flat, wrapped, inside)]
    expected = list(dict.fromkeys(str(who) for who in [*some, *others, added] if who not in (None, "")))
    for made in plans:
        assert users_of(made) == expected
        assert (made.dead_letter is None) == bool(expected)
    texts = [[json.loads(plain_text(one)) for one in entries_of(made)] for made in plans]
    assert texts[0] == texts[1] == texts[2]


@given(JSON, st.lists(st.sampled_from(["a", "a.b", "data", "b"]), max_size=4))
def test_recipients_are_unique_texts(payload: Any, paths: list[str]) -> None:
    users, _ = recipients(payload, tuple(paths))
    assert len(set(users)) == len(users)
    assert all(type(user) is str and 0 < len(user) <= MAX_USER_LENGTH for user in users)


@pytest.mark.parametrize("bad", [1.5, True, {}, ["x"], "a\nb", "x" * (MAX_USER_LENGTH + 1), 10**300])
def test_an_invalid_recipient_is_a_dead_letter_and_the_others_are_notified(bad: Any) -> None:
    made = plan(message("t", {"to": ["ada", bad, "bob"]}), routes('source = "t"\nusers = ["to"]'))
    assert users_of(made) == ["ada", "bob"]
    assert made.dead_letter is not None
    assert made.dead_letter.reason == "bad_recipient"


@pytest.mark.parametrize(
    ("payload", "path", "words"),
    [
        ({"to": True}, "to", "at 'to' it must be text or a whole number, not true or false."),
        (
            {"to": [{"id": 7, "mail": "a@b"}]},
            "to",
            "text or a whole number, not an object: the path of the id may be 'to[].id' or 'to[].mail'.",
        ),
        ({"to": {"id": "a\0"}}, "to", "at 'to' it must be text or a whole number, not an object."),
        (
            {"data": {"to": [{"who": {"\0": "a"}}]}},
            "to[].who",
            "not an object: the path of the id may be 'to[].who.\\x00'.",
        ),
    ],
)
def test_the_path_of_an_invalid_recipient_is_named(payload: Any, path: str, words: str) -> None:
    letter = plan(message("t", payload), routes(f'source = "t"\nusers = ["{path}"]')).dead_letter
    assert letter is not None
    assert letter.detail.endswith(words)


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (
            {"type": "x"},
            "No route matches source 't' and type 'x': the routes of this source need type 'a' (mine/1), type 'b'"
            " (mine/2).",
        ),
        (
            {},
            "No route matches source 't': the event has no type (event_type, type or eventType), and the routes of this"
            " source need type 'a' (mine/1), type 'b' (mine/2).",
        ),
    ],
)
def test_an_event_of_another_type_says_which_types_are_needed(payload: Any, detail: str) -> None:
    table = routes('source = "t"\ntype = "a"\nusers = ["to"]', 'source = "#"\ntype = "b"\nusers = ["to"]')
    letter = plan(message("t", payload), table).dead_letter
    assert letter is not None
    assert letter.detail == detail


# --- several routes -------------------------------------------------------------------------------------------


def test_the_first_route_applies_to_each_user_and_feed() -> None:
    made = plan(
        message("t", {"a": ["ada"], "b": ["bob", "ada"]}),
        routes(
            'source = "t"\nusers = ["a"]\nas_type = "one"',
            'source = "#"\nusers = ["b"]\nas_type = "two"',
            'source = "t"\nfeed = "news"\nas_type = "three"',
            'source = "*"\nfeed = "news"\nas_type = "four"',
            feeds="news",
        ),
    )
    assert [(one.content.type, one.users) for one in made.addressed] == [("one", ("ada",)), ("two", ("bob",))]
    assert [(one.content.type, one.feed) for one in made.broadcasts] == [("three", "news")]
    assert made.dead_letter is None


def test_a_route_of_another_type_is_skipped() -> None:
    both = routes(
        'source = "t"\nusers = ["to"]\ntype = "x"\nas_type = "X"',
        'source = "t"\nusers = ["to"]\ntype = "y"\nas_type = "Y"',
    )
    assert [one.content.type for one in plan(message("t", {"type": "y", "to": 1}), both).addressed] == ["Y"]
    letter = plan(message("t", {"type": "z", "to": 1}), both).dead_letter
    assert letter is not None
    assert letter.reason == "no_route"
    assert "'z'" in letter.detail


@pytest.mark.parametrize(
    ("otherwise", "broadcasts", "reason"),
    [("dead-letter", 0, "no_recipient"), ("broadcast", 1, None), ("drop", 0, None)],
)
@pytest.mark.parametrize("payload", [{"to": []}, {"to": None}, {"to": ""}, {}])
def test_otherwise_decides_about_events_without_recipients(
    otherwise: str, broadcasts: int, reason: str | None, payload: dict[str, Any]
) -> None:
    made = plan(
        message("t", payload),
        routes(f'source = "t"\nusers = ["to"]\nfeed = "news"\notherwise = "{otherwise}"', feeds="news"),
    )
    assert (made.addressed, len(made.broadcasts)) == ((), broadcasts)
    assert (made.dead_letter.reason if made.dead_letter else None) == reason


def test_a_dead_letter_does_not_prevent_deliveries_of_other_routes() -> None:
    made = plan(
        message("t", {"b": "bob"}, "m-9"),
        routes(
            'source = "t"\nusers = ["a"]', 'source = "t"\nusers = ["b"]', 'source = "t"\nfeed = "news"', feeds="news"
        ),
    )
    assert users_of(made) == ["bob"]
    assert len(made.broadcasts) == 1
    assert made.dead_letter is not None
    assert (made.dead_letter.reason, made.dead_letter.event_id) == ("no_recipient", "m-9")


def test_a_mail_is_planned_even_if_the_notification_has_no_recipient() -> None:
    made = plan(
        message("t", {"mail": "a@b.c"}),
        routes('source = "t"\nusers = ["to"]\nemail = { to = "mail", subject = "s", template = "t" }'),
    )
    assert [one.destination for one in made.deliveries] == ["a@b.c"]
    assert made.dead_letter is not None


MAIL = """source = "t"
feed = "f"
email = { to = "mail", subject = "For {name}", template = "t.html", user = "user" }
reference = "ticket.number"
"""


def mails_of(payload: dict[str, Any], *more: str, limits: Limits = NO_LIMITS) -> Plan:
    return plan(message("t", payload), routes(MAIL, *more, feeds="f"), limits)


def test_a_mail_is_made_of_the_event_and_the_texts_of_the_route() -> None:
    made = mails_of({"mail": "a@b.c", "name": "Ada", "user": 7, "ticket": {"number": 42}, "type": "hello"})
    (one,) = made.deliveries
    assert (one.channel, one.destination) == ("email", "a@b.c")
    mail = one.item
    assert (mail.origin, mail.event_id, mail.source, mail.type, mail.time) == ("t", "m-1", "t", "hello", NOW)
    assert (mail.subject, mail.template, one.user, mail.reference) == ("For Ada", "t.html", "7", "42")
    assert json.loads(mail.payload)["name"] == "Ada"


def test_an_address_gets_one_mail_and_the_first_route_applies() -> None:
    other = 'source = "t"\nemail = { to = "copies", subject = "Copy", template = "copy.html" }'
    payload = {"mail": ["a@b.c", "A@B.C", "d@e.f", "a@B.c", None], "copies": ["d@e.f", "g@h.i"], "name": "x"}
    made = mails_of(payload, other)
    assert [(one.destination, one.item.subject) for one in made.deliveries] == [
        ("a@b.c", "For x"),
        ("A@b.c", "For x"),
        ("d@e.f", "For x"),
        ("g@h.i", "Copy"),
    ]


@pytest.mark.parametrize("mail", [None, [], {}, "", 5])
def test_a_mail_without_an_address_is_recorded_with_a_fault(mail: Any) -> None:
    made = mails_of({"mail": mail, "name": "x"})
    (one,) = made.deliveries
    assert one.fault
    assert len(made.broadcasts) == 1
    assert made.dead_letter is None


def test_a_subject_with_a_missing_field_is_a_fault_of_the_mail() -> None:
    (one,) = mails_of({"mail": "a@b.c"}).deliveries
    assert (one.item.subject, one.fault) == (None, "the event lacks what the subject is made of")


def test_the_number_of_addresses_of_an_event_is_limited() -> None:
    addresses = [f"a{number}@b.c" for number in range(4)]
    assert len(mails_of({"mail": addresses, "name": "x"}, limits=Limits(addresses=4)).deliveries) == 4
    made = mails_of({"mail": addresses, "name": "x"}, limits=Limits(addresses=3))
    assert (made.deliveries, len(made.broadcasts)) == ((), 1)
    assert made.dead_letter is not None
    assert made.dead_letter.reason == "too_many_addresses"


def test_an_unstorable_mail_is_a_dead_letter() -> None:
    made = mails_of({"mail": "a@b.c", "name": "x", "ticket": {"number": "a\0b"}})
    assert made.deliveries == ()
    assert made.dead_letter is not None
    assert made.dead_letter.reason == "unstorable_text"


def test_users_of_an_unstorable_notification_are_left_to_the_next_route() -> None:
    made = plan(
        message("t", {"to": "ada", "name": "a\0b"}),
        routes(
            'source = "t"\nusers = ["to"]\ninbox = { title = "{name}" }',
            'source = "t"\nusers = ["to"]\nomit = ["name"]',
        ),
    )
    assert made.dead_letter is not None
    assert made.dead_letter.reason == "unstorable_text"
    assert users_of(made) == ["ada"]


def test_a_sign_out_has_the_time_of_its_event() -> None:
    made = plan(
        message("user_service.user.logout_account", {"user_id": 7, "timestamp": "2026-03-01T11:00:00Z"}), SHIPPED
    )
    assert [(one.user, one.not_before.isoformat()) for one in made.sign_outs] == [("7", "2026-03-01T11:00:00+00:00")]
    assert made.dead_letter is None
    letter = plan(message("user_service.user.logout_account", {"x": 1}), SHIPPED).dead_letter
    assert letter is not None
    assert letter.reason == "no_recipient"


def test_title_and_message_of_a_notification() -> None:
    one = routes('source = "t"\nusers = ["to"]\nas_type = "order_sent"\ninbox = { title = "{a}", message = "{b}" }')
    full, empty = (plan(message("t", {"to": 1, **more}), one).addressed[0].content for more in ({"a": 1, "b": 2}, {}))
    assert (full.title, full.message) == ("1", "2")
    assert (empty.title, empty.message) == ("Order sent", "")


def test_a_title_over_the_limit_is_truncated() -> None:
    one = routes('source = "t"\nusers = ["to"]\ninbox = { title = "{a}" }')
    made = plan(message("t", {"to": 1, "a": "x" * 300}), one)
    assert made.dead_letter is None
    assert made.addressed[0].content.title == "x" * 254 + "…"


def test_numbers_in_texts_keep_their_notation() -> None:
    one = routes(
        'source = "t"\nusers = ["to"]\ninbox = { title = "{quantity} of {order.id}", message = "{price} {open}" }\n'
        'email = { to = "mail", subject = "{price} {order.id}", template = "x.html" }'
    )
    data = '{"to":1,"mail":"a@b.c","quantity":0.00001,"price":1.50,"open":true,"order":{"id":123456789012345678901}}'
    encoded = base64.b64encode(data.encode()).decode()
    envelope = '{"specversion":"1.0","id":"e","source":"/s","quantity":9.9,'
    for sent in (
        data,
        "\ufeff" + data,
        f'{{"type":"x","data":{data}}}',
        f'{envelope}"data":{data}}}',
        f'{envelope}"data":{json.dumps(data)}}}',
        f'{envelope}"data_base64":"{encoded}"}}',
    ):
        made = plan(message("t", sent), one)
        content = made.addressed[0].content
        assert (content.title, content.message) == ("0.00001 of 123456789012345678901", "1.50 true")
        assert [one.item.subject for one in made.deliveries] == ["1.50 123456789012345678901"]


def test_a_line_with_fallbacks_needs_no_field() -> None:
    one = routes(
        'source = "t"\nusers = ["to"]\nas_type = "order_sent"\ninbox = { title = "{name|}", message = "By {by|}." }\n'
        'email = { to = "mail", subject = "Order: {a|b|}", template = "x.html" }'
    )
    made = plan(message("t", {"to": 1, "mail": "a@b.c"}), one)
    content = made.addressed[0].content
    assert (content.title, content.message) == ("Order sent", "By .")
    assert [(one.item.subject, one.fault) for one in made.deliveries] == [("Order:", None)]


LINKED = 'source = "t"\nusers = ["to"]\nfeed = "f"\notherwise = "broadcast"\ninbox = { title = "x", url = "%s" }'


def test_the_url_of_a_notification() -> None:
    one = routes(LINKED % "/tickets/{id}", feeds="f")
    made = plan(message("t", {"to": 1, "id": "7/8"}), one)
    assert (made.addressed[0].content.url, made.refused_urls) == ("/tickets/7%2F8", ())
    made = plan(message("t", {"to": 1}), one)
    assert (made.addressed[0].content.url, made.refused_urls) == (None, ())
    made = plan(message("t", {"id": 7}), one)
    assert (made.broadcasts[0].content.url, made.dead_letter) == (None, None)


def test_a_url_that_is_not_allowed_is_left_out_and_reported() -> None:
    one = routes(LINKED % "{link}", feeds="f")
    made = plan(message("t", {"to": 1, "link": "javascript:alert(1)"}), one)
    assert (made.addressed[0].content.url, made.dead_letter) == (None, None)
    (refused,) = made.refused_urls
    assert refused.route == "mine/1"
    assert refused.reason.startswith("it is neither an http or https URL")


def test_a_mail_has_the_url_of_its_route() -> None:
    mail = 'email = { to = "mail", subject = "x", template = "x.html" }\n'
    one = routes(
        f'source = "t"\n{mail}inbox = {{ title = "x", url = "/a/{{id}}" }}',
        f'source = "t"\nusers = ["to"]\n{mail}',
    )
    made = plan(message("t", {"to": 1, "mail": "a@b.c", "id": 7}), one)
    assert [one.item.url for one in made.deliveries] == ["/a/7"]
    assert made.addressed[0].content.url is None


def test_the_title_of_a_type_is_the_title_of_notifications_without_one() -> None:
    declared = '[types."order.sent"]\ntitle = "Orders on their way"\n'
    one = table(f'profile = "mine"\n{declared}[[routes]]\nsource = "t"\nusers = ["to"]')
    titles = {
        type_: plan(message("t", {"to": 1, "type": type_}), one).addressed[0].content.title
        for type_ in ("order.sent", "order.paid")
    }
    assert titles == {"order.sent": "Orders on their way", "order.paid": "Order paid"}


# --- invalid events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff", "not_utf8"),
        (b"x" * 11, "too_large"),
        (b"no json", "not_json"),
        (b"[1]", "not_an_object"),
        (b"5", "not_an_object"),
        (b'{"a":NaN}', "not_json"),
        (b'{"a":1e400', "not_json"),
    ],
)
@pytest.mark.parametrize("source", ["risk-events", "regime-events", "product-events", "user_service.group.add_users"])
def test_an_invalid_event_is_a_dead_letter_with_reason_and_unchanged_message(
    source: str, body: bytes | None, reason: str
) -> None:
    sent = message(source, body, "place")
    made = plan(sent, SHIPPED, Limits(event_bytes=10))
    assert made.dead_letter is not None
    assert (made.dead_letter.reason, made.dead_letter.event_id) == (reason, "place")
    assert made.dead_letter.message is sent
    assert (made.addressed, made.broadcasts, made.deliveries, made.sign_outs) == ((), (), (), ())


@pytest.mark.parametrize("source", ["risk-events", "no-such-source"])
def test_a_record_without_a_value_is_ignored(source: str) -> None:
    sent = message(source, None, "place")
    assert plan(sent, SHIPPED) == Plan(source, "place", message=sent, ignored="tombstone")


def test_a_record_without_a_value_is_a_dead_letter_if_a_route_declares_it() -> None:
    routes = """
profile = "p"
[[routes]]
source = "a.*"
users = ["to"]
[[routes]]
source = "a.b"
type = "t"
users = ["to"]
tombstone = "dead-letter"
"""
    sent = message("a.b", None, "place")
    made = plan(sent, table(routes))
    assert made.ignored is None
    assert made.dead_letter is not None
    assert (made.dead_letter.reason, made.dead_letter.event_id) == ("tombstone", "place")
    assert made.dead_letter.message is sent
    assert plan(message("a.c", None), table(routes)).ignored == "tombstone"


@pytest.mark.parametrize(("body", "reason"), [(b"no json", "not_json"), (b"[1]", "not_an_object")])
@pytest.mark.parametrize("source", ["order.created", "order.status.updated"])
def test_an_invalid_event_makes_no_delivery(source: str, body: bytes, reason: str) -> None:
    made = plan(message(source, body, "place"), SHIPPED)
    assert made.dead_letter is not None
    assert (made.dead_letter.reason, made.deliveries) == (reason, ())


def test_signals_accept_any_text() -> None:
    for text in ("BUY", "{", "", "1e400", "[" * 10_000):
        made = plan(message("trading_signals", text), SHIPPED)
        assert [one.content.body for one in made.broadcasts] == [text]
        assert made.dead_letter is None


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_planning_never_raises_at_any_nesting_depth(source: str, wrapped: bool) -> None:
    # The depth at which Python fails depends on the stack of the caller, so two ways of parsing one text may disagree
    # about it.
    for depth in (10, 500, *range(900, 1010), 10_000):
        body = '{"user_id":"u","receivers":"u","d":' + "[" * depth + "]" * depth + "}"
        plan(message(source, '{"data":' + body + "}" if wrapped else body), SHIPPED)


@pytest.mark.parametrize("source", SOURCES)
def test_a_planned_event_can_be_rendered_at_any_stack_depth(source: str) -> None:
    def from_below(frames: int, one: Entry) -> None:
        if frames:
            return from_below(frames - 1, one)
        plain_text(one)
        protocol_text(one)
        return None

    for depth in range(880, 1000, 4):
        body = '{"user_id":"u","receivers":"u","d":' + "[" * depth + "]" * depth + "}"
        try:
            made = plan(message(source, body), SHIPPED)
        except RecursionError:
            continue
        for one in entries_of(made):
            from_below(60, one)


@given(st.sampled_from([*SOURCES, "nobody.knows"]), st.binary(max_size=60) | st.none())
def test_planning_never_raises_for_bytes(source: str, body: bytes | None) -> None:
    made = plan(Message(source, body, NOW, "place"), SHIPPED, Limits(event_bytes=50))
    assert made.addressed or made.broadcasts or made.sign_outs or made.dead_letter or made.ignored
    assert (made.ignored is None) == (body is not None)


@given(st.sampled_from([*SOURCES, "nobody.knows"]), NAMED | JSON)
def test_planning_any_json_never_raises_or_drops_and_can_be_rendered(source: str, payload: Any) -> None:
    sent = message(source, json.dumps(payload), "place")
    made = plan(sent, SHIPPED)
    # The shipped profiles never drop events without a record.
    assert made.addressed or made.broadcasts or made.sign_outs or made.dead_letter
    assert made == plan(sent, SHIPPED)
    if made.dead_letter is None:
        event = read_event(sent, "id" if source == "product-events" else None)
        assert (made.origin, made.event_id) == (event.origin, event.id)
    users = users_of(made)
    assert len(set(users)) == len(users)
    for one in entries_of(made):
        json.loads(protocol_text(one))
        if one.content.envelope != "raw":
            json.loads(plain_text(one))
