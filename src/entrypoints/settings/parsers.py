"""From the text of a setting to its value. Each parser raises ValueError with a reason that reads well behind the name
of the variable; one that might be handed a secret by mistake doesn't repeat what it got."""

import math
import re
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adapters.web.origins import LOOPBACK, host_of
from domain.addresses import as_address, fault_in_address, split_mailbox
from domain.patterns import validate_pattern

# The DATABASE_URL of who wants nothing to outlive the process.
MEMORY: Final = "memory:"
SQLITE: Final = "sqlite+aiosqlite:///"

# What the client takes, too.
_AMQP_NAME: Final = re.compile(r"[A-Za-z0-9_.:@#,/ -]{1,127}")

_REDIS_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")

Parser = Callable[[str], object]

_ORIGIN: Final = re.compile(r"https?://[^\s/?#@,]+")
# A host (letters, digits, or an IPv6 address in brackets), then segments of the path (RFC 3986, without quotes).
_PUBLIC_URL: Final = re.compile(
    r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:/[a-z0-9._~%!$&()*+,;=:@-]+)*",
    re.IGNORECASE | re.ASCII,
)
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_POSTGRESQL_OPTIONS: Final = frozenset(
    {"host", "password", "port", "ssl", "sslrootcert", "target_session_attrs", "user"}
)
# Letters of any script; `_`, since container networks have names with it.
_HOST: Final = re.compile(r"[\w.-]+")
_BROKER: Final = re.compile(r"[^\s:/@\[\]]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")


def verbatim(value: str) -> str:
    """For secrets, in which every character counts."""
    return value


def text(value: str) -> str:
    return value.strip()


def items(*values: str) -> tuple[str, ...]:
    """Comma separated, blanks around each dropped, each once. Several values are one list."""
    return tuple(dict.fromkeys(item for value in values for part in value.split(",") if (item := part.strip())))


def choice(*words: str) -> Parser:
    def parse(value: str) -> str:
        for word in words:
            if value.strip().casefold() == word.casefold():
                return word
        raise ValueError(f"must be {', '.join(words[:-1])} or {words[-1]}, not {value!r}")

    return parse


def whole(most: int | None = None) -> Parser:
    """A whole number from 1 on."""

    def parse(value: str) -> int:
        number = int(value) if re.fullmatch(r"\s*[0-9]{1,15}\s*", value) else 0
        if number < 1 or (most is not None and number > most):
            limits = f"from 1 to {most}" if most else "of at least 1"
            raise ValueError(f"must be a whole number {limits}, not {value!r}")
        return number

    return parse


port: Final = whole(65_535)
days: Final = whole(36_500)


def seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (0 < number < math.inf):
        raise ValueError(f"must be a number of seconds above 0, not {value!r}")
    return number


def per_second(value: str) -> float:
    """How often; 0 is without limit."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (0 <= number < math.inf):
        raise ValueError(f"must be a number of at least 0, not {value!r}")
    return number


def brokers(value: str) -> str:
    """Comma separated `host:port`, as every Kafka client takes it."""
    for broker in items(value):
        if not _BROKER.fullmatch(broker):
            raise ValueError(f"must be host:port, or several with commas between, and {broker!r} is none")
    return ",".join(items(value))


def host(value: str) -> str:
    """A name, or an address without brackets. It isn't repeated: a URL has a password in it."""
    name = value.strip()
    try:
        if _HOST.fullmatch(name):
            # As every client does, to look it up.
            name.encode("idna")
        else:
            ip_address(name)
    except ValueError:
        raise ValueError("must be the name or address of a host alone: its port is set by itself") from None
    return name


def topics(value: str) -> tuple[str, ...]:
    """Sources of routes."""
    for topic in items(value):
        if fault := validate_pattern(topic):
            raise ValueError(f"has the topic {topic!r}, which {fault}")
    return items(value)


def origins(value: str) -> tuple[str, ...] | None:
    """None for `*`, everyone. Browsers send scheme and host in lower case and no slash behind."""
    allowed = items(value)
    if allowed == ("*",):
        return None
    for origin in allowed:
        if origin != LOOPBACK and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"must be '*', or origins such as https://shop.example:8443, and {origin!r} is none")
    return tuple(origin.lower() for origin in allowed)


def hosts(value: str) -> tuple[str, ...]:
    """Hosts as `adapters.web.origins.host_of` normalises them, the word `loopback`, or `*` alone for all."""
    named = items(value)
    if named == ("*",):
        return named
    return tuple(dict.fromkeys(LOOPBACK if name == LOOPBACK else _named_host(name) for name in named))


def _named_host(name: str) -> str:
    try:
        # An IPv6 address may lack its brackets here.
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        found = host_of(name) if _HOST.fullmatch(name) else None
    else:
        found = host_of(str(address) if address.version == 4 else f"[{address}]")
    if not found:
        raise ValueError(f"must be '*', or names and addresses of hosts without ports, and {name!r} is none")
    return found


def http_url(value: str) -> str:
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("must be a URL that begins with http:// or https://")
    return url


def public_url(value: str) -> str:
    """An absolute URL as it may stand in documents, headers and pages: ASCII, no query, nobody's password."""
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
        if not _PUBLIC_URL.fullmatch(url) or port == 0 or {".", ".."} & set(parts.path.split("/")):
            raise ValueError
    except ValueError:
        raise ValueError(
            "must be http:// or https://, a host and at most a port and a path, such as https://shop.example/herald"
        ) from None
    usual = {"http": 80, "https": 443}[parts.scheme.lower()]
    host = parts.netloc.lower().removesuffix(f":{usual}")
    return f"{parts.scheme.lower()}://{host}{parts.path}"


def database_url(value: str) -> str:
    """As SQLAlchemy takes it; `memory:` stays as it is. What is said here of a URL has none of it: it may hold a
    password."""
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
    # Here, since loading it takes a while and the default needs none of it.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(f"postgresql+asyncpg:{rest}")
    except (ArgumentError, ValueError):
        raise ValueError("must be postgresql+asyncpg://user:password@host:port/database") from None
    if not url.database:
        raise ValueError("names no database: it is what follows the host and a slash")
    if set(url.database) & set("/@:#"):
        raise ValueError("can't be told apart: write @ as %40, / as %2F, : as %3A and # as %23 in its password")
    if "sslmode" in url.query:
        url = url.update_query_dict({"ssl": url.query["sslmode"]}).difference_update_query(["sslmode"])
    if "ssl" in url.query and url.query["ssl"] not in _SSL_MODES:
        raise ValueError(f"has an sslmode that is none of {', '.join(_SSL_MODES)}")
    if "sslrootcert" in url.query:
        if url.query.get("ssl") not in ("require", "verify-ca", "verify-full"):
            raise ValueError("has an sslrootcert, and no sslmode that would use it: verify-full, verify-ca or require")
        if (root := url.query["sslrootcert"]) != "system":
            _check_certificates(str(root), "has an sslrootcert that")
    if unknown := sorted(url.query.keys() - _POSTGRESQL_OPTIONS):
        raise ValueError(f"has the option {unknown[0]!r}; known are sslmode, {', '.join(sorted(_POSTGRESQL_OPTIONS))}")
    return url.render_as_string(hide_password=False)


def _sqlite_url(rest: str) -> str:
    file = rest.removeprefix("///")
    if file == rest or not file or file.startswith(":"):
        raise ValueError(f"names no file: write {SQLITE}FILE, or {MEMORY} to keep nothing")
    if "?" in file or "\0" in file:
        raise ValueError(f"has something other than a file's path behind {SQLITE}")
    return f"{SQLITE}{file}"


def redis_url(value: str) -> str:
    """As redis-py takes it, but of options none: those that it knows change with its releases. It isn't repeated: it
    may hold a password."""
    # Here, since loading it takes a while and the default needs none of it.
    from redis.asyncio.connection import parse_url

    url = value.strip()
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    try:
        known = parse_url(url)
    except ValueError:
        raise ValueError("must be redis://user:password@host:port/database, or unix://path of its socket") from None
    if "?" in url:
        raise ValueError("has options behind a question mark; write / as %2F and ? as %3F in its password")
    if not (known.get("host") or known.get("path")):
        raise ValueError("names no host")
    return url


def redis_prefix(value: str) -> str:
    """What the names of keys and channels begin with. No pattern of an access list means anything else by it."""
    prefix = value.strip()
    if not _REDIS_PREFIX.fullmatch(prefix):
        raise ValueError(f"must be letters, digits and - _ . : / alone, 64 at most, and {prefix!r} is not")
    return prefix


def pem(value: str) -> str:
    """PEM text as it stands, or that of the file which the value names."""
    if value.lstrip().startswith("-----"):
        return value
    try:
        return _content(value).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("names a file that is no text in UTF-8") from None


def certificates(value: str) -> str:
    """The path of a file with certificates of authorities, in PEM."""
    _check_certificates(value.strip(), "names a file that")
    return value.strip()


def _check_certificates(path: str, words: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{words} holds no certificates in PEM") from None
    except OSError as error:
        raise ValueError(f"{words} can't be read: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise ValueError(f"{words} can't be read: this is no path") from None


def file(value: str) -> str:
    """The path of a file that can be read."""
    _content(value)
    return value.strip()


def _content(path: str) -> bytes:
    try:
        return Path(path.strip()).read_bytes()
    except OSError as error:
        raise ValueError(f"names a file that can't be read: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise ValueError("names no file") from None


def folder(value: str) -> str:
    """The path of a folder that can be read."""
    path = Path(value.strip())
    if not path.is_dir():
        raise ValueError(f"names no folder: {path}")
    return str(path)


def mailbox(value: str) -> str:
    """An address, with or without a name before it."""
    text = value.strip()
    _, address = split_mailbox(text)
    fault = None if text.isprintable() else "it has a line break or its like in it"
    if fault := fault or fault_in_address(as_address(address)):
        raise ValueError(f"must be an address, or Name <address>, and {text!r} is none: {fault}")
    return text


def amqp_name(value: str) -> str:
    """The name of an exchange or a queue, as AMQP 0-9-1 has it (its domains exchange-name and queue-name)."""
    name = value.strip()
    if not _AMQP_NAME.fullmatch(name):
        raise ValueError(f"must be letters, digits and - _ . : @ # , / or blanks, 127 at most, and {name!r} is not")
    return name
