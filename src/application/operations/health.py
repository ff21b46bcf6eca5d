"""The health of a node, as `/health` reports it."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from application.ingest.ingest_events import ConsumeEvents
from application.ports.event_source import SourceStatus
from application.ports.health_check import CheckResult, HealthCheck


class HealthPolicy(msgspec.Struct, frozen=True):
    """The limit of health checks: a check that takes longer than `timeout_s` seconds has failed."""

    timeout_s: float = 2.0


HEALTH_POLICY: Final = HealthPolicy()


class Health(msgspec.Struct, frozen=True):
    """The health of this node. `ready`: all vital checks have passed, so the node accepts clients and processes events.
    `degraded`: the node is ready, but a check that is not vital has failed. `checks`: the results, keyed by the name of
    the check. `sources`: the status of each event source."""

    ready: bool
    degraded: bool
    checks: dict[str, CheckResult]
    sources: tuple[SourceStatus, ...]


class ReportHealth:
    """Runs all health checks of the node concurrently and returns the results. A check that raises an exception, or
    takes longer than HealthPolicy allows, has failed."""

    def __init__(
        self, checks: Sequence[HealthCheck], consumers: Sequence[ConsumeEvents], policy: HealthPolicy = HEALTH_POLICY
    ) -> None:
        """`/health` lists the results in the order of `checks`."""
        self._checks = checks
        self._consumers = consumers
        self._policy = policy

    async def __call__(self) -> Health:
        statuses = tuple(consumer.source.status() for consumer in self._consumers)
        results = await asyncio.gather(*map(self._result, self._checks))
        checks = {check.name: result for check, result in zip(self._checks, results, strict=True)}
        ready = all(result.ok for result in results if result.vital)
        return Health(ready, ready and not all(result.ok for result in results), checks, statuses)

    async def _result(self, check: HealthCheck) -> CheckResult:
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                return await check()
        except TimeoutError:
            return CheckResult(False, f"no answer within {self._policy.timeout_s:g} s")
        except Exception as error:
            return CheckResult(False, str(error) or type(error).__name__)
