"""A session that fails, or whose transport fails, is closed; it affects no other session, the hub or ingest."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from application.hub.hub import Hub
from domain.protocol.herald_v1 import CloseCode
from tests.support.core import IMPATIENT, Node, Reader, settle


@pytest.fixture
async def node() -> Node:
    return await Node().start()


class BrokenReader(Reader):
    """A transport that raises in some of its methods once it is broken."""

    broken: frozenset[str] = frozenset()
    _oldest_unsent: int | None = None

    def _raise_if_broken(self, method: str) -> None:
        if method in self.broken:
            raise OSError(f"{method} failed")

    def try_send(self, frame: str) -> bool:
        self._raise_if_broken("try_send")
        return False

    @property
    def oldest_unsent(self) -> int | None:
        self._raise_if_broken("oldest_unsent")
        return self._oldest_unsent

    @oldest_unsent.setter
    def oldest_unsent(self, number: int | None) -> None:
        self._oldest_unsent = number

    def force_close(self) -> None:
        self._raise_if_broken("force_close")
        super().force_close()


async def readers_of(node: Node, count: int = 8) -> tuple[BrokenReader, list[Reader]]:
    broken = BrokenReader(node, await node.open("broken", protocol=True, feeds=("news",)))
    others = [Reader(node, await node.open(f"u{number}", protocol=True, feeds=("news",))) for number in range(count)]
    await settle()
    return broken, others


def failures(logs: list[dict[str, object]]) -> list[object]:
    return [line["session_id"] for line in logs if line["event"] == "session_failed"]


async def test_a_transport_that_fails_in_direct_delivery_affects_no_other_session(node: Node) -> None:
    broken, others = await readers_of(node)
    broken.broken = frozenset({"try_send"})
    with capture_logs() as logs:
        # As from ingest: the call raises nothing.
        await node.send(node.news("n1"))
        await node.send(node.news("n2"))
        await settle()
    assert [reader.texts for reader in others] == [["n1", "n2"]] * len(others)
    assert broken.session.close_reason is not None
    assert broken.session.close_reason.code == CloseCode.INTERNAL_ERROR
    assert broken.objects[-1]["kind"] == "bye"
    assert broken.session not in node.hub.sessions
    assert failures(logs) == [broken.session.id]


async def test_a_session_that_fails_when_it_wakes_affects_no_other_session(node: Node) -> None:
    broken, others = await readers_of(node)
    # Its positions no longer match its streams, as after a defect in a session.
    broken.session.positions.values.clear()
    with capture_logs() as logs:
        await node.send(node.news("n1"))
        await node.sweep(2)
    assert [reader.texts for reader in others] == [["n1"]] * len(others)
    assert broken.session.close_reason is not None
    assert broken.session.close_reason.code == CloseCode.INTERNAL_ERROR
    assert failures(logs) == [broken.session.id]


@pytest.mark.parametrize("methods", [("oldest_unsent",), ("oldest_unsent", "force_close"), ("force_close",)])
async def test_a_transport_that_fails_in_a_sweep_stops_no_periodic_work(node: Node, methods: tuple[str, ...]) -> None:
    broken, others = await readers_of(node)
    broken.going.clear()
    await node.send(node.news("n1"))
    await settle()
    broken.broken = frozenset(methods)
    # Stored but not published: only a comparison with the store finds it.
    await node.record(node.news("n2"))
    sweeps = IMPATIENT.stalled_after_sweeps + IMPATIENT.force_close_after_sweeps + 2
    with capture_logs() as logs:
        await node.sweep(sweeps)
    assert [reader.texts for reader in others] == [["n1", "n2"]] * len(others)
    assert all(reader.session.close_reason is None for reader in others)
    assert {node.hub.sessions[reader.session].sweeps for reader in others} == {sweeps}
    assert broken.session.close_reason is not None
    assert failures(logs) == [broken.session.id]
    assert broken.session not in node.hub.sessions


async def test_sign_outs_and_heartbeats_reach_the_other_sessions(node: Node) -> None:
    broken, others = await readers_of(node)
    broken.broken = frozenset({"try_send", "oldest_unsent"})
    await node.sweep(round(IMPATIENT.session.heartbeat_s))
    assert all(reader.objects[-1]["kind"] == "heartbeat" for reader in others)


async def test_a_failure_does_not_reach_the_backplane(node: Node) -> None:
    broken, _ = await readers_of(node)
    broken.broken = frozenset({"try_send"})
    recorded = await node.record(node.news("n1"))
    arrived: Callable[[Hub], None] = lambda hub: hub.arrived(recorded.entries)  # noqa: E731
    arrived(node.hub)
    assert broken.session.close_reason is not None
