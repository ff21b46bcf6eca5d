"""Patterns of sources, compared with a direct implementation of their grammar."""

import re
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.source_patterns import as_regex, is_wildcard, overlap, validate_pattern

WORD = st.text("ab", min_size=1, max_size=2)
SOURCE = st.lists(WORD, min_size=1, max_size=5).map(".".join)
PATTERN = st.lists(WORD | st.sampled_from(["*", "#"]), min_size=1, max_size=5).map(".".join)


def matches(pattern: list[str], source: list[str]) -> bool:
    """Match by the grammar of AMQP 0-9-1, section 3.1.3.3, word by word."""
    if not pattern:
        return not source
    if pattern[0] == "#":
        return matches(pattern[1:], source) or (bool(source) and matches(pattern, source[1:]))
    return bool(source) and pattern[0] in ("*", source[0]) and matches(pattern[1:], source[1:])


@given(PATTERN, SOURCE)
@example("#", "a")
@example("a.#", "a")
@example("#.a", "a")
@example("a.#.b", "a.b")
@example("#.#", "a")
@example("*.#.*", "a")
def test_the_expression_matches_what_the_grammar_matches(pattern: str, source: str) -> None:
    assert bool(re.match(as_regex(pattern), source)) == matches(pattern.split("."), source.split("."))


@given(PATTERN, SOURCE)
def test_a_pattern_without_wildcards_matches_itself_only(pattern: str, source: str) -> None:
    if not is_wildcard(pattern):
        assert bool(re.match(as_regex(pattern), source)) == (pattern == source)


@pytest.mark.parametrize("source", ["ab", "a.b.", ".a.b", "a..b", "a.b\n", "a.b.c", "a-b", "A.b"])
def test_a_source_must_match_completely(source: str) -> None:
    assert not re.match(as_regex("a.b"), source)


@pytest.mark.parametrize("source", ["a.", ".a", "a..b", "a\n"])
def test_no_wildcard_matches_an_empty_word(source: str) -> None:
    assert not re.match(as_regex("a.*"), source)
    assert not re.match(as_regex("a.#"), source)


def test_special_characters_of_regular_expressions_are_literal() -> None:
    assert re.match(as_regex("a-b_c"), "a-b_c")
    assert not re.match(as_regex("a.b"), "axb")


@pytest.mark.parametrize("pattern", ["", ".", "a.", ".a", "a..b", "a*", "*b", "##", "a.b#", "a b", "a.[b]", "ä", "a\n"])
def test_an_invalid_pattern_is_refused_with_a_reason(pattern: str) -> None:
    assert validate_pattern(pattern)


@given(PATTERN)
def test_every_valid_pattern_is_accepted(pattern: str) -> None:
    assert validate_pattern(pattern) is None


SHORT = st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=3).map(".".join)
SHORT_SOURCES = [list(words) for length in range(1, 7) for words in product("abc", repeat=length)]


@given(SHORT, SHORT)
@example("#", "a")
@example("a.#", "#.b")
@example("a.*", "*.b")
@example("a.#.b", "a.b")
@example("a.#", "b.#")
@example("*.*", "#.a")
def test_two_patterns_overlap_if_a_source_matches_both(one: str, other: str) -> None:
    both = any(matches(one.split("."), words) and matches(other.split("."), words) for words in SHORT_SOURCES)
    assert overlap(one, other) == overlap(other, one) == both
