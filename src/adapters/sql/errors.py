"""What a database's errors mean to Herald: try again, wait for it, or give up this one value.

Told by SQLSTATE (PostgreSQL's manual, appendix A), and where SQLite has none by its class.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from asyncpg import InterfaceError as AsyncpgInterfaceError
from asyncpg import PostgresError
from msgspec import MsgspecError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ResourceClosedError, StatementError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from application.ports.store import StoreTimedOut, StoreUnavailable, Unstorable

# Serialization failure, deadlock, lock not available: another transaction was in the way. And a terminated session.
_CONFLICTS: Final = frozenset({"40001", "40P01", "55P03", "25P03"})

# Data exceptions, integrity constraint violations, program limits (an index row that is too large): the database
# refuses these values, and will do so again.
_REFUSED: Final = ("22", "23", "54")

# Query canceled: `statement_timeout`.
_TIMED_OUT: Final = "57014"

# A prepared statement is not there, or is another's already: the session is not the one that it was prepared in.
_NO_STATEMENT: Final = frozenset({"26000", "42P05"})

# SQLite's only way to say so.
_SQLITE_BUSY: Final = ("database is locked", "database table is locked")


class Refused(Unstorable):
    """The database can't keep a value, however often it is tried."""


class TransactionConflict(StoreUnavailable):
    """Another transaction was in the way: the same is worth trying again at once."""


class ConnectionLost(StoreUnavailable):
    """The connection is gone, or was already when it came from the pool; all others of its age are given up too."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns what the database raises into Refused or a kind of StoreUnavailable. A mistake in our own SQL, and
    whatever is no fault of the database, passes as it is."""
    try:
        yield
    except DBAPIError as fault:
        raise _meaning(fault) from fault
    except StatementError as fault:
        # A parameter that can't even be sent, as text with half a surrogate pair.
        if isinstance(fault.orig, ValueError | OverflowError | TypeError):
            raise Refused(str(fault.orig)) from fault
        raise
    # What asyncpg raises while it connects, SQLAlchemy leaves as it is: a server that starts or stops, or is full.
    except (PoolExhausted, ResourceClosedError, OSError, TimeoutError, PostgresError, AsyncpgInterfaceError) as fault:
        hint = ": set HERALD_DATABASE_POOLER" if "unsupported startup parameter" in str(fault) else ""
        raise StoreUnavailable(f"the database does not answer: {_words(fault)}{hint}") from fault


@contextmanager
def writing() -> Iterator[None]:
    """Within `translated`, around the statements of a transaction: what only says something about their values, or
    their amount, here."""
    try:
        yield
    # Values that could not be encoded, by the driver or as JSON.
    except (UnicodeError, OverflowError, MsgspecError) as fault:
        raise Refused(str(fault)) from fault
    # The driver's own limit, if the server's `statement_timeout` did not end the statement.
    except TimeoutError as fault:
        raise StoreTimedOut("a statement was not answered in time") from fault


def _meaning(fault: DBAPIError) -> Exception:
    state = getattr(fault.orig, "sqlstate", None) or ""
    words = _words(fault.orig or fault)
    if fault.connection_invalidated:
        return ConnectionLost(f"the connection was lost: {words}")
    if state in _NO_STATEMENT:
        return StoreUnavailable(
            f"{words}: if DATABASE_URL leads to a pooler in transaction mode, set HERALD_DATABASE_POOLER=transaction"
        )
    if state in _CONFLICTS or any(busy in words for busy in _SQLITE_BUSY):
        return TransactionConflict(words)
    if state == _TIMED_OUT:
        return StoreTimedOut(words)
    if state.startswith(_REFUSED) or isinstance(fault, DataError | IntegrityError):
        return Refused(words)
    if state.startswith("42"):
        return fault
    if not state and isinstance(fault.orig, ValueError | OverflowError):
        return Refused(words)
    if not state and isinstance(fault, InterfaceError) and "invalid input for query argument" in words:
        return Refused(words)
    return StoreUnavailable(f"the database can't do it: {words}")


def _words(fault: BaseException) -> str:
    """Its first line, without the name of its class: what follows may hold values."""
    first = (str(fault).splitlines() or [type(fault).__name__])[0]
    return first.partition("'>: ")[2][:200] or first[:200]
