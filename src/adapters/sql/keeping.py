"""Dead letters and deliveries of a batch: each is stored under the origin that identifies its event (see
`domain.event_identity`)."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch import BatchedDeadLetter, identity
from adapters.sql.dialects.base import Writing
from adapters.sql.dialects.deliveries import DeliveryWriting
from application.ports.clock import IdFactory
from domain.deliveries import Delivery
from domain.event_identity import find_origin, qualified_origin


async def store_dead_letters(
    connection: AsyncConnection, writing: Writing, letters: Iterable[BatchedDeadLetter], ids: IdFactory, now: datetime
) -> list[BatchedDeadLetter]:
    """Keeps the letters, or notes that they came again. Returns the new ones."""
    new: list[BatchedDeadLetter] = []
    waiting = list(letters)
    while waiting:
        sources = await writing.dead_letter_sources(connection, _possible_identities(waiting))
        placed = _place(waiting, sources)
        kept = await writing.store_dead_letters(connection, placed, ids, now)
        new.extend(letter for key, letter in placed.items() if kept.get(key))
        # Another node has just kept a letter of another source under the same identity.
        waiting = [letter for key, letter in placed.items() if key not in kept]
    return new


async def add_deliveries(
    connection: AsyncConnection, writing: DeliveryWriting, made: Sequence[Delivery], by_source: Container[UUID]
) -> dict[UUID, Delivery]:
    """Adds those whose event has none to the same destination yet. Returns what was added, as it is stored. `by_source`
    are the ids of those that other sources' events are not the same as."""
    added: dict[UUID, Delivery] = {}
    waiting = list(made)
    while waiting:
        # In one order on every node, so that none waits for another in a circle.
        waiting.sort(key=lambda one: one.key)
        new = await writing.add(connection, waiting)
        added.update((one.id, one) for one in waiting if one.id in new)
        left = [one for one in waiting if one.id not in new and one.id in by_source]
        if not left:
            break
        sources = await writing.sources(connection, [one.key for one in left])
        waiting = [_qualified(one) for one in left if sources.get(one.key, one.item.source) != one.item.source]
    return added


def _possible_identities(letters: Iterable[BatchedDeadLetter]) -> list[bytes]:
    return [
        identity(origin, kept.letter.event_id)
        for kept in letters
        for origin in (kept.letter.origin, qualified_origin(kept.letter.origin, kept.source))
    ]


def _place(letters: Iterable[BatchedDeadLetter], sources: dict[bytes, str]) -> dict[bytes, BatchedDeadLetter]:
    """The letters by the identity that each is stored under, those of one identity taken together. `sources` are those
    of the letters that are stored."""
    placed: dict[bytes, BatchedDeadLetter] = {}
    for kept in letters:
        letter = kept.letter
        stored = {
            origin: sources.get(identity(origin, letter.event_id))
            for origin in (letter.origin, qualified_origin(letter.origin, kept.source))
        }
        origin, _ = find_origin(letter.origin, kept.source, kept.by_source, stored.get)
        key = identity(origin, letter.event_id)
        sources.setdefault(key, kept.source)
        earlier = placed.get(key)
        placed[key] = kept.under(origin)
        if earlier is not None:
            placed[key].times += earlier.times
    return placed


def _qualified(delivery: Delivery) -> Delivery:
    item = delivery.item
    return replace(delivery, items=(replace(item, origin=qualified_origin(item.origin, item.source)),))
