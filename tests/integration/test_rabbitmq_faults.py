"""The RabbitMQ adapter on a real broker, under faults."""

import asyncio
import itertools
import logging
import re
import struct
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.source import RabbitSource, Receipt
from adapters.rabbitmq.timing import Timing
from application.ports.event_source import Batch, EventSource, NotAcknowledged
from domain.backoff import Backoff
from domain.source_patterns import as_regex
from tests.support.rabbitmq import RealRabbit, term
from tests.support.reading import reading, ready, until

# Faults are detected within the shortest probe interval, and a restarted broker within a second.
QUICK = Timing(probe=0.5, silence=3.0, reconnect=Backoff(0.2, 1.0))


@pytest.fixture
async def rabbit(real_rabbit: RealRabbit) -> AsyncIterator[RealRabbit]:
    """The shared broker. It is started again after the test."""
    yield real_rabbit
    if not real_rabbit.running:
        await asyncio.to_thread(real_rabbit.start)


@pytest.fixture
def queue() -> str:
    """A unique name for queue and exchange. Neither is created."""
    return f"queue-{uuid.uuid4().hex}"


def source(rabbit: RealRabbit, queue: str, *patterns: str, timing: Timing = QUICK, **more: Any) -> RabbitSource:
    """Return a source that is not yet opened. Without patterns it reads everything."""
    return RabbitSource(rabbit.settings(queue, **more), patterns or ["#"], timing)


def link_of(source: EventSource) -> Any:
    """The connection of a RabbitSource, which is private."""
    return getattr(source, "_link")  # noqa: B009 - mypy would refuse the attribute


@asynccontextmanager
async def opened(node: RabbitSource) -> AsyncIterator[RabbitSource]:
    """Open a source for tests that take and acknowledge batches themselves."""
    await node.open()
    try:
        yield node
    finally:
        await node.close()


async def taken(node: RabbitSource) -> Batch:
    return await asyncio.wait_for(node.take(), 20)


async def limit_consumers(rabbit: RealRabbit, timeout_ms: int, tick_ms: int) -> None:
    """Set how long a consumer may hold a message, and the interval in which RabbitMQ checks that."""
    await rabbit.evaluate(
        f"application:set_env(rabbit, consumer_timeout, {timeout_ms}),"
        f" application:set_env(rabbit, channel_tick_interval, {tick_ms})"
    )


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


def short(text: bytes) -> bytes:
    """Encode an AMQP short string."""
    return len(text).to_bytes() + text


def table(name: bytes, value: bytes) -> bytes:
    """Encode an AMQP table of one field. `value` starts with its type."""
    field = short(name) + value
    return len(field).to_bytes(4) + field


def nested(depth: int) -> bytes:
    """Encode tables nested to this depth."""
    made = table(b"", b"V")
    for _ in range(depth):
        made = table(b"", b"F" + made)
    return made


class TestBrokerOutages:
    async def test_a_clean_restart_is_survived_and_a_source_opened_meanwhile_connects(
        self, rabbit: RealRabbit, queue: str
    ) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            await rabbit.publish(queue, "x", numbered(100))
            await reader.has(b"99")
            await asyncio.to_thread(rabbit.stop)
            await until(lambda: not reader.source.status().ready, 5, reader.source.status)
            late = source(rabbit, f"{queue}-late")
            async with asyncio.timeout(1):
                await late.open()
            async with reading(late) as other:
                await until(lambda: "Connect call failed" in late.status().reason, what=late.status)
                assert not late.status().ready
                await asyncio.to_thread(rabbit.start)
                await rabbit.publish(queue, "x", numbered(100, 100))
                await reader.has(b"199", seconds=30)
                await ready(reader.source)
                assert reader.once == numbered(200)
                await ready(late)
                await rabbit.publish(f"{queue}-late", "x", [b"after"])
                await other.has(b"after")

    async def test_a_frozen_broker_is_detected_and_reconnected(self, rabbit: RealRabbit, queue: str) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            await rabbit.publish(queue, "x", [b"before"])
            await reader.has(b"before")
            reasons: set[str] = set()

            def told(words: str) -> bool:
                reasons.add(reason := reader.source.status().reason)
                return words in reason

            with rabbit.frozen():
                await until(lambda: told("does not answer"), 5, reader.source.status)
                assert not reader.source.status().ready
                await until(lambda: told("has not answered for"), 10, reader.source.status)
            # The reason is reported before the reconnection starts.
            assert not [reason for reason in reasons if "connecting" in reason], reasons
            await rabbit.publish(queue, "x", [b"after"])
            await reader.has(b"after", seconds=30)
            await ready(reader.source)
            assert reader.once == [b"before", b"after"]

    async def test_a_connection_given_up_by_the_client_library_is_replaced(
        self, rabbit: RealRabbit, queue: str
    ) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            # aiormq does this when no heartbeat has arrived for too long.
            link_of(reader.source)._connection._reader_task.cancel()
            await until(
                lambda: reader.source.status().reason == "the connection to RabbitMQ was lost", 5, reader.source.status
            )
            await ready(reader.source)
            await rabbit.publish(queue, "x", [b"after"])
            await reader.has(b"after")

    async def test_a_source_closes_within_seconds_while_the_broker_is_frozen(
        self, rabbit: RealRabbit, queue: str
    ) -> None:
        async with opened(source(rabbit, queue)) as node:
            await ready(node)
            with rabbit.frozen():
                async with asyncio.timeout(4):
                    await node.close()

    async def test_a_source_closes_whenever_its_connection_ends(self, rabbit: RealRabbit, queue: str) -> None:
        for step in range(60):
            async with opened(source(rabbit, queue)) as node:
                await asyncio.sleep(step / 2_000)
                if step % 2 and node._link:
                    node._link.wire.cut()
                await asyncio.sleep(0)
                async with asyncio.timeout(4):
                    await node.close()
                assert node.status().reason == "closed"

    async def test_acknowledging_after_the_connection_broke_is_refused(self, rabbit: RealRabbit, queue: str) -> None:
        async with opened(source(rabbit, queue)) as node:
            await ready(node)
            await rabbit.publish(queue, "x", [b"taken"])
            batch = await taken(node)
            batch.receipt.link.wire.cut()
            await until(lambda: not node.status().ready, 5, node.status)
            with pytest.raises(NotAcknowledged, match="was lost"):
                await node.acknowledge(batch)
            again = await taken(node)
            assert again.messages[0].fallback_id == batch.messages[0].fallback_id
            # The old receipt is refused on the new connection too: there its tag would belong to another message.
            with pytest.raises(NotAcknowledged, match="was lost"):
                await node.acknowledge(batch)
            await node.acknowledge(again)


class TestConsumerLost:
    async def test_a_channel_closed_by_a_precondition_failure_is_reopened(self, rabbit: RealRabbit, queue: str) -> None:
        async with opened(source(rabbit, queue)) as node:
            await ready(node)
            await rabbit.publish(queue, "x", numbered(3))
            batch = await taken(node)
            # A delivery tag that RabbitMQ never issued.
            await node.acknowledge(replace(batch, receipt=Receipt(batch.receipt.link, 10_000)))
            await until(lambda: "PRECONDITION_FAILED" in node.status().reason, 5, node.status)
            assert not node.status().ready
            async with reading(node) as reader:
                await reader.has(*numbered(3))
                await ready(node)

    async def test_messages_held_beyond_the_consumer_timeout_are_redelivered(
        self, rabbit: RealRabbit, queue: str
    ) -> None:
        await limit_consumers(rabbit, timeout_ms=500, tick_ms=250)
        try:
            async with opened(source(rabbit, queue)) as node:
                await ready(node)
                await rabbit.publish(queue, "x", [b"held"])
                batch = await taken(node)
                again = await taken(node)
                assert again.messages[0].body == b"held"
                with pytest.raises(NotAcknowledged):
                    await node.acknowledge(batch)
                await node.acknowledge(again)
        finally:
            await limit_consumers(rabbit, timeout_ms=1_800_000, tick_ms=60_000)
        assert await rabbit.depth(queue) == (0, 0)

    async def test_a_deleted_queue_is_detected_and_declared_again(self, rabbit: RealRabbit, queue: str) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            async with rabbit.channel() as channel:
                await channel.queue_delete(queue)
            await until(lambda: queue in reader.source.status().reason, 5, reader.source.status)
            assert not reader.source.status().ready
            await ready(reader.source)
            await rabbit.publish(queue, "x", [b"after"])
            await reader.has(b"after")

    async def test_a_connection_closed_by_an_operator_is_reported_as_such(self, rabbit: RealRabbit, queue: str) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            # In a task, because the call may return later than the source has reconnected.
            async with asyncio.TaskGroup() as group:
                reason = term("maintenance tonight")
                close = f"rabbit_networking:close_connections(rabbit_networking:connections(), {reason})"
                group.create_task(rabbit.evaluate(close))
                await until(lambda: "maintenance tonight" in reader.source.status().reason, 20, reader.source.status)
            await ready(reader.source)
            await rabbit.publish(queue, "x", [b"after"])
            await reader.has(b"after")


class TestAlarm:
    """RabbitMQ blocks publishers during an alarm. A connection that only consumes keeps working, and new ones are
    accepted."""

    @pytest.fixture
    async def alarm(self, rabbit: RealRabbit) -> AsyncIterator[Any]:
        raised = False

        async def raise_alarm() -> None:
            nonlocal raised
            raised = True
            await rabbit.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.000001)")

        async def clear() -> None:
            nonlocal raised
            await rabbit.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.4)")
            raised = False

        yield raise_alarm, clear
        if raised:
            await clear()

    async def publish_until_blocked(self, source: RabbitSource, queue: str, reason: str) -> None:
        """Publishes on Herald's connection, which publishes nothing itself, until RabbitMQ stops reading from it and
        the status has this reason. RabbitMQ tells its connections of an alarm only after it is raised: it may still
        accept the first messages."""
        async with asyncio.timeout(20):
            while reason not in source.status().reason:
                await link_of(source)._channel.basic_publish(b"", routing_key=f"no-{queue}", wait=False)
                await asyncio.sleep(0.05)

    async def test_a_consumer_works_under_an_alarm_and_reads_what_was_blocked_after_it(
        self, rabbit: RealRabbit, queue: str, alarm: Any
    ) -> None:
        raise_alarm, clear = alarm
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            await rabbit.publish(queue, "x", numbered(100))
            await reader.has(b"99")
            await raise_alarm()
            waiting = asyncio.create_task(rabbit.publish(queue, "x", [b"blocked"]))
            async with opened(source(rabbit, queue)) as second:
                await ready(second)
                assert reader.source.status().ready
                assert b"blocked" not in reader.bodies
                await clear()
                await waiting
                await reader.has(b"blocked")
            assert reader.once == [*numbered(100), b"blocked"]

    async def test_a_blocked_connection_is_reported_and_replaced(
        self, rabbit: RealRabbit, queue: str, alarm: Any
    ) -> None:
        raise_alarm, clear = alarm
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            link = link_of(reader.source)
            await raise_alarm()
            await self.publish_until_blocked(reader.source, queue, "does not read from this connection")
            assert not reader.source.status().ready
            await until(lambda: link_of(reader.source) not in (link, None), 15)
            await ready(reader.source)
            await clear()
            await rabbit.publish(queue, "x", [b"after"])
            await reader.has(b"after")

    async def test_the_end_of_an_alarm_unblocks_the_connection(
        self, rabbit: RealRabbit, queue: str, alarm: Any
    ) -> None:
        raise_alarm, clear = alarm
        async with reading(source(rabbit, queue, timing=Timing(probe=0.5))) as reader:
            await ready(reader.source)
            link = link_of(reader.source)
            await raise_alarm()
            await self.publish_until_blocked(reader.source, queue, "low on memory")
            await clear()
            await ready(reader.source)
            assert link_of(reader.source) is link


class TestQueues:
    async def test_missing_queue_and_exchange_are_declared_durable(self, rabbit: RealRabbit, queue: str) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            found = await rabbit.evaluate(
                f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, {term(queue)})),'
                " {amqqueue:is_durable(Q), amqqueue:get_type(Q), amqqueue:get_arguments(Q)}"
            )
            assert found.startswith("{true,rabbit_quorum_queue,")
            assert '{<<"x-single-active-consumer">>,bool,true}' in found
            assert re.search(r'\{<<"x-delivery-limit">>,\w+,1000000\}', found)
            async with rabbit.channel() as channel:
                # RabbitMQ refuses this for an exchange with other properties.
                await channel.exchange_declare(queue, exchange_type="topic", durable=True)

    async def test_nodes_that_start_together_all_succeed(self, rabbit: RealRabbit, queue: str) -> None:
        troubles: set[str] = set()
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(opened(source(rabbit, queue))) for _ in range(5)]
            for node in nodes:
                await until(lambda node=node: troubles.add(node.status().reason) or node.status().ready)
        assert all(not reason or reason.startswith("connecting") for reason in troubles), troubles

    async def test_an_existing_queue_of_another_type_is_used_unchanged(self, rabbit: RealRabbit, queue: str) -> None:
        async with rabbit.channel() as channel:
            await channel.exchange_declare(queue, exchange_type="topic", durable=False)
            await channel.queue_declare(queue, durable=False, arguments={"x-max-length": 1_000})
            await channel.basic_publish(b"was there", routing_key=queue)
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            await rabbit.publish(queue, "x", [b"bound"])
            await reader.has(b"was there", b"bound")

    async def test_patterns_match_the_same_keys_in_rabbitmq_and_in_routes(self, rabbit: RealRabbit, queue: str) -> None:
        patterns = ["a", "a.b", "a.*", "*.b", "a.#", "#.b", "a.#.b", "*.#", "a.*.b", "#.*.b.#", "a-b_C.9"]
        keys = [".".join(words) for n in range(1, 5) for words in itertools.product("abc", repeat=n)] + ["a-b_C.9", "A"]
        name_of = {pattern: f"{queue}-{number}" for number, pattern in enumerate(patterns)}
        async with rabbit.channel() as channel:
            await channel.exchange_declare(queue, exchange_type="topic", durable=True)
            for pattern in patterns:
                await channel.queue_declare(name_of[pattern], durable=True)
        async with AsyncExitStack() as stack:
            nodes = [source(rabbit, name_of[pattern], pattern, exchange=queue) for pattern in patterns]
            for node in nodes:
                await stack.enter_async_context(opened(node))
            for node in nodes:
                await ready(node)
        async with rabbit.channel() as channel:
            for key in keys:
                await channel.basic_publish(b"", exchange=queue, routing_key=key)
            for pattern in patterns:
                matching = [key for key in keys if re.match(as_regex(pattern), key)]
                found = await channel.queue_declare(name_of[pattern], passive=True)
                assert found.message_count == len(matching), pattern
                for key in matching:
                    got = await channel.basic_get(name_of[pattern], no_ack=True)
                    assert got.routing_key == key, pattern

    async def test_a_message_matched_by_several_patterns_arrives_once(self, rabbit: RealRabbit, queue: str) -> None:
        async with reading(source(rabbit, queue, "a.b", "a.*", "#")) as reader:
            await ready(reader.source)
            await rabbit.publish(queue, "a.b", [b"once"])
            await rabbit.publish(queue, "z", [b"last"])
            await reader.has(b"last")
            assert reader.bodies == [b"once", b"last"]
            assert [message.source for message in reader.messages] == ["a.b", "z"]


class TestTwoNodes:
    async def test_one_node_consumes_everything_and_the_other_takes_over_when_it_closes(
        self, rabbit: RealRabbit, queue: str
    ) -> None:
        # A long closing timeout, so that its acknowledgements reach RabbitMQ on a busy machine.
        first = source(rabbit, queue, prefetch=100, timing=replace(QUICK, leave=10.0))
        second = source(rabbit, queue)
        async with opened(first):
            await ready(first)
            async with reading(second) as heir:
                await ready(second)
                await rabbit.publish(queue, "x", numbered(1_000))
                done: list[bytes | None] = []
                while len(done) < 400:
                    batch = await taken(first)
                    done += [message.body for message in batch.messages]
                    await first.acknowledge(batch)
                unacknowledged = await taken(first)
                assert not heir.bodies
                await first.close()
                await heir.has(b"999")
                assert heir.bodies[0] == unacknowledged.messages[0].body
                assert done + heir.bodies == numbered(1_000)

    async def test_the_other_node_takes_over_in_order_from_one_that_crashed(
        self, rabbit: RealRabbit, queue: str
    ) -> None:
        async with opened(source(rabbit, queue)) as first:
            await ready(first)
            async with reading(source(rabbit, queue)) as heir:
                await ready(heir.source)
                await rabbit.publish(queue, "x", numbered(700))
                batch = await taken(first)
                done = [message.body for message in batch.messages]
                await first.acknowledge(batch)
                await taken(first)
                first._link.wire.cut()
                await heir.has(b"699")
                assert done + heir.bodies == numbered(700)


class TestAccess:
    async def test_a_wrong_password_is_reported_without_repeating_it(
        self, rabbit: RealRabbit, queue: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with capture_logs() as ours:
            async with opened(source(rabbit, queue, password="hunter2 p@ss/:#%")) as node:
                await until(lambda: "ACCESS_REFUSED" in node.status().reason, what=node.status)
                assert not node.status().ready
                assert "hunter2" not in node.status().reason
        assert "ACCESS_REFUSED" in str(ours)
        assert "hunter2" not in str(ours)
        assert "amqp://guest:******@127.0.0.1" in caplog.text
        assert "hunter2" not in caplog.text

    async def test_a_password_may_contain_any_characters(self, rabbit: RealRabbit, queue: str) -> None:
        password = "p@ss/:#% ü+&?"
        await rabbit.add_user(queue, password)
        await rabbit.set_permissions(queue, ".*")
        async with reading(source(rabbit, queue, user=queue, password=password)) as reader:
            await ready(reader.source)

    async def test_missing_permissions_are_reported(self, rabbit: RealRabbit, queue: str) -> None:
        await rabbit.add_user(queue, "secret")
        async with opened(source(rabbit, queue, user=queue, password="secret")) as node:
            await until(lambda: "NOT_ALLOWED" in node.status().reason, what=node.status)
            await rabbit.set_permissions(queue, "^$")
            await until(lambda: "ACCESS_REFUSED" in node.status().reason, what=node.status)
            # If queue and exchange exist already, no permission to configure is needed.
            await rabbit.ensure(rabbit.settings(queue), ["#"])
            await ready(node)

    async def test_a_missing_vhost_is_waited_for_and_used(self, rabbit: RealRabbit, queue: str) -> None:
        vhost = f"/{queue}/a b%2F"
        async with reading(source(rabbit, queue, vhost=vhost)) as reader:
            node = reader.source
            await until(lambda: f"vhost {vhost} not found" in node.status().reason, what=node.status)
            await rabbit.evaluate(f"rabbit_vhost:add({term(vhost)}, <<>>)")
            await rabbit.set_permissions("guest", ".*", vhost=vhost)
            await ready(node)
            await rabbit.publish(queue, "x", [b"there"], vhost=vhost)
            await reader.has(b"there")

    async def test_tls_with_a_trusted_authority(self, rabbit: RealRabbit, queue: str) -> None:
        secure = {"tls": True, "port": rabbit.tls_port, "cafile": rabbit.cafile}
        async with reading(source(rabbit, queue, **secure)) as reader:
            await ready(reader.source)
            await rabbit.publish(queue, "x", numbered(100))
            await reader.has(b"99")
        async with asyncio.timeout(4), opened(source(rabbit, queue, **secure)) as node:
            await ready(node)

    async def test_tls_with_an_untrusted_authority_is_refused(self, rabbit: RealRabbit, queue: str) -> None:
        async with opened(source(rabbit, queue, tls=True, port=rabbit.tls_port)) as node:
            await until(lambda: "certificate verify failed" in node.status().reason, what=node.status)

    async def test_a_port_of_another_protocol_times_out(self, queue: str) -> None:
        async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(30)
            writer.close()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with opened(
            RabbitSource(RabbitSettings(host="127.0.0.1", port=port), ["#"], Timing(connect=0.5))
        ) as node:
            await until(lambda: "within 0.5 s while connecting" in node.status().reason, 5, node.status)
            async with asyncio.timeout(1):
                await node.close()
        server.close()


class TestMessages:
    async def test_a_16_mb_message_arrives_unchanged(self, rabbit: RealRabbit, queue: str) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            huge = uuid.uuid4().bytes * 1_000_000
            await rabbit.publish(queue, "x", [huge, b"", b"next"])
            await reader.has(b"next", seconds=30)
            assert reader.bodies == [huge, b"", b"next"]
            assert reader.source.status().ready

    async def test_at_most_the_prefetch_is_unacknowledged(self, rabbit: RealRabbit, queue: str) -> None:
        async with opened(source(rabbit, queue, prefetch=50)) as node:
            await ready(node)
            await rabbit.publish(queue, "x", numbered(2_000))
            bodies: list[bytes | None] = []
            most = 0
            while len(bodies) < 2_000:
                batch = await taken(node)
                bodies += [message.body for message in batch.messages]
                most = max(most, len(batch.messages) + len(node._buffer))
                await node.acknowledge(batch)
            assert bodies == numbered(2_000)
            assert 1 < most <= 50
            await until(lambda: node.status().lag == 0, what=node.status)

    async def test_an_amqp_delivery_becomes_a_message(self, rabbit: RealRabbit, queue: str) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            headers = {
                "cloudEvents:SpecVersion": "1.0",
                "cloudEvents_time": datetime(2026, 1, 1, tzinfo=UTC),
                "ce-id": "grün",
                "nested": {"a": [1, None, bytearray(b"\xff"), {"b": True}]},
                "broken": bytearray(b"\xff"),
                "nothing": None,
                "yes": True,
                "number": 7,
            }
            await rabbit.publish(
                queue, "order.created", [b"{}"], headers=headers, timestamp=datetime(2023, 1, 1, tzinfo=UTC)
            )
            await until(lambda: bool(reader.messages))
            (message,) = reader.messages
            assert (message.source, message.body, message.key) == ("order.created", b"{}", None)
            assert message.time == datetime(2023, 1, 1, tzinfo=UTC)
            assert re.fullmatch("message-id/[0-9a-f]{32}", message.fallback_id)
            assert message.headers == {
                "ce_specversion": "1.0",
                "ce_time": "2026-01-01T00:00:00+00:00",
                "ce_id": "grün",
                "nested": '{"a":[1,null,"/w==",{"b":true}]}',
                "broken": "\ufffd",
                "nothing": "",
                "yes": "true",
                "number": "7",
            }

    @pytest.mark.parametrize(
        ("routing_key", "properties", "message_id"),
        [
            pytest.param(b"x", b"\x00\x40" + struct.pack(">Q", 1_700_000_000_000_000), "sha256/.*", id="microseconds"),
            pytest.param(b"x", b"\x00\x80" + short(b"gr\xfcn"), "message-id/grün", id="an id in Latin-1"),
            pytest.param(b"gr\xfcn", b"\x00\x00", "sha256/.*", id="a routing key in Latin-1"),
            pytest.param(
                b"x", b"\x20\x80" + table(b"\xfc", b"t\1") + short(b"1"), "message-id/1", id="a header's name"
            ),
            pytest.param(b"x", b"\x20\x80" + nested(5_000) + short(b"2"), "message-id/2", id="deep"),
        ],
    )
    async def test_undecodable_properties_do_not_block_the_queue(
        self, rabbit: RealRabbit, queue: str, routing_key: bytes, properties: bytes, message_id: str
    ) -> None:
        async with reading(source(rabbit, queue)) as reader:
            await ready(reader.source)
            await rabbit.publish_raw(queue, routing_key, properties, b"poison")
            await rabbit.publish(queue, "x", [b"behind"])
            await reader.has(b"poison", b"behind")
            (poison,) = [message for message in reader.messages if message.body == b"poison"]
            assert poison.source == routing_key.decode("latin-1")
            assert re.fullmatch(message_id, poison.fallback_id)
            assert abs((poison.time - datetime.now(UTC)).total_seconds()) < 60
            assert not poison.headers
            await until(lambda: reader.source.status().lag == 0, what=reader.source.status)
