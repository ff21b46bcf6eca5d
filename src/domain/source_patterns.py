"""Patterns of sources (topics and routing keys), such as `order.*` or `order.#`. A source consists of words separated
by dots. In a pattern, `*` stands for exactly one word and `#` for any number of words, including none.

This is the grammar of AMQP 0-9-1 topic exchanges (section 3.1.3.3), so the same route works on Kafka and on RabbitMQ.
"""

import re


def is_wildcard(pattern: str) -> bool:
    """Returns whether a pattern contains a wildcard (`*` or `#`), and so can match more than one source."""
    return any(word in ("*", "#") for word in pattern.split("."))


def validate_pattern(pattern: str) -> str | None:
    """Returns the reason why a pattern is invalid, such as `is empty`; None if it is valid."""
    if not pattern:
        return "is empty"
    for word in pattern.split("."):
        if not word:
            return "has an empty word between dots"
        if word not in ("*", "#") and not re.fullmatch(r"[A-Za-z0-9_-]+", word):
            return (
                f"has the word {word!r}: only letters, digits, '_' and '-' are possible, or '*' or '#' as a whole word"
            )
    return None


def as_regex(pattern: str) -> str:
    """Returns a regular expression that matches the same sources as the pattern, always from beginning to end. The time
    to match a source is proportional to its length, however many `#` the pattern contains.
    """
    # Each word includes the dot after it, if there is one, so that a `#` that matches no words leaves no dot.
    end = r"(?:\.|\Z)"
    parts = [""]
    for word in pattern.split("."):
        if word == "#":
            parts.append("")
        else:
            parts[-1] += ("[^.]++" if word == "*" else re.escape(word)) + end
    first, *others = parts
    if not others:
        return rf"^{first}(?<!\.)\Z"
    # The part between two `#` has a fixed number of words. Its first match leaves the most text for the following
    # parts, so no other match has to be tried: an atomic group prevents backtracking.
    between = "".join(rf"(?>(?:[^.]++\.)*?{part})" for part in others[:-1] if part)
    return rf"^{first}{between}(?:[^.]++{end})*{others[-1]}(?<!\.)\Z"


def overlap(one: str, other: str) -> bool:
    """Returns whether any source matches both patterns: `ticket.*` and `*.created` both match `ticket.created`."""
    words, against = one.split("."), other.split(".")
    # reached[j]: the words of `one` so far and the first j words of `other` can match the same words.
    reached = [True] + [False] * len(against)
    for index, word in enumerate(against):
        reached[index + 1] = reached[index] and word == "#"
    for word in words:
        before, reached = reached, [False] * len(reached)
        reached[0] = before[0] and word == "#"
        for index, met in enumerate(against):
            if "#" in (word, met):
                # `#` matches no word, or also the words that the last word of the other pattern matches.
                reached[index + 1] = before[index + 1] or reached[index]
            else:
                reached[index + 1] = before[index] and (word == met or "*" in (word, met))
    return reached[-1]
