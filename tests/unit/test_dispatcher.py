"""Dispatching deliveries: their outcomes, and the effects of the store and of a stop."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from adapters.mail.channel import MailChannel
from adapters.mail.mailer import OutgoingMail
from application.delivery.channel import Deferred, PeerUnavailable, Receipt, Refused
from application.delivery.dispatch_policy import DispatchPolicy
from application.delivery.outcome_recorder import UNSTORABLE_TEXT
from application.delivery.send_decision import Decision, Hold, Send
from application.ports.deliveries import DeliveryFilter
from domain.deliveries import MAX_REPLY_LENGTH, Delivery
from domain.preferences import Preferences
from tests.support.core import NOW
from tests.support.dispatching import KIM, POLICY, QUICK, Node, Rig, always, running, times
from tests.support.reading import until


@pytest.fixture
def rig() -> Rig:
    return Rig()


# --- sending ------------------------------------------------------------------------------------------------------


async def test_due_deliveries_are_sent_and_recorded(rig: Rig) -> None:
    await rig.mail(20)
    async with running(rig.dispatcher):
        await rig.until("sent", 20)
    ids = sorted(one.id.hex for one in await rig.deliveries.newest(100))
    assert sorted(mail.id for mail in rig.office.accepted) == ids
    sent = rig.office.accepted[0]
    assert (sent.to, sent.subject, sent.date) == (KIM, "Order o-1", NOW)
    assert sent.rendered.html == f"<p>{sent.rendered.text}</p>"
    assert rig.counters.attempts == {"email": {"sent": 20}}
    assert rig.counters.mails == {"sent": 20}


async def test_concurrency_is_limited_and_few_more_are_claimed(rig: Rig) -> None:
    rig.office.answer = lambda mail: asyncio.sleep(0)
    await rig.mail(40)
    async with running(rig.dispatcher):
        await rig.until("sent", 40)
    assert rig.office.most_at_once == 3
    assert rig.deliveries.most_claimed <= 12


async def test_few_deliveries_are_sent_without_being_recorded(rig: Rig) -> None:
    """A crash would send them again: at most twice the number that is sent concurrently."""

    def accept(mail: OutgoingMail) -> None:
        rig.deliveries.is_unavailable = True

    rig.office.answer = accept
    await rig.mail(20)
    async with running(rig.dispatcher):
        await until(lambda: len(rig.office.accepted) == 6)
        await rig.polls()
        assert len(rig.office.accepted) == 6
        rig.deliveries.is_unavailable = False
        rig.office.answer = lambda mail: None
        await rig.until("sent", 20)
    assert len(rig.office.accepted) == 20


async def test_outcomes_that_arrive_together_are_recorded_together(rig: Rig) -> None:
    gate = asyncio.Event()
    rig.office.answer = lambda mail: gate.wait()
    await rig.mail(3)
    async with running(rig.dispatcher):
        await until(lambda: len(rig.office.tries) == 3)
        gate.set()
        await rig.until("sent", 3)
    assert rig.deliveries.recorded == [3]


async def test_nodes_share_the_deliveries(rig: Rig) -> None:
    nodes = [Node(rig, POLICY) for _ in range(4)]
    await rig.mail(100)
    async with running(*(node.dispatcher for node in nodes)):
        await rig.until("sent", 100)
    assert len({mail.id for mail in rig.office.accepted}) == len(rig.office.accepted) == 100


# --- refused, deferred, failed --------------------------------------------------------------------------------------


async def test_a_refused_delivery_fails_immediately(rig: Rig) -> None:
    rig.office.answer = always(Refused("5.1.1 no such user", 550))
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("failed", 1)
    one = await rig.one()
    assert (one.error, one.attempts) == ("550 5.1.1 no such user", 1)
    (attempt,) = await rig.deliveries.attempts(one.id)
    assert (attempt.code, attempt.text, attempt.result) == (550, "5.1.1 no such user", "refused")


async def test_a_deferred_delivery_is_tried_again_and_sent(rig: Rig) -> None:
    rig.office.answer = times(2, Deferred("4.2.1 later", 450))
    await rig.mail()
    async with running(rig.dispatcher):
        await until(lambda: len(rig.office.tries) == 1)
        await rig.polls()
        assert len(rig.office.tries) == 1  # it is not due yet
        await rig.until("sent", 1, turn=5)
    assert await rig.results() == ["deferred", "deferred", "sent"]
    one = await rig.one()
    assert (one.error, one.attempts, one.counted_attempts) == (None, 3, 3)


async def test_a_delivery_fails_after_the_maximum_number_of_attempts(rig: Rig) -> None:
    rig.office.answer = always(Deferred("4.2.1 later", 450))
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("failed", 1, turn=5)
    assert await rig.results() == ["deferred"] * 3
    assert (await rig.one()).error == "given up after 3 attempts: 450 4.2.1 later"


async def test_a_failed_delivery_that_is_retried_has_all_its_attempts_again(rig: Rig) -> None:
    rig.office.answer = times(4, Deferred("4.2.1 later", 450))
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("failed", 1, turn=5)
        before = await rig.deliveries.retry((await rig.one()).id)
        assert before is not None
        assert before.status == "failed"
        await rig.until("sent", 1, turn=5)
    assert await rig.results() == ["deferred"] * 4 + ["sent"]


async def test_an_attempt_ends_at_its_deadline_and_the_delivery_is_tried_again() -> None:
    rig = Rig(DispatchPolicy(at_once=1, attempt_seconds=0.05, tries=3, **QUICK))
    stuck = [asyncio.Event()]
    rig.office.answer = lambda mail: stuck.pop().wait() if stuck else None
    await rig.mail()
    async with running(rig.dispatcher):
        await until(lambda: rig.counters.mails["deferred"] == 1)
        await rig.until("sent", 1, turn=5)
    assert await rig.results() == ["deferred", "sent"]


async def test_an_internal_error_loses_no_delivery(rig: Rig) -> None:
    rig.office.answer = times(1, ZeroDivisionError())
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("sent", 1, turn=5)
    assert await rig.results() == ["deferred", "sent"]


async def test_a_template_that_cannot_be_rendered_fails_the_delivery(rig: Rig) -> None:
    await rig.with_template("e")
    async with running(rig.dispatcher):
        await rig.until("failed", 1)
    assert (await rig.one()).error == "broken.html: the event has no 'name'"
    assert await rig.results() == ["refused"]
    assert rig.office.tries == []


async def test_a_template_that_fails_after_the_attempt_timeout_fails_the_delivery() -> None:
    rig = Rig(DispatchPolicy(at_once=2, attempt_seconds=0.05, tries=3, **QUICK))
    rig.node.renderer.seconds = 0.1
    await rig.with_template("e")
    async with running(rig.dispatcher):
        await rig.until("failed", 1)
    assert await rig.results() == ["refused"]


async def test_a_delivery_that_can_never_be_sent_is_not_sent_when_it_is_retried(rig: Rig) -> None:
    await rig.mail(address="a@b\r\nBcc: c@d.e")
    one = await rig.one()
    async with running(rig.dispatcher):
        before = await rig.deliveries.retry(one.id)
        assert before is not None
        assert before.status == "failed"
        await rig.until("failed", 1)
    assert (await rig.one()).error == one.error
    assert rig.office.tries == []


# --- held and skipped -----------------------------------------------------------------------------------------------


async def test_a_delivery_without_a_destination_is_skipped_again_when_it_is_retried(rig: Rig) -> None:
    await rig.mail(1, "")
    (one,) = await rig.deliveries.newest(10)
    assert (one.status, one.error) == ("skipped", "no_address")
    before = await rig.deliveries.retry(one.id)
    assert before is not None
    assert before.retryable
    async with running(rig.dispatcher):
        await rig.until("skipped", 1)
    assert (await rig.one()).error == "no_address"
    assert rig.office.tries == []


async def test_preferences_are_evaluated_again_when_a_delivery_is_claimed(rig: Rig) -> None:
    await rig.mail(1, user="kim")
    rig.records.preferences["kim"] = Preferences(email_notifications=False)
    async with running(rig.dispatcher):
        await rig.until("skipped", 1)
    one = await rig.one()
    assert (one.error, one.attempts, one.counted_attempts) == ("kim has switched off e-mail", 0, 0)
    assert (rig.office.tries, rig.counters.mails) == ([], {"skipped": 1})


async def test_a_held_delivery_is_decided_again_when_it_is_due() -> None:
    until_then = NOW + timedelta(hours=1)

    def quiet(delivery: Delivery, preferences: Preferences, now: Any) -> Decision:
        return Hold(until_then, "quiet_hours") if now < until_then else Send()

    rig = Rig(decide=quiet)
    await rig.mail()
    async with running(rig.dispatcher):
        await until(lambda: rig.counters.mails["held"] == 1)
        await rig.polls()
        one = await rig.one()
        assert (one.status, one.error, one.due_at, one.attempts) == ("pending", "quiet_hours", until_then, 0)
        assert rig.counters.mails == {"held": 1}
        rig.clock.turn(3_600)
        await rig.until("sent", 1)
    assert (await rig.one()).attempts == 1


# --- the store ------------------------------------------------------------------------------------------------------


async def test_an_outcome_that_cannot_be_stored_does_not_delay_other_deliveries(rig: Rig) -> None:
    rig.deliveries.unstorable = "4.2.1"
    rig.office.answer = times(1, Refused("4.2.1 unstorable", 550))
    await rig.mail(10)
    async with running(rig.dispatcher):
        await rig.until("sent", 9)
        await rig.until("failed", 1)
    (one,) = await rig.deliveries.newest(1, DeliveryFilter(status="failed"))
    assert one.error == UNSTORABLE_TEXT


async def test_a_delivery_sent_while_the_store_is_unavailable_is_not_sent_again(rig: Rig) -> None:
    def accept(mail: OutgoingMail) -> None:
        rig.deliveries.is_unavailable = True

    rig.office.answer = accept
    await rig.mail()
    async with running(rig.dispatcher):
        await until(lambda: rig.deliveries.refusals > 3)
        assert await rig.count("pending") == 1
        rig.deliveries.is_unavailable = False
        await rig.until("sent", 1)
    assert len(rig.office.accepted) == 1


async def test_a_sent_delivery_is_not_sent_again_if_the_store_is_unavailable_beyond_the_lease(rig: Rig) -> None:
    def accept(mail: OutgoingMail) -> None:
        rig.deliveries.is_unavailable = True

    rig.office.answer = accept
    for round_ in range(5):
        await rig.mail(prefix=f"round-{round_}-")
        rig.restart()
        refusals = rig.deliveries.refusals
        async with running(rig.dispatcher):
            await until(lambda before=refusals: rig.deliveries.refusals > before)
            rig.clock.turn(2 * rig.policy.lease_seconds)
            rig.deliveries.is_unavailable = False
            await rig.until("sent", round_ + 1)
    assert len(rig.office.accepted) == 5


async def test_slow_templates_delay_other_deliveries_only_for_a_while() -> None:
    """They are rendered sequentially, each for longer than a third of the attempt timeout."""
    rig = Rig(DispatchPolicy(at_once=2, attempt_seconds=0.3, lease_margin_seconds=1, tries=3, **QUICK))
    rig.node.renderer.seconds, rig.node.renderer.turn = 0.1, asyncio.Lock()
    for number in range(12):
        await rig.with_template(f"endless-{number}")
    await rig.mail(3, prefix="good-")
    async with running(rig.dispatcher):
        await rig.until("failed", 12)
        await rig.until("sent", 3)
    assert len(rig.office.accepted) == 3


# --- stopping -------------------------------------------------------------------------------------------------------


async def test_a_stop_finishes_attempts_in_progress_and_releases_the_others(rig: Rig) -> None:
    gate = asyncio.Event()
    rig.office.answer = lambda mail: gate.wait()
    await rig.mail(10)
    rig.dispatcher.start()
    await until(lambda: len(rig.office.tries) == 3)
    stopping = asyncio.create_task(rig.dispatcher.stop(30))
    await rig.polls(3)
    gate.set()
    await stopping
    await rig.dispatcher.stop(30)
    assert (await rig.count("sent"), await rig.count("pending")) == (3, 7)
    # No lease has to expire first.
    assert len(await rig.deliveries.claim("email", 10, 60)) == 7


async def test_a_stop_takes_no_longer_than_its_timeout(rig: Rig) -> None:
    forever = asyncio.Event()
    rig.office.answer = lambda mail: forever.wait()
    await rig.mail()
    rig.dispatcher.start()
    await until(lambda: len(rig.office.tries) == 1)
    async with asyncio.timeout(20):
        await rig.dispatcher.stop(0.05)
    assert await rig.count("pending") == 1


# --- recording and logging --------------------------------------------------------------------------------------------


async def test_a_response_is_recorded_as_one_line(rig: Rig) -> None:
    rig.office.answer = always(Refused("no\r\n such\0 user " + "x" * 1_000, 550))
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("failed", 1)
    error = (await rig.one()).error or ""
    assert error.startswith("550 no such user xxx")
    assert len(error) == len("550 ") + MAX_REPLY_LENGTH


@pytest.mark.parametrize(
    ("address", "reply"),
    [
        (KIM, "<kim@example.com> is unknown"),
        ("Kim.Lee@example.com", "<kim.lee@EXAMPLE.com>: User unknown"),
        ("jörg@bücher.example", "jörg@xn--bcher-kva.example is unknown"),
        (KIM, "forwarded to lee@elsewhere.example, who is unknown"),
    ],
)
async def test_logs_contain_no_address(rig: Rig, address: str, reply: str, capsys: pytest.CaptureFixture[str]) -> None:
    rig.office.answer = times(1, PeerUnavailable(reply, 450))
    await rig.mail(address=address)
    async with running(rig.dispatcher):
        await until(lambda: rig.counters.mails["server"] == 1)
        rig.office.answer = always(Refused(reply, 550))
        await rig.until("failed", 1, turn=5)
    logged = capsys.readouterr().out
    assert {"peer_unavailable", "delivery_deferred", "delivery_failed"} <= set(logged.split())
    local = {"jörg@bücher.example": "jörg"}.get(address, address.partition("@")[0])
    assert local.casefold() + "@" not in logged.casefold()
    assert "lee@" not in logged.casefold()


async def test_a_channel_that_ignores_its_deadline_keeps_no_place() -> None:
    rig = Rig(DispatchPolicy(at_once=1, attempt_seconds=0.02, overrun_seconds=0.02, tries=3, **QUICK))
    hangs = [True]

    async def send(mail: OutgoingMail, deadline: float) -> Receipt:
        if hangs:
            hangs.pop()
            await asyncio.Event().wait()
        return Receipt(250, "2.0.0 Ok")

    rig.office.send = send
    await rig.mail()
    async with running(rig.dispatcher):
        await until(lambda: rig.counters.mails["deferred"] == 1)
        await rig.until("sent", 1, turn=5)
    assert await rig.results() == ["deferred", "sent"]


@pytest.mark.parametrize("method", ["prepare", "breaker_key"])
async def test_an_internal_error_before_the_attempt_counts(rig: Rig, method: str, monkeypatch: Any) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(MailChannel, method, fail)
    await rig.mail()
    async with running(rig.dispatcher):
        await rig.until("failed", 1, turn=5)
    assert await rig.results() == ["deferred"] * 3
    assert (await rig.one()).error == "given up after 3 attempts: ZeroDivisionError: see the log"
