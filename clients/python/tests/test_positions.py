"""Positions: duplicate entries are dropped, and a resume point has a position of a stream only if all entries up to it
were processed."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from herald_client import Broadcast, Gap, Hello, Read, ResumePoint, Seen, Unknown
from herald_client.objects import Item
from herald_client.positions import Positions, resume_point_after


def hello(positions: dict[str, int], *, resumed: bool = True, gap: tuple[str, ...] = (), cursor: str = "c") -> Hello:
    return Hello(
        session="s", epoch="e", positions=positions, cursor=cursor, heartbeat=30, resumed=resumed, gap=gap, unread=0
    )


def read(position: int, id: str = "", stream: str = "inbox") -> Read:
    return Read(stream=stream, seq=1, changed=position, id=id or f"{stream}-{position}")


def seen(position: int) -> Seen:
    return Seen(stream="inbox", seq=1, changed=position, unseen=0)


def started_at(**positions: int) -> Positions:
    received = Positions()
    received.start_at(ResumePoint("c", positions))
    return received


def positions(received: Positions) -> dict[str, int]:
    assert received.resume_point is not None
    return received.resume_point.positions


# Streams of entries as a service sends them: positions ascend, a position may have several entries, some are not shown.
SHOWN = st.lists(st.tuples(st.sampled_from(["inbox", "news"]), st.integers(0, 2), st.integers(0, 2)), max_size=30)


def entries(shown: list[tuple[str, int, int]]) -> list[Item]:
    at = {"inbox": 1, "news": 1}
    made: list[Item] = []
    for stream, skipped, more in shown:
        at[stream] += 1 + skipped
        if stream == "inbox" and more == 2:
            made.append(seen(at[stream]))
        else:
            made += [read(at[stream], f"{at[stream]}-{number}", stream) for number in range(more + 1)]
    return made


@given(SHOWN, st.data())
def test_repeated_entries_are_dropped(shown: list[tuple[str, int, int]], data: st.DataObject) -> None:
    sent = entries(shown)
    received = started_at(inbox=1, news=1)
    assert [item for item in sent if received.is_new(item)] == sent
    again = data.draw(st.permutations(sent))
    assert [item for item in again if received.is_new(item)] == []


@given(SHOWN, SHOWN)
def test_a_resume_point_is_followed_by_the_remaining_entries(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    sent = entries(before + after)
    first = len(entries(before))
    received = started_at(inbox=1, news=1)
    for item in sent[:first]:
        received.is_new(item)
    resumed = Positions()
    resumed.start_at(received.resume_point)
    # Resume points are saved after complete frames, which end at complete positions: every repeated entry is dropped.
    assert [item for item in sent if resumed.is_new(item)] == sent[first:]


@given(SHOWN, st.integers(0, 100))
def test_after_a_part_of_a_frame_only_whole_positions_count(shown: list[tuple[str, int, int]], cut: int) -> None:
    sent = entries(shown)
    done, undone = sent[:cut], sent[cut:]
    point = resume_point_after(ResumePoint("c", {"inbox": 1, "news": 1}), done, undone)
    for stream, at in point.positions.items():
        mine = [item.position for item in done if isinstance(item, Read | Seen) and item.stream == stream]
        left = [item.position for item in undone if isinstance(item, Read | Seen) and item.stream == stream]
        assert all(at < position for position in left)
        assert at == max([position for position in mine if position not in left], default=1)


def test_a_mass_change_has_several_entries_at_one_position() -> None:
    received = started_at(inbox=5)
    assert [received.is_new(read(6, id)) for id in "abca"] == [True, True, True, False]
    assert positions(received) == {"inbox": 6}
    assert not received.is_new(read(5, "new"))


def test_a_stored_position_is_complete() -> None:
    assert not started_at(inbox=5).is_new(read(5, "whatever"))


def test_a_hello_that_resumes_lowers_no_position() -> None:
    received = started_at(inbox=5, elsewhere=9)
    # A resume by a cursor alone, which is behind the positions.
    received.apply_hello(hello({"inbox": 3, "news": 7}, cursor="d"))
    assert received.resume_point == ResumePoint("d", {"inbox": 5, "news": 7, "elsewhere": 9})
    assert not received.is_new(read(5))
    assert received.is_new(read(6))


def test_a_gap_in_hello_may_lower_a_position_and_entries_after_it_are_new() -> None:
    received = started_at(inbox=50, news=7, elsewhere=9)
    received.apply_hello(hello({"inbox": 3, "news": 7}, resumed=False, gap=("inbox",)))
    assert positions(received) == {"inbox": 3, "news": 7}
    assert received.is_new(read(4))


def test_a_gap_advances_the_position_and_is_always_reported() -> None:
    received = started_at(inbox=5)
    assert received.is_new(Gap(stream="inbox", after=5, upto=8))
    assert positions(received) == {"inbox": 8}
    assert not received.is_new(read(8))
    assert received.is_new(Gap(stream="inbox", after=2, upto=4))
    assert positions(received) == {"inbox": 8}


def test_a_heartbeat_changes_the_cursor_and_no_position() -> None:
    received = started_at(inbox=5)
    received.apply_heartbeat("later")
    assert received.resume_point == ResumePoint("later", {"inbox": 5})


def test_there_is_no_resume_point_before_the_first_hello() -> None:
    received = Positions()
    received.start_at(None)
    assert received.resume_point is None
    received.apply_hello(hello({"inbox": 0}, resumed=False))
    assert received.resume_point == ResumePoint("c", {"inbox": 0})


def test_an_entry_of_an_unknown_kind_counts_like_any_other() -> None:
    received = started_at(inbox=5)
    fields: dict[str, Any] = {"kind": "starred", "stream": "inbox", "seq": 2, "changed": 6, "id": "a"}
    assert received.is_new(Unknown("starred", fields))
    assert not received.is_new(Unknown("starred", fields))
    assert positions(received) == {"inbox": 6}
    assert received.is_new(Unknown("weather", {"kind": "weather"}))
    assert received.is_new(Unknown("weather", {"kind": "weather"}))


def test_the_position_of_an_unchanged_entry_is_its_arrival() -> None:
    one = {"stream": "news", "id": "i", "event_id": "e", "type": "t", "time": "2026-03-01T12:00:00Z"}
    assert Broadcast(seq=4, **one).position == 4
    assert Broadcast(seq=4, changed=9, **one).position == 9
