"""Stores the dead letters and deliveries of a batch. If events of two sources have the same origin and event id, one of
them is stored under its qualified origin (see domain.event_identity)."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch_rows import BatchedDeadLetter, identity
from adapters.sql.dialects.dialect import DeliveryWriting, Writing
from application.ports.clock import IdFactory
from domain.deliveries import Delivery
from domain.event_identity import find_origin, qualified_origin


async def store_dead_letters(
    connection: AsyncConnection, writing: Writing, letters: Iterable[BatchedDeadLetter], ids: IdFactory, now: datetime
) -> list[BatchedDeadLetter]:
    """Stores dead letters, and returns those whose event did not have one yet. If an event already has a dead letter,
    replaces it, and adds the new `times` to the stored `times`."""
    new: list[BatchedDeadLetter] = []
    waiting = list(letters)
    while waiting:
        sources = await writing.dead_letter_sources(connection, _possible_identities(waiting))
        placed = _by_identity(waiting, sources)
        kept = await writing.store_dead_letters(connection, placed, ids, now)
        new.extend(letter for key, letter in placed.items() if kept.get(key))
        # Retry those whose identity another node has just used for a dead letter of another source.
        waiting = [letter for key, letter in placed.items() if key not in kept]
    return new


async def add_deliveries(
    connection: AsyncConnection, writing: DeliveryWriting, made: Sequence[Delivery], by_source: Container[UUID]
) -> dict[UUID, Delivery]:
    """Stores deliveries, and returns the new ones, as stored, by id. Skips a delivery if its event already has one to
    the same destination of the same channel.

    `by_source` has the ids of those deliveries for which events of different sources with the same origin and id are
    different events. If such an event of another source already has a delivery, these deliveries are stored under the
    qualified origin (see domain.event_identity); all others are skipped.
    """
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
        waiting = [
            _with_qualified_origin(one) for one in left if sources.get(one.key, one.item.source) != one.item.source
        ]
    return added


def _possible_identities(letters: Iterable[BatchedDeadLetter]) -> list[bytes]:
    """Returns two identities (SHA-256 digests of origin and event id) for each dead letter: with the origin of its
    event, and with the qualified origin. The dead letter is stored under one of them."""
    return [
        identity(origin, kept.letter.event_id)
        for kept in letters
        for origin in (kept.letter.origin, qualified_origin(kept.letter.origin, kept.source))
    ]


def _by_identity(letters: Iterable[BatchedDeadLetter], sources: dict[bytes, str]) -> dict[bytes, BatchedDeadLetter]:
    """Returns the dead letters by the identity (SHA-256 digest of origin and event id) under which each is to be
    stored. If several have the same identity, the last one remains, with the sum of their `times`.

    `sources` has the source of each stored dead letter, by identity. The sources of `letters` are added to it.
    """
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
        placed[key] = kept.with_origin(origin)
        if earlier is not None:
            placed[key].times += earlier.times
    return placed


def _with_qualified_origin(delivery: Delivery) -> Delivery:
    """Returns a copy of the delivery whose event has its qualified origin."""
    item = delivery.item
    return replace(delivery, items=(replace(item, origin=qualified_origin(item.origin, item.source)),))
