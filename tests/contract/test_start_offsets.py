"""The StartOffsets port, on every adapter."""

import asyncio

import pytest

from application.ports.start_offsets import ConsumerGroup, Partition, StartOffset, StartOffsets
from tests.support.core import NOW
from tests.support.stores import Stores, later

HERALD = ConsumerGroup("cluster-1", "herald")


@pytest.fixture
def starts(stores: Stores) -> StartOffsets:
    return stores.start_offsets


def at(offsets: dict[Partition, int]) -> dict[Partition, StartOffset]:
    return {place: StartOffset(offset, NOW) for place, offset in offsets.items()}


async def test_an_unconfigured_group_has_no_patterns_or_offsets(starts: StartOffsets) -> None:
    assert await starts.patterns(HERALD) == {}
    assert await starts.offsets(HERALD) == {}


async def test_patterns_and_offsets_are_stored_with_the_time(starts: StartOffsets) -> None:
    assert await starts.add(HERALD, ["order.*", "audit.#"], {("order.created", 0): 30, ("order.created", 1): 0}, NOW)
    assert await starts.patterns(HERALD) == {"order.*": NOW, "audit.#": NOW}
    assert await starts.offsets(HERALD) == at({("order.created", 0): 30, ("order.created", 1): 0})


async def test_a_pattern_without_topics_is_stored(starts: StartOffsets) -> None:
    assert await starts.add(HERALD, ["order.*"], {}, NOW)
    assert await starts.patterns(HERALD) == {"order.*": NOW}


async def test_an_addition_with_a_known_pattern_is_rejected_as_a_whole(starts: StartOffsets) -> None:
    await starts.add(HERALD, ["order.*"], {("order.created", 0): 30}, NOW)
    assert not await starts.add(HERALD, ["order.*", "audit.#"], {("audit.a", 0): 7}, later(60))
    assert await starts.patterns(HERALD) == {"order.*": NOW}
    assert await starts.offsets(HERALD) == at({("order.created", 0): 30})


async def test_a_stored_offset_never_changes(starts: StartOffsets) -> None:
    await starts.add(HERALD, ["order.*"], {("order.created", 0): 30}, NOW)
    assert await starts.add(HERALD, ["order.#"], {("order.created", 0): 40, ("order.a.b", 0): 5}, later(60))
    assert await starts.offsets(HERALD) == {
        ("order.created", 0): StartOffset(30, NOW),
        ("order.a.b", 0): StartOffset(5, later(60)),
    }


async def test_offsets_can_be_added_without_patterns(starts: StartOffsets) -> None:
    assert await starts.add(HERALD, (), {("order.created", 1): 0}, NOW)
    assert await starts.add(HERALD, (), {("order.created", 1): 9}, later(1))
    assert await starts.offsets(HERALD) == at({("order.created", 1): 0})
    assert await starts.patterns(HERALD) == {}


@pytest.mark.parametrize("other", [ConsumerGroup("cluster-1", "billing"), ConsumerGroup("cluster-2", "herald")])
async def test_groups_are_separate(starts: StartOffsets, other: ConsumerGroup) -> None:
    await starts.add(HERALD, ["order.*"], {("order.created", 0): 30}, NOW)
    assert await starts.add(other, ["order.*"], {("order.created", 0): 2**40}, later(1))
    assert await starts.offsets(other) == {("order.created", 0): StartOffset(2**40, later(1))}
    assert await starts.patterns(HERALD) == {"order.*": NOW}
    assert await starts.offsets(HERALD) == at({("order.created", 0): 30})


async def test_of_several_concurrent_nodes_one_decides_everything(starts: StartOffsets) -> None:
    partitions = [("order.created", number) for number in range(50)]
    answers = await asyncio.gather(
        *(starts.add(HERALD, ["b", "a"], dict.fromkeys(partitions, node), NOW) for node in range(8))
    )
    assert answers.count(True) == 1
    decided = answers.index(True)
    assert await starts.offsets(HERALD) == at(dict.fromkeys(partitions, decided))


async def test_nodes_with_other_patterns_for_the_same_topics_do_not_block_each_other(starts: StartOffsets) -> None:
    partitions = [("order.created", number) for number in range(50)]
    answers = await asyncio.gather(
        *(starts.add(HERALD, [f"p{node}"], dict.fromkeys(partitions, node), NOW) for node in range(8))
    )
    assert all(answers)
    offsets = await starts.offsets(HERALD)
    assert set(offsets) == set(partitions)
    assert len(set(offsets.values())) == 1
