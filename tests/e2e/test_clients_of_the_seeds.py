"""The unchanged clients of the five services that Herald replaces, as their documents show them, on a real Kafka."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.clients import closed, connect, frame, silent, stream, token
from tests.support.kafka import RealKafka
from tests.support.server import SECRET, Server

TOPICS = (
    "trading_signals",
    "regime-events",
    "alert-events",
    "risk-events",
    "execution-events",
    "product-events",
    "order.created",
    "order.status.updated",
    "user_service.group.add_users",
    "user_service.group.remove_users",
    "user_service.group.leave_groups",
    "user_service.group.update_headchef_role",
    "user_service.user.logout_account",
)
GROUPS_PATH = "/ws/v2/notification-service/notifications/users"


@pytest.fixture(scope="module")
def kafka(real_kafka: RealKafka) -> RealKafka:
    for topic in TOPICS:
        real_kafka.ensure_topic(topic)
    return real_kafka


@pytest.fixture(scope="module")
def open_server(kafka: RealKafka) -> Iterator[Server]:
    env = {
        "KAFKA_BROKERS": kafka.servers,
        "HERALD_BROKER": "kafka",
        "HERALD_AUTH": "open",
        "HERALD_KAFKA_GROUP": "open",
    }
    server = Server(env, ("serve",)).start(ready=True)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def jwt_server(kafka: RealKafka) -> Iterator[Server]:
    env = {
        "REDPANDA_BROKERS": kafka.servers,
        "HERALD_BROKER": "kafka",
        "HERALD_JWT_SECRET": SECRET,
        "HERALD_KAFKA_GROUP": "jwt",
    }
    server = Server(env, ("serve",)).start(ready=True)
    yield server
    server.kill()


def produce(kafka: RealKafka, topic: str, payload: Any) -> None:
    kafka.produce(topic, [payload if isinstance(payload, bytes) else json.dumps(payload).encode()])


@pytest.mark.parametrize("text", ['{"symbol": "ACME",  "price": 1.50}', "BUY ACME at 101", "[1, 2]", "zwölf ✓"])
async def test_signals_are_the_unchanged_text_of_the_publisher(
    open_server: Server, kafka: RealKafka, text: str
) -> None:
    async with (
        connect(open_server.ws_url + "/ws/notifications") as first,
        connect(open_server.ws_url + "/ws/notifications") as second,
    ):
        produce(kafka, "trading_signals", text.encode())
        assert await first.recv() == text
        assert await second.recv() == text


async def test_trading_broadcasts_reach_all_and_notifications_one_user(open_server: Server, kafka: RealKafka) -> None:
    one, two = f"one-{uuid.uuid4()}", f"two-{uuid.uuid4()}"
    async with (
        connect(f"{open_server.ws_url}/ws?user_id={one}") as first,
        connect(f"{open_server.ws_url}/ws?user_id={two}") as second,
    ):
        regime = {"new_regime": "bull", "previous_regime": "sideways", "confidence": 0.85}
        produce(kafka, "regime-events", regime)
        expected = {"type": "regime_change", "data": regime}
        assert await frame(first) == expected
        assert await frame(second) == expected
        produce(kafka, "risk-events", {"user_id": one, "severity": "high"})
        assert await frame(first) == {"type": "risk_alert", "data": {"user_id": one, "severity": "high"}}
        produce(kafka, "execution-events", {"event_type": "order_executed", "data": {"user_id": two, "qty": 5}})
        assert await frame(second) == {"type": "order_executed", "data": {"user_id": two, "qty": 5}}
        await silent(first)
        await silent(second)


async def test_orders_are_received_by_everyone(open_server: Server, kafka: RealKafka) -> None:
    async with connect(open_server.ws_url + "/ws") as socket:
        order = {"order_id": 7, "customer_email": "kim@example.com"}
        produce(kafka, "order.created", order)
        assert await frame(socket) == {"type": "order.created", "data": order}
        produce(kafka, "order.status.updated", {**order, "status": "shipped"})
        assert await frame(socket) == {"type": "order.status.updated", "data": {**order, "status": "shipped"}}
        produce(kafka, "regime-events", {"new_regime": "bear"})
        await silent(socket)


async def test_products_over_an_event_stream(open_server: Server, kafka: RealKafka) -> None:
    async with stream(open_server) as events:
        _, connection = await events.next()
        assert connection["type"] == "connection"
        assert connection["message"] == "Connected to notifications stream"
        assert events.retry is not None
        event = {
            "id": f"event-{uuid.uuid4()}",
            "type": "ProductCreated",
            "timestamp": "2024-01-01T00:00:00.000Z",
            "product": {"id": "prod-456", "name": "New Product", "price": 99.99, "stock": 100},
        }
        produce(kafka, "product-events", event)
        produce(kafka, "product-events", event)
        produce(kafka, "product-events", {**event, "id": f"event-{uuid.uuid4()}", "type": "ProductDeleted"})
        _, created = await events.next()
        assert created.pop("broadcastTimestamp").endswith("Z")
        assert created == event
        _, deleted = await events.next()
        assert deleted["type"] == "ProductDeleted"


ADDED = {
    "requester_id": "USER_A_ID",
    "requester_username": "user_a_username",
    "group_id": "GROUP_ID",
    "group_name": "Family_Group",
    "user_to_add_identifier": "user_b_email@example.com",
    "timestamp": "2024-05-21T10:00:00Z",
}


@pytest.mark.parametrize(("by", "shape"), [("header", "flat"), ("query", "wrapped")])
async def test_groups_notify_each_member_and_no_one_else(
    jwt_server: Server, kafka: RealKafka, by: str, shape: str
) -> None:
    b, c, stranger = (f"{name}-{uuid.uuid4()}" for name in ("b", "c", "stranger"))

    def client(user: str) -> Any:
        address = f"{jwt_server.ws_url}{GROUPS_PATH}/{user}"
        if by == "query":
            return connect(f"{address}?jwt={token(user)}")
        return connect(address, additional_headers={"Authorization": f"Bearer {token(user)}"})

    async with client(b) as first, client(c) as second, client(stranger) as third:
        data = {**ADDED, "user_to_add_id": b}
        flat = {"event_type": "group_user_added", **data, "group_members_ids": [b, c]}
        wrapped = {"event_type": "group_user_added", "receivers": [b, c, b], "data": data}
        produce(kafka, "user_service.group.add_users", flat if shape == "flat" else wrapped)
        expected = {"event_type": "group_user_added", "data": data}
        assert await frame(first) == expected
        assert await frame(second) == expected
        await silent(first)
        await silent(third)


async def test_groups_log_out_closes_only_the_sessions_of_that_user(jwt_server: Server, kafka: RealKafka) -> None:
    a, b = f"a-{uuid.uuid4()}", f"b-{uuid.uuid4()}"
    old = token(a)
    async with (
        connect(f"{jwt_server.ws_url}{GROUPS_PATH}/{a}?jwt={old}") as first,
        connect(f"{jwt_server.ws_url}{GROUPS_PATH}/{b}?jwt={token(b)}") as second,
    ):
        produce(kafka, "user_service.user.logout_account", {"user_id": a})
        assert await closed(first) == 4502
        produce(kafka, "user_service.group.leave_groups", {"receivers": [a, b], "data": {"user_identifier": "a"}})
        assert (await frame(second))["event_type"] == "group_user_left"
    stale = token(a, iat=1_700_000_000)
    async with connect(f"{jwt_server.ws_url}{GROUPS_PATH}/{a}?jwt={stale}") as again:
        assert await closed(again) == 4502


async def test_a_single_profile_with_the_settings_of_its_seed(kafka: RealKafka, start_server: Any) -> None:
    """A service replaced by Herald with one profile, configured by the setting names of the seed."""
    server = start_server(
        {
            "HERALD_PROFILE": "products",
            "HERALD_AUTH": "open",
            "KAFKA_BROKERS": kafka.servers,
            "KAFKA_CLIENT_ID": "notifications-service",
            "HERALD_KAFKA_GROUP": f"products-{uuid.uuid4()}",
            "HERALD_PRODUCTS_TOPICS": "product-events",
            "SERVICE_NAME": "notifications",
            "LOG_LEVEL": "DEBUG",
        },
        ("serve",),
    )
    async with stream(server) as events:
        await events.next()
        produce(kafka, "product-events", {"id": str(uuid.uuid4()), "type": "LowStockWarning"})
        assert (await events.next())[1]["type"] == "LowStockWarning"
