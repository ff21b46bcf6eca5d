"""Commands to Redis."""

from typing import Final, TypeAlias

Command: TypeAlias = tuple[str | int | float | bytes, ...]

# Commands in one round trip: about 20 ms, during which the event loop of this node does nothing else.
MAX_BATCH_SIZE: Final = 500


class RedisUnavailable(Exception):
    """Redis is not connected, has not answered in time, or has refused the command."""
