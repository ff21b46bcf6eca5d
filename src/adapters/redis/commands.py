"""Commands to Redis."""

from typing import Final, TypeAlias

Command: TypeAlias = tuple[str | int | float | bytes, ...]

# Maximum number of commands in one round trip. Processing them blocks the event loop of this node for about 20 ms.
MAX_BATCH_SIZE: Final = 500


class RedisUnavailable(Exception):
    """Redis is not connected, has not answered in time, or has refused the command."""
