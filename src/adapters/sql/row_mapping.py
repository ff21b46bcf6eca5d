"""Reads structs from rows.

A RowMapping declares once which column holds each field. The columns of a SELECT and the function that reads its rows
are both derived from it, so no code depends on column positions. This is as fast as unpacking rows by hand; looking up
each value by its name takes about twice as long.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")

Reader: TypeAlias = Callable[[Sequence[Any]], T]


class RowMapping(Generic[T]):
    """The columns of the fields of a struct.

    `fields` has the column of each field, in the order of the struct. A field that is a struct itself has a RowMapping
    instead of a column; such fields come last. Fields without a column must have defaults, and be declared after all
    others. Raises TypeError if the fields do not fit the struct.
    """

    def __init__(self, struct: type[T], /, **fields: "str | RowMapping[Any]") -> None:
        names = tuple(field.name for field in msgspec.structs.fields(struct))  # type: ignore[arg-type]  # T is a Struct
        own = [column for column in fields.values() if isinstance(column, str)]
        nested = [mapping for mapping in fields.values() if isinstance(mapping, RowMapping)]
        if tuple(fields) != names[: len(fields)] or list(fields.values()) != [*own, *nested]:
            raise TypeError(f"{struct.__name__} has these fields, in this order: {', '.join(names)}")
        self.columns: Final[tuple[str, ...]] = (*own, *(name for mapping in nested for name in mapping.columns))
        self._struct = struct
        self._own = len(own)
        self._nested = nested

    def reader(self, first: int = 0) -> Reader[T]:
        """Returns a function that reads the struct from a row. `first` is the index in the row at which `columns`
        begin."""
        struct: Callable[..., T] = self._struct
        end = first + self._own
        readers: list[Reader[Any]] = []
        begin = end
        for mapping in self._nested:
            readers.append(mapping.reader(begin))
            begin += len(mapping.columns)
        match readers:
            case []:
                return lambda row: struct(*row[first:end])
            case [read]:
                return lambda row: struct(*row[first:end], read(row))
            case [read, read_next]:
                return lambda row: struct(*row[first:end], read(row), read_next(row))
            case _:
                return lambda row: struct(*row[first:end], *[read(row) for read in readers])
