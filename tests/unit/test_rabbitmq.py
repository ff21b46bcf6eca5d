"""What the RabbitMQ adapter decides by itself; what it does with a broker: tests/contract and tests/integration."""

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

from adapters.rabbitmq.address import address, tls_context
from adapters.rabbitmq.buffer import BATCH, BATCH_BYTES, Buffer
from adapters.rabbitmq.faults import outage
from adapters.rabbitmq.frame_repair import decodable
from adapters.rabbitmq.messages import message_of
from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.source import RabbitSource
from adapters.rabbitmq.wire import Wire
from domain.messages import Message
from tests.support.reading import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def delivered(body: bytes = b"{}", routing_key: str = "order.created", **properties: Any) -> DeliveredMessage:
    header = ContentHeader(body_size=len(body), properties=Basic.Properties(**properties))
    return DeliveredMessage(Basic.Deliver("tag", 1, False, "x", routing_key), header, body, Channel.__new__(Channel))


def id_of(body: bytes = b"{}", routing_key: str = "order.created", **properties: Any) -> str:
    return message_of(delivered(body, routing_key, **properties), NOW).fallback_id


class TestMessages:
    def test_a_message_is_known_by_the_id_that_its_producer_gave_it(self) -> None:
        assert id_of(message_id="m-1") == id_of(b"other", "other", message_id="m-1", timestamp=NOW)
        assert id_of(message_id="m-1") != id_of(message_id="m-2")

    def test_without_an_id_it_is_known_by_what_it_says(self) -> None:
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

    def test_the_time_is_the_producers_unless_it_cannot_be(self) -> None:
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

    def test_a_header_that_is_too_deep_is_left_empty(self) -> None:
        deep: Any = {}
        for _ in range(100_000):
            deep = {"a": deep}
        assert message_of(delivered(headers={"deep": deep}), NOW).headers == {"deep": ""}
        while deep:
            # Python itself would take the whole down at once, and itself with it.
            deep = deep.pop("a")

    @pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_", "CE-", "ce_"])
    def test_the_attributes_of_a_cloudevent_are_named_as_on_kafka(self, prefix: str) -> None:
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
    def test_the_encoding_is_what_the_producer_says(self, properties: dict[str, str], encoding: str) -> None:
        assert message_of(delivered(**properties), NOW).encoding == encoding

    def test_what_a_queue_counts_is_no_part_of_the_message(self) -> None:
        again = delivered(message_id="m-1", headers={"x-delivery-count": 3, "x-acquired-count": 4})
        assert message_of(again, NOW) == message_of(delivered(message_id="m-1"), NOW)


class TestBuffer:
    def message(self, number: int) -> Message:
        return Message("x", b"%d" % number, NOW, str(number))

    async def test_all_there_is_comes_together_up_to_a_batch(self) -> None:
        buffer = Buffer()
        for number in range(BATCH + 3):
            buffer.put(number + 1, self.message(number))
        tag, messages = await buffer.take()
        assert (tag, len(messages)) == (BATCH, BATCH)
        tag, messages = await buffer.take()
        assert (tag, [message.fallback_id for message in messages]) == (BATCH + 3, ["500", "501", "502"])

    async def test_huge_messages_come_in_batches_that_fit_a_transaction(self) -> None:
        buffer = Buffer()
        half = bytes(BATCH_BYTES // 2)
        sizes = [half, half, b"x", half, None, bytes(BATCH_BYTES + 1), b"y"]
        for number, body in enumerate(sizes, 1):
            buffer.put(number, Message("x", body, NOW, str(number)))
        assert [(await asyncio.wait_for(buffer.take(), 1))[0] for _ in range(4)] == [2, 5, 6, 7]
        assert not len(buffer)

    async def test_a_taker_who_gives_up_as_a_message_comes_takes_none_along(self) -> None:
        buffer = Buffer()
        taking = asyncio.create_task(buffer.take())
        await asyncio.sleep(0)
        buffer.put(1, self.message(1))
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        assert taking.cancelled()
        assert (await buffer.take())[0] == 1

    async def test_a_taker_who_waits_outlasts_what_is_dropped(self) -> None:
        buffer = Buffer()
        taking = asyncio.create_task(buffer.take())
        await asyncio.sleep(0)
        buffer.put(1, self.message(1))
        buffer.drop()
        await asyncio.sleep(0)
        buffer.put(2, self.message(2))
        assert (await taking)[0] == 2


class TestWire:
    def test_a_blocked_connection_is_known_until_it_is_not(self) -> None:
        wire = Wire(None)
        wire.seen(pamqp.frame.marshal(Connection.Blocked("low on disk"), 0))
        assert wire.blocked == "low on disk"
        wire.seen(pamqp.frame.marshal(Connection.Unblocked(), 0))
        assert not wire.blocked

    def test_a_socket_that_was_never_made_can_be_cut(self) -> None:
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
    def test_what_aiormq_says_of_a_connection_that_is_gone_is_said_better(self, fault: BaseException) -> None:
        assert outage(fault) == "the connection is gone"

    def test_what_the_broker_or_the_system_said_is_repeated(self) -> None:
        assert outage(ChannelNotFoundEntity("NOT_FOUND - no queue")) == "NOT_FOUND - no queue"
        assert outage(OSError(111, "Connection refused")) == "Connection refused"
        assert outage(AMQPConnectionError()) == "AMQPConnectionError"

    @pytest.mark.parametrize("fault", [ValueError("x"), RecursionError("x"), KeyError("x")])
    def test_a_mistake_is_no_outage(self, fault: Exception) -> None:
        assert outage(fault) is None


class TestReadable:
    def test_what_can_be_decoded_is_left_alone(self) -> None:
        for frame in (
            pamqp.frame.marshal(Basic.Deliver("tag", 2**63 - 1, True, "x", "grün"), 1),
            pamqp.frame.marshal(ContentHeader(0, 5, Basic.Properties(headers={"a": {"b": 1}}, timestamp=NOW)), 1),
            pamqp.frame.marshal(Connection.Blocked("x"), 0),
        ):
            assert decodable(frame) == frame

    def test_of_a_header_only_what_is_wrong_is_left_out(self) -> None:
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

    def test_of_two_broken_ids_neither_becomes_the_other(self) -> None:
        made = set()
        for letter in (b"\xe4", b"\xf6"):
            frame = pamqp.frame.marshal(ContentHeader(0, 5, Basic.Properties(message_id="XX")), 1)
            header: Any = pamqp.frame.unmarshal(decodable(frame.replace(b"XX", letter + b"X")))[2]
            made.add(header.properties.message_id)
        assert made == {"äX", "öX"}

    def test_a_broken_routing_key_stays_within_its_length(self) -> None:
        frame = pamqp.frame.marshal(Basic.Deliver("tag", 9, True, "x", "X" * 255), 1)
        _, _, method = pamqp.frame.unmarshal(decodable(frame.replace(b"X" * 255, b"\xe4" * 255)))
        assert isinstance(method, Basic.Deliver)
        assert (method.consumer_tag, method.delivery_tag, method.redelivered) == ("tag", 9, True)
        assert method.routing_key == "ä" * 127


class TestSettings:
    def test_ports_are_those_of_the_protocol(self) -> None:
        assert address(RabbitSettings(host="rabbit"), 10).port == 5672
        assert address(RabbitSettings(host="rabbit", tls=True), 10).port == 5671
        assert address(RabbitSettings(host="::1", port=7), 10).port == 7

    def test_names_of_any_characters_arrive_as_they_are(self) -> None:
        made = address(RabbitSettings(host="::1", user="a:b@c", password="p@ss/:#% ü+&?"), 10)
        assert (made.host, made.user, made.password) == ("::1", "a:b@c", "p@ss/:#% ü+&?")

    def test_a_ca_file_that_is_not_there_is_said_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No such file"):
            tls_context(RabbitSettings(tls=True, cafile=str(tmp_path / "ca.pem")))
        assert tls_context(RabbitSettings()) is None

    def test_a_source_without_patterns_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            RabbitSource(RabbitSettings(), [])

    @pytest.mark.parametrize("host", ["localhost:5673", "[::1]", "amqp://rabbit"])
    async def test_a_host_that_is_none_is_told_and_the_source_can_be_closed(self, host: str) -> None:
        node = RabbitSource(RabbitSettings(host=host), ["#"])
        await node.open()
        try:
            await until(lambda: "cannot contain" in node.status().reason, 5, node.status)
        finally:
            await node.close()
        assert node.status().reason == "closed"
