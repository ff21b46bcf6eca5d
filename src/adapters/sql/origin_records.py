"""Stores the dead letters and deliveries of a batch, each under the origin that identifies its event (see
`domain.event_identity`)."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch import BatchedDeadLetter, identity
from adapters.sql.dialects.dialect import DeliveryWriting, Writing
from application.ports.clock import IdFactory
from domain.deliveries import Delivery
from domain.event_identity import find_origin, qualified_origin


async def store_dead_letters(
    connection: AsyncConnection, writing: Writing, letters: Iterable[BatchedDeadLetter], ids: IdFactory, now: datetime
) -> list[BatchedDeadLetter]:
    """Stores the dead letters; repetitions of stored ones are only counted there. Returns the new ones."""
    new: list[BatchedDeadLetter] = []
    waiting = list(letters)
    while waiting:
        sources = await writing.dead_letter_sources(connection, _possible_identities(waiting))
        placed = _place(waiting, sources)
        kept = await writing.store_dead_letters(connection, placed, ids, now)
        new.extend(letter for key, letter in placed.items() if kept.get(key))
        # Retry those whose identity another node has just used for a dead letter of another source.
        waiting = [letter for key, letter in placed.items() if key not in kept]
    return new


async def add_deliveries(
    connection: AsyncConnection, writing: DeliveryWriting, made: Sequence[Delivery], by_source: Container[UUID]
) -> dict[UUID, Delivery]:
    """Adds the deliveries whose event does not have a delivery to the same destination yet. Returns those that were
    added, as stored, by id. `by_source` are the ids of those deliveries whose event differs from an event of another
    source with the same origin and id."""
    added: dict[UUID, Delivery] = {}
    waiting = list(made)
    while waiting:
        # Sorted, so that nodes insert in the same order and can't deadlock.
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
    """Returns the identities that the dead letters may be stored under: with their origin, or their qualified
    origin."""
    return [
        identity(origin, kept.letter.event_id)
        for kept in letters
        for origin in (kept.letter.origin, qualified_origin(kept.letter.origin, kept.source))
    ]


def _place(letters: Iterable[BatchedDeadLetter], sources: dict[bytes, str]) -> dict[bytes, BatchedDeadLetter]:
    """Determines the identity that each dead letter is stored under. Returns the dead letters by identity; those with
    the same identity are merged. `sources` are the sources of the stored ones, by identity."""
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
    """Returns the delivery with the qualified origin of its event."""
    item = delivery.item
    return replace(delivery, items=(replace(item, origin=qualified_origin(item.origin, item.source)),))
