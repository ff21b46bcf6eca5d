"""Patterns over sources: dotted words, where `*` stands for one word and `#` for any number of words.

The grammar is that of AMQP 0-9-1 topic exchanges (section 3.1.3.3), so that one route works on Kafka and on RabbitMQ.
"""

import re


def is_wildcard(pattern: str) -> bool:
    """Whether the pattern can match more than the one source it spells."""
    return any(word in ("*", "#") for word in pattern.split("."))


def validate_pattern(pattern: str) -> str | None:
    """What is invalid about a pattern; None if it is valid."""
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
    """The pattern as an anchored regular expression over whole sources. It takes time in proportion to the source,
    however many `#` are in the pattern."""
    # Each word takes the dot behind it along, if there is one, so that `#` can stand for no words and leave no dot.
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
    # What stands between two `#` has a fixed number of words, so its first match leaves most to the rest, and no other
    # one has to be tried: an atomic group.
    between = "".join(rf"(?>(?:[^.]++\.)*?{part})" for part in others[:-1] if part)
    return rf"^{first}{between}(?:[^.]++{end})*{others[-1]}(?<!\.)\Z"


def overlap(one: str, other: str) -> bool:
    """Whether some source matches both patterns."""
    words, against = one.split("."), other.split(".")
    # reached[j]: the words of `one` so far and the first j of `other` can stand for the same words.
    reached = [True] + [False] * len(against)
    for index, word in enumerate(against):
        reached[index + 1] = reached[index] and word == "#"
    for word in words:
        before, reached = reached, [False] * len(reached)
        reached[0] = before[0] and word == "#"
        for index, met in enumerate(against):
            if "#" in (word, met):
                # It stands for nothing, or also for what the other one's last word stands for.
                reached[index + 1] = before[index + 1] or reached[index]
            else:
                reached[index + 1] = before[index] and (word == met or "*" in (word, met))
    return reached[-1]
