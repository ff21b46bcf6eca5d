"""Statements written out as SQL, whose parameters know their types."""

from typing import Any

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.types import TypeEngine


def statement(sql: str, **types: TypeEngine[Any]) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=type_) for name, type_ in types.items()))
