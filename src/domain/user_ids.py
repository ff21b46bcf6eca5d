"""User ids: which are valid, and which users a payload names as recipients."""

from typing import Any, Final

from domain.events import as_id
from domain.payload_paths import EACH, at_path, values_at

# The same limit as for titles; it also bounds the size of index rows.
MAX_USER_LENGTH: Final = 255

# What values are that are no user ids, in words.
_KINDS: Final = {
    dict: "an object",
    list: "a list",
    bool: "true or false",
    float: "a number with a fraction",
    int: "a number of so many digits",
}

# Maximum number of paths in a text.
_MAX_SHOWN: Final = 3


def recipients(payload: Any, paths: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """Returns the users that a payload names at these dotted paths, without duplicates, in order of appearance; and the
    reason why the first invalid user id at these paths is invalid, such as `at 'to' it must be text …`, or None if all
    are valid.

    The value at a path may be a string, a whole number, or a list of these. Empty strings and null are ignored.
    """
    users: dict[str, None] = {}
    unusable = None
    for path in paths:
        for value in values_at(payload, path):
            user = as_user(value)
            if user is not None:
                users[user] = None
            elif value is not None and value != "":
                unusable = unusable or f"at {path!r} {validate_user(value)}{_hint(payload, path, value)}"
    return tuple(users), unusable


def as_user(value: Any) -> str | None:
    """Returns a value of a payload as a user id; None if it is not a valid user id."""
    user = value if type(value) is str else as_id(value)
    return user if user and len(user) <= MAX_USER_LENGTH and user.isprintable() else None


def validate_user(value: Any) -> str:
    """Returns the reason why a value is not a valid user id, for a value that `as_user` rejects."""
    if type(value) is not str:
        return f"it must be text or a whole number, not {_KINDS[type(value)]}"
    if len(value) > MAX_USER_LENGTH:
        return f"it has {len(value)} characters; at most {MAX_USER_LENGTH} are allowed"
    return "it has characters that can't be displayed"


def _hint(payload: Any, path: str, value: Any) -> str:
    """Returns the paths that may lead to the id, if the value at the path is an object."""
    if type(value) is not dict:
        return ""
    within = f"{path}{EACH}" if EACH not in path and type(at_path(payload, path)) is list else path
    # The paths are quoted, because the names of fields may have characters that can't be stored.
    found = [repr(f"{within}.{name}") for name, inner in value.items() if as_user(inner)]
    return f": the path of the id may be {' or '.join(found[:_MAX_SHOWN])}" if found else ""
