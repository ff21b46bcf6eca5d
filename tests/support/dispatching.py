"""A dispatcher of deliveries in memory, on a manual clock, with a channel whose behaviour the test chooses."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from msgspec.structs import replace

from adapters.clock import Uuid7Factory
from adapters.mail.channel import MailChannel
from adapters.mail.mailer import OutgoingMail, TemplateUnavailable, Unrenderable
from adapters.memory.deliveries import MemoryDeliveries
from adapters.memory.shared_records import MemoryRecords
from adapters.memory.store import MemoryStore
from application.counters import Counters
from application.delivery.channel import Deferred, PeerUnavailable, Receipt
from application.delivery.dispatch_policy import DispatchPolicy
from application.delivery.dispatcher import Dispatcher
from application.delivery.send_decision import Decide, decide
from application.ports.deliveries import Claim, DeliveryFilter, Outcome
from application.ports.mail_folder import RenderedMail
from application.ports.store import StoreUnavailable, Unstorable
from domain.backoff import Backoff
from domain.deliveries import Delivery, Item, Status
from domain.planning import plan
from tests.support.core import NOW, HandClock, message
from tests.support.reading import until
from tests.support.stores import ROUTES, order, record

# Intervals in real seconds, close to 0.
QUICK = {"poll_seconds": 0.002, "store_retry_seconds": 0.002, "batch_seconds": 0.0}

# The timeout of an attempt is real time. All other times are of the rig's clock.
POLICY = DispatchPolicy(at_once=3, attempt_seconds=30, tries=3, retry=Backoff(10, 3_600), pause=Backoff(1, 30), **QUICK)

KIM = "kim@example.com"

Answer = Callable[[OutgoingMail], Any]


class PostOffice:
    """A fake mailer. It calls `answer` for each mail, which raises or returns an awaitable. Records the accepted mails,
    and the maximum number of mails that were sent concurrently."""

    name = "post:25"

    def __init__(self, clock: HandClock) -> None:
        self.accepted: list[OutgoingMail] = []
        self.tries: list[OutgoingMail] = []
        self.answer: Answer = lambda mail: None
        self.is_unavailable = False  # whether `probe` raises PeerUnavailable
        self.probes = 0
        self.most_at_once = 0
        self._at_once = 0
        self._clock = clock

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        self.tries.append(mail)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            async with asyncio.timeout(deadline - self._clock.monotonic()):
                wait = self.answer(mail)
                if wait is not None:
                    await wait
        except TimeoutError:
            raise Deferred("no answer") from None
        finally:
            self._at_once -= 1
        self.accepted.append(mail)
        return Receipt(250, "2.0.0 Ok")

    async def ping(self, deadline: float) -> None:
        self.probes += 1
        if self.is_unavailable:
            raise PeerUnavailable("connection refused")

    async def close(self) -> None:
        return None


class PlainRenderer:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.turn: AbstractAsyncContextManager[Any] = nullcontext()
        self.templates = {"order_created.html"}
        self.lacking: list[str] = []  # templates that were requested and not found

    async def render(self, item: Item) -> RenderedMail:
        async with self.turn:
            await asyncio.sleep(self.seconds)
        if item.template == "broken.html":
            raise Unrenderable("broken.html: the event has no 'name'")
        if item.template not in self.templates:
            self.lacking.append(item.template)
            raise TemplateUnavailable(f"{item.template}: there is no such template")
        return RenderedMail(f"<p>{item.event_id}</p>", item.event_id)

    async def close(self) -> None:
        return None


class WatchedDeliveries(MemoryDeliveries):
    """Deliveries that can be made unavailable. Records the maximum number of deliveries that were claimed, and neither
    recorded nor released, at one time."""

    def __init__(self, records: MemoryRecords, clock: HandClock) -> None:
        super().__init__(records, clock)
        self.is_unavailable = False
        self.refusals = 0
        self.reports = 0  # the number of reports of usable templates
        self.unstorable = ""
        self.recorded: list[int] = []
        self.most_claimed = 0
        self._claimed = 0

    async def claim(
        self, channel: str, limit: int, lease_seconds: float, except_templates: Collection[str] = ()
    ) -> tuple[Claim, ...]:
        self._check()
        claims = await super().claim(channel, limit, lease_seconds, except_templates)
        self._claimed += len(claims)
        self.most_claimed = max(self.most_claimed, self._claimed)
        return claims

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        self._check()
        if self.unstorable and any(one.attempt and self.unstorable in one.attempt.text for one in outcomes):
            raise Unstorable(self.unstorable)
        self._claimed -= len(outcomes)
        self.recorded.append(len(outcomes))
        return await super().record_outcomes(outcomes)

    async def release(self, claims: Sequence[Claim]) -> None:
        self._check()
        self._claimed -= len(claims)
        await super().release(claims)

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        self._check()
        self._claimed -= len(claims)
        await super().leave_to_others(claims, error)

    async def clear_unrendered(self, channel: str, templates: Collection[str]) -> int:
        self.reports += 1
        return await super().clear_unrendered(channel, templates)

    def _check(self) -> None:
        if self.is_unavailable:
            self.refusals += 1
            raise StoreUnavailable("gone fishing")


class Node:
    """The templates, counters and dispatcher of one node."""

    def __init__(
        self, rig: "Rig", policy: DispatchPolicy, *templates: str, routed: Collection[str] = (), decide: Decide = decide
    ) -> None:
        self.renderer = PlainRenderer()
        if templates:
            self.renderer.templates = set(templates)
        self.counters = Counters()
        channel = MailChannel(self.renderer, rig.office)
        self.dispatcher = Dispatcher(channel, rig.deliveries, rig.clock, self.counters, policy, lambda: routed, decide)


class Rig:
    """Deliveries of the channel `email`, a node that sends them, and a fake mail server."""

    def __init__(self, policy: DispatchPolicy = POLICY, decide: Decide = decide) -> None:
        self.clock = HandClock()
        self.records = MemoryRecords(Uuid7Factory())
        self.store = MemoryStore(self.records)
        self.deliveries = WatchedDeliveries(self.records, self.clock)
        self.office = PostOffice(self.clock)
        self.policy = policy
        self.node = Node(self, policy, decide=decide)

    @property
    def counters(self) -> Counters:
        return self.node.counters

    @property
    def dispatcher(self) -> Dispatcher[OutgoingMail]:
        return self.node.dispatcher

    def restart(self) -> None:
        self.node = Node(self, self.policy)

    async def with_template(self, id: str, template: str = "broken.html") -> None:
        """Return a mail with another template: one that cannot be rendered from its event, or that nodes may lack."""
        made = plan(message(*order(id, KIM)), ROUTES)
        mails = tuple(replace(one, item=replace(one.item, template=template)) for one in made.deliveries)
        await self.store.record([replace(made, deliveries=mails)], NOW)

    async def mail(self, count: int = 1, address: str = KIM, prefix: str = "e", user: str | None = None) -> None:
        events = (order(f"{prefix}{number}", address, user=user) for number in range(count))
        await record(self.store, *events, at=self.clock.now())

    async def count(self, status: Status) -> int:
        return await self.deliveries.count(DeliveryFilter(status=status))

    async def until(self, status: Status, count: int, *, turn: float = 0.0) -> None:
        """Wait until that many deliveries have this status. Each check advances the clock by that many seconds."""
        deadline = time.monotonic() + 60
        while await self.count(status) != count:
            assert time.monotonic() < deadline, await self.deliveries.newest(10)
            await asyncio.sleep(0.002)
            if turn:
                self.clock.turn(turn)

    async def polls(self, count: int = 20) -> None:
        """Let the dispatcher poll that many times."""
        for _ in range(count):
            await asyncio.sleep(QUICK["poll_seconds"])

    async def one(self) -> Delivery:
        (one,) = await self.deliveries.newest(10)
        return one

    async def results(self) -> list[str]:
        return [attempt.result for attempt in await self.deliveries.attempts((await self.one()).id)]


@asynccontextmanager
async def running(*dispatchers: Dispatcher[Any]) -> AsyncIterator[None]:
    for dispatcher in dispatchers:
        dispatcher.start()
    try:
        yield
    finally:
        await asyncio.gather(*(dispatcher.stop(30) for dispatcher in dispatchers))


def times(count: int, error: Exception) -> Answer:
    """Return an answer that fails the first attempts, up to that number."""
    left = [error] * count

    def answer(mail: OutgoingMail) -> None:
        if left:
            raise left.pop()

    return answer


def always(error: Exception) -> Answer:
    return times(100_000, error)


__all__ = ["KIM", "POLICY", "QUICK", "Node", "PostOffice", "Rig", "always", "running", "times", "until"]
