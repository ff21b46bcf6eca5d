"""Which topics a source reads."""

import re
from collections.abc import Collection, Sequence

from domain.patterns import as_regex, is_wildcard


class Topics:
    """The topics that any of the patterns matches, as one regular expression.

    Exact names go into it too, though Kafka could be asked for them by name: aiokafka takes either names or an
    expression; it asks for a name's metadata in a way that makes a broker create the topic; and it does not start
    while one of the names is missing. An expression simply matches nothing yet.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if not patterns:
            raise ValueError("a Kafka source needs at least one topic or pattern")
        self.expression = re.compile("|".join(f"(?:{as_regex(pattern)})" for pattern in patterns))
        self._named = frozenset(pattern for pattern in patterns if not is_wildcard(pattern))

    def missing(self, existing: Collection[str]) -> list[str]:
        """The topics that a pattern names outright and that do not exist."""
        return sorted(self._named.difference(existing))
