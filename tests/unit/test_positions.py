"""Cursors and starts: where a session stands, and whether it can go on from there."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.positions import Cursor, Head, ResumePoint, read_cursor, resolve_start, tag_of

EPOCH = st.text("abcdef0123456789XYZ", min_size=1, max_size=16)
STREAM = st.text("abcxyzABC019_-", min_size=1, max_size=64)
POSITION = st.integers(0, 10**15 - 1)
USER = st.none() | st.text(min_size=1)

HEADS = {"inbox:u": Head(10, 3, unread=4), "feed:news": Head(20, 0), "feed:new": Head()}


@given(EPOCH, USER, st.dictionaries(STREAM, POSITION, max_size=20))
def test_a_cursor_survives_being_text(epoch: str, user: str | None, positions: dict[str, int]) -> None:
    cursor = Cursor(epoch, tag_of(user), positions)
    assert read_cursor(str(cursor)) == cursor
    assert str(cursor).isascii()
    assert str(cursor).isprintable()
    assert " " not in str(cursor)


@given(USER, USER)
def test_tags_tell_users_apart_and_name_none(one: str | None, other: str | None) -> None:
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
def test_garbage_is_no_cursor(text: str) -> None:
    assert read_cursor(text) is None


@pytest.mark.parametrize("piece", ["1", "a", "a:1,", "1.", ":", ",", "a:", "é", "-"])
def test_garbage_of_any_length_is_told_quickly(piece: str) -> None:
    began = time.perf_counter()
    for length in (8_000, 1_000_000):
        assert read_cursor("1.e.." + piece * (length // len(piece)) + "!") is None
    assert time.perf_counter() - began < 1.0


def test_without_a_cursor_one_begins_at_the_heads() -> None:
    ends = {"inbox:u": 10, "feed:news": 20, "feed:new": 0}
    assert resolve_start(None, False, "e", "t", HEADS) == ResumePoint(ends, unread=4)


def test_one_that_fits_goes_on_and_streams_it_does_not_name_begin_at_their_heads() -> None:
    made = resolve_start(Cursor("e", "t", {"inbox": 3, "news": 20, "gone": 5}), False, "e", "t", HEADS)
    assert made == ResumePoint(
        {"inbox:u": 3, "feed:news": 20, "feed:new": 0}, resumed=True, behind=frozenset({"inbox:u"}), unread=4
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
def test_another_epoch_another_user_or_none_to_be_read_is_a_gap_everywhere(cursor: Cursor | None, lost: bool) -> None:
    made = resolve_start(cursor, lost, "e", "t", HEADS)
    assert made == ResumePoint(
        {"inbox:u": 10, "feed:news": 20, "feed:new": 0}, resumed=False, gaps=("inbox", "news", "new"), unread=4
    )


def test_before_what_is_kept_is_a_gap_and_all_that_is_kept_follows() -> None:
    made = resolve_start(Cursor("e", "t", {"inbox": 2, "news": 7}), False, "e", "t", HEADS)
    assert made == ResumePoint(
        {"inbox:u": 3, "feed:news": 7, "feed:new": 0},
        gaps=("inbox",),
        behind=frozenset({"inbox:u", "feed:news"}),
        unread=4,
    )


def test_beyond_the_head_is_a_gap_and_begins_at_the_head() -> None:
    made = resolve_start(Cursor("e", "t", {"inbox": 11, "news": 7, "new": 1}), False, "e", "t", HEADS)
    assert made == ResumePoint(
        {"inbox:u": 10, "feed:news": 7, "feed:new": 0},
        gaps=("inbox", "new"),
        behind=frozenset({"feed:news"}),
        unread=4,
    )


@given(
    st.dictionaries(st.sampled_from(["inbox", "news", "else"]), st.integers(0, 30)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted),
    st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted),
)
def test_a_session_always_begins_within_what_is_kept_and_is_told_of_every_gap(
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
