"""Sending mails: what becomes of deliveries, whatever the server and the store do meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.clock import SystemClock, Uuid7Factory
from adapters.memory.deliveries import MemoryDeliveries
from adapters.memory.records import MemoryRecords
from adapters.memory.store import MemoryStore
from application.counters import Counters
from application.delivery import send_mails
from application.delivery.attempt_mail import AttemptMail, MailPolicy
from application.delivery.send_mails import UNSPEAKABLE, SendMails
from application.ports.deliveries import Claim, DeliveryChoice, Outcome
from application.ports.mailer import (
    Letter,
    MailDeferred,
    MailRefused,
    OutgoingMail,
    Receipt,
    ServerAway,
    TemplateUnavailable,
    Unrenderable,
)
from application.ports.store import StoreUnavailable, Unstorable
from domain.deliveries import LONGEST_WORDS, Delivery, Status
from domain.planning import plan
from domain.routes import RouteTable
from tests.support.core import NOW, message, table
from tests.support.reading import until
from tests.support.stores import ROUTES, order, record

POLICY = MailPolicy(at_once=3, attempt_seconds=5, tries=3, retry_seconds=0.02, pause_seconds=0.05)

Answer = Callable[[OutgoingMail], Any]


class PostOffice:
    """Takes mails as it is told to: `answer` raises, or returns what to wait for. Keeps what it has taken, and how many
    it was handed at once."""

    name = "post:25"

    def __init__(self) -> None:
        self.taken: list[OutgoingMail] = []
        self.tries: list[OutgoingMail] = []
        self.answer: Answer = lambda mail: None
        self.is_away = False  # for questions without a mail
        self.most_at_once = 0
        self._at_once = 0

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        self.tries.append(mail)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                wait = self.answer(mail)
                if wait is not None:
                    await wait
        except TimeoutError:
            raise MailDeferred("no answer") from None
        finally:
            self._at_once -= 1
        self.taken.append(mail)
        return Receipt(250, "2.0.0 Ok")

    async def ping(self, deadline: float) -> None:
        if self.is_away:
            raise ServerAway("connection refused")

    async def close(self) -> None:
        return None


class PlainRenderer:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.turn: AbstractAsyncContextManager[Any] = nullcontext()
        self.has = {"order_created.html"}
        self.lacking: list[str] = []  # the templates that it was asked for in vain

    async def render(self, delivery: Delivery) -> Letter:
        async with self.turn:
            await asyncio.sleep(self.seconds)
        template = delivery.mail.template
        if template == "broken.html":
            raise Unrenderable("broken.html: the event has no 'name'")
        if template not in self.has:
            self.lacking.append(template)
            raise TemplateUnavailable(f"{template}: there is no such template")
        return Letter(f"<p>{delivery.mail.event_id}</p>", delivery.mail.event_id)

    async def close(self) -> None:
        return None


class WatchedDeliveries(MemoryDeliveries):
    """Can be away, for claims or for outcomes; knows how many were claimed and not settled or given back at most."""

    def __init__(self, records: MemoryRecords) -> None:
        super().__init__(records)
        self.is_away = False
        self.unstorable = ""
        self.settled: list[int] = []
        self.most_in_hand = 0
        self._in_hand = 0

    async def claim(self, limit: int, seconds: float, except_templates: Collection[str] = ()) -> tuple[Claim, ...]:
        self._check()
        claims = await super().claim(limit, seconds, except_templates)
        self._in_hand += len(claims)
        self.most_in_hand = max(self.most_in_hand, self._in_hand)
        return claims

    async def settle(self, outcomes: Sequence[Outcome]) -> int:
        self._check()
        if self.unstorable and any(self.unstorable in one.attempt.text for one in outcomes):
            raise Unstorable(self.unstorable)
        self._in_hand -= len(outcomes)
        self.settled.append(len(outcomes))
        return await super().settle(outcomes)

    async def release(self, claims: Sequence[Claim]) -> None:
        self._check()
        self._in_hand -= len(claims)
        await super().release(claims)

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        self._check()
        self._in_hand -= len(claims)
        await super().leave_to_others(claims, error)

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("gone fishing")


class Rig:
    def __init__(self, policy: MailPolicy = POLICY) -> None:
        records = MemoryRecords(Uuid7Factory())
        self.store = MemoryStore(records)
        self.deliveries = WatchedDeliveries(records)
        self.office = PostOffice()
        self.counters = Counters()
        self.policy = policy
        self.renderer = PlainRenderer()
        self.worker = self.new_worker()

    def new_worker(self) -> SendMails:
        attempt = AttemptMail(self.renderer, self.office, SystemClock(), self.policy)
        return SendMails(self.deliveries, self.renderer, self.office, attempt, self.counters, self.policy, ROUTES)

    async def unfillable(self, id: str, template: str = "broken.html") -> None:
        """A mail whose template can't be filled from its event; or with a template of another name."""
        made = plan(message(*order(id, "kim@example.com")), ROUTES)
        mails = tuple(replace(one, mail=replace(one.mail, template=template)) for one in made.mails)
        await self.store.record([replace(made, mails=mails)], NOW)

    async def mail(self, count: int = 1, address: str = "kim@example.com") -> None:
        await record(self.store, *(order(f"e{number}", address) for number in range(count)))

    async def count(self, status: Status) -> int:
        return await self.deliveries.count(DeliveryChoice(status=status))

    async def until(self, status: Status, count: int) -> None:
        async with asyncio.timeout(10):
            while await self.count(status) != count:
                await asyncio.sleep(0.005)

    async def one(self) -> Delivery:
        (one,) = await self.deliveries.newest(10)
        return one

    async def results(self) -> list[str]:
        return [attempt.result for attempt in await self.deliveries.attempts((await self.one()).id)]


@asynccontextmanager
async def at_work(rig: Rig) -> AsyncIterator[None]:
    rig.worker.start()
    try:
        yield
    finally:
        await rig.worker.stop(5)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def times(count: int, fault: Exception) -> Answer:
    """The first so many fail."""
    left = [fault] * count

    def answer(mail: OutgoingMail) -> None:
        if left:
            raise left.pop()

    return answer


def always(fault: Exception) -> Answer:
    return times(1_000, fault)


async def test_what_is_due_is_sent_and_recorded(rig: Rig) -> None:
    await rig.mail(20)
    async with at_work(rig):
        await rig.until("sent", 20)
    assert sorted(mail.id for mail in rig.office.taken) == sorted(
        one.id.hex for one in await rig.deliveries.newest(100)
    )
    sent = rig.office.taken[0]
    assert (sent.to, sent.subject, sent.date) == ("kim@example.com", "Order o-1", NOW)
    assert sent.letter.html == f"<p>{sent.letter.text}</p>"
    assert rig.counters.mails == {"sent": 20}


async def test_so_many_are_sent_at_once_and_little_more_is_claimed(rig: Rig) -> None:
    rig.office.answer = lambda mail: asyncio.sleep(0.005)
    await rig.mail(40)
    async with at_work(rig):
        await rig.until("sent", 40)
    assert rig.office.most_at_once == 3
    assert rig.deliveries.most_in_hand <= 12


async def test_few_are_sent_and_not_on_record(rig: Rig) -> None:
    """So that a crash leaves no more of them to be sent twice: twice as many as are sent at once."""

    def take(mail: OutgoingMail) -> None:
        rig.deliveries.is_away = True

    rig.office.answer = take
    await rig.mail(20)
    async with at_work(rig):
        await until(lambda: len(rig.office.taken) == 6)
        await asyncio.sleep(0.1)
        assert len(rig.office.taken) == 6
        rig.deliveries.is_away = False
        rig.office.answer = lambda mail: None
        await rig.until("sent", 20)
    assert len(rig.office.taken) == 20


async def test_outcomes_of_one_moment_are_recorded_together(rig: Rig) -> None:
    gate = asyncio.Event()
    rig.office.answer = lambda mail: gate.wait()
    await rig.mail(3)
    async with at_work(rig):
        await until(lambda: len(rig.office.tries) == 3)
        gate.set()
        await rig.until("sent", 3)
    assert rig.deliveries.settled == [3]


async def test_what_is_refused_for_good_fails_at_once(rig: Rig) -> None:
    rig.office.answer = always(MailRefused("5.1.1 no such user", 550))
    await rig.mail()
    async with at_work(rig):
        await rig.until("failed", 1)
    one = await rig.one()
    assert (one.error, one.attempts) == ("550 5.1.1 no such user", 1)
    (attempt,) = await rig.deliveries.attempts(one.id)
    assert (attempt.code, attempt.text, attempt.result) == (550, "5.1.1 no such user", "refused")
    assert attempt.seconds >= 0


async def test_what_is_deferred_is_tried_again_and_sent(rig: Rig) -> None:
    rig.office.answer = times(2, MailDeferred("4.2.1 later", 450))
    await rig.mail()
    async with at_work(rig):
        await rig.until("sent", 1)
    assert await rig.results() == ["deferred", "deferred", "sent"]
    one = await rig.one()
    assert (one.error, one.attempts, one.strikes) == (None, 3, 3)


async def test_after_so_many_tries_it_has_failed(rig: Rig) -> None:
    rig.office.answer = always(MailDeferred("4.2.1 later", 450))
    await rig.mail()
    async with at_work(rig):
        await rig.until("failed", 1)
    assert await rig.results() == ["deferred"] * 3
    assert (await rig.one()).error == "given up after 3 attempts: 450 4.2.1 later"


async def test_a_failed_one_that_is_retried_has_all_its_tries_again(rig: Rig) -> None:
    rig.office.answer = times(4, MailDeferred("4.2.1 later", 450))
    await rig.mail()
    async with at_work(rig):
        await rig.until("failed", 1)
        before = await rig.deliveries.retry((await rig.one()).id)
        assert before is not None
        assert before.status == "failed"
        await rig.until("sent", 1)
    assert await rig.results() == ["deferred"] * 4 + ["sent"]


async def test_a_template_that_can_not_be_filled_fails_the_mail(rig: Rig) -> None:
    await rig.unfillable("e")
    async with at_work(rig):
        await rig.until("failed", 1)
    assert (await rig.one()).error == "broken.html: the event has no 'name'"
    assert await rig.results() == ["refused"]
    assert rig.office.tries == []


async def test_a_template_that_fails_late_fails_the_mail_all_the_same() -> None:
    rig = Rig(MailPolicy(at_once=2, attempt_seconds=0.05, tries=3, retry_seconds=0.02))
    rig.renderer.seconds = 0.1
    await rig.unfillable("e")
    async with at_work(rig):
        await rig.until("failed", 1)
    assert await rig.results() == ["refused"]


async def test_what_could_never_be_sent_is_not_sent_when_it_is_retried(rig: Rig) -> None:
    await rig.mail(address="a@b\r\nBcc: c@d.e")
    one = await rig.one()
    async with at_work(rig):
        before = await rig.deliveries.retry(one.id)
        assert before is not None
        assert before.status == "failed"
        await rig.until("failed", 1)
    assert (await rig.one()).error == one.error
    assert rig.office.tries == []


async def test_a_mistake_of_ours_is_no_reason_to_lose_a_mail(rig: Rig) -> None:
    rig.office.answer = times(1, ZeroDivisionError())
    await rig.mail()
    async with at_work(rig):
        await rig.until("sent", 1)
    assert await rig.results() == ["deferred", "sent"]


async def test_while_the_server_is_away_one_mail_at_a_time_asks_and_then_all_are_sent() -> None:
    rig = Rig(MailPolicy(at_once=3, attempt_seconds=5, tries=50, retry_seconds=60, pause_seconds=0.02))
    rig.office.answer = always(ServerAway("connection refused"))
    await rig.mail(30)
    async with at_work(rig):
        await until(lambda: len(rig.office.tries) >= 5)
        assert rig.worker.fault == "post:25: connection refused"
        # Three were on their way when it went; since then each try has followed a pause.
        await asyncio.sleep(0.1)
        assert len(rig.office.tries) < 12
        rig.office.answer = lambda mail: None
        await rig.until("sent", 30)
        assert rig.worker.fault is None
    # Those that had found it away did not wait for their own time, a minute later.
    assert len(rig.office.taken) == 30


async def test_a_mail_that_needs_no_server_does_not_tell_that_it_is_back() -> None:
    rig = Rig(MailPolicy(at_once=3, attempt_seconds=5, tries=50, retry_seconds=60, pause_seconds=0.02))
    rig.office.answer, rig.office.is_away = always(ServerAway("connection refused")), True
    await rig.mail(3)
    async with at_work(rig):
        await until(lambda: rig.worker.fault is not None)
        for number in range(5):
            await rig.unfillable(f"unfillable-{number}")
            await rig.until("failed", number + 1)
            assert rig.worker.fault is not None
    assert [one.strikes for one in await rig.deliveries.newest(10, DeliveryChoice(status="pending"))] == [1, 1, 1]


async def test_where_no_mail_is_due_the_server_is_asked_without_one() -> None:
    rig = Rig(MailPolicy(at_once=3, attempt_seconds=5, tries=50, retry_seconds=60, pause_seconds=0.02))
    rig.office.answer, rig.office.is_away = times(1, ServerAway("connection refused")), True
    await rig.mail()
    async with at_work(rig):
        await until(lambda: rig.worker.fault is not None)
        await asyncio.sleep(0.1)
        assert (await rig.one()).attempts == 1
        rig.office.is_away = False
        await rig.until("sent", 1)
        assert rig.worker.fault is None


async def test_what_found_the_server_away_before_a_restart_is_sent_when_it_is_back() -> None:
    rig = Rig(MailPolicy(at_once=3, attempt_seconds=5, tries=50, retry_seconds=60, pause_seconds=0.02))
    rig.office.answer, rig.office.is_away = always(ServerAway("no such host")), True
    await rig.mail(2)
    async with at_work(rig):
        await until(lambda: len(rig.office.tries) == 2)
    rig.office.answer, rig.office.is_away = (lambda mail: None), False
    rig.worker = rig.new_worker()
    await record(rig.store, order("new", "kim@example.com"))
    async with at_work(rig):
        await rig.until("sent", 3)


async def test_a_server_that_takes_fewer_at_once_is_not_away(rig: Rig) -> None:
    busy = 0

    async def one_at_a_time() -> None:
        nonlocal busy
        busy += 1
        try:
            await asyncio.sleep(0.01)
        finally:
            busy -= 1

    def answer(mail: OutgoingMail) -> Any:
        if busy:
            raise ServerAway("4.7.0 too many connections", 421)
        return one_at_a_time()

    rig.policy = replace(POLICY, tries=1_000)
    rig.worker = rig.new_worker()
    rig.office.answer = answer
    await rig.mail(20)
    async with at_work(rig):
        await rig.until("sent", 20)


async def test_words_that_can_not_be_kept_hold_up_nobody(rig: Rig) -> None:
    rig.deliveries.unstorable = "4.2.1"
    rig.office.answer = times(1, MailRefused("4.2.1 unspeakable", 550))
    await rig.mail(10)
    async with at_work(rig):
        await rig.until("sent", 9)
        await rig.until("failed", 1)
    (one,) = await rig.deliveries.newest(1, DeliveryChoice(status="failed"))
    assert one.error == UNSPEAKABLE


async def test_what_happened_is_one_line(rig: Rig) -> None:
    rig.office.answer = always(MailRefused("no\r\n such\0 user " + "x" * 1_000, 550))
    await rig.mail()
    async with at_work(rig):
        await rig.until("failed", 1)
    error = (await rig.one()).error or ""
    assert error.startswith("550 no such user xxx")
    assert len(error) == len("550 ") + LONGEST_WORDS


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("kim@example.com", "<kim@example.com> is unknown"),
        ("Kim.Lee@example.com", "<kim.lee@EXAMPLE.com>: User unknown"),
        ("jörg@bücher.example", "jörg@xn--bcher-kva.example is unknown"),
        ("kim@example.com", "forwarded to lee@elsewhere.example, who is unknown"),
    ],
)
async def test_logs_show_nobodys_address(
    rig: Rig, address: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.office.answer = always(MailRefused(words, 550))
    await rig.mail(address=address)
    async with at_work(rig):
        await rig.until("failed", 1)
    logged = capsys.readouterr().out
    assert "mail_failed" in logged
    local = {"jörg@bücher.example": "jörg"}.get(address, address.partition("@")[0])
    assert local.casefold() + "@" not in logged.casefold()
    assert "lee@" not in logged.casefold()


async def test_a_server_that_turns_us_away_costs_no_mail_a_try(rig: Rig) -> None:
    rig.office.answer = times(4, ServerAway("5.7.1 go away", 554, refused_us=True))
    await rig.mail()
    async with at_work(rig):
        await rig.until("sent", 1)
    one = await rig.one()
    assert (one.attempts, one.strikes) == (5, 1)
    assert await rig.results() == ["server"] * 4 + ["sent"]


async def test_a_server_that_stays_away_fails_a_mail_in_the_end(rig: Rig) -> None:
    rig.office.answer = always(ServerAway("no such host"))
    await rig.mail()
    async with at_work(rig):
        await rig.until("failed", 1)
    assert (await rig.one()).error == "given up after 3 attempts: no such host"


async def test_a_mail_that_was_sent_while_the_store_was_away_is_not_sent_again(rig: Rig) -> None:
    def take(mail: OutgoingMail) -> None:
        rig.deliveries.is_away = True

    rig.office.answer = take
    await rig.mail()
    async with at_work(rig):
        await until(lambda: rig.deliveries.is_away)
        await asyncio.sleep(0.05)
        assert await rig.count("pending") == 1
        rig.deliveries.is_away = False
        await rig.until("sent", 1)
    assert len(rig.office.taken) == 1


async def test_nor_where_the_store_was_away_for_longer_than_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_mails, "RETRY", 0.02)
    rig = Rig(MailPolicy(at_once=3, attempt_seconds=5, tries=3, retry_seconds=0.02))
    monkeypatch.setattr(MailPolicy, "lease_seconds", 0.1)

    def take(mail: OutgoingMail) -> None:
        rig.deliveries.is_away = True

    rig.office.answer = take
    for round_ in range(5):
        await record(rig.store, order(f"e{round_}", "kim@example.com"))
        rig.worker = rig.new_worker()
        async with at_work(rig):
            await until(lambda: rig.deliveries.is_away)
            await asyncio.sleep(0.2)
            rig.deliveries.is_away = False
            await rig.until("sent", round_ + 1)
    assert len(rig.office.taken) == 5


async def test_templates_that_never_end_are_in_nobodys_way_for_ever() -> None:
    """Filled one after the other, each for longer than a third of an attempt."""
    rig = Rig(MailPolicy(at_once=2, attempt_seconds=0.3, tries=3, retry_seconds=0.02))
    rig.renderer.seconds, rig.renderer.turn = 0.1, asyncio.Lock()
    for number in range(12):
        await rig.unfillable(f"endless-{number}")
    await record(rig.store, *(order(f"good-{number}", "kim@example.com") for number in range(3)))
    async with at_work(rig):
        await rig.until("failed", 12)
        await rig.until("sent", 3)
    assert len(rig.office.taken) == 3


async def test_an_attempt_ends_at_its_deadline_and_the_mail_is_tried_again() -> None:
    rig = Rig(MailPolicy(at_once=1, attempt_seconds=0.05, tries=3, retry_seconds=0.01))
    stuck = [asyncio.Event()]
    rig.office.answer = lambda mail: stuck.pop().wait() if stuck else None
    await rig.mail()
    async with at_work(rig):
        await rig.until("sent", 1)
    assert await rig.results() == ["deferred", "sent"]


async def test_leaving_what_was_begun_is_sent_and_the_rest_is_given_back(rig: Rig) -> None:
    gate = asyncio.Event()
    rig.office.answer = lambda mail: gate.wait()
    await rig.mail(10)
    rig.worker.start()
    await until(lambda: len(rig.office.tries) == 3)
    stopping = asyncio.create_task(rig.worker.stop(5))
    await asyncio.sleep(0.02)
    gate.set()
    await stopping
    await rig.worker.stop(5)
    assert (await rig.count("sent"), await rig.count("pending")) == (3, 7)
    # Nobody has to wait for a lease.
    assert len(await rig.deliveries.claim(10, 60)) == 7


async def test_leaving_takes_no_longer_than_it_may(rig: Rig) -> None:
    rig.office.answer = lambda mail: asyncio.sleep(60)
    await rig.mail()
    rig.worker.start()
    await until(lambda: len(rig.office.tries) == 1)
    began = time.monotonic()
    await rig.worker.stop(0.1)
    assert time.monotonic() - began < 10
    assert await rig.count("pending") == 1


async def test_several_nodes_share_the_work(rig: Rig) -> None:
    workers = [rig.new_worker() for _ in range(4)]
    await rig.mail(100)
    for worker in workers:
        worker.start()
    await rig.until("sent", 100)
    for worker in workers:
        await worker.stop(5)
    assert len({mail.id for mail in rig.office.taken}) == len(rig.office.taken) == 100


# --- templates that this node lacks -----------------------------------------------------------------------------


class Node:
    """Another node of the same store: with templates of its own, and the same mail server."""

    def __init__(self, rig: Rig, *templates: str, policy: MailPolicy = POLICY, table: RouteTable = ROUTES) -> None:
        self.renderer = PlainRenderer()
        self.renderer.has = set(templates)
        self.counters = Counters()
        attempt = AttemptMail(self.renderer, rig.office, SystemClock(), policy)
        self.worker = SendMails(rig.deliveries, self.renderer, rig.office, attempt, self.counters, policy, table)


async def test_a_node_leaves_mails_with_templates_it_lacks_to_the_others(rig: Rig) -> None:
    """As in a rolling upgrade that adds one: the old node claims such mails, too."""
    old, new = Node(rig, "order_created.html"), Node(rig, "order_created.html", "new.html")
    for number in range(5):
        await rig.unfillable(f"new-{number}", "new.html")
    await rig.mail(3)
    old.worker.start()
    await until(lambda: old.counters.mails["sent"] == 3 and old.renderer.lacking)
    assert await rig.count("failed") == 0
    waiting = [one for one in await rig.deliveries.newest(10) if one.mail.template == "new.html"]
    assert {one.status for one in waiting} == {"pending"}
    assert {one.attempts for one in waiting} == {0}
    # They are due, and this node leaves them alone for a while.
    asked = len(old.renderer.lacking)
    assert asked == old.counters.mails["left_to_others"] <= 5

    new.worker.start()
    await rig.until("sent", 8)
    assert len(old.renderer.lacking) == asked
    await asyncio.gather(old.worker.stop(5), new.worker.stop(5))
    assert {one.unrendered_since for one in await rig.deliveries.newest(10)} == {None}


async def test_a_template_that_comes_later_is_used(rig: Rig) -> None:
    node = Node(rig, "order_created.html", policy=replace(POLICY, template_pause_seconds=0.05))
    await rig.unfillable("e", "new.html")
    node.worker.start()
    await until(lambda: node.renderer.lacking)
    node.renderer.has.add("new.html")
    await rig.until("sent", 1)
    await node.worker.stop(5)


async def test_a_mail_whose_template_no_node_has_fails_in_the_end_and_says_so(rig: Rig) -> None:
    node = Node(rig, policy=replace(POLICY, template_pause_seconds=0.02, template_wait_seconds=0.5))
    await rig.unfillable("e", "new.html")
    node.worker.start()
    await rig.until("failed", 1)
    await node.worker.stop(5)
    one = await rig.one()
    assert one.error is not None
    assert one.error.startswith("no node has had a usable template for ")
    assert one.error.endswith("new.html: there is no such template")
    assert one.attempts == 1
    assert len(node.renderer.lacking) > 1


async def test_mails_wait_for_a_server_that_is_unavailable_longer_than_for_a_template(rig: Rig) -> None:
    """While no mail is sent, the node that has the template says so."""
    rig.office.answer, rig.office.is_away = always(ServerAway("connection refused")), True
    policy = replace(
        POLICY, tries=1_000, template_pause_seconds=0.02, template_wait_seconds=0.6, template_report_seconds=0.05
    )
    news = table(
        """
        profile = "news"
        [[routes]]
        source = "news"
        email = { to = "to", subject = "News", template = "new.html" }
        """
    )
    old, new = Node(rig, policy=policy), Node(rig, "new.html", policy=policy, table=news)
    for number in range(20):
        await rig.unfillable(f"e{number}", "new.html")
    new.worker.start()
    old.worker.start()
    await until(lambda: old.counters.mails["left_to_others"] > 20)
    began = time.monotonic()
    await until(lambda: time.monotonic() - began > 3 * policy.template_wait_seconds)
    assert await rig.count("failed") == 0
    assert {one.error for one in await rig.deliveries.newest(30)} - {None}
    rig.office.answer, rig.office.is_away = times(0, ServerAway("")), False
    await rig.until("sent", 20)
    await asyncio.gather(old.worker.stop(5), new.worker.stop(5))


async def test_a_mail_without_an_address_is_skipped_again_when_it_is_retried(rig: Rig) -> None:
    await rig.mail(1, "")
    (one,) = await rig.deliveries.newest(10)
    assert (one.status, one.error) == ("skipped", "no_address")
    before = await rig.deliveries.retry(one.id)
    assert before is not None
    assert before.retryable
    async with at_work(rig):
        await rig.until("skipped", 1)
    assert (await rig.one()).error == "no_address"
    assert rig.office.tries == []


async def test_the_error_holds_the_code_of_the_reply(rig: Rig) -> None:
    rig.office.answer = always(MailRefused("no such user", 550))
    await rig.mail()
    async with at_work(rig):
        await rig.until("failed", 1)
    assert (await rig.one()).error == "550 no such user"


async def test_a_server_is_untried_until_a_mail_was(rig: Rig) -> None:
    assert rig.worker.untried
    await rig.mail()
    async with at_work(rig):
        await rig.until("sent", 1)
        assert not rig.worker.untried
    other = rig.new_worker()
    rig.office.answer = always(ServerAway("connection refused"))
    await record(rig.store, order("later", "kim@example.com"))
    other.start()
    await until(lambda: other.fault is not None)
    assert not other.untried
    await other.stop(5)
