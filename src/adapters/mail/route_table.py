"""The table `email` of a route: which mails are sent for an event."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from domain.channel_tables import ChannelPlan, ChannelTable
from domain.deliveries import Item, subject_line
from domain.email_addresses import as_address, fault_in_address
from domain.events import Event
from domain.payload_paths import at_path, fault_in_single_path, values_at
from domain.routes_file_keys import PayloadPath, TextTemplate
from domain.text_templates import fill
from domain.user_ids import as_user
from domain.verbatim_fields import VerbatimFields


class EmailTable(ChannelTable, frozen=True):
    """The table `email` of a route. It plans the mails of an event."""

    channel: ClassVar[str] = "email"
    help: ClassVar[str] = "A mail for each event: see [Mails](#mails) and [mail.md](mail.md)."

    to: Annotated[
        PayloadPath,
        msgspec.Meta(
            description="The path of the address in the payload, or of a list of addresses; `watchers[].email` leads"
            " into a list."
        ),
    ]
    subject: Annotated[
        TextTemplate,
        msgspec.Meta(
            description="The subject: a [template](#templates). If the event lacks a field of it, the mail fails."
        ),
    ]
    template: Annotated[
        str,
        msgspec.Meta(title="file", description="The file of the HTML template: see [mail.md](mail.md#templates)."),
    ]
    user: Annotated[
        PayloadPath | None,
        msgspec.Meta(
            description="The path of the user whose preferences decide whether the mail is sent.",
            extra={"unset": "no preferences apply"},
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.user is not None and (fault := fault_in_single_path(self.user)):
            # msgspec raises this as a ValidationError.
            raise ValueError(f"user: {self.user!r} {fault}")

    @property
    def text_templates(self) -> Mapping[str, str]:
        return {"subject": self.subject}

    @property
    def paths(self) -> Mapping[str, str]:
        return {"to": self.to} | ({"user": self.user} if self.user is not None else {})

    @property
    def loss(self) -> str:
        return "its mail fails"

    @property
    def summary(self) -> tuple[str, str]:
        return "e-mail", self.to

    def plan(self, event: Event, fields: VerbatimFields, max_destinations: int) -> ChannelPlan:
        subject = fill(self.subject, fields)
        return ChannelPlan(
            destinations=_addresses(values_at(event.payload, self.to), max_destinations),
            subject=None if subject is None else subject_line(subject),
            template=self.template,
            user=as_user(at_path(event.payload, self.user)) if self.user else None,
        )

    def as_destination(self, name: str) -> str:
        return as_address(name)

    def fault_in(self, item: Item, destination: str) -> str | None:
        return fault_in_mail(item, destination)


def fault_in_mail(item: Item, address: str) -> str | None:
    """Checks that the address of a mail is valid, and that its subject exists. Returns None if so, otherwise the
    reason why the mail can never be sent."""
    if fault := fault_in_address(address):
        return f"no mail can be sent to {address!r}: {fault}" if address else fault
    if item.subject is None:
        return "the event lacks what the subject is made of"
    return None


def _addresses(values: Iterable[Any], max_addresses: int) -> list[str]:
    """Returns the addresses among the values, without duplicates. If there are more than `max_addresses`, returns
    `max_addresses` + 1 of them, so that the caller can reject the event."""
    addresses: dict[str, None] = {}
    texts = (value if type(value) is str else as_address(value) for value in values if value is not None)
    for text in dict.fromkeys(texts):
        addresses[as_address(text)] = None
        if len(addresses) > max_addresses:
            break
    return list(addresses)
