"""Direct delivery: a session sends new entries within the call of the hub if its transport has no unsent data."""

import asyncio

from tests.support.core import Node, Reader, settle


class DirectReader(Reader):
    """A transport that can send directly unless it is busy."""

    busy = False

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.direct: list[str] = []

    def try_send(self, frame: str) -> bool:
        if self.busy:
            return False
        self.direct.append(frame)
        self.frames.append(frame)
        return True


async def reader_of(node: Node, **request: object) -> DirectReader:
    reader = DirectReader(node, await node.open("ada", **request))
    await settle()
    return reader


async def test_a_session_without_unsent_frames_sends_within_the_call_of_the_hub() -> None:
    node = await Node().start()
    reader = await reader_of(node, protocol=True)
    recorded = await node.record(node.news("n1"))
    node.hub.arrived(recorded.entries)
    # Sent without another iteration of the event loop.
    assert reader.texts == ["n1"]
    assert len(reader.direct) == 1
    assert reader.session.delivered == 1


async def test_both_paths_together_send_everything_once_and_in_order() -> None:
    node = await Node().start()
    reader = await reader_of(node, protocol=True)
    for number in range(100):
        reader.busy = number % 3 == 0
        await node.send(node.direct("ada", number))
        if number % 7 == 0:
            await asyncio.sleep(0)
    await settle()
    assert reader.texts == list(range(100))
    assert 0 < len(reader.direct) < len(reader.frames) - 1


async def test_several_frames_for_one_stream_are_left_to_the_writer() -> None:
    node = await Node().start()
    reader = await reader_of(node)
    await node.send(node.news("n1"), node.news("n2"))
    assert reader.texts == []
    await settle()
    assert (reader.texts, reader.direct) == (["n1", "n2"], [])


async def test_nothing_is_sent_directly_before_a_pending_answer_or_after_a_close() -> None:
    node = await Node().start()
    reader = await reader_of(node, protocol=True)
    reader.session.answer('{"kind":"pong"}')
    await node.send(node.news("n1"))
    assert reader.direct == []
    await settle()
    assert [one["kind"] for one in reader.objects[-2:]] == ["broadcast", "pong"]
