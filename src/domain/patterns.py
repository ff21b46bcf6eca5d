"""Patterns over sources: dotted words, where `*` stands for one word and `#` for any number of words.

The grammar is that of AMQP 0-9-1 topic exchanges (section 3.1.3.3), so that one route works on Kafka and on RabbitMQ.
"""

import re


def is_wildcard(pattern: str) -> bool:
    """Whether the pattern can match more than the one source it spells."""
    return any(word in ("*", "#") for word in pattern.split("."))


def fault_in(pattern: str) -> str | None:
    """What is wrong with a pattern, in words; None when it is sound."""
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
    """The pattern as an anchored regular expression over whole sources."""
    # Each word takes the dot behind it along, if there is one, so that `#` can stand for no words and leave no dot.
    end = r"(?:\.|\Z)"
    words = {"*": rf"[^.]+{end}", "#": rf"(?:[^.]+{end})*"}
    return "^" + "".join(words.get(word, re.escape(word) + end) for word in pattern.split(".")) + r"(?<!\.)\Z"
