"""The names of the templates with which this node can render the deliveries of a channel, and of those with which it
can't."""

from collections.abc import Callable, Collection

from application.delivery.dispatch_policy import DispatchPolicy
from application.ports.clock import Clock


class UsableTemplates:
    """The names of the templates of one channel that this node can use, and of those that it can't use at present.
    Dispatcher leaves deliveries with unusable templates to other nodes. `routed` returns the templates of
    the routes in force, which were checked when these were loaded; others are added when a delivery has been rendered
    with them."""

    def __init__(self, routed: Callable[[], Collection[str]], policy: DispatchPolicy, clock: Clock) -> None:
        self._routed = routed
        self._rendered: set[str] = set()
        self._broken: set[str] = set()  # since the last attempt to use them
        self._unusable: dict[str, float] = {}  # by name: the monotonic time to try it again
        self._policy = policy
        self._clock = clock
        self._report_at = clock.monotonic()

    @property
    def unusable(self) -> Collection[str]:
        """The names of the templates that were missing or broken on this node in the last `template_pause_seconds`. The
        node claims no deliveries with these templates."""
        now = self._clock.monotonic()
        self._unusable = {name: until for name, until in self._unusable.items() if until > now}
        return self._unusable.keys()

    def add(self, name: str) -> None:
        """Records that the template is usable, because this node has rendered a delivery with it."""
        self._rendered.add(name)
        self._broken.discard(name)

    def remove(self, name: str) -> bool:
        """Records that the template is missing or broken on this node: its name is in `unusable` for
        `template_pause_seconds` from now. Returns False if `unusable` already contained the name, otherwise True."""
        is_new = name not in self._unusable
        self._unusable[name] = self._clock.monotonic() + self._policy.template_pause_seconds
        self._rendered.discard(name)
        self._broken.add(name)
        return is_new

    def report(self) -> Collection[str]:
        """Returns the names of the usable templates, which the dispatcher then records in the store for all nodes.
        Returns an empty collection if the last report was less than `template_report_seconds` ago."""
        now = self._clock.monotonic()
        if now < self._report_at:
            return ()
        self._report_at = now + self._policy.template_report_seconds
        return self._rendered | (set(self._routed()) - self._broken)
