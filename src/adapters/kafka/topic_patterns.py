"""The topics that a source reads."""

import re
from collections.abc import Collection, Sequence

from domain.source_patterns import as_regex, is_wildcard


class Topics:
    """Combines all patterns in one regular expression, to which the consumer subscribes.

    Topics named exactly are part of the expression too. They are not subscribed to by name, because aiokafka accepts
    either names or an expression, its metadata request for a name makes the broker create the topic, and it does not
    start while a named topic is missing. An expression may match nothing.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if not patterns:
            raise ValueError("a Kafka source needs at least one topic or pattern")
        self.expression = re.compile("|".join(f"(?:{as_regex(pattern)})" for pattern in patterns))
        self._named = frozenset(pattern for pattern in patterns if not is_wildcard(pattern))

    def missing(self, existing: Collection[str]) -> list[str]:
        """Returns the topics that a pattern names exactly (without a wildcard) and that do not exist, sorted."""
        return sorted(self._named.difference(existing))
