"""Messages that arrive at the second listener for WebSockets: assembling, limits and violations of the protocol."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picows import WSMsgType, WSProtocolError
from picows.picows import _make_test_ws_frame

from adapters.picows.frames import MAX_CACHED_FRAMES, FrameCache, text_frame
from adapters.picows.incoming import MAX_BYTES, MAX_BYTES_BEFORE_SESSION, Incoming
from adapters.web.socket import ClientGone, FrameTooLarge

TEXT, BINARY, NEXT = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION


def frame(kind: Any, payload: bytes, fin: bool = True, rsv1: bool = False) -> Any:
    return _make_test_ws_frame(kind, payload, fin, rsv1)


async def received(incoming: Incoming) -> list[str | bytes]:
    """What can be received now."""
    messages = []
    while True:
        try:
            async with asyncio.timeout(0):
                messages.append(await incoming.receive())
        except TimeoutError:
            return messages


@given(st.lists(st.tuples(st.one_of(st.text(max_size=300), st.binary(max_size=300)), st.integers(1, 5))))
async def test_messages_arrive_as_they_were_sent_however_they_are_fragmented(
    messages: list[tuple[str | bytes, int]],
) -> None:
    incoming = Incoming()
    for message, parts in messages:
        payload = message.encode() if isinstance(message, str) else message
        size = max(1, -(-len(payload) // parts))
        fragments = [payload[first : first + size] for first in range(0, len(payload), size)] or [b""]
        for number, fragment in enumerate(fragments):
            kind = NEXT if number else TEXT if isinstance(message, str) else BINARY
            incoming.add(frame(kind, fragment, fin=number == len(fragments) - 1))
    assert await received(incoming) == [message for message, _ in messages]


@pytest.mark.parametrize(
    "frames",
    [
        [frame(NEXT, b"a")],
        [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")],
        [frame(TEXT, b"a", fin=False), frame(BINARY, b"b", fin=False)],
        [frame(TEXT, b"a", rsv1=True)],
        [frame(TEXT, b"\xff")],
        [frame(TEXT, "é".encode()[:1], fin=False), frame(NEXT, b"!")],
    ],
    ids=["no beginning", "a second beginning", "mixed kinds", "reserved bit", "not UTF-8", "not UTF-8 as a whole"],
)
def test_violations_of_the_protocol_are_refused(frames: list[Any]) -> None:
    incoming = Incoming()
    for one in frames[:-1]:
        incoming.add(one)
    with pytest.raises(WSProtocolError):
        incoming.add(frames[-1])


@pytest.mark.parametrize(("has_session", "most"), [(False, MAX_BYTES_BEFORE_SESSION), (True, MAX_BYTES)])
async def test_a_message_is_limited_as_a_whole(has_session: bool, most: int) -> None:
    def new() -> Incoming:
        incoming = Incoming()
        if has_session:
            incoming.session_opened()
        return incoming

    for parts in (1, 4):
        for size, fits in ((most, True), (most + 4, False)):
            incoming = new()
            for number in range(parts):
                fragment = b"x" * (size // parts)
                incoming.add(frame(NEXT if number else TEXT, fragment, fin=number == parts - 1))
            assert incoming.too_large is not fits
            if fits:
                assert await received(incoming) == ["x" * size]
            else:
                with pytest.raises(FrameTooLarge):
                    await incoming.receive()

    incoming = new()
    incoming.unfinished = most
    assert incoming.check_size()
    incoming.add(frame(TEXT, b"x" * 20, fin=False))
    assert not incoming.check_size()


async def test_a_message_that_is_too_large_is_reported_once_and_then_discarded() -> None:
    incoming = Incoming()
    incoming.unfinished = 2 * MAX_BYTES_BEFORE_SESSION
    assert not incoming.check_size()
    incoming.activity()
    with pytest.raises(FrameTooLarge):
        await incoming.receive()
    assert not incoming.check_size()
    incoming.activity()
    assert await received(incoming) == [b""]


async def test_the_end_is_reported_after_the_last_message() -> None:
    incoming = Incoming()
    waiting = asyncio.create_task(incoming.receive())
    await asyncio.sleep(0)
    incoming.add(frame(TEXT, b"last"))
    incoming.end()
    assert await waiting == "last"
    with pytest.raises(ClientGone):
        await incoming.receive()


def test_reading_pauses_while_many_bytes_wait() -> None:
    incoming = Incoming()
    incoming.session_opened()
    while not incoming.is_full:
        incoming.add(frame(TEXT, b""))
    assert sum(1 for _ in incoming._messages) < 2_000  # empty messages occupy memory, too


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_have_the_shortest_header(size: int) -> None:
    header = {125: 2, 65_535: 4}
    expected = next((length for most, length in header.items() if size <= most), 10)
    encoded = text_frame("x" * size)
    assert len(encoded) == size + expected
    assert encoded[0] == 0x81


def test_a_text_is_encoded_once_and_the_cache_stays_small() -> None:
    cache = FrameCache()
    assert cache.frame("é") is cache.frame("é")
    assert cache.frame("é") == b"\x81\x02" + "é".encode()
    for number in range(3 * MAX_CACHED_FRAMES):
        cache.frame(str(number))
    assert len(cache._frames) <= MAX_CACHED_FRAMES
    cache.frame("x" * 2_000_000)
    cache.frame("y")
    assert len(cache._frames) == 1
