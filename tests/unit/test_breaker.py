"""A peer that is unavailable: deliveries that wait for it, probes, and that no delivery is lost."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.mail.mailer import OutgoingMail
from application.delivery.channel import PeerUnavailable
from application.ports.deliveries import DeliveryFilter
from domain.backoff import Backoff
from tests.support.dispatching import POLICY, Answer, Rig, always, running, times
from tests.support.reading import until

# No delivery is retried by its own delay during a test.
PATIENT = replace(POLICY, tries=1_000, retry=Backoff(3_600, 3_600))


@pytest.fixture
def rig() -> Rig:
    return Rig(PATIENT)


def together(count: int, rig: Rig) -> Answer:
    """Return an answer: each attempt finds the peer unavailable, the first `count` of them concurrently."""

    async def find_out() -> None:
        while len(rig.office.tries) < count:
            await asyncio.sleep(0)
        raise PeerUnavailable("connection refused")

    return lambda mail: find_out()


async def test_an_open_breaker_tries_one_delivery_at_a_time_and_closes_after_a_success(rig: Rig) -> None:
    rig.office.answer = together(3, rig)
    await rig.mail(30)
    async with running(rig.dispatcher):
        await until(lambda: rig.counters.mails["server"] == 3)
        assert rig.dispatcher.error == "post:25: connection refused"
        for tries in range(4, 9):
            await rig.polls()
            assert len(rig.office.tries) == tries - 1  # the pause is not over
            rig.clock.turn(PATIENT.pause.max_s)
            await until(lambda tries=tries: len(rig.office.tries) == tries)
        rig.office.answer = lambda mail: None
        rig.clock.turn(PATIENT.pause.max_s)
        # Deliveries deferred by the unavailable peer do not wait for their own delay of an hour.
        await rig.until("sent", 30)
        assert rig.dispatcher.error is None
    assert len(rig.office.accepted) == 30


async def test_a_delivery_that_needs_no_peer_does_not_close_the_breaker(rig: Rig) -> None:
    rig.office.answer, rig.office.is_unavailable = always(PeerUnavailable("connection refused")), True
    await rig.mail(3)
    async with running(rig.dispatcher):
        await until(lambda: rig.dispatcher.error is not None)
        for number in range(5):
            await rig.with_template(f"unfillable-{number}")
            await rig.until("failed", number + 1, turn=1)
            assert rig.dispatcher.error is not None
    pending = await rig.deliveries.newest(10, DeliveryFilter(status="pending"))
    assert [one.counted_attempts for one in pending] == [1, 1, 1]


async def test_without_a_due_delivery_the_peer_is_probed(rig: Rig) -> None:
    rig.office.answer, rig.office.is_unavailable = times(1, PeerUnavailable("connection refused")), True
    await rig.mail()
    async with running(rig.dispatcher):
        await until(lambda: rig.dispatcher.error is not None)
        rig.clock.turn(PATIENT.pause.max_s)
        await until(lambda: rig.office.probes == 1)
        assert (await rig.one()).attempts == 1
        rig.office.is_unavailable = False
        rig.clock.turn(PATIENT.pause.max_s)
        await rig.until("sent", 1)
        assert rig.dispatcher.error is None


async def test_deliveries_deferred_before_a_restart_are_sent_when_the_peer_is_available(rig: Rig) -> None:
    rig.office.answer, rig.office.is_unavailable = together(2, rig), True
    await rig.mail(2)
    async with running(rig.dispatcher):
        await until(lambda: rig.counters.mails["server"] == 2)
    rig.office.answer, rig.office.is_unavailable = (lambda mail: None), False
    rig.office.name = "other:25"  # the peer has moved meanwhile
    rig.restart()
    await rig.mail(1, prefix="new-")
    async with running(rig.dispatcher):
        await rig.until("sent", 3)


async def test_a_peer_that_limits_concurrent_connections_is_available() -> None:
    rig = Rig(replace(POLICY, tries=1_000))
    busy = 0

    async def one_at_a_time() -> None:
        nonlocal busy
        busy += 1
        try:
            await asyncio.sleep(0.001)
        finally:
            busy -= 1

    def answer(mail: OutgoingMail) -> Any:
        if busy:
            raise PeerUnavailable("4.7.0 too many connections", 421)
        return one_at_a_time()

    rig.office.answer = answer
    await rig.mail(20)
    async with running(rig.dispatcher):
        await rig.until("sent", 20, turn=1)


async def test_a_peer_that_refuses_herald_counts_no_attempts() -> None:
    rig = Rig()
    rig.office.answer = times(4, PeerUnavailable("5.7.1 go away", 554, refused_us=True))
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("sent", 1, turn=5)
    one = await rig.one()
    assert (one.attempts, one.counted_attempts) == (5, 1)
    assert await rig.results() == ["server"] * 4 + ["sent"]


async def test_a_peer_that_stays_unavailable_fails_a_delivery_after_the_last_attempt() -> None:
    rig = Rig()
    rig.office.answer, rig.office.is_unavailable = always(PeerUnavailable("no such host")), True
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("failed", 1, turn=5)
    assert (await rig.one()).error == "given up after 3 attempts: no such host"


async def test_a_peer_is_untried_until_a_delivery_was_attempted(rig: Rig) -> None:
    assert rig.dispatcher.untried
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("sent", 1)
        assert not rig.dispatcher.untried
    rig.restart()
    rig.office.answer = always(PeerUnavailable("connection refused"))
    await rig.mail(prefix="later-")
    async with running(rig.dispatcher):
        await until(lambda: rig.dispatcher.error is not None)
        assert not rig.dispatcher.untried
