"""The port for health checks. Each checks one condition that a node depends on."""

from typing import Protocol

import msgspec
from msgspec import UNSET, UnsetType


class CheckResult(msgspec.Struct, frozen=True):
    """The result of a check. `detail` says what is wrong; if the check passed, it may describe the state. `untried` is
    True while the condition has not been tried yet. The failure of a `vital` check makes the node not ready. While any
    other check fails, events are still stored, and connected clients still receive notifications."""

    ok: bool
    detail: str = ""
    vital: bool = True
    untried: bool | UnsetType = UNSET


class HealthCheck(Protocol):
    """One condition that `/health` reports."""

    @property
    def name(self) -> str:
        """The key of the result in `checks` of `/health`."""

    async def __call__(self) -> CheckResult:
        """Checks the condition. ReportHealth limits the time, and reports an exception as a failed check."""
