"""Paths to fields of payloads.

A path consists of the names of fields, separated by dots: `comment.author_id`. `[]` after a name leads into a list, to
each of its elements: `watchers[].id` leads to the field `id` of every watcher. A missing field, null, a name that
follows a value other than an object, and `[]` after a value other than a list lead to nothing; none of them is an
error.

A path that leads to nothing in the payload itself is looked up in its object `data`: so `user.id` works for
`{"user": …}` and for `{"event_type": …, "data": {"user": …}}`. If the payload, or its `data`, has a field whose name is
the whole path, such as `user.id` or `ids[]`, the path leads to this field.
"""

from functools import lru_cache
from typing import Any, Final

# What follows a name in a path, and stands for each element of a list.
EACH: Final = "[]"

# Maximum number of paths whose steps are cached. Paths come from routes files, so there are few of them.
CACHED_PATHS: Final = 4096


def at_path(payload: Any, path: str) -> Any:
    """Returns the value of a payload at a path without `[]`; None if there is none."""
    if type(payload) is not dict:
        return None
    # The same as `_walk`: a call less is 20 % of the time of this function, which runs several times for each event.
    value: Any = payload
    if path in payload:
        value = payload[path]
    else:
        for name in _split(path):
            if type(value) is not dict:
                value = None
                break
            value = value.get(name)
    if value is None and type(inner := payload.get("data")) is dict:
        return _walk(inner, path)
    return value


def values_at(payload: Any, path: str) -> list[Any]:
    """Returns the values of a payload at a path, which may contain `[]`. A list at the end of the path stands for its
    elements.
    """
    if EACH in path:
        return _values_in_lists(payload, path)
    value = at_path(payload, path)
    return value if type(value) is list else [] if value is None else [value]


def names_to(payload: Any, path: str) -> tuple[str, ...]:
    """Returns the names of the fields that lead to the value at a path without `[]`, as `at_path` finds it: `user.id`
    becomes `("user", "id")`, or `("data", "user", "id")` if the value is in the payload's object `data`.
    """
    if _walk(payload, path) is None and type(payload) is dict and type(inner := payload.get("data")) is dict:
        return ("data", *_names(inner, path))
    return _names(payload, path)


def fault_in_path(path: str) -> str | None:
    """Returns the reason why a path is invalid, such as `has an empty name`; None if it is valid."""
    steps = steps_of(path)
    if "" in steps:
        return "has an empty name"
    if any("[" in step or "]" in step for step in steps if step != EACH):
        return "has brackets in a name: only [] is possible, after a name; it stands for each element of a list"
    return None


def fault_in_single_path(path: str) -> str | None:
    """Returns the reason why a path can't be used where one value is needed; None if it can."""
    return "leads to each element of a list ([]), and one value is needed" if EACH in steps_of(path) else None


@lru_cache(CACHED_PATHS)
def steps_of(path: str) -> tuple[str, ...]:
    """Splits a path into its steps, which are names and `[]`: `watchers[].id` becomes `("watchers", "[]", "id")`."""
    steps: list[str] = []
    for part in path.split("."):
        end = len(part)
        while part.endswith(EACH, 0, end):
            end -= len(EACH)
        steps += [part[:end], *[EACH] * ((len(part) - end) // len(EACH))]
    return tuple(steps)


def _values_in_lists(payload: Any, path: str) -> list[Any]:
    found = _walk_lists(payload, path)
    if not found and type(payload) is dict and type(inner := payload.get("data")) is dict:
        return _walk_lists(inner, path)
    return found


def _walk(value: Any, path: str) -> Any:
    if type(value) is not dict:
        return None
    if path in value:
        return value[path]
    for name in _split(path):
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


def _walk_lists(value: Any, path: str) -> list[Any]:
    found = [value]
    for step in (path,) if type(value) is dict and path in value else steps_of(path):
        if step == EACH:
            found = [element for one in found if type(one) is list for element in one if element is not None]
        else:
            found = [one[step] for one in found if type(one) is dict and one.get(step) is not None]
    return [element for one in found for element in (one if type(one) is list else (one,))]


def _names(value: Any, path: str) -> tuple[str, ...]:
    """Splits a path without `[]` into names: `a.b` becomes `("a", "b")`. If the object `value` has a field with the
    name `a.b`, returns `("a.b",)`.
    """
    return (path,) if type(value) is dict and path in value else _split(path)


@lru_cache(CACHED_PATHS)
def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))
