"""Deliveries: one mail for one event to one address, and what became of it."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from domain.addresses import fault_in_address
from domain.preferences import Preferences

# `skipped`: by the rule that its error names: its user wants no such mail, or the event has no address.
Status = Literal["pending", "sent", "failed", "skipped"]

# How an attempt ended: the server has the mail; the mail may be taken later; it never will be; the server was away,
# or refused us before any mail was spoken of.
Result = Literal["sent", "deferred", "refused", "server"]

# The rule by which a delivery without an address is skipped.
NO_ADDRESS: Final = "no_address"

# Seconds between two attempts at one mail, at most.
LONGEST_DELAY: Final = 3_600.0

# Longer subjects are cut: mail clients show less.
LONGEST_SUBJECT: Final = 255

# Of what happened at an attempt. Servers may be talkative.
LONGEST_WORDS: Final = 500

# How many characters are looked at for one that is kept.
_LOOKED_AT: Final = 8

# ZERO WIDTH NON-JOINER and JOINER, which Persian and some emoji are written with.
_JOINERS: Final = frozenset("\u200c\u200d")


class Mail(msgspec.Struct, frozen=True):
    """What a mail is made from: an event and the words of its route.

    `payload` is the event's JSON as it came, from which the template is filled. `subject` is None where the event
    lacks what the route's subject needs. `user` is whose preferences bind, `reference` the key that the delivery log
    finds it by, from the path that the route names.
    """

    origin: str
    event_id: str
    source: str
    type: str
    profile: str
    payload: str
    time: datetime
    subject: str | None
    template: str
    user: str | None = None
    reference: str | None = None


class Addressee(msgspec.Struct, frozen=True):
    """A mail to one address."""

    mail: Mail
    address: str

    @property
    def fault(self) -> str | None:
        """What is wrong with it before anything is sent, in words."""
        if fault := fault_in_address(self.address):
            return f"no mail can be sent to {self.address!r}: {fault}" if self.address else fault
        if self.mail.subject is None:
            return "the event lacks what the subject is made of"
        return None


class Delivery(msgspec.Struct, frozen=True):
    """A mail to one address, on record.

    `attempts` counts all attempts, `strikes` those that count against it since it last became pending: being turned
    away by a server that takes no mail at all does not. `error` says why it failed or was skipped, or what the last
    attempt ran into. `due_at` is when it is tried next, if it is pending. `unrendered_since` is when, since the last
    attempt, a node first had no usable template for it.
    """

    id: UUID
    mail: Mail
    address: str
    status: Status
    error: str | None
    created_at: datetime
    updated_at: datetime
    due_at: datetime
    sent_at: datetime | None = None
    attempts: int = 0
    strikes: int = 0
    unrendered_since: datetime | None = None

    @property
    def retryable(self) -> bool:
        """Whether an administrator may make it pending again: it has failed, or it had no address."""
        return self.status == "failed" or (self.status == "skipped" and self.error == NO_ADDRESS)


class Attempt(msgspec.Struct, frozen=True):
    """One try at sending. `code` and `text` are the server's last words, or `text` alone says what happened; `seconds`
    is how long it took."""

    at: datetime
    seconds: float
    result: Result
    code: int | None
    text: str

    @property
    def words(self) -> str:
        """The server's reply with its code, or what happened."""
        return self.text if self.code is None else f"{self.code} {self.text}"


def first_status(addressee: Addressee, preferences: Preferences) -> tuple[Status, str | None]:
    """What a new delivery is, and why, if it is not to be sent."""
    user, type_ = addressee.mail.user, addressee.mail.type
    if user is not None and not preferences.email_notifications:
        return "skipped", f"{user} wants no e-mail"
    if user is not None and type_ in preferences.muted_types:
        return "skipped", f"{user} has muted {type_}"
    if not addressee.address:
        return "skipped", NO_ADDRESS
    if fault := addressee.fault:
        return "failed", fault
    return "pending", None


def subject_line(text: str) -> str:
    """A subject in one line, and no longer than it may be: line breaks and their kind would begin another header."""
    return one_line(text, LONGEST_SUBJECT)


def one_line(text: str, longest: int) -> str:
    """The text fit to be kept, shown and sent as one line: without what can't be seen (except what joins letters),
    cut where it is too long."""
    text = text.lstrip()
    # Text may be hostile: no more of it is looked at than it takes for a line, unless nearly all of it is invisible.
    begin = text[: _LOOKED_AT * longest]
    line = " ".join("".join(one if one.isprintable() or one in _JOINERS else " " for one in begin).split())
    return line if len(line) <= longest and len(begin) == len(text) else f"{line[: longest - 1]}…"


def delay_after(strikes: int, first: float, chance: float) -> float:
    """Seconds until the next attempt: doubling with each strike, from `first` on, up to LONGEST_DELAY. `chance`, from 0
    to 1, spreads them over the upper half, so that mails deferred together are not tried together."""
    full: float = min(first * 2.0 ** min(strikes - 1, 32), LONGEST_DELAY)
    return full * (0.5 + chance / 2)
