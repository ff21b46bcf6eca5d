"""Mails as a part of a node: started, drained, stopped and checked with the other services."""

from typing import Final

from msgspec import UNSET

from application.delivery.send_mails import SendMails
from application.ports.health_check import CheckResult
from application.ports.service import Phase, Service

# What is being sent when the node stops without a drain has this long to finish.
STOP_S: Final = 0.5


class MailService(Service):
    """Implements HealthCheck too. Not vital: deliveries wait in the store until the mail server is available."""

    name = "mail"
    phase = Phase.DELIVERY

    def __init__(self, send_mails: SendMails) -> None:
        self._send_mails = send_mails

    async def start(self) -> None:
        self._send_mails.start()

    async def drain(self, seconds: float) -> None:
        await self._send_mails.stop(seconds)

    async def stop(self) -> None:
        await self._send_mails.stop(STOP_S)

    async def __call__(self) -> CheckResult:
        mails = self._send_mails
        server = f"{mails.server}: not tried yet" if mails.untried else mails.server
        return CheckResult(mails.fault is None, mails.fault or server, vital=False, untried=mails.untried or UNSET)
