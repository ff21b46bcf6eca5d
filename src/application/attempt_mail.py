"""One attempt at one mail, and what it makes of its delivery."""

import random
import time

import msgspec
import structlog

from application.ports.clock import Clock
from application.ports.deliveries import Claim, Outcome
from application.ports.mailer import Mailer, MailRefused, MailRenderer, NotSent, OutgoingMail, ServerAway, Unrenderable
from domain.addresses import masked, masked_in
from domain.deliveries import LONGEST_WORDS, Addressee, Attempt, Delivery, Result, delay_after, one_line

log = structlog.get_logger(__name__)


class MailPolicy(msgspec.Struct, frozen=True):
    """How mails are sent: so many at once; each attempt takes at most so many seconds; so often, until a mail has
    failed; and so many seconds before the second attempt, which double with each further one. While the server is away
    the queue pauses for so many seconds at first, which double too."""

    at_once: int = 10
    attempt_seconds: float = 30.0
    tries: int = 60
    retry_seconds: float = 10.0
    pause_seconds: float = 1.0

    @property
    def lease_seconds(self) -> float:
        """Time enough to wait for one whole attempt, to make another, and to record it."""
        return 2 * self.attempt_seconds + 5.0


class Refusal(msgspec.Struct, frozen=True):
    """Why a mail can't be made; or not now, where it is not `for_good`."""

    text: str
    for_good: bool = True


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

    async def prepare(self, delivery: Delivery) -> OutgoingMail | Refusal:
        """The mail, or what keeps it from ever being sent. Never raises."""
        fault, subject = Addressee(delivery.mail, delivery.address).fault, delivery.mail.subject
        if fault or subject is None:
            return Refusal(fault or "there is no subject")
        try:
            letter = await self._renderer.render(delivery)
        except Unrenderable as unrenderable:
            return Refusal(str(unrenderable))
        except Exception as mistake:
            # No fault of the mail's: it is tried again.
            log.exception("template not filled", delivery=str(delivery.id))
            return Refusal(f"{type(mistake).__name__}: see the log", for_good=False)
        return OutgoingMail(delivery.id.hex, delivery.address, subject, delivery.created_at, letter)

    async def __call__(self, claim: Claim, prepared: OutgoingMail | Refusal, deadline: float) -> Outcome:
        """Gives up at the deadline (of `time.monotonic`). Never raises."""
        at, began = self._clock.now(), time.monotonic()
        result, code, text, counts = await self._try(claim.delivery, prepared, deadline)
        attempt = Attempt(at, time.monotonic() - began, result, code, one_line(text, LONGEST_WORDS))
        outcome = self._outcome(claim, attempt, counts)
        _tell(claim.delivery, outcome)
        return outcome

    async def _try(
        self, delivery: Delivery, prepared: OutgoingMail | Refusal, deadline: float
    ) -> tuple[Result, int | None, str, bool]:
        if isinstance(prepared, Refusal):
            return "refused" if prepared.for_good else "deferred", None, prepared.text, prepared.for_good
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
            log.exception("mail not sent", delivery=str(delivery.id))
            return "deferred", None, f"{type(mistake).__name__}: see the log", True
        return "sent", receipt.code, receipt.text, True

    def _outcome(self, claim: Claim, attempt: Attempt, counts: bool) -> Outcome:
        if attempt.result == "sent":
            return Outcome(claim, attempt, "sent")
        if attempt.result == "refused":
            return Outcome(claim, attempt, "failed", attempt.text)
        strikes = claim.delivery.strikes + counts
        if strikes >= self._policy.tries:
            return Outcome(claim, attempt, "failed", f"given up after {strikes} attempts: {attempt.text}")
        retry_in = delay_after(max(strikes, 1), self._policy.retry_seconds, random.random())
        away = attempt.result == "server"
        return Outcome(claim, attempt, "pending", attempt.text, retry_in, counts, awaits_server=away)


def _tell(delivery: Delivery, outcome: Outcome) -> None:
    """Nobody's address in a log."""
    about = {"delivery": str(delivery.id), "to": masked(delivery.address), "type": delivery.mail.type}
    if outcome.status == "sent":
        log.info("mail sent", **about)
        return
    why = {"code": outcome.attempt.code, "why": masked_in(outcome.attempt.text, delivery.address)}
    if outcome.status == "failed":
        log.warning("mail failed", **about, **why)
    else:
        log.info("mail deferred", **about, **why)
