"""Implements the channel `email`, which sends deliveries as mails."""

from adapters.mail.mailer import Mailer, MailRenderer, OutgoingMail, TemplateUnavailable, Unrenderable
from adapters.mail.route_table import EmailTable, fault_in_mail
from application.delivery.channel import Receipt, Refusal, TemplateMissing
from domain.deliveries import NO_ADDRESS, Delivery


class MailChannel:
    """Implements the port Channel for e-mail: `prepare` renders the mail of a delivery, `send` sends it with the
    mailer.

    `prepare` returns a Refusal if the delivery has no address or an invalid one, if it has no subject, or if its
    template can't be rendered with the event. It returns TemplateMissing if this node has no usable template for the
    delivery.
    """

    name = EmailTable.channel

    def __init__(self, renderer: MailRenderer, mailer: Mailer) -> None:
        self.peer = mailer.name
        self._renderer = renderer
        self._mailer = mailer

    async def prepare(self, delivery: Delivery) -> OutgoingMail | Refusal | TemplateMissing:
        item, address = delivery.item, delivery.destination
        if not address:
            return Refusal(NO_ADDRESS, "skipped")
        fault, subject = fault_in_mail(item, address), item.subject
        if fault or subject is None:
            return Refusal(fault or "there is no subject")
        try:
            rendered = await self._renderer.render(item)
        except TemplateUnavailable as error:
            return TemplateMissing(str(error))
        except Unrenderable as error:
            return Refusal(str(error))
        except (OSError, RuntimeError) as error:
            # No process that renders templates can be started, or this node is stopping.
            return Refusal(f"the mail can't be rendered now: {error}", "pending")
        return OutgoingMail(delivery.id.hex, address, subject, delivery.created_at, rendered)

    async def send(self, prepared: OutgoingMail, deadline: float) -> Receipt:
        return await self._mailer.send(prepared, deadline)

    def breaker_key(self, delivery: Delivery) -> str:
        return self.peer

    async def probe(self, key: str, deadline: float) -> None:
        await self._mailer.ping(deadline)

    async def close(self) -> None:
        await self._mailer.close()
        await self._renderer.close()
