"""Omissions: the fields that are left out when an event is stored and shown (the key `omit` of a route).

A name without dots and brackets is a field of the object that is shown: the payload, or its object `data`. Any other
entry is a path (see `payload_paths`): `ticket.watchers` is the field `watchers` of the object `ticket`, and
`comments[].email` the field `email` of every element of the list `comments`. With `[]` at its end, a path stands for
the whole list. A path may begin at the payload or at its `data`.

All that remains is copied from the text of the payload, not encoded again.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from domain.payload_paths import EACH, steps_of

# The fields of an object, each as JSON text that is not decoded.
Fields = dict[str, msgspec.Raw]

# The field of wrapped payloads in which paths are looked up, too.
_DATA: Final = "data"

# Maximum number of trees that are cached. There are a few for each key `omit`.
CACHED_TREES: Final = 4096

_fields: Final = msgspec.json.Decoder(Fields).decode
_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


class _Tree(msgspec.Struct):
    """What is left out of one value: fields of an object, as a whole or in part, or parts of each element of a list."""

    whole: set[str] = msgspec.field(default_factory=set)
    parts: dict[str, "_Tree"] = msgspec.field(default_factory=dict)
    each: "_Tree | None" = None


class Omission(msgspec.Struct, frozen=True):
    """The key `omit` of a route, ready to be applied: its names, and its paths. `data_paths` are the paths as seen
    from the object `data` of a payload.
    """

    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    data_paths: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.paths)

    def apply_to_payload(self, fields: Fields) -> None:
        """Removes what is left out from the fields of a payload."""
        _remove_names(fields, self.names)
        if self.paths:
            _remove_paths(fields, self.paths)
            if (data := fields.get(_DATA)) is not None and _begins_with("{", data):
                inner = _fields(data)
                _remove_paths(inner, self.data_paths)
                fields[_DATA] = msgspec.Raw(_encode(inner))

    def apply_to_data(self, fields: Fields) -> None:
        """Removes what is left out from the fields of the object `data` of a payload."""
        _remove_names(fields, self.names)
        if self.paths:
            _remove_paths(fields, self.data_paths)


NOTHING: Final = Omission()


def make_omission(omit: Sequence[str]) -> Omission:
    """Returns the omission for the names and paths of a key `omit`."""
    names = tuple(entry for entry in omit if "." not in entry and EACH not in entry)
    paths = tuple(entry for entry in omit if entry not in names)
    in_data = (*paths, *(path.removeprefix(f"{_DATA}.") for path in paths))
    return Omission(names, paths, tuple(dict.fromkeys(in_data)))


def _remove_names(fields: Fields, names: Iterable[str]) -> None:
    for name in names:
        fields.pop(name, None)


def _remove_paths(fields: Fields, paths: tuple[str, ...]) -> None:
    """Removes the values at these paths. A field whose name is the whole path has precedence, as everywhere."""
    if named := [path for path in paths if path in fields]:
        _remove_names(fields, named)
        paths = tuple(path for path in paths if path not in named)
    _prune(fields, _tree(paths))


def _prune(fields: Fields, tree: _Tree) -> None:
    _remove_names(fields, tree.whole)
    for name, part in tree.parts.items():
        if (value := fields.get(name)) is not None:
            fields[name] = _pruned(value, part)


def _pruned(value: msgspec.Raw, tree: _Tree) -> msgspec.Raw:
    if _begins_with("{", value):
        fields = _fields(value)
        _prune(fields, tree)
        return msgspec.Raw(_encode(fields))
    if tree.each is not None and _begins_with("[", value):
        each = tree.each
        return msgspec.Raw(_encode([_pruned(element, each) for element in _elements(value)]))
    return value


def _begins_with(character: str, value: msgspec.Raw) -> bool:
    return memoryview(value)[0] == ord(character)


@lru_cache(CACHED_TREES)
def _tree(paths: tuple[str, ...]) -> _Tree:
    """Returns what paths leave out of an object, so that a value with several of them is read once."""
    root = _Tree()
    for path in paths:
        steps = list(steps_of(path))
        while len(steps) > 1 and steps[-1] == EACH:
            steps.pop()
        tree = root
        for step in steps[:-1]:
            if step == EACH:
                tree.each = tree.each or _Tree()
                tree = tree.each
            else:
                tree = tree.parts.setdefault(step, _Tree())
        tree.whole.add(steps[-1])
    return root
