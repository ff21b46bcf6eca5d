"""Makes SQLAlchemy statements from SQL text."""

from typing import Any

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.types import TypeEngine


def statement(sql: str, **types: TypeEngine[Any]) -> TextClause:
    """Returns a statement with this SQL text. `types` has the type of each `:parameter` in the text."""
    return text(sql).bindparams(*(bindparam(name, type_=type_) for name, type_ in types.items()))
