"""The templates that this node can use, according to its routes and to the deliveries that it has rendered."""

from collections.abc import Collection

from application.delivery.dispatch_policy import DispatchPolicy
from application.ports.clock import Clock


class UsableTemplates:
    """The usable templates of one channel. `names` are the templates of this node's routes, which were checked when the
    node started."""

    def __init__(self, names: Collection[str], policy: DispatchPolicy, clock: Clock) -> None:
        self._usable = set(names)
        self._unusable: dict[str, float] = {}  # by name: the monotonic time to try it again
        self._policy = policy
        self._clock = clock
        self._report_at = clock.monotonic()

    @property
    def unusable(self) -> Collection[str]:
        """The templates that this node can't use now: it leaves their deliveries to other nodes."""
        now = self._clock.monotonic()
        self._unusable = {name: until for name, until in self._unusable.items() if until > now}
        return self._unusable.keys()

    def add(self, name: str) -> None:
        """Records that a delivery was rendered with this template."""
        self._usable.add(name)

    def remove(self, name: str) -> bool:
        """Records that this template is missing or broken on this node. Returns False if that was recorded already."""
        is_new = name not in self._unusable
        self._unusable[name] = self._clock.monotonic() + self._policy.template_pause_seconds
        self._usable.discard(name)
        return is_new

    def report(self) -> Collection[str]:
        """Returns the usable templates if it is time to report them to other nodes; otherwise an empty collection."""
        now = self._clock.monotonic()
        if now < self._report_at:
            return ()
        self._report_at = now + self._policy.template_report_seconds
        return self._usable
