"""The port for health checks. Each checks one condition that a node depends on, for example that the store can be
written."""

from typing import Protocol

import msgspec
from msgspec import UNSET, UnsetType


class CheckResult(msgspec.Struct, frozen=True):
    """The result of a health check.

    `detail`: what is wrong; if the check has passed, it may describe the state. `vital`: whether a failure makes the
    node not ready. If a check that is not vital fails, the node still stores events and pushes notifications.
    `untried`: True if the condition has not been tried yet, for example while no mail has been sent; otherwise UNSET.
    """

    ok: bool
    detail: str = ""
    vital: bool = True
    untried: bool | UnsetType = UNSET


class HealthCheck(Protocol):
    """Checks one condition that the node depends on. ReportHealth runs all checks for `/health`."""

    @property
    def name(self) -> str:
        """The name of the check in `/health`."""

    async def __call__(self) -> CheckResult:
        """Checks the condition now. May raise an exception or take long: ReportHealth has a timeout, and reports either
        as a failed check."""
