"""Whether the mail server is there, as far as this process knows."""

import random
import time
from typing import Final

import structlog
from msgspec.structs import replace

from application.ports.deliveries import Outcome
from domain.addresses import masked_in

log = structlog.get_logger(__name__)

# Seconds for which the queue pauses at most while the server is away.
LONGEST_PAUSE: Final = 30.0


class ServerWatch:
    """Learns from attempts. While the server is away, the queue is to pause: for twice as long each time it is found
    to be away still, with jitter. `fault` says why; None while nothing is known against it.
    """

    def __init__(self, name: str, first_pause: float) -> None:
        self.fault: str | None = None
        # The server is back, or was never asked by this process: mails may await it.
        self.is_back = False
        self._name = name
        self._first_pause = first_pause
        self._pause = 0.0  # the latest one, in seconds; 0 while the server takes mails
        self._until = 0.0
        self._answered: float | None = None  # when it last did; None since it went away, and at first

    @property
    def untried(self) -> bool:
        """Whether this process has never had an answer, nor found the server unavailable."""
        return self._answered is None and not self.is_away

    @property
    def is_away(self) -> bool:
        return self._pause > 0

    @property
    def pause_left(self) -> float:
        """Seconds; 0 once it is time to ask again."""
        return max(0.0, self._until - time.monotonic())

    def learn(self, outcome: Outcome, began: float) -> Outcome:
        """From an attempt that began then. A server that has answered to another mail since is not away: so many
        at once are too many for it, and the mail need not await it."""
        attempt = outcome.attempt
        if attempt.result == "sent" or (attempt.result != "server" and attempt.code is not None):
            self.there()
        elif attempt.result == "server":
            if self._answered is not None and self._answered > began:
                return replace(outcome, awaits_server=False)
            self.away(attempt.text)
        return outcome

    def there(self) -> None:
        if self._answered is None:
            self.is_back = True
        if self.is_away:
            log.info("mail_server_available", server=self._name)
        self._answered, self._pause, self._until, self.fault = time.monotonic(), 0.0, 0.0, None

    def away(self, why: str) -> None:
        why = masked_in(why, "")
        self.fault, self._answered = f"{self._name}: {why}", None
        # Of those that were on their way together, the first to find out counts.
        if not self.pause_left:
            self._pause = min(max(2 * self._pause, self._first_pause), LONGEST_PAUSE)
            self._until = time.monotonic() + self._pause * random.uniform(0.5, 1)
            log.warning("mail_server_unavailable", server=self._name, error=why, retry_s=self._pause)
