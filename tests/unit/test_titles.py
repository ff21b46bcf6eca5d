"""Titles over the length limit."""

import pytest

from domain.titles import MAX_TITLE_LENGTH, as_title

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
WAVE = "\U0001f44b\U0001f3fd"
HEART = "\u2764\ufe0f"


@pytest.mark.parametrize("text", ["", "x", "x" * MAX_TITLE_LENGTH, "\u0301" * MAX_TITLE_LENGTH])
def test_a_short_title_is_unchanged(text: str) -> None:
    assert as_title(text) == text


def test_the_ellipsis_is_within_the_limit() -> None:
    assert as_title("x" * (MAX_TITLE_LENGTH + 1)) == "x" * 254 + "…"
    assert as_title("😀" * 1_000_000) == "😀" * 254 + "…"


def test_no_blank_precedes_the_ellipsis() -> None:
    assert as_title("x" * 250 + " " * 50 + "y") == "x" * 250 + "…"


@pytest.mark.parametrize("character", ["e\u0301", FAMILY, WAVE, HEART, "\u0915\u094d"])
@pytest.mark.parametrize("before", range(MAX_TITLE_LENGTH - 8, MAX_TITLE_LENGTH))
def test_a_character_of_several_code_points_is_not_split(character: str, before: int) -> None:
    text = "x" * before + character + "y" * 10
    title = as_title(text)
    assert len(title) <= MAX_TITLE_LENGTH
    assert title[:-1].rstrip("y") in ("x" * len(title[:-1]), "x" * before, "x" * before + character)


@pytest.mark.parametrize("mark", ["\u0301", "\u200d"])
def test_a_text_of_combining_marks_is_cut_at_the_limit(mark: str) -> None:
    assert as_title("x" + mark * 1_000_000) == "x" + mark * 253 + "…"
