"""Kafka for tests: a real broker in a separate process."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic, OffsetSpec

from adapters.kafka.timing import Timing
from scripts.kafka import Node
from tests.support.service import Service, free_ports

# Short intervals: new topics are found within 0.5 s, and a rebalance ends within 2 s.
QUICK: Final = Timing(metadata_age=0.5, session=4.5, probe=1.0, comparison=1.0)

# A start takes 3 to 5 s on two idle cores. The timeout is longer, for a busy machine.
PATIENCE: Final = 60.0


class Cluster:
    """Creates topics and produces records in any Kafka. Each method returns after the broker has responded."""

    def __init__(self, servers: str, codec: str = "none") -> None:
        self.servers = servers
        self._producer = Producer(
            {"bootstrap.servers": servers, "linger.ms": 0, "compression.type": codec, "log_level": 0}
        )
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        # After a freeze, the controller gives the broker no partitions until it receives the broker's next heartbeat.
        _retried(
            lambda: self._admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(PATIENCE),
            unless=lambda error: error.code() != KafkaError.INVALID_REPLICATION_FACTOR,
        )
        self._until_known(topic, partitions)

    def ensure_topic(self, topic: str, partitions: int = 1) -> None:
        """Create the topic unless it exists."""
        if topic not in self._admin.list_topics(timeout=PATIENCE).topics:
            self.create_topic(topic, partitions)

    def add_partitions(self, topic: str, total: int) -> None:
        self._admin.create_partitions([NewPartitions(topic, total)])[topic].result(PATIENCE)
        self._until_known(topic, total)

    def produce(
        self,
        topic: str,
        bodies: Sequence[bytes | None],
        *,
        partition: int = 0,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        timestamp: int = 0,
    ) -> None:
        """Produce records. `timestamp` is in ms since 1970; 0 means now."""
        self._until_open(topic, partition)
        refused: list[str] = []
        for body in bodies:
            self._producer.produce(
                topic,
                body,
                key=key,
                partition=partition,
                headers=dict(headers or {}),
                timestamp=timestamp,
                on_delivery=lambda error, _: refused.append(str(error)) if error else None,
            )
        left = self._producer.flush(PATIENCE)
        assert not left, f"{left} records were not taken within {PATIENCE} s"
        assert not refused, refused

    def produce_in_transaction(self, topic: str, bodies: Sequence[bytes], *, abort: bool) -> None:
        producer = Producer({"bootstrap.servers": self.servers, "transactional.id": topic, "log_level": 0})
        self._until_open(topic, 0)
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
        for body in bodies:
            producer.produce(topic, body, partition=0)
        producer.flush(PATIENCE)
        (producer.abort_transaction if abort else producer.commit_transaction)(PATIENCE)

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """Return the committed offsets of the group, by topic and partition."""
        answer = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(PATIENCE)
        return {(at.topic, at.partition): at.offset for at in answer.topic_partitions if at.offset >= 0}

    def end(self, topic: str, partition: int = 0) -> int:
        """Return the end of the log as lag tools report it: transaction markers count."""
        place = TopicPartition(topic, partition)
        return int(self._admin.list_offsets({place: OffsetSpec.latest()})[place].result(PATIENCE).offset)

    def delete_topic(self, topic: str) -> None:
        self._admin.delete_topics([topic])[topic].result(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while topic in self._admin.list_topics(timeout=PATIENCE).topics:
            assert time.monotonic() < deadline, f"{topic} was not deleted"

    def delete_group(self, group: str) -> None:
        """Delete the group with all its committed offsets. It must have no members."""
        _retried(lambda: self._admin.delete_consumer_groups([group])[group].result(PATIENCE))

    async def expel(self, group: str) -> None:
        """Remove all members of a group, as an operator does for a dead node, so that Kafka no longer waits for it."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            coordinator = await admin.find_coordinator(group)
            (answer,) = await admin.describe_consumer_groups([group], coordinator)
            for found in answer.groups:
                for member in found[-1]:
                    left = await admin._client.send(coordinator, LeaveGroupRequest(group, member[0]))
                    assert left.error_code == 0, left
        finally:
            await admin.close()

    def _until_open(self, topic: str, partition: int) -> None:
        """Wait until a new partition, or one whose broker just started, accepts requests: it may refuse one and accept
        the next.

        A producer would repeat the refused request after the next one, so the order would be lost before Herald reads
        it. With idempotence the refused one would even be reported as delivered (librdkafka 2.16).
        """
        place = TopicPartition(topic, partition)

        def ask() -> None:
            # The client sends requests to the last known leader of the partition. Listing the topic refreshes this
            # metadata.
            self._admin.list_topics(topic, PATIENCE)
            self._admin.list_offsets({place: OffsetSpec.latest()}, request_timeout=1)[place].result(PATIENCE)

        _retried(ask)

    def _until_known(self, topic: str, partitions: int) -> None:
        # The controller responds before the broker and the producer have the metadata of the topic.
        deadline = time.monotonic() + PATIENCE
        while len(self._producer.list_topics(topic, PATIENCE).topics[topic].partitions) != partitions:
            assert time.monotonic() < deadline, f"{topic} did not get {partitions} partitions"


class RealKafka(Service, Cluster):
    """One KRaft node on free loopback ports. Its data outlives the process, so it can be killed and restarted."""

    def __init__(self, directory: Path) -> None:
        port, controller_port = free_ports(2)
        self._node = Node(directory, port, controller_port, create_topics=False)
        Service.__init__(self, directory / "log.txt")
        Cluster.__init__(self, self._node.servers)

    def launch(self) -> None:
        self._node.format()
        self._spawn(self._node.command())

    def _answers(self) -> bool:
        try:
            self._admin.list_topics(timeout=1)
        except KafkaException:
            return False
        return True


def _retried(call: Callable[[], object], unless: Callable[[KafkaError], bool] = lambda _: False) -> None:
    """Repeat a call until Kafka accepts it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            call()
            return
        except KafkaException as refused:
            if unless(refused.args[0]) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
