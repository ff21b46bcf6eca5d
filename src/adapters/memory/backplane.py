"""The backplane for a single process. Tests simulate several nodes by several backplanes with the same Bus."""

from collections.abc import Collection, Sequence

from application.ports.backplane import Listener
from domain.streams import SignOut, StreamEntry, StreamName


class Bus:
    """The list of the open memory backplanes that receive each other's messages."""

    def __init__(self) -> None:
        self.backplanes: list[MemoryBackplane] = []


class MemoryBackplane:
    """Implements Backplane: `publish` calls the listener of every backplane on the same Bus directly. Never fails, and
    never loses or reorders messages."""

    def __init__(self, bus: Bus | None = None) -> None:
        self._bus = bus or Bus()
        self._listener: Listener | None = None
        self._streams: set[StreamName] = set()

    @property
    def fault(self) -> None:
        return None

    @property
    def outages(self) -> int:
        return 0

    async def open(self, listener: Listener) -> None:
        self._listener = listener
        self._bus.backplanes.append(self)

    async def publish(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        for backplane in self._bus.backplanes:
            backplane._bring(entries, sign_outs)

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        self._streams.update(streams)

    def unsubscribe(self, streams: Collection[StreamName]) -> None:
        self._streams.difference_update(streams)

    async def close(self) -> None:
        if self._listener is not None:
            self._bus.backplanes.remove(self)
            self._listener = None

    def _bring(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        if self._listener is None:
            return
        if followed := [entry for entry in entries if entry.stream in self._streams]:
            self._listener.arrived(followed)
        if sign_outs:
            self._listener.signed_out(sign_outs)
