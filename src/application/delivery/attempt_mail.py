"""One attempt at one mail, and what it makes of its delivery."""

import random
import time
from typing import Literal

import msgspec
import structlog

from application.ports.clock import Clock
from application.ports.deliveries import Claim, Outcome
from application.ports.mailer import (
    Mailer,
    MailRefused,
    MailRenderer,
    NotSent,
    OutgoingMail,
    ServerAway,
    TemplateUnavailable,
    Unrenderable,
)
from domain.addresses import masked, masked_in
from domain.deliveries import LONGEST_WORDS, NO_ADDRESS, Addressee, Attempt, Delivery, Result, delay_after, one_line

log = structlog.get_logger(__name__)


class MailPolicy(msgspec.Struct, frozen=True):
    """How mails are sent: so many at once; each attempt takes at most so many seconds; so often, until a mail has
    failed; and so many seconds before the second attempt, which double with each further one. While the server is away
    the queue pauses for so many seconds at first, which double too.

    A mail whose template this node can't use is left to other nodes: this node claims no mail with that template for
    `template_pause_seconds`. It has failed once no node had the template for `template_wait_seconds`; nodes that have
    it say so every `template_report_seconds`, also while the server is unavailable and they can send none."""

    at_once: int = 10
    attempt_seconds: float = 30.0
    tries: int = 60
    retry_seconds: float = 10.0
    pause_seconds: float = 1.0
    template_pause_seconds: float = 5.0
    template_wait_seconds: float = 3_600.0
    template_report_seconds: float = 60.0

    @property
    def lease_seconds(self) -> float:
        """Time enough to wait for one whole attempt, to make another, and to record it."""
        return 2 * self.attempt_seconds + 5.0


class Refusal(msgspec.Struct, frozen=True):
    """Why a mail is not sent, and what that makes of its delivery; `pending` if it can't be made now."""

    text: str
    status: Literal["failed", "skipped", "pending"] = "failed"


class LeftToOthers(msgspec.Struct, frozen=True):
    """Why this node can't make a mail that another may be able to make."""

    text: str


class AttemptMail:
    """Fills the template and hands the mail over: two steps, since only the second needs the server.

    Sent, or refused for good, is an end. Anything else is tried again, later each time, until `tries` attempts have
    counted; a server that turned us away before any mail was spoken of does not count. What is wrong with a mail before
    anything is sent (its address, its subject, its template) is refused here.
    """

    def __init__(self, renderer: MailRenderer, mailer: Mailer, clock: Clock, policy: MailPolicy) -> None:
        self._renderer = renderer
        self._mailer = mailer
        self._clock = clock
        self._policy = policy

    async def prepare(self, delivery: Delivery) -> OutgoingMail | Refusal | LeftToOthers:
        """The mail, or why there is none. Never raises."""
        if not delivery.address:
            return Refusal(NO_ADDRESS, "skipped")
        fault, subject = Addressee(delivery.mail, delivery.address).fault, delivery.mail.subject
        if fault or subject is None:
            return Refusal(fault or "there is no subject")
        try:
            letter = await self._renderer.render(delivery)
        except TemplateUnavailable as unavailable:
            return self._without_template(delivery, str(unavailable))
        except Unrenderable as unrenderable:
            return Refusal(str(unrenderable))
        except Exception as mistake:
            # No fault of the mail's: it is tried again.
            log.exception("mail_rendering_failed", delivery_id=str(delivery.id))
            return Refusal(f"{type(mistake).__name__}: see the log", "pending")
        return OutgoingMail(delivery.id.hex, delivery.address, subject, delivery.created_at, letter)

    def _without_template(self, delivery: Delivery, text: str) -> Refusal | LeftToOthers:
        since, wait = delivery.unrendered_since, self._policy.template_wait_seconds
        if since is None or (self._clock.now() - since).total_seconds() < wait:
            return LeftToOthers(text)
        return Refusal(f"no node has had a usable template for {wait / 60:g} minutes: {text}")

    async def __call__(self, claim: Claim, prepared: OutgoingMail | Refusal, deadline: float) -> Outcome:
        """Gives up at the deadline (of `time.monotonic`). Never raises."""
        at, began = self._clock.now(), time.monotonic()
        result, code, text, counts = await self._try(claim.delivery, prepared, deadline)
        attempt = Attempt(at, time.monotonic() - began, result, code, one_line(text, LONGEST_WORDS))
        skipped = isinstance(prepared, Refusal) and prepared.status == "skipped"
        outcome = Outcome(claim, attempt, "skipped", text) if skipped else self._outcome(claim, attempt, counts)
        _tell(claim.delivery, outcome)
        return outcome

    async def _try(
        self, delivery: Delivery, prepared: OutgoingMail | Refusal, deadline: float
    ) -> tuple[Result, int | None, str, bool]:
        if isinstance(prepared, Refusal):
            ends = prepared.status != "pending"
            return "refused" if ends else "deferred", None, prepared.text, ends
        try:
            receipt = await self._mailer.send(prepared, deadline)
        except MailRefused as fault:
            return "refused", fault.code, str(fault), True
        except ServerAway as fault:
            return "server", fault.code, str(fault), not fault.refused_us
        except NotSent as fault:
            return "deferred", fault.code, str(fault), True
        except Exception as mistake:
            # Our own, and no reason to lose a mail.
            log.exception("mail_attempt_failed", delivery_id=str(delivery.id))
            return "deferred", None, f"{type(mistake).__name__}: see the log", True
        return "sent", receipt.code, receipt.text, True

    def _outcome(self, claim: Claim, attempt: Attempt, counts: bool) -> Outcome:
        if attempt.result == "sent":
            return Outcome(claim, attempt, "sent")
        if attempt.result == "refused":
            return Outcome(claim, attempt, "failed", attempt.words)
        strikes = claim.delivery.strikes + counts
        if strikes >= self._policy.tries:
            return Outcome(claim, attempt, "failed", f"given up after {strikes} attempts: {attempt.words}")
        retry_in = delay_after(max(strikes, 1), self._policy.retry_seconds, random.random())
        away = attempt.result == "server"
        return Outcome(claim, attempt, "pending", attempt.words, retry_in, counts, awaits_server=away)


def _tell(delivery: Delivery, outcome: Outcome) -> None:
    """Nobody's address in a log."""
    id, to, kind = str(delivery.id), masked(delivery.address), delivery.mail.type
    code, error = outcome.attempt.code, masked_in(outcome.attempt.text, delivery.address)
    if outcome.status == "sent":
        log.info("mail_sent", delivery_id=id, to=to, event_type=kind)
    elif outcome.status == "failed":
        log.warning("mail_failed", delivery_id=id, to=to, event_type=kind, reply_code=code, error=error)
    elif outcome.status == "skipped":
        log.info("mail_skipped", delivery_id=id, to=to, event_type=kind, rule=outcome.error)
    else:
        log.info("mail_deferred", delivery_id=id, to=to, event_type=kind, reply_code=code, error=error)
