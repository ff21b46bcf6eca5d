"""The port for health checks: one condition that a node depends on."""

from typing import Protocol

import msgspec
from msgspec import UNSET, UnsetType


class CheckResult(msgspec.Struct, frozen=True):
    """`detail` says what is wrong, or what is worth knowing. `untried` is set while nothing is known yet. A check that
    is not `vital` may fail for a while without losing events or keeping notifications from connected clients."""

    ok: bool
    detail: str = ""
    vital: bool = True
    untried: bool | UnsetType = UNSET


class HealthCheck(Protocol):
    """One condition that `/health` reports."""

    @property
    def name(self) -> str:
        """The key in `checks`."""

    async def __call__(self) -> CheckResult:
        """May raise, and may take its time: ReportHealth limits it and reports a failed check."""
