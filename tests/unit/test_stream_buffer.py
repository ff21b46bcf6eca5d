"""Stream buffers and the chunks read from them."""

import random

import pytest

from application.hub.frames import take_chunk
from application.hub.policy import BufferPolicy
from application.hub.stream_buffer import StreamBuffer
from domain.protocol.entry_kinds import View
from tests.support.core import (
    entry,
)

POLICY = BufferPolicy()


@pytest.mark.parametrize("seed", range(5))
def test_a_buffer_appends_the_next_position_and_has_no_gaps(seed: int) -> None:
    chance = random.Random(seed)
    buffer = StreamBuffer("inbox:ada", BufferPolicy())
    weight = 0
    for _ in range(400):
        position = max(1, buffer.head + chance.choice([-2, -1, 0, 1, 1, 1, 1, 1, 1, 3]))
        before = buffer.head
        body = "x" * chance.choice([1, 10, 20_000, 400_000])
        acts = range(chance.choice([1, 1, 1, 7]))
        weight += buffer.append([entry(body, seq=1, changed=position, envelope="raw") for _ in acts])
        assert buffer.head == max(before, position)
        assert sorted({one.changed for one in buffer.entries}) == list(range(buffer.base + 1, buffer.head + 1))
        assert weight == buffer.weight == sum(one.weight for one in buffer.entries)
        after = chance.randrange(buffer.head + 1)
        ready = buffer.frames_after(View("ws", protocol=True), after) if after < buffer.head else None
        assert ready is not None or not buffer.base <= after < buffer.head
        if ready is not None and after >= buffer.base:
            assert ready.objects == sum(1 for one in buffer.entries if after < one.changed <= ready.upto)


def test_a_chunk_has_at_least_one_entry_and_respects_its_limits() -> None:
    small = [entry(seq=seq) for seq in range(1, 200)]
    assert len(take_chunk(small, 0, POLICY)) == POLICY.max_chunk_entries
    assert take_chunk(small, 198, POLICY) == small[198:]
    large = [entry("x" * POLICY.max_chunk_bytes, envelope="raw", seq=seq) for seq in range(1, 4)]
    assert take_chunk(large, 1, POLICY) == large[1:2]
