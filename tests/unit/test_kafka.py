"""Decisions of the Kafka adapter that need no broker; its behaviour with a broker is in tests/contract and
tests/integration."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from adapters.kafka.group_start_offsets import decide
from adapters.kafka.offset_queries import FirstRecord, LogRange, committed
from adapters.kafka.records import message_of
from adapters.kafka.settings import KafkaSettings, client_options
from adapters.kafka.stall_detection import Stalled, Watch
from adapters.kafka.timing import Timing
from adapters.kafka.topic_patterns import Topics
from application.ports.start_offsets import StartOffset

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARTITION = TopicPartition("orders", 0)


def record(timestamp: int) -> ConsumerRecord:
    return ConsumerRecord("orders", 3, 42, timestamp, 0, b"\xff", b"{}", None, 1, 2, (("A", None), ("a", b"last")))


def test_a_record_becomes_a_message_without_bytes_that_are_not_text() -> None:
    message = message_of(record(1_700_000_000_000), NOW)
    assert message.fallback_id == "orders/3/42/1700000000000"
    assert message.time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert message.key == "\ufffd"
    assert message.headers == {"a": "last"}


@pytest.mark.parametrize(
    "timestamp",
    [
        pytest.param(-1, id="none"),
        pytest.param(1_700_000_000_000_000, id="microseconds"),
        pytest.param(2**63 - 1, id="largest"),
        pytest.param(int(datetime(2300, 1, 1, tzinfo=UTC).timestamp()) * 1000, id="a far future"),
    ],
)
def test_an_invalid_timestamp_is_replaced_by_the_current_time(timestamp: int) -> None:
    message = message_of(record(timestamp), NOW)
    assert message.time == NOW
    assert message.fallback_id.endswith(f"/{timestamp}")


def test_topics_are_matched_completely_by_any_pattern() -> None:
    topics = Topics(["order.created", "user.*", "audit.#"])
    names = ["order.created", "order.created.x", "xorder.created", "orderXcreated", "user.a", "user.a.b", "audit.a.b"]
    assert [name for name in names if topics.expression.match(name)] == ["order.created", "user.a", "audit.a.b"]
    assert topics.missing({"user.a"}) == ["order.created"]


def test_a_source_without_topics_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Topics([])


def test_sasl_requires_a_user_and_a_password() -> None:
    with pytest.raises(ValueError, match="HERALD_KAFKA_SASL_USERNAME"):
        KafkaSettings("kafka:9093", security_protocol="SASL_SSL", sasl_username="herald").check()
    with pytest.raises(ValueError, match="HERALD_KAFKA_SECURITY_PROTOCOL"):
        KafkaSettings("kafka:9093", sasl_mechanism="PLAIN", sasl_username="herald", sasl_password="x").check()


def test_settings_become_options_of_the_client() -> None:
    assert "ssl_context" not in client_options(KafkaSettings("kafka:9092"))
    options = client_options(
        KafkaSettings(
            "a:9093,b:9093",
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="herald",
            sasl_password="x",
        )
    )
    assert options["ssl_context"].check_hostname
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "herald")


def test_a_missing_ca_file_is_reported_immediately(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        client_options(KafkaSettings("a:9093", security_protocol="SSL", ssl_cafile=str(tmp_path / "ca.pem")))


READ, UNREAD = TopicPartition("read", 0), TopicPartition("unread", 0)
# Half a millisecond after DECIDED (ms since 1970): a record of the same millisecond counts as older.
DECIDED_AT = datetime(2026, 1, 2, 3, 4, 5, 500, tzinfo=UTC)
DECIDED = int(DECIDED_AT.timestamp() * 1000)


def begins(
    *partitions: TopicPartition,
    commits: dict[TopicPartition, int] | None = None,
    remembered: dict[TopicPartition, int] | None = None,
    first: FirstRecord | None = None,
    unknown: Iterable[str] = (),
    start: Literal["latest", "earliest"] = "latest",
) -> list[tuple[int, str]]:
    """Decide the start of partitions that hold the records 10 to 30 (exclusive), with offsets stored at DECIDED_AT."""
    ranges = dict.fromkeys(partitions, LogRange(10, 30, first))
    starts = {partition: StartOffset(offset, DECIDED_AT) for partition, offset in (remembered or {}).items()}
    found = decide(ranges, commits or {}, starts, frozenset(unknown), start)
    return [(one.offset, one.reason) for one in found]


def test_a_committed_offset_takes_precedence() -> None:
    assert begins(READ, commits={READ: 20}, remembered={READ: 15}, unknown=["read"]) == [(20, "committed")]


def test_without_a_commit_the_stored_offset_applies() -> None:
    assert begins(READ, remembered={READ: 15}) == [(15, "remembered")]


@pytest.mark.parametrize(("offset", "reason"), [(9, "beginning"), (31, "recreated")])
def test_a_stored_offset_outside_the_partition_is_replaced_by_its_beginning(offset: int, reason: str) -> None:
    assert begins(READ, remembered={READ: offset}) == [(10, reason)]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (FirstRecord(10, DECIDED - 1000), (15, "remembered")),
        (FirstRecord(10, DECIDED), (15, "remembered")),
        (FirstRecord(10, DECIDED + 1), (10, "recreated")),
        (FirstRecord(14, DECIDED + 1000), (10, "recreated")),
        # All records before the offset were removed by compaction.
        (FirstRecord(15, DECIDED + 1000), (15, "remembered")),
        (None, (15, "remembered")),
    ],
)
def test_a_log_whose_first_record_is_younger_than_the_stored_offset_is_another_log(
    first: FirstRecord | None, expected: tuple[int, str]
) -> None:
    assert begins(READ, remembered={READ: 15}, first=first) == [expected]
    assert begins(READ, remembered={READ: 15}, commits={READ: 20}, first=first) == [(20, "committed")]


@pytest.mark.parametrize(
    ("later", "another"),
    [
        (FirstRecord(5, 1000), False),
        (FirstRecord(6, 900), False),
        (FirstRecord(5, 1001), True),
        (FirstRecord(0, 1000), True),
    ],
)
def test_a_first_record_that_moved_back_or_changed_is_of_another_log(later: FirstRecord, another: bool) -> None:
    assert later.is_of_another_log_than(FirstRecord(5, 1000)) is another


def test_an_unknown_topic_starts_at_its_end_or_at_its_beginning_with_earliest() -> None:
    assert begins(UNREAD, unknown=["unread"]) == [(30, "end")]
    assert begins(UNREAD, unknown=["unread"], start="earliest") == [(10, "beginning")]


def test_a_new_partition_of_a_topic_with_a_commit_starts_at_its_beginning() -> None:
    new = TopicPartition("read", 1)
    assert begins(READ, new, commits={READ: 20}, unknown=["read"]) == [(20, "committed"), (10, "beginning")]


def test_a_topic_that_appeared_after_its_pattern_was_configured_starts_at_its_beginning() -> None:
    assert begins(UNREAD) == [(10, "beginning")]


class Coordinator:
    """Answers like the admin client of aiokafka, which ignores an error of the whole response."""

    def __init__(self, answer: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self._answer = answer

    async def list_consumer_group_offsets(
        self, group: str, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        return self._answer


async def test_a_coordinator_without_an_answer_is_not_mistaken_for_a_new_group() -> None:
    assert await committed(Coordinator({PARTITION: OffsetAndMetadata(-1, "")}), "herald", [PARTITION]) == {}
    assert await committed(Coordinator({PARTITION: OffsetAndMetadata(7, "")}), "herald", [PARTITION]) == {PARTITION: 7}
    with pytest.raises(KafkaError, match="returned no offsets"):
        await committed(Coordinator({}), "herald", [PARTITION])


class Consumer:
    """A consumer at a position set by the test, to imitate a stalled aiokafka consumer."""

    def __init__(self) -> None:
        self.at = 5
        self.end = 5
        self.pausing: set[TopicPartition] = set()
        self.answers = True

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    def paused(self) -> set[TopicPartition]:
        return self.pausing

    async def position(self, partition: TopicPartition) -> int:
        return self.at

    async def committed(self, partition: TopicPartition) -> int:
        return self.at

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        if not self.answers:
            raise KafkaError("no connection")
        return {PARTITION: self.end}

    async def topics(self) -> set[str]:
        return {"orders"}


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def watch(consumer: Consumer) -> Watch:
    return Watch(consumer, Timing(probe=0.01, stall=0.1, silence=0.1, unassigned=0.1))


async def watched(watch: Watch, seconds: float) -> None:
    """Run the watch while polls return nothing."""
    async with asyncio.timeout(seconds):
        watching = asyncio.create_task(watch.run())
        try:
            while not watching.done():
                watch.empty_poll()
                await asyncio.sleep(0.01)
            watching.result()
        finally:
            watching.cancel()


async def test_a_partition_that_delivers_no_available_records_is_a_stall(consumer: Consumer, watch: Watch) -> None:
    watch.assigned()
    consumer.end = 6
    with pytest.raises(Stalled, match="no record has arrived from orders/0 at 5"):
        await watched(watch, 5)
    assert watch.lag == 1


@pytest.mark.parametrize("state", ["nothing more", "paused"])
async def test_a_partition_without_new_records_or_paused_is_no_stall(
    consumer: Consumer, watch: Watch, state: str
) -> None:
    watch.assigned()
    if state == "paused":
        consumer.end = 6
        consumer.pausing = {PARTITION}
    with pytest.raises(TimeoutError):
        await watched(watch, 0.3)
    assert watch.answering


async def test_a_rejoin_that_never_ends_is_a_stall(watch: Watch) -> None:
    watch.unassigned()
    with pytest.raises(Stalled, match="no partitions were assigned"):
        await watched(watch, 5)


async def test_a_silent_broker_makes_the_source_unready_first_and_reconnect_later(
    consumer: Consumer, watch: Watch
) -> None:
    watch.assigned()
    consumer.answers = False
    with pytest.raises(Stalled, match="has not answered"):
        await watched(watch, 5)
    assert not watch.answering
