"""Cursors and resume points: the positions of a session, and whether it can resume from them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.positions import Cursor, Head, ResumePoint, read_cursor, resolve_start, tag_of

EPOCH = st.text("abcdef0123456789XYZ", min_size=1, max_size=16)
STREAM = st.text("abcxyzABC019_-", min_size=1, max_size=64)
POSITION = st.integers(0, 10**15 - 1)
USER = st.none() | st.text(min_size=1)

HEADS = {
    "inbox:u": Head(10, 3, unread=4, seen_seq=5, seen_changed=7, seen_unread=3),
    "feed:news": Head(20, 0),
    "feed:new": Head(),
}


@given(EPOCH, USER, st.dictionaries(STREAM, POSITION, max_size=20))
def test_a_cursor_round_trips_as_text(epoch: str, user: str | None, positions: dict[str, int]) -> None:
    cursor = Cursor(epoch, tag_of(user), positions)
    assert read_cursor(str(cursor)) == cursor
    assert str(cursor).isascii()
    assert str(cursor).isprintable()
    assert " " not in str(cursor)


@given(USER, USER)
def test_tags_distinguish_users_without_naming_them(one: str | None, other: str | None) -> None:
    assert (tag_of(one) == tag_of(other)) == (one == other)
    assert not one or len(one) < 3 or one not in tag_of(one)


@given(st.text() | st.text("1.:,abf09-"))
def test_any_text_is_a_cursor_or_none(text: str) -> None:
    cursor = read_cursor(text)
    assert cursor is None or read_cursor(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1..",
        "1...",
        "2.e.t.a:1",
        "1.e.T.a:1",
        "1.e..a",
        "1.e..a:",
        "1.e..:1",
        "1.e..a:-1",
        "1.e..a:1:2",
        "1.e..a:1,",
        "1.e..,a:1",
        "1.e..a:1\n",
        " 1.e..a:1",
        "1.e..a:1.",
        f"1.e..a:{10**15}",
        "1.e..a:１",
        "1.e..ä:1",
    ],
)
def test_invalid_text_is_no_cursor(text: str) -> None:
    assert read_cursor(text) is None


@pytest.mark.parametrize("piece", ["1", "a", "a:1,", "1.", ":", ",", "a:", "é", "-"])
def test_invalid_text_of_any_length_is_rejected_quickly(piece: str) -> None:
    began = time.perf_counter()
    for length in (8_000, 1_000_000):
        assert read_cursor("1.e.." + piece * (length // len(piece)) + "!") is None
    assert time.perf_counter() - began < 1.0


def test_without_a_cursor_a_session_starts_at_the_heads() -> None:
    ends = {"inbox:u": 10, "feed:news": 20, "feed:new": 0}
    assert resolve_start(None, False, "e", "t", HEADS) == ResumePoint(ends, unread=4, unseen=1)


def test_a_valid_cursor_resumes_and_other_streams_start_at_their_heads() -> None:
    made = resolve_start(Cursor("e", "t", {"inbox": 3, "news": 20, "gone": 5}), False, "e", "t", HEADS)
    assert made == ResumePoint(
        {"inbox:u": 3, "feed:news": 20, "feed:new": 0}, resumed=True, behind=frozenset({"inbox:u"}), unread=4, unseen=1
    )


@pytest.mark.parametrize(
    ("cursor", "lost"),
    [
        (Cursor("other", "t", {"inbox": 5}), False),
        (Cursor("e", "other", {"inbox": 5}), False),
        (Cursor("e", "", {"inbox": 5}), False),
        (None, True),
    ],
)
def test_a_cursor_of_another_epoch_or_user_or_an_unreadable_one_is_a_gap_in_every_stream(
    cursor: Cursor | None, lost: bool
) -> None:
    made = resolve_start(cursor, lost, "e", "t", HEADS)
    assert made == ResumePoint(
        {"inbox:u": 10, "feed:news": 20, "feed:new": 0},
        resumed=False,
        gaps=("inbox", "news", "new"),
        unread=4,
        unseen=1,
    )


def test_a_position_before_the_kept_entries_is_a_gap_and_they_follow() -> None:
    made = resolve_start(Cursor("e", "t", {"inbox": 2, "news": 7}), False, "e", "t", HEADS)
    assert made == ResumePoint(
        {"inbox:u": 3, "feed:news": 7, "feed:new": 0},
        gaps=("inbox",),
        behind=frozenset({"inbox:u", "feed:news"}),
        unread=4,
        unseen=1,
    )


def test_a_position_beyond_the_head_is_a_gap_and_starts_at_the_head() -> None:
    made = resolve_start(Cursor("e", "t", {"inbox": 11, "news": 7, "new": 1}), False, "e", "t", HEADS)
    assert made == ResumePoint(
        {"inbox:u": 10, "feed:news": 7, "feed:new": 0},
        gaps=("inbox", "new"),
        behind=frozenset({"feed:news"}),
        unread=4,
        unseen=1,
    )


@given(
    st.dictionaries(st.sampled_from(["inbox", "news", "else"]), st.integers(0, 30)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted),
    st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted),
)
def test_a_session_starts_within_the_kept_entries_and_every_gap_is_reported(
    asked: dict[str, int], inbox: list[int], news: list[int]
) -> None:
    heads = {"inbox:u": Head(inbox[1], inbox[0]), "feed:news": Head(news[1], news[0])}
    made = resolve_start(Cursor("e", "t", asked), False, "e", "t", heads)
    for (stream, head), name in zip(heads.items(), ("inbox", "news"), strict=True):
        assert head.pruned <= made.positions[stream] <= head.last
        if name not in asked:
            assert made.positions[stream] == head.last
        assert (name in made.gaps) == (name in asked and made.positions[stream] != asked[name])
    assert made.resumed == (not made.gaps)
