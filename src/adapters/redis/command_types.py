"""The type of a command to Redis, and the exception for a command that fails."""

from typing import Final, TypeAlias

Command: TypeAlias = tuple[str | int | float | bytes, ...]

# Maximum number of commands in one round trip. Processing them blocks the event loop of this node for about 20 ms.
MAX_BATCH_SIZE: Final = 500


class RedisUnavailable(Exception):
    """A command to Redis failed: Redis is not connected, did not answer in time, or refused the command."""
