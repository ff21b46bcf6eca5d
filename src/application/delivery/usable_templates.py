"""The templates that this node can use, as far as it has tried them."""

from collections.abc import Collection

from application.delivery.dispatch_policy import DispatchPolicy
from application.ports.clock import Clock


class UsableTemplates:
    """The usable templates of one channel. `names` are those of this node's routes, which were checked at its start."""

    def __init__(self, names: Collection[str], policy: DispatchPolicy, clock: Clock) -> None:
        self._usable = set(names)
        self._unusable: dict[str, float] = {}  # with the time to try each again
        self._policy = policy
        self._clock = clock
        self._report_at = clock.monotonic()

    @property
    def unusable(self) -> Collection[str]:
        """The templates whose deliveries are left to other nodes now."""
        now = self._clock.monotonic()
        self._unusable = {name: until for name, until in self._unusable.items() if until > now}
        return self._unusable.keys()

    def add(self, name: str) -> None:
        """Notes that a delivery was rendered with this template."""
        self._usable.add(name)

    def remove(self, name: str) -> bool:
        """Notes that this template is missing or broken on this node. Returns whether it was not known as such."""
        is_new = name not in self._unusable
        self._unusable[name] = self._clock.monotonic() + self._policy.template_pause_seconds
        self._usable.discard(name)
        return is_new

    def report(self) -> Collection[str]:
        """Returns the usable templates if they must be reported to other nodes now; otherwise nothing."""
        now = self._clock.monotonic()
        if now < self._report_at:
            return ()
        self._report_at = now + self._policy.template_report_seconds
        return self._usable
