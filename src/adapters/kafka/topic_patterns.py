"""The topics that Herald reads from Kafka."""

import re
from collections.abc import Collection, Sequence

from domain.source_patterns import as_regex, is_wildcard


class Topics:
    """The patterns of the routes, combined in one regular expression, to which the consumer subscribes. Example:
    `orders.*` and `audit` become an expression that matches the topics `orders.created` and `audit`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        if not patterns:
            raise ValueError("a Kafka source needs at least one topic or pattern")
        # Topics named without a wildcard are part of the expression too. They are not subscribed to by name, because
        # aiokafka accepts either names or an expression, its metadata request for a name makes the broker create the
        # topic, and a consumer does not start while a named topic is missing.
        self.expression = re.compile("|".join(f"(?:{as_regex(pattern)})" for pattern in patterns))
        self._named = frozenset(pattern for pattern in patterns if not is_wildcard(pattern))

    def missing(self, existing: Collection[str]) -> list[str]:
        """Returns the topics that a pattern names without a wildcard and that are not in `existing`, sorted."""
        return sorted(self._named.difference(existing))
