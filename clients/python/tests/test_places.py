"""The client: what has come before does not come again, and no position is remembered of which something is left."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from herald_client import Broadcast, Gap, Hello, Place, Read, Unknown
from herald_client.objects import Item
from herald_client.places import Places, advanced


def hello(positions: dict[str, int], *, resumed: bool = True, gap: tuple[str, ...] = (), cursor: str = "c") -> Hello:
    return Hello(
        session="s", epoch="e", positions=positions, cursor=cursor, heartbeat=30, resumed=resumed, gap=gap, unread=0
    )


def read(position: int, id: str = "", stream: str = "inbox") -> Read:
    return Read(stream=stream, seq=1, changed=position, id=id or f"{stream}-{position}")


def begun(**positions: int) -> Places:
    places = Places()
    places.begin(Place("c", positions))
    return places


def positions(places: Places) -> dict[str, int]:
    assert places.place is not None
    return places.place.positions


# Streams of entries as a service sends them: positions ascend, one may have several entries, some are not shown.
SHOWN = st.lists(st.tuples(st.sampled_from(["inbox", "news"]), st.integers(0, 2), st.integers(0, 2)), max_size=30)


def entries(shown: list[tuple[str, int, int]]) -> list[Item]:
    at = {"inbox": 1, "news": 1}
    made: list[Item] = []
    for stream, skipped, more in shown:
        at[stream] += 1 + skipped
        made += [read(at[stream], f"{at[stream]}-{number}", stream) for number in range(more + 1)]
    return made


@given(SHOWN, st.data())
def test_whatever_is_sent_again_comes_once(shown: list[tuple[str, int, int]], data: st.DataObject) -> None:
    sent = entries(shown)
    places = begun(inbox=1, news=1)
    assert [item for item in sent if places.is_news(item)] == sent
    again = data.draw(st.permutations(sent))
    assert [item for item in again if places.is_news(item)] == []


@given(SHOWN, SHOWN)
def test_who_goes_on_from_a_place_is_handed_the_rest(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    sent = entries(before + after)
    first = len(entries(before))
    places = begun(inbox=1, news=1)
    for item in sent[:first]:
        places.is_news(item)
    anew = Places()
    anew.begin(places.place)
    # A place is that of a whole frame, and a frame ends at whole positions; so all of what is sent again is dropped.
    assert [item for item in sent if anew.is_news(item)] == sent[first:]


@given(SHOWN, st.integers(0, 100))
def test_a_part_of_a_frame_moves_the_place_to_whole_positions(shown: list[tuple[str, int, int]], cut: int) -> None:
    sent = entries(shown)
    done, rest = sent[:cut], sent[cut:]
    place = advanced(Place("c", {"inbox": 1, "news": 1}), done, rest)
    for stream, at in place.positions.items():
        mine = [item.position for item in done if isinstance(item, Read) and item.stream == stream]
        left = [item.position for item in rest if isinstance(item, Read) and item.stream == stream]
        assert all(at < position for position in left)
        assert at == max([position for position in mine if position not in left], default=1)


def test_a_mass_act_has_several_entries_of_one_position() -> None:
    places = begun(inbox=5)
    assert [places.is_news(read(6, id)) for id in "abca"] == [True, True, True, False]
    assert positions(places) == {"inbox": 6}
    assert not places.is_news(read(5, "new"))


def test_what_a_remembered_position_had_has_been_seen() -> None:
    assert not begun(inbox=5).is_news(read(5, "whatever"))


def test_a_hello_that_resumes_takes_nothing_back() -> None:
    places = begun(inbox=5, elsewhere=9)
    # As after a cursor alone, which is behind the positions.
    places.greet(hello({"inbox": 3, "news": 7}, cursor="d"))
    assert places.place == Place("d", {"inbox": 5, "news": 7, "elsewhere": 9})
    assert not places.is_news(read(5))
    assert places.is_news(read(6))


def test_a_gap_in_hello_may_lie_further_back_and_what_follows_it_is_news() -> None:
    places = begun(inbox=50, news=7, elsewhere=9)
    places.greet(hello({"inbox": 3, "news": 7}, resumed=False, gap=("inbox",)))
    assert positions(places) == {"inbox": 3, "news": 7}
    assert places.is_news(read(4))


def test_a_gap_moves_on_and_is_always_told() -> None:
    places = begun(inbox=5)
    assert places.is_news(Gap(stream="inbox", after=5, upto=8))
    assert positions(places) == {"inbox": 8}
    assert not places.is_news(read(8))
    assert places.is_news(Gap(stream="inbox", after=2, upto=4))
    assert positions(places) == {"inbox": 8}


def test_a_heartbeat_brings_a_cursor_and_leaves_the_positions() -> None:
    places = begun(inbox=5)
    places.beat("later")
    assert places.place == Place("later", {"inbox": 5})


def test_there_is_no_place_before_the_service_has_named_one() -> None:
    places = Places()
    places.begin(None)
    assert places.place is None
    places.greet(hello({"inbox": 0}, resumed=False))
    assert places.place == Place("c", {"inbox": 0})


def test_an_entry_of_a_kind_that_is_not_known_counts_like_any_other() -> None:
    places = begun(inbox=5)
    fields: dict[str, Any] = {"kind": "starred", "stream": "inbox", "seq": 2, "changed": 6, "id": "a"}
    assert places.is_news(Unknown("starred", fields))
    assert not places.is_news(Unknown("starred", fields))
    assert positions(places) == {"inbox": 6}
    assert places.is_news(Unknown("weather", {"kind": "weather"}))
    assert places.is_news(Unknown("weather", {"kind": "weather"}))


def test_where_nothing_changed_the_arrival_is_the_position() -> None:
    one = {"stream": "news", "id": "i", "event_id": "e", "type": "t", "time": "2026-03-01T12:00:00Z"}
    assert Broadcast(seq=4, **one).position == 4
    assert Broadcast(seq=4, changed=9, **one).position == 9
