"""From rows to structs, by the names of columns.

A RowMapping declares once which column holds each field. The columns of a SELECT and the function that reads its rows
are both made from it, so no statement and no reader knows positions. That is as fast as unpacking rows by hand; looking
up each value by its name takes about twice as long.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")

Reader: TypeAlias = Callable[[Sequence[Any]], T]


class RowMapping(Generic[T]):
    """The column of each field of a struct.

    Fields that are structs themselves have a mapping in place of a column, and stand last. Fields that are left out
    have defaults, and stand behind all others. Raises TypeError for a declaration that does not fit the struct.
    """

    def __init__(self, struct: type[T], /, **fields: "str | RowMapping[Any]") -> None:
        names = tuple(field.name for field in msgspec.structs.fields(struct))  # type: ignore[arg-type]
        own = [column for column in fields.values() if isinstance(column, str)]
        nested = [mapping for mapping in fields.values() if isinstance(mapping, RowMapping)]
        if tuple(fields) != names[: len(fields)] or list(fields.values()) != [*own, *nested]:
            raise TypeError(f"{struct.__name__} has these fields, in this order: {', '.join(names)}")
        self.columns: Final[tuple[str, ...]] = (*own, *(name for mapping in nested for name in mapping.columns))
        self._struct = struct
        self._own = len(own)
        self._nested = nested

    def reader(self, first: int = 0) -> Reader[T]:
        """Reads the struct from a row in which `columns` begin at index `first`."""
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
