"""Backplanes with faults that the port allows."""

import asyncio
import random
from collections.abc import Collection, Sequence

from adapters.memory.backplane import Bus, MemoryBackplane
from domain.streams import Entry, SignOut, StreamName


class RoughBackplane(MemoryBackplane):
    """Loses, repeats, reorders and delays messages, and is slow to subscribe. The port allows all of these faults."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(Bus())
        self._chance = chance
        self._held: list[Entry] = []

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        await asyncio.sleep(0)
        await super().subscribe(streams)
        await asyncio.sleep(0)

    async def publish(self, entries: Sequence[Entry], sign_outs: Sequence[SignOut]) -> None:
        chance = self._chance
        for one in entries:
            fate = chance.random()
            if fate < 0.25:
                continue
            self._held += [one] * (2 if fate > 0.8 else 1)
        if chance.random() < 0.5:
            chance.shuffle(self._held)
        if chance.random() < 0.7:
            held, self._held = self._held, []
            keep = chance.randrange(3)
            self._held = held[len(held) - keep :] if keep else []
            await super().publish(held[: len(held) - keep], [one for one in sign_outs if chance.random() < 0.5])


class SlowBackplane(MemoryBackplane):
    """Takes a few iterations of the event loop to subscribe."""

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        await super().subscribe(streams)
        for _ in range(3):
            await asyncio.sleep(0)


class MutedBackplane(MemoryBackplane):
    """Drops all publications while it is muted. It is unavailable between `leave` and `come_back`."""

    muted = False
    fault: str | None = None
    outages = 0

    def leave(self) -> None:
        self.muted, self.fault = True, "away"
        self.outages += 1

    def come_back(self) -> None:
        self.muted, self.fault = False, None

    async def publish(self, entries: Sequence[Entry], sign_outs: Sequence[SignOut]) -> None:
        if not self.muted:
            await super().publish(entries, sign_outs)
