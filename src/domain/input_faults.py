"""Explains in plain words why a value that people wrote, such as a parsed TOML file, can't be converted to a type.

The error texts of msgspec are for programmers; these name the key, what is wrong with it, and what is possible.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import inspect

from domain.input_words import nearest, shown, type_words, value_words, with_article

# Two names with at least this similarity (of 1) are probably meant to be the same.
SIMILAR: Final = 0.6


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a value. `path` has the keys and the list indexes (from 0) that lead to the faulty place."""

    path: tuple[str | int, ...]
    reason: str


def find_fault(value: Any, type_: Any) -> Fault | None:
    """Returns the first reason why msgspec can't convert the value to the type, such as a struct type; None if no
    reason is found.
    """
    root = inspect.type_info(type_)
    return next(_faults(value, root, (), root), None)


def tables_in(type_: inspect.Type, place: str = "") -> Iterator[tuple[str, inspect.StructType]]:
    """Yields the struct types in a type, each with its place: the keys that lead to it, separated by dots, such as
    `routes.inbox`. The place of the struct type itself is empty.
    """
    match type_:
        case inspect.Metadata():
            yield from tables_in(type_.type, place)
        case inspect.UnionType():
            for one in type_.types:
                yield from tables_in(one, place)
        case inspect.VarTupleType() | inspect.ListType():
            yield from tables_in(type_.item_type, place)
        case inspect.DictType():
            yield from tables_in(type_.value_type, place)
        case inspect.StructType():
            yield place, type_
            for field in type_.fields:
                yield from tables_in(field.type, f"{place}.{field.encode_name}".lstrip("."))


def _faults(
    value: Any, type_: inspect.Type, path: tuple[str | int, ...], root: inspect.Type, rule: str = ""
) -> Iterator[Fault]:
    """Yields the faults of a value at a path, as far as they are independent. `root` is the type of the whole input;
    `rule` says in words which texts are valid.
    """
    plain = type_
    while isinstance(plain, inspect.Metadata):
        rule = rule or (plain.extra or {}).get("rule", "")
        plain = plain.type
    if not _fits(value, plain):
        yield Fault(path, _wrong_type(value, type_, path))
        return
    match plain:
        case inspect.UnionType():
            found = [list(_faults(value, one, path, root, rule)) for one in plain.types if _fits(value, one)]
            if all(found):
                yield from found[0]
        case inspect.LiteralType():
            if value not in plain.values:
                yield Fault(path, _wrong_choice(value, plain.values))
        case inspect.StrType():
            if plain.pattern is not None and not re.search(plain.pattern, value):
                yield Fault(path, f"must have {rule or f'the form {plain.pattern}'}, and is {shown(value)}")
        case inspect.StructType():
            yield from _faults_of_keys(value, plain, path, root)
        case inspect.DictType():
            for key, item in value.items():
                yield from _faults(item, plain.value_type, (*path, key), root)
        case inspect.VarTupleType() | inspect.ListType():
            for index, item in enumerate(value):
                yield from _faults(item, plain.item_type, (*path, index), root)


def _faults_of_keys(
    table: dict[str, Any], struct: inspect.StructType, path: tuple[str | int, ...], root: inspect.Type
) -> Iterator[Fault]:
    fields = {field.encode_name: field for field in struct.fields}
    for key in table:
        if key not in fields:
            yield Fault((*path, key), _unknown_key(key, list(fields), root))
    for name, field in fields.items():
        if name in table:
            yield from _faults(table[name], field.type, (*path, name), root)
        elif field.required:
            yield Fault((*path, name), f"is missing: it must be {with_article(type_words(field.type))}")


def _unknown_key(key: str, possible: list[str], root: inspect.Type) -> str:
    return f"is not a key here; {_hint(key, possible, root)} Possible keys: {', '.join(possible)}"


def _hint(key: str, possible: list[str], root: inspect.Type) -> str:
    if (similar := nearest(key, possible, SIMILAR)) is not None:
        return f"did you mean {similar}?"
    for place, struct in tables_in(root):
        if key in (field.encode_name for field in struct.fields):
            return f"it is a key of {place}." if place else "it is a key of the file: put it before the first [table]."
    return f"did you mean {nearest(key, possible)}?"


def _wrong_choice(value: Any, possible: tuple[Any, ...]) -> str:
    meant = nearest(str(value), map(str, possible))
    values = ", ".join(map(repr, possible))
    return f"{shown(str(value))} is not possible; did you mean {meant!r}? Possible values: {values}"


def _wrong_type(value: Any, type_: inspect.Type, path: tuple[str | int, ...]) -> str:
    must_be = f"must be {with_article(type_words(type_))}, not {value_words(value)}"
    for one in _without_union(type_):
        if isinstance(one, inspect.VarTupleType | inspect.ListType) and _fits(value, one.item_type):
            return f"{must_be}: " + (f"write [[{path[-1]}]]" if isinstance(value, dict) else "put it in brackets")
    return must_be


def _without_union(type_: inspect.Type) -> tuple[inspect.Type, ...]:
    while isinstance(type_, inspect.Metadata):
        type_ = type_.type
    return type_.types if isinstance(type_, inspect.UnionType) else (type_,)


def _fits(value: Any, type_: inspect.Type) -> bool:
    """Returns whether a value has the TOML type that belongs to a type. Its content is not checked."""
    match type_:
        case inspect.Metadata():
            return _fits(value, type_.type)
        case inspect.UnionType():
            return any(_fits(value, one) for one in type_.types)
        case inspect.LiteralType():
            return any(type(value) is type(possible) for possible in type_.values)
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, dict)
        case inspect.VarTupleType() | inspect.ListType():
            return isinstance(value, list)
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.NoneType():
            return value is None
        case _:
            return True
