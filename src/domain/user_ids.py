"""User ids: which are valid, and which users a payload names as recipients."""

from typing import Any, Final

from domain.events import as_id
from domain.payload_paths import values_at

# The same limit as for titles; it also bounds the size of index rows.
MAX_USER_LENGTH: Final = 255


def recipients(payload: Any, paths: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """Returns the users that a payload names at these dotted paths, without duplicates, in order of appearance; and the
    reason why the first invalid user id at these paths is invalid, or None if all are valid.

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
                unusable = unusable or validate_user(value)
    return tuple(users), unusable


def as_user(value: Any) -> str | None:
    """Returns a value of a payload as a user id; None if it is not a valid user id."""
    user = value if type(value) is str else as_id(value)
    return user if user and len(user) <= MAX_USER_LENGTH and user.isprintable() else None


def validate_user(value: Any) -> str:
    """Returns the reason why a value is not a valid user id, for a value that `as_user` rejects."""
    if type(value) is not str:
        return f"it must be text or a whole number, not {type(value).__name__}"
    if len(value) > MAX_USER_LENGTH:
        return f"it has {len(value)} characters; at most {MAX_USER_LENGTH} are allowed"
    return "it has characters that can't be displayed"
