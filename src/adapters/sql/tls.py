"""Converts the TLS parameters of a PostgreSQL URL, which are those of libpq, to arguments of asyncpg."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL

# The value that selects the trusted authorities of the operating system instead of a file.
SYSTEM: Final = "system"

_VERIFYING: Final = ("verify-ca", "verify-full")


def without_tls(url: URL) -> tuple[URL, Mapping[str, Any]]:
    """Moves the TLS parameters of a database URL to arguments of asyncpg: returns the URL without `ssl` (libpq's
    sslmode) and `sslrootcert`, and the arguments that replace them. If there is no `sslrootcert`, and sslmode does not
    verify certificates, returns the URL unchanged and no arguments.

    The trusted authorities are those in the file `sslrootcert`; with `sslrootcert=system`, those of the operating
    system. If `sslrootcert` is missing, they are, as with libpq, those in the file named by the environment variable
    PGSSLROOTCERT, else those in `~/.postgresql/root.crt`, else those of the operating system. The mode `require` with
    an `sslrootcert` means `verify-ca`, as with libpq. Raises OSError (for example its subclass ssl.SSLError) if the
    file can't be used.
    """
    mode, root = url.query.get("ssl"), url.query.get("sslrootcert")
    if mode not in _VERIFYING and root is None:
        return url, {}
    named = root or os.environ.get("PGSSLROOTCERT") or _default_file()
    context = ssl.create_default_context(cafile=None if named in (None, SYSTEM) else str(named))
    context.check_hostname = mode == "verify-full"
    return url.difference_update_query(["ssl", "sslrootcert"]), {"ssl": context}


def is_untrusted(fault: BaseException | None) -> bool:
    """Returns whether a connection failed because the server's certificate is not trusted, or is for another host.
    Searches the causes of the exception, too."""
    while fault is not None:
        if isinstance(fault, ssl.SSLCertVerificationError):
            return True
        fault = fault.__cause__ or fault.__context__
    return False


def _default_file() -> str | None:
    file = Path("~/.postgresql/root.crt").expanduser()
    return str(file) if file.exists() else None
