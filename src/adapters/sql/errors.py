"""Classifies errors of the database by what the caller should do: retry the transaction (TransactionConflict), report
the database as unavailable (StoreUnavailable), or reject a value (Refused).

PostgreSQL's errors are classified by SQLSTATE (appendix A of its manual). SQLite has none, so its errors are classified
by class and text.
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

# Serialization failure, deadlock, lock not available, and a session ended by `idle_in_transaction_session_timeout`.
_CONFLICTS: Final = frozenset({"40001", "40P01", "55P03", "25P03"})

# Data exceptions, integrity constraint violations, program limits (an index row that is too large): the database
# rejects these values, and a retry would fail again.
_REFUSED: Final = ("22", "23", "54")

# Query canceled: `statement_timeout`.
_TIMED_OUT: Final = "57014"

# A prepared statement does not exist, or exists already: the server session is not the one that prepared it.
_NO_STATEMENT: Final = frozenset({"26000", "42P05"})

# SQLite reports a conflict only in its text.
_SQLITE_BUSY: Final = ("database is locked", "database table is locked")


class Refused(Unstorable):
    """The database refuses a value, for example a text with a NUL character. A retry with the same value would fail
    again."""


class TransactionConflict(StoreUnavailable):
    """A transaction failed because of another one (serialization failure, deadlock, lock timeout), or because the
    database ended it while it was idle. Repeating the whole transaction may succeed."""


class ConnectionLost(StoreUnavailable):
    """The connection to the database was lost. It may have been lost long before, while it was idle in the pool.
    SQLAlchemy's pool then also replaces all other connections that it has at that moment."""


@contextmanager
def translated() -> Iterator[None]:
    """Translates errors of the database within the `with` block to Refused, StoreUnavailable, or one of its subclasses.
    Errors in Herald's own SQL, and errors that do not come from the database, are raised unchanged."""
    try:
        yield
    except DBAPIError as error:
        raise _exception_for(error) from error
    except StatementError as error:
        # A parameter that can't even be sent, such as text with half a surrogate pair.
        if isinstance(error.orig, ValueError | OverflowError | TypeError):
            raise Refused(str(error.orig)) from error
        raise
    # SQLAlchemy does not wrap asyncpg's errors while it connects: the server starts, stops, or has no free connections.
    except (PoolExhausted, ResourceClosedError, OSError, TimeoutError, PostgresError, AsyncpgInterfaceError) as error:
        hint = ": set HERALD_DATABASE_POOLER" if "unsupported startup parameter" in str(error) else ""
        raise StoreUnavailable(f"the database does not answer: {_first_line(error)}{hint}") from error


@contextmanager
def writing() -> Iterator[None]:
    """Translates errors of the driver in the statements of a writing transaction: to Refused if a value can't be
    encoded, to StoreTimedOut if a statement took too long. Must be used inside `translated`, which translates all other
    errors."""
    try:
        yield
    # Values that the driver or the JSON encoder could not encode.
    except (UnicodeError, OverflowError, MsgspecError) as error:
        raise Refused(str(error)) from error
    # The driver's own timeout, if the server's `statement_timeout` did not end the statement.
    except TimeoutError as error:
        raise StoreTimedOut("the database did not answer a statement in time") from error


def _exception_for(fault: DBAPIError) -> Exception:
    """Returns the exception to raise for an error of the database. If Herald's own SQL is wrong, returns the error
    itself."""
    state = getattr(fault.orig, "sqlstate", None) or ""
    words = _first_line(fault.orig or fault)
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
    return StoreUnavailable(f"the database reports an error: {words}")


def _first_line(fault: BaseException) -> str:
    """Returns the first line of the error's text, without the name of the driver's class, at most 200 characters. Later
    lines are left out because they may contain values of rows."""
    first = (str(fault).splitlines() or [type(fault).__name__])[0]
    return first.partition("'>: ")[2][:200] or first[:200]
