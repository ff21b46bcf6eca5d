"""Decisions of the RabbitMQ adapter that need no broker; its behaviour with a broker is in tests/contract and
tests/integration."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pamqp.frame
import pytest
from aiormq import Channel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError, ChannelNotFoundEntity
from pamqp.commands import Basic, Connection
from pamqp.header import ContentHeader

from adapters.rabbitmq.buffer import BATCH_BYTES, MAX_BATCH_SIZE, Buffer
from adapters.rabbitmq.connection_parameters import address, tls_context
from adapters.rabbitmq.frame_repair import decodable
from adapters.rabbitmq.messages import message_of
from adapters.rabbitmq.outage_errors import outage
from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.source import RabbitSource
from adapters.rabbitmq.wire import Wire
from domain.broker_messages import Message
from tests.support.reading import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def delivered(body: bytes = b"{}", routing_key: str = "order.created", **properties: Any) -> DeliveredMessage:
    header = ContentHeader(body_size=len(body), properties=Basic.Properties(**properties))
    return DeliveredMessage(Basic.Deliver("tag", 1, False, "x", routing_key), header, body, Channel.__new__(Channel))


def id_of(body: bytes = b"{}", routing_key: str = "order.created", **properties: Any) -> str:
    return message_of(delivered(body, routing_key, **properties), NOW).fallback_id


class TestMessages:
    def test_a_message_is_identified_by_its_message_id(self) -> None:
        assert id_of(message_id="m-1") == id_of(b"other", "other", message_id="m-1", timestamp=NOW)
        assert id_of(message_id="m-1") != id_of(message_id="m-2")

    def test_without_a_message_id_it_is_identified_by_its_content(self) -> None:
        assert id_of() == id_of()
        others = [
            id_of(),
            id_of(b"{} "),
            id_of(routing_key="order.create"),
            id_of(b"d{}", "order.create"),
            id_of(timestamp=NOW),
            id_of(timestamp=NOW + timedelta(seconds=1)),
            id_of(message_id=id_of()),
            id_of(message_id=id_of().removeprefix("sha256/")),
        ]
        assert len(set(others)) == len(others)

    def test_the_time_is_the_producers_unless_it_is_in_the_future(self) -> None:
        assert message_of(delivered(), NOW).time == NOW
        assert message_of(delivered(timestamp=NOW - timedelta(days=9)), NOW).time == NOW - timedelta(days=9)
        assert message_of(delivered(timestamp=NOW + timedelta(days=9)), NOW).time == NOW

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("text", "text"),
            (b"gr\xfcn", "gr\ufffdn"),
            (bytearray(b"bytes"), "bytes"),
            (None, ""),
            (True, "true"),
            (7, "7"),
            (1.5, "1.5"),
            (Decimal("1.50"), "1.50"),
            (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
            (
                {"a": [1, None, Decimal("2"), datetime(2026, 1, 1, tzinfo=UTC)]},
                '{"a":[1,null,"2","2026-01-01T00:00:00Z"]}',
            ),
            ([float("nan")], "[null]"),
        ],
    )
    def test_headers_become_text(self, value: Any, text: str) -> None:
        assert message_of(delivered(headers={"Name": value}), NOW).headers == {"name": text}

    def test_a_header_nested_too_deeply_is_empty(self) -> None:
        deep: Any = {}
        for _ in range(20_000):
            deep = {"a": deep}
        assert message_of(delivered(headers={"deep": deep}), NOW).headers == {"deep": ""}
        while deep:
            # Freed level by level: Python crashes if it frees all levels at once.
            deep = deep.pop("a")

    @pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_", "CE-", "ce_"])
    def test_cloudevents_attributes_are_named_as_on_kafka(self, prefix: str) -> None:
        assert message_of(delivered(headers={f"{prefix}Id": "1"}), NOW).headers == {"ce_id": "1"}

    @pytest.mark.parametrize(
        ("properties", "encoding"),
        [
            ({}, ""),
            ({"content_type": "application/json"}, ""),
            ({"content_encoding": "gzip"}, "gzip"),
            ({"content_type": "application/json; charset=utf-16"}, "utf-16"),
            (
                {"content_type": 'text/plain;CharSet = "KOI8-R"; x=y', "content_encoding": "gzip"},
                "gzip, KOI8-R",
            ),
        ],
    )
    def test_the_encoding_is_the_one_declared_by_the_producer(self, properties: dict[str, str], encoding: str) -> None:
        assert message_of(delivered(**properties), NOW).encoding == encoding

    def test_counters_of_the_queue_are_not_part_of_the_message(self) -> None:
        again = delivered(message_id="m-1", headers={"x-delivery-count": 3, "x-acquired-count": 4})
        assert message_of(again, NOW) == message_of(delivered(message_id="m-1"), NOW)


class TestBuffer:
    def message(self, number: int) -> Message:
        return Message("x", b"%d" % number, NOW, str(number))

    async def test_available_messages_are_taken_together_up_to_a_batch(self) -> None:
        buffer = Buffer()
        for number in range(MAX_BATCH_SIZE + 3):
            buffer.put(number + 1, self.message(number))
        tag, messages = await buffer.take()
        assert (tag, len(messages)) == (MAX_BATCH_SIZE, MAX_BATCH_SIZE)
        tag, messages = await buffer.take()
        assert (tag, [message.fallback_id for message in messages]) == (MAX_BATCH_SIZE + 3, ["500", "501", "502"])

    async def test_large_messages_are_taken_in_batches_that_fit_a_transaction(self) -> None:
        buffer = Buffer()
        half = bytes(BATCH_BYTES // 2)
        sizes = [half, half, b"x", half, None, bytes(BATCH_BYTES + 1), b"y"]
        for number, body in enumerate(sizes, 1):
            buffer.put(number, Message("x", body, NOW, str(number)))
        assert [(await asyncio.wait_for(buffer.take(), 1))[0] for _ in range(4)] == [2, 5, 6, 7]
        assert not len(buffer)

    async def test_a_take_cancelled_as_a_message_arrives_takes_no_message(self) -> None:
        buffer = Buffer()
        taking = asyncio.create_task(buffer.take())
        await asyncio.sleep(0)
        buffer.put(1, self.message(1))
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        assert taking.cancelled()
        assert (await buffer.take())[0] == 1

    async def test_a_waiting_take_survives_dropped_messages(self) -> None:
        buffer = Buffer()
        taking = asyncio.create_task(buffer.take())
        await asyncio.sleep(0)
        buffer.put(1, self.message(1))
        buffer.drop()
        await asyncio.sleep(0)
        buffer.put(2, self.message(2))
        assert (await taking)[0] == 2


class TestWire:
    def test_a_blocked_connection_is_known_until_it_is_unblocked(self) -> None:
        wire = Wire(None)
        wire.seen(pamqp.frame.marshal(Connection.Blocked("low on disk"), 0))
        assert wire.blocked == "low on disk"
        wire.seen(pamqp.frame.marshal(Connection.Unblocked(), 0))
        assert not wire.blocked

    def test_cutting_a_socket_that_was_never_opened_is_a_no_op(self) -> None:
        Wire(None).cut()


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            asyncio.CancelledError(),
            Exception(),
            RuntimeError('<Connection: "amqp://guest:******@rabbit" at 0x1> closed'),
            ChannelInvalidStateError("<Channel: 1> closed"),
        ],
    )
    def test_a_lost_connection_is_described_better_than_by_aiormq(self, fault: BaseException) -> None:
        assert outage(fault) == "the connection to RabbitMQ was lost"

    def test_messages_of_broker_and_system_are_repeated(self) -> None:
        assert outage(ChannelNotFoundEntity("NOT_FOUND - no queue")) == "NOT_FOUND - no queue"
        assert outage(OSError(111, "Connection refused")) == "Connection refused"
        assert outage(AMQPConnectionError()) == "AMQPConnectionError"

    @pytest.mark.parametrize("fault", [ValueError("x"), RecursionError("x"), KeyError("x")])
    def test_a_programming_error_is_no_outage(self, fault: Exception) -> None:
        assert outage(fault) is None


class TestReadable:
    def test_a_decodable_frame_is_unchanged(self) -> None:
        for frame in (
            pamqp.frame.marshal(Basic.Deliver("tag", 2**63 - 1, True, "x", "grün"), 1),
            pamqp.frame.marshal(ContentHeader(0, 5, Basic.Properties(headers={"a": {"b": 1}}, timestamp=NOW)), 1),
            pamqp.frame.marshal(Connection.Blocked("x"), 0),
        ):
            assert decodable(frame) == frame

    def test_only_the_invalid_part_of_a_header_is_removed(self) -> None:
        properties = Basic.Properties(
            content_type="text/plain",
            headers={"a": "b"},
            delivery_mode=2,
            priority=3,
            correlation_id="XX",
            message_id="m-1",
            timestamp=NOW,
            app_id="app",
        )
        frame = pamqp.frame.marshal(ContentHeader(0, 5, properties), 7)
        seconds = int(NOW.timestamp())
        spoilt = frame.replace(seconds.to_bytes(8), (seconds * 1_000_000).to_bytes(8)).replace(b"XX", b"\xe4X")
        with pytest.raises((ValueError, UnicodeDecodeError)):
            pamqp.frame.unmarshal(spoilt)
        length, channel, header = pamqp.frame.unmarshal(decodable(spoilt))
        assert isinstance(header, ContentHeader)
        assert (length, channel, header.body_size) == (len(decodable(spoilt)), 7, 5)
        properties.timestamp = None
        properties.correlation_id = "äX"
        assert header.properties == properties

    def test_two_invalid_message_ids_stay_different(self) -> None:
        made = set()
        for letter in (b"\xe4", b"\xf6"):
            frame = pamqp.frame.marshal(ContentHeader(0, 5, Basic.Properties(message_id="XX")), 1)
            header: Any = pamqp.frame.unmarshal(decodable(frame.replace(b"XX", letter + b"X")))[2]
            made.add(header.properties.message_id)
        assert made == {"äX", "öX"}

    def test_an_invalid_routing_key_stays_within_its_length(self) -> None:
        frame = pamqp.frame.marshal(Basic.Deliver("tag", 9, True, "x", "X" * 255), 1)
        _, _, method = pamqp.frame.unmarshal(decodable(frame.replace(b"X" * 255, b"\xe4" * 255)))
        assert isinstance(method, Basic.Deliver)
        assert (method.consumer_tag, method.delivery_tag, method.redelivered) == ("tag", 9, True)
        assert method.routing_key == "ä" * 127


class TestSettings:
    def test_default_ports_are_those_of_the_protocol(self) -> None:
        assert address(RabbitSettings(host="rabbit"), 10).port == 5672
        assert address(RabbitSettings(host="rabbit", tls=True), 10).port == 5671
        assert address(RabbitSettings(host="::1", port=7), 10).port == 7

    def test_credentials_of_any_characters_are_unchanged(self) -> None:
        made = address(RabbitSettings(host="::1", user="a:b@c", password="p@ss/:#% ü+&?"), 10)
        assert (made.host, made.user, made.password) == ("::1", "a:b@c", "p@ss/:#% ü+&?")

    def test_a_missing_ca_file_is_reported_immediately(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No such file"):
            tls_context(RabbitSettings(tls=True, cafile=str(tmp_path / "ca.pem")))
        assert tls_context(RabbitSettings()) is None

    def test_a_source_without_patterns_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            RabbitSource(RabbitSettings(), [])

    @pytest.mark.parametrize("host", ["localhost:5673", "[::1]", "amqp://rabbit"])
    async def test_an_invalid_host_is_reported_and_the_source_can_be_closed(self, host: str) -> None:
        node = RabbitSource(RabbitSettings(host=host), ["#"])
        await node.open()
        try:
            await until(lambda: "cannot contain" in node.status().reason, 5, node.status)
        finally:
            await node.close()
        assert node.status().reason == "closed"
