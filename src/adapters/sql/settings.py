"""The settings of the database, and the check of its URL."""

from typing import Annotated, Final, Literal, TypeAlias

from adapters.path_setting_parsers import check_certificates
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import choice, whole

# The database in memory, which is lost when the process ends.
MEMORY: Final = "memory:"
SQLITE: Final = "sqlite+aiosqlite:///"

# `session`: a server session belongs to a client until it disconnects; `transaction`: until its transaction ends.
Pooler: TypeAlias = Literal["none", "session", "transaction"]

_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_POSTGRESQL_OPTIONS: Final = frozenset(
    {"host", "password", "port", "ssl", "sslrootcert", "target_session_attrs", "user"}
)


def database_url(value: str) -> str:
    """Parses the setting DATABASE_URL, and returns the URL as SQLAlchemy expects it: `postgres://…` ->
    `postgresql+asyncpg://…`, `memory:` -> `memory:`. Raises ValueError if the URL is invalid; the message does not
    contain the URL, because it may have a password."""
    url = value.strip()
    scheme, colon, rest = url.partition(":")
    if (scheme, rest) == (MEMORY[:-1], ""):
        return MEMORY
    if colon and scheme in ("postgresql+asyncpg", "postgresql", "postgres"):
        return _postgresql_url(rest)
    if colon and scheme in ("sqlite+aiosqlite", "sqlite"):
        return _sqlite_url(rest)
    raise ValueError(f"must begin with postgresql+asyncpg:// or {SQLITE}, or be {MEMORY}")


def _postgresql_url(rest: str) -> str:
    # Imported here, because it loads slowly and the default does not need it.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(f"postgresql+asyncpg:{rest}")
    except (ArgumentError, ValueError):
        raise ValueError("must be postgresql+asyncpg://user:password@host:port/database") from None
    if not url.database:
        raise ValueError("does not name a database: write its name after the host and a slash")
    if set(url.database) & set("/@:#"):
        raise ValueError("is ambiguous: write @ as %40, / as %2F, : as %3A and # as %23 in its password")
    if "sslmode" in url.query:
        url = url.update_query_dict({"ssl": url.query["sslmode"]}).difference_update_query(["sslmode"])
    if "ssl" in url.query and url.query["ssl"] not in _SSL_MODES:
        raise ValueError(f"has an unknown sslmode; known are {', '.join(_SSL_MODES)}")
    if "sslrootcert" in url.query:
        if url.query.get("ssl") not in ("require", "verify-ca", "verify-full"):
            raise ValueError("has an sslrootcert, and no sslmode that would use it: verify-full, verify-ca or require")
        if (root := url.query["sslrootcert"]) != "system":
            check_certificates(str(root), "has an sslrootcert that")
    if unknown := sorted(url.query.keys() - _POSTGRESQL_OPTIONS):
        raise ValueError(f"has the option {unknown[0]!r}; known are sslmode, {', '.join(sorted(_POSTGRESQL_OPTIONS))}")
    return url.render_as_string(hide_password=False)


def _sqlite_url(rest: str) -> str:
    file = rest.removeprefix("///")
    if file == rest or not file or file.startswith(":"):
        raise ValueError(f"does not name a file: write {SQLITE}FILE, or {MEMORY} to store nothing on disk")
    if "?" in file or "\0" in file:
        raise ValueError(f"has more than the path of a file after {SQLITE}")
    return f"{SQLITE}{file}"


class DatabaseSettings(Section, frozen=True):
    """Database: its address and its connections."""

    url: Annotated[
        str,
        Setting(
            "DATABASE_URL",
            database_url,
            "The database: `postgresql+asyncpg://…`, `sqlite+aiosqlite:///FILE`, or `memory:` to store everything in"
            " memory only.",
        ),
    ] = f"{SQLITE}var/herald.db"
    connections: Annotated[
        int,
        Setting(
            "HERALD_DATABASE_CONNECTIONS",
            whole(1000),
            "The maximum number of connections of this process to PostgreSQL.",
        ),
    ] = 10
    pooler: Annotated[
        Pooler,
        Setting(
            "HERALD_DATABASE_POOLER",
            choice("none", "session", "transaction"),
            "The pooler at DATABASE_URL: `none` if it is PostgreSQL itself; `session` or `transaction`, the pool mode"
            " of a"
            " connection pooler such as PgBouncer.",
        ),
    ] = "none"

    def check(self) -> None:
        if self.pooler != "none" and not self.url.startswith("postgresql"):
            raise ValueError("HERALD_DATABASE_POOLER has no effect, because DATABASE_URL is not PostgreSQL.")
