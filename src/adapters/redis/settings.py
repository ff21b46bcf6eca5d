"""Where Redis is, and how it is spoken to."""

import msgspec


class RedisSettings(msgspec.Struct, frozen=True):
    """`url` is redis://, rediss:// (TLS) or unix://, with the user and password of an access list in it. The names of
    all keys and channels begin with `prefix`. `cafile` says whom to trust in TLS: by default whom the system trusts."""

    url: str
    prefix: str = "herald"
    cafile: str | None = None
