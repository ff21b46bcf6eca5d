"""Sending mails: working off what is due, together with every other node."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from msgspec.structs import replace

from application.counters import Counters
from application.delivery.attempt_mail import AttemptMail, LeftToOthers, MailPolicy, Refusal
from application.delivery.mail_server import ServerWatch
from application.log_context import bind_delivery
from application.ports.deliveries import Claim, Deliveries, Outcome
from application.ports.mailer import Mailer, MailRenderer, OutgoingMail, ServerAway
from application.ports.store import StoreUnavailable, Unstorable
from domain.deliveries import LONGEST_WORDS, one_line
from domain.routes import RouteTable

log = structlog.get_logger(__name__)

# Seconds between two looks at what is due, where nothing was.
IDLE: Final = 0.5

# Seconds before a store that is away is asked, or told, again.
RETRY: Final = 1.0

# Seconds for which outcomes wait for others to be recorded with: a third of the transactions, when there is much to do.
GATHERING: Final = 0.005

# Stands for what the store refuses to keep.
UNSPEAKABLE: Final = "what happened can't be kept: see the log"


class SendMails:
    """Claims deliveries that are due, attempts each, and records what came of it; for as long as it is left running.

    A mail is sent once, as far as that can be known: one process at a time has its lease, begins only while the lease
    has room for a whole attempt, and gives up before it ends. What remains is a crash between the server's `250` and
    the record of it. Then the mail is sent again, with the same Message-ID. So that these are few, the mails that are
    being sent, or were and are not on record yet, are never more than twice as many as are sent at once.

    While the server is away, or takes nothing from us, the queue pauses. One mail at a time finds out whether it is
    back, or where none is due a question without a mail; then all that await it are due. Ingest does not wait for any
    of this, nor this for ingest.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        renderer: MailRenderer,
        mailer: Mailer,
        attempt: AttemptMail,
        counters: Counters,
        policy: MailPolicy,
        table: RouteTable,
    ) -> None:
        self._deliveries = deliveries
        self._renderer = renderer
        self._mailer = mailer
        self._attempt = attempt
        self._counters = counters
        self._policy = policy
        self._slots = asyncio.Semaphore(policy.at_once)
        self._open = asyncio.Semaphore(2 * policy.at_once)
        self._working: set[asyncio.Task[None]] = set()
        self._claiming: asyncio.Task[None] | None = None
        self._freed = asyncio.Event()
        self._watch = ServerWatch(mailer.name, policy.pause_seconds)
        self._unrecorded: list[Outcome] = []
        self._recording = asyncio.Lock()
        self._unrecordable = False  # for the time being: the store is away
        self._preparing = 0
        self._unusable: dict[str, float] = {}  # templates that this node can't use, with when to try them again
        self._usable = {route.email.template for route in table.routes if route.email}
        self._report_at = 0.0  # when to say that this node has these, in monotonic seconds
        self._stopping = False

    @property
    def server(self) -> str:
        """Who takes the mails."""
        return self._mailer.name

    @property
    def untried(self) -> bool:
        """Whether nothing is known of the server yet: no mail was due since this process started."""
        return self._watch.untried

    @property
    def fault(self) -> str | None:
        """Why mails wait, in words; None while they do not."""
        return self._watch.fault

    def start(self) -> None:
        self._claiming = asyncio.create_task(self._claim_what_is_due(), name="mails")

    async def stop(self, patience: float) -> None:
        """Begins nothing more, and gives what is being sent so many seconds. May be called again."""
        if self._claiming is None:
            return
        claiming, self._claiming = self._claiming, None
        self._stopping = True
        self._freed.set()
        deadline = time.monotonic() + patience
        # A claim under way comes to its end: what it has leased would else wait until the lease has run out.
        await asyncio.wait({claiming}, timeout=patience)
        if self._working:
            await asyncio.wait(self._working, timeout=max(0.0, deadline - time.monotonic()))
        rest = {claiming, *self._working}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._mailer.close()
        await self._renderer.close()

    async def _claim_what_is_due(self) -> None:
        while not self._stopping:
            try:
                await self._report_templates()
                claimed = await self._claim()
            except StoreUnavailable as fault:
                log.warning("mail_claim_failed", error=str(fault))
                await self._store_is_back()
            except Exception:
                log.exception("mail_claim_failed")
                await asyncio.sleep(RETRY)
            else:
                if not claimed:
                    await self._something_to_do()

    async def _report_templates(self) -> None:
        """Says which templates this node has, so that no other fails mails for want of them meanwhile."""
        if time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + self._policy.template_report_seconds
            await self._deliveries.clear_unrendered(self._usable)

    async def _claim(self) -> bool:
        """Whether something was due, and there was room for it: many at a time, and so many that nobody waits for the
        next."""
        if self._watch.is_back:
            await self._deliveries.hasten()
            self._watch.is_back = False
        most, least = (1, 1) if self._watch.is_away else (4 * self._policy.at_once, 2 * self._policy.at_once)
        room = most - len(self._working)
        # While templates are being filled, others would only wait behind them, and their leases run out.
        if room < least or self._preparing or self._unrecordable or self._watch.pause_left:
            return False
        claimed_at = time.monotonic()
        self._unusable = {name: until for name, until in self._unusable.items() if until > claimed_at}
        claims = await self._deliveries.claim(room, self._policy.lease_seconds, self._unusable)
        if self._watch.is_away and not claims:
            await self._ask()
        for claim in claims:
            task = asyncio.create_task(self._send(claim, claimed_at))
            self._working.add(task)
            task.add_done_callback(self._done)
        return bool(claims)

    async def _store_is_back(self) -> None:
        """Returns a little later: leases may have run out meanwhile, and whoever has sent a mail under one, here or on
        another node, is to say so before the mail is claimed again."""
        while not self._stopping:
            await asyncio.sleep(RETRY)
            with suppress(StoreUnavailable):
                await self._deliveries.newest(1)
                await asyncio.sleep(2 * RETRY)
                return

    async def _something_to_do(self) -> None:
        """Waits until a mail is done with, or something may be due by now."""
        if self._stopping:
            return
        self._freed.clear()
        wait = max(self._watch.pause_left, IDLE * random.uniform(0.75, 1.25))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._freed.wait()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._freed.set()

    async def _send(self, claim: Claim, claimed_at: float) -> None:
        bind_delivery(str(claim.delivery.id), claim.delivery.mail.origin, claim.delivery.mail.event_id)
        prepared = await self._prepare(claim, claimed_at + self._policy.lease_seconds)
        if prepared is None:
            await self._give_back(claim)
            return
        if isinstance(prepared, LeftToOthers):
            await self._leave_to_others(claim, prepared.text)
            return
        if isinstance(prepared, Refusal):
            # It needs no server, and no time.
            await self._record(await self._attempt(claim, prepared, time.monotonic()))
            return
        self._usable.add(claim.delivery.mail.template)
        async with self._open:
            async with self._slots:
                now, span = time.monotonic(), self._policy.attempt_seconds
                if self._stopping or self._watch.pause_left or now > claimed_at + span:
                    await self._give_back(claim)
                    return
                outcome = self._watch.learn(await self._attempt(claim, prepared, now + span), now)
            await self._record(outcome)

    async def _prepare(self, claim: Claim, deadline: float) -> OutgoingMail | Refusal | LeftToOthers | None:
        """None if it is not done by the deadline: others are in its way."""
        self._preparing += 1
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await self._attempt.prepare(claim.delivery)
        except TimeoutError:
            return None
        finally:
            self._preparing -= 1

    async def _give_back(self, claim: Claim) -> None:
        try:
            await self._deliveries.release([claim])
        except StoreUnavailable as fault:
            log.warning("mail_lease_not_released", delivery_id=str(claim.delivery.id), error=str(fault))

    async def _leave_to_others(self, claim: Claim, error: str) -> None:
        """Gives back a mail whose template this node can't use, and claims none with that template for a while."""
        self._counters.mails["left_to_others"] += 1
        template = claim.delivery.mail.template
        pause = self._policy.template_pause_seconds
        if template not in self._unusable:
            log.warning("mail_template_unavailable", template=template, error=error, retry_s=pause)
        self._unusable[template] = time.monotonic() + pause
        self._usable.discard(template)
        try:
            await self._deliveries.leave_to_others([claim], one_line(error, LONGEST_WORDS))
        except StoreUnavailable as fault:
            log.warning("mail_lease_not_released", delivery_id=str(claim.delivery.id), error=str(fault))

    async def _ask(self) -> None:
        """Without a mail, where none is due."""
        try:
            await self._mailer.ping(time.monotonic() + self._policy.attempt_seconds)
        except ServerAway as fault:
            self._watch.away(str(fault))
        else:
            self._watch.there()

    async def _record(self, outcome: Outcome) -> None:
        """Returns once it is on record. Those that are done meanwhile are recorded together, in one transaction."""
        self._counters.mails[outcome.attempt.result] += 1
        self._unrecorded.append(outcome)
        async with self._recording:
            if self._unrecorded:
                await asyncio.sleep(GATHERING)
                outcomes, self._unrecorded = self._unrecorded, []
                await self._record_all(outcomes)

    async def _record_all(self, outcomes: Sequence[Outcome]) -> None:
        while True:
            try:
                counted = await self._deliveries.settle(outcomes)
            except StoreUnavailable as fault:
                self._unrecordable = True
                log.warning("mail_attempts_not_recorded", count=len(outcomes), error=str(fault), retry_s=RETRY)
                await asyncio.sleep(RETRY)
            except Exception as fault:
                await self._record_each(outcomes, fault)
                return
            else:
                self._unrecordable = False
                if counted < len(outcomes):
                    log.warning("mail_lease_lost", count=len(outcomes) - counted)
                return

    async def _record_each(self, outcomes: Sequence[Outcome], fault: Exception) -> None:
        """One of them can't be recorded as it is: it must not hold up the others, nor come again for ever."""
        if len(outcomes) > 1:
            for outcome in outcomes:
                await self._record_all([outcome])
            return
        (outcome,) = outcomes
        log.error("mail_attempt_not_recorded", delivery_id=str(outcome.claim.delivery.id), exc_info=fault)
        if isinstance(fault, Unstorable) and outcome.attempt.text != UNSPEAKABLE:
            attempt, error = replace(outcome.attempt, text=UNSPEAKABLE), outcome.error and UNSPEAKABLE
            await self._record_all([replace(outcome, attempt=attempt, error=error)])
