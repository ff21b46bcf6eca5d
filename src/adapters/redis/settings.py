"""The settings of Redis: REDIS_URL, HERALD_REDIS_PREFIX and HERALD_REDIS_CAFILE."""

import re
from typing import Annotated, Final

from adapters.path_setting_parsers import file_path
from domain.setting_declarations import Section, Setting

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


def redis_url(value: str) -> str:
    """Checks the value of REDIS_URL and returns it. Raises ValueError if it is invalid or has options after a
    question mark: these depend on the release of redis-py. The text does not repeat the URL, because it may contain
    a password."""
    # Imported here: it takes long to load, and is not needed by default.
    from redis.asyncio.connection import parse_url

    url = value.strip()
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    try:
        known = parse_url(url)
    except ValueError:
        raise ValueError("must be redis://user:password@host:port/database, or unix://path of its socket") from None
    if "?" in url:
        raise ValueError(
            "has options behind a question mark, which are not supported; write / as %2F and ? as %3F in its password"
        )
    if not (known.get("host") or known.get("path")):
        raise ValueError("does not name a host")
    return url


def redis_prefix(value: str) -> str:
    """Checks the prefix of all keys and channels in Redis and returns it: 1 to 64 letters, digits and `- _ . : /`,
    none of which is special in an access list of Redis. Raises ValueError for any other value."""
    prefix = value.strip()
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"must be letters, digits and - _ . : / only, 64 at most, and {prefix!r} is not")
    return prefix


class RedisSettings(Section, frozen=True):
    """Redis or Valkey: the URL, the prefix of all names, and the trusted certificate authorities."""

    url: Annotated[
        str | None,
        Setting(
            "REDIS_URL",
            redis_url,
            "The URL of the Redis or Valkey that connects the nodes: `redis://…`, `rediss://…` for TLS, or `unix://…`."
            " Without it, a node reads the entries of other nodes from the database, some seconds later.",
        ),
    ] = None
    prefix: Annotated[
        str, Setting("HERALD_REDIS_PREFIX", redis_prefix, "The prefix of the names of all keys and channels in Redis.")
    ] = "herald"
    cafile: Annotated[
        str | None,
        Setting(
            "HERALD_REDIS_CAFILE",
            file_path,
            "A PEM file with the certificate authorities that are trusted for Redis.",
            unset="the system's authorities",
        ),
    ] = None

    def check(self) -> None:
        if self.cafile and not (self.url or "").startswith("rediss:"):
            raise ValueError("HERALD_REDIS_CAFILE has no effect, because REDIS_URL does not begin with rediss://.")
