"""Profiles: the shipped ones, and those of an operator."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.broker_messages import Message
from domain.planning import plan
from domain.plans import Plan
from domain.protocol.herald_v1 import sse_block
from domain.protocol.plain_envelopes import plain_text
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from domain.streams import Content, Entry
from domain.user_ids import MAX_USER_LENGTH
from entrypoints.profiles.loader import SHIPPED, load_table, read_file, shipped
from entrypoints.settings.loader import Settings, SettingsInvalid, load

NOW = datetime(2025, 1, 29, 10, 0, 0, 1000, UTC)
TABLE = RouteTable(shipped(["all"]))

ROUTES = """
profile = "mine"
broker = "memory"
[[routes]]
source = "a.*"
users = ["user"]
"""


def planned(source: str, payload: Any, table: RouteTable = TABLE) -> Plan:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return plan(Message(source, body, NOW, "fallback"), table)


def frame(content: Content) -> str:
    return plain_text(Entry("feed:any", 1, 1, UUID(int=1), content, NOW))


def settings(mode: str = "dev", **environ: str) -> Settings:
    return load({"HERALD_AUTH": "open", **environ}, "serve" if mode == "serve" else "dev", {})


class TestShipped:
    def test_five_profiles_are_shipped(self) -> None:
        assert SHIPPED == ("groups", "orders", "products", "signals", "trading")
        assert tuple(profile.profile for profile in TABLE.profiles) == SHIPPED

    @pytest.mark.parametrize("name", SHIPPED)
    def test_each_profile_can_be_loaded_alone(self, name: str) -> None:
        assert load_table(settings(HERALD_PROFILE=name)).has_profile(name)

    def test_repeated_profiles_are_loaded_once(self) -> None:
        assert [p.profile for p in shipped(["trading", "signals", "trading"])] == ["trading", "signals"]

    @pytest.mark.parametrize("name", SHIPPED)
    def test_every_sample_leads_to_a_result(self, name: str) -> None:
        table = RouteTable(shipped([name]))
        assert table.profiles[0].samples
        for sample in table.profiles[0].samples:
            made = planned(sample.source, json.loads(json.dumps(sample.payload).replace("{user}", "u-7")), table)
            assert made.dead_letter is None, sample.title
            assert made.addressed or made.broadcasts or made.sign_outs, sample.title
            for addressed in made.addressed:
                assert "u-7" in addressed.users
                assert "{" not in f"{addressed.content.title}{addressed.content.message}"

    def test_no_route_drops_events_without_a_record(self) -> None:
        assert all(route.otherwise != "drop" for route in TABLE.routes)

    def test_an_unknown_name_is_refused_with_a_suggestion(self) -> None:
        with pytest.raises(SettingsInvalid, match=r"HERALD_PROFILE names 'order': did you mean orders\?"):
            load_table(settings(HERALD_PROFILE="groups,order"))


class TestBrokers:
    def test_each_profile_has_its_own_broker(self) -> None:
        table = load_table(settings("serve"))
        assert table.sources("rabbitmq") == ("order.created", "order.status.updated")
        assert "trading_signals" in table.sources("kafka")

    def test_dev_uses_the_memory_broker_for_all(self) -> None:
        assert load_table(settings()).has_profile("orders")

    def test_an_operators_file_may_use_rabbitmq(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(ROUTES.replace('"memory"', '"rabbitmq"'))
        assert load_table(settings("serve", HERALD_ROUTES=str(file))).sources("rabbitmq")


class TestProductsTopics:
    def test_the_topics_replace_the_default_topic(self) -> None:
        table = load_table(settings(HERALD_PROFILE="products", HERALD_PRODUCTS_TOPICS="shop.new,shop.sold"))
        assert table.sources("kafka") == ("shop.new", "shop.sold")
        assert not table.for_source("product-events")
        for topic in ("shop.new", "shop.sold"):
            assert planned(topic, {"type": "ProductCreated"}, table).broadcasts[0].feed == "products"

    def test_samples_use_the_configured_topics(self) -> None:
        table = load_table(settings(HERALD_PRODUCTS_TOPICS="shop.new,shop.sold"))
        assert all(table.for_source(sample.source) for profile in table.profiles for sample in profile.samples)

    def test_other_profiles_are_unchanged(self) -> None:
        table = load_table(settings(HERALD_PRODUCTS_TOPICS="shop.new"))
        assert set(TABLE.sources("kafka")) ^ set(table.sources("kafka")) == {"shop.new", "product-events"}


EMAIL = """
profile = "mine"
[[routes]]
source = "a"
email = { to = "to", subject = "s", template = "t.html"%s }
"""


class TestReferences:
    @pytest.mark.parametrize(
        ("text", "reference"),
        [
            (EMAIL % "", "order_id"),
            (EMAIL % ', order_id = "ticket.number"', "ticket.number"),
            (EMAIL % "" + 'reference = "ticket.number"', "ticket.number"),
            (ROUTES, None),
        ],
    )
    def test_a_file_for_an_earlier_version_is_read_as_before(
        self, text: str, reference: str | None, tmp_path: Path
    ) -> None:
        (file := tmp_path / "routes.toml").write_text(text)
        assert read_file(str(file)).routes[0].reference == reference

    def test_a_route_has_one_reference(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(EMAIL % ', order_id = "a"' + 'reference = "b"')
        with pytest.raises(RoutesInvalid, match=r"routes\.toml: route 1 \('a'\): email\.order_id: "):
            read_file(str(file))


class TestOperatorFile:
    def test_a_file_replaces_the_shipped_profiles(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(ROUTES)
        table = load_table(settings(HERALD_ROUTES=str(file)))
        assert [profile.profile for profile in table.profiles] == ["mine"]
        assert planned("a.b", {"user": 7}, table).addressed[0].users == ("7",)

    def test_an_invalid_file_is_refused_with_file_route_and_field(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(ROUTES + 'envelope = "paper"\n')
        with pytest.raises(RoutesInvalid, match=r"routes\.toml: route 1 \('a\.\*'\): envelope: 'paper' "):
            load_table(settings(HERALD_ROUTES=str(file)))

    def test_a_missing_file_or_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RoutesInvalid, match=r"nowhere\.toml: this can't be read: No such file"):
            read_file(str(tmp_path / "nowhere.toml"))
        with pytest.raises(RoutesInvalid, match="Is a directory"):
            read_file(str(tmp_path))
        with pytest.raises(RoutesInvalid, match="name of no file"):
            read_file("a\0b")

    def test_a_file_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_bytes(b'profile = "caf\xe9"')
        with pytest.raises(RoutesInvalid, match=r"routes\.toml: this is not UTF-8 from byte 14 on"):
            read_file(str(file))


user_ids = st.one_of(
    st.integers(0, 2**63),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=MAX_USER_LENGTH),
)

# The fields of each groups event that name users, besides the members.
GROUP_EVENTS = {
    "user_service.group.add_users": ("group_user_added", ("user_to_add_id",)),
    "user_service.group.remove_users": ("group_user_removed", ("user_to_remove_id",)),
    "user_service.group.leave_groups": ("group_user_left", ("user_id",)),
    "user_service.group.update_headchef_role": ("group_head_chef_updated", ("old_head_chef_id", "new_head_chef_id")),
}


class TestGroups:
    @given(st.sampled_from(sorted(GROUP_EVENTS)), st.lists(user_ids, max_size=5), user_ids, user_ids)
    def test_flat_and_wrapped_events_reach_the_same_users_with_the_same_frame(
        self, source: str, members: list[int | str], one: int | str, other: int | str
    ) -> None:
        type_, fields = GROUP_EVENTS[source]
        data = {**dict(zip(fields, (one, other), strict=False)), "group_name": "Family"}
        flat = planned(source, {"event_type": type_, "group_members_ids": members, **data})
        wrapped = planned(source, {"event_type": type_, "receivers": members, "data": data})
        assert flat.dead_letter is None
        assert wrapped.dead_letter is None
        named = {str(user) for user in (*members, *(data[field] for field in fields))}
        assert flat.addressed[0].users == wrapped.addressed[0].users
        assert set(flat.addressed[0].users) == named
        assert len(flat.addressed[0].users) == len(named)
        assert frame(flat.addressed[0].content) == frame(wrapped.addressed[0].content)

    def test_all_routes_with_recipients_are_covered(self) -> None:
        (groups,) = shipped(["groups"])
        assert {route.source for route in groups.routes if route.users} == set(GROUP_EVENTS)

    @pytest.mark.parametrize("shape", [{"user_id": "u-1"}, {"event_type": "logout", "data": {"user_id": "u-1"}}])
    def test_a_log_out_is_a_sign_out_without_notifications(self, shape: dict[str, Any]) -> None:
        made = planned("user_service.user.logout_account", shape)
        assert [sign_out.user for sign_out in made.sign_outs] == ["u-1"]
        assert (made.addressed, made.broadcasts, made.dead_letter) == ((), (), None)


class TestSeedExamples:
    """The examples of the seeds' documents, input and output."""

    def test_signals_are_passed_on_unchanged(self) -> None:
        for text in ('{"symbol" : "ACME",\n "price": 1.10}', "BUY ACME", "7", "€"):
            (broadcast,) = planned("trading_signals", text.encode()).broadcasts
            assert (broadcast.feed, frame(broadcast.content)) == ("signals", text)

    @pytest.mark.parametrize(
        ("source", "type_"), [("regime-events", "regime_change"), ("alert-events", "market_alert")]
    )
    def test_trading_broadcasts_to_the_market(self, source: str, type_: str) -> None:
        data = {
            "new_regime": "bull",
            "previous_regime": "sideways",
            "confidence": 0.85,
            "timestamp": "2025-01-29T10:00:00Z",
        }
        (broadcast,) = planned(source, data).broadcasts
        assert broadcast.feed == "market"
        assert json.loads(frame(broadcast.content)) == {"type": type_, "data": data}

    @pytest.mark.parametrize(
        ("source", "type_"), [("risk-events", "risk_alert"), ("execution-events", "order_executed")]
    )
    def test_trading_notifies_the_owner(self, source: str, type_: str) -> None:
        made = planned(source, {"user_id": "user-123", "severity": "high"})
        assert made.addressed[0].users == ("user-123",)
        assert not made.broadcasts
        seen = json.loads(frame(made.addressed[0].content))
        assert seen == {"type": type_, "data": {"user_id": "user-123", "severity": "high"}}

    @pytest.mark.parametrize(
        ("source", "promised"),
        [
            (
                "user_service.group.add_users",
                {
                    "event_type": "group_user_added",
                    "data": {
                        "requester_id": "USER_A_ID",
                        "requester_username": "user_a_username",
                        "group_id": "GROUP_ID",
                        "group_name": "Family_Group",
                        "user_to_add_id": "USER_B_ID",
                        "user_to_add_identifier": "user_b_email@example.com",
                        "timestamp": "2024-05-21T10:00:00Z",
                    },
                },
            ),
            (
                "user_service.group.remove_users",
                {
                    "event_type": "group_user_removed",
                    "data": {
                        "requester_id": "USER_A_ID",
                        "requester_username": "user_a_username",
                        "group_id": "GROUP_ID",
                        "group_name": "Family_Group",
                        "user_to_remove_id": "USER_B_ID",
                        "user_to_remove_identifier": "user_b_email@example.com",
                        "timestamp": "2024-05-21T10:05:00Z",
                    },
                },
            ),
            (
                "user_service.group.leave_groups",
                {
                    "event_type": "group_user_left",
                    "data": {
                        "user_id": "USER_B_ID",
                        "user_identifier": "user_b_email@example.com",
                        "group_id": "GROUP_ID",
                        "group_name": "Family_Group",
                        "timestamp": "2024-05-21T10:10:00Z",
                    },
                },
            ),
            (
                "user_service.group.update_headchef_role",
                {
                    "event_type": "group_head_chef_updated",
                    "data": {
                        "requester_id": "USER_A_ID",
                        "requester_username": "user_a_username",
                        "group_id": "GROUP_ID",
                        "group_name": "Family_Group",
                        "old_head_chef_id": "USER_A_ID",
                        "old_head_chef_identifier": "user_a_email@example.com",
                        "new_head_chef_id": "USER_B_ID",
                        "new_head_chef_identifier": "user_b_email@example.com",
                        "timestamp": "2024-05-21T10:15:00Z",
                    },
                },
            ),
        ],
    )
    def test_groups_notify_their_members(self, source: str, promised: dict[str, Any]) -> None:
        data = promised["data"]
        flat = {"event_type": promised["event_type"], **data, "group_members_ids": ["USER_C_ID"]}
        wrapped = {"event_type": promised["event_type"], "receivers": ["USER_C_ID"], "data": data}
        for sent in (flat, wrapped):
            (addressed,) = planned(source, sent).addressed
            assert {"USER_B_ID", "USER_C_ID"} <= set(addressed.users)
            assert json.loads(frame(addressed.content)) == promised

    def test_orders_mail_the_customer_and_are_broadcast(self) -> None:
        order = {"order_id": 7, "customer_email": "kim@example.com", "status": "shipped"}
        for source, subject in (
            ("order.created", "Order 7 received"),
            ("order.status.updated", "Order 7: shipped"),
        ):
            made = planned(source, order)
            assert (made.deliveries[0].destination, made.deliveries[0].item.subject) == ("kim@example.com", subject)
            assert json.loads(frame(made.broadcasts[0].content)) == {"type": source, "data": order}

    @pytest.mark.parametrize("type_", ["ProductCreated", "ProductUpdated", "ProductDeleted", "LowStockWarning"])
    def test_products_are_broadcast_to_everyone(self, type_: str) -> None:
        event = {
            "id": "event-123",
            "type": type_,
            "timestamp": "2024-01-01T00:00:00.000Z",
            "product": {"id": "prod-456", "name": "New Product", "price": 99.99, "stock": 100},
        }
        made = planned("product-events", event)
        assert made.event_id == "event-123"
        block = sse_block(frame(made.broadcasts[0].content))
        assert block.startswith("data: ")
        assert json.loads(block.removeprefix("data: ")) == {**event, "broadcastTimestamp": "2025-01-29T10:00:00.001Z"}
