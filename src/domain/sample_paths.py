"""The paths of fields that samples have, to find misspelt paths in routes."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from domain.input_words import nearest
from domain.payload_paths import EACH

# The similarity of two paths, from 0 to 1, from which on one may be the other, misspelt: `author.id` and `autor.id`.
_SIMILAR: Final = 0.6

# The similarity from which on it is hardly a coincidence. `closed_at` and `created_at` are less similar.
_ALMOST_EQUAL: Final = 0.8


class KnownPaths:
    """The paths of all fields in some payloads. A path into the object `data` counts with and without `data.`"""

    def __init__(self, payloads: Iterable[object]) -> None:
        self._paths: dict[str, None] = {}
        for payload in payloads:
            if isinstance(payload, dict):
                self._paths |= dict.fromkeys((*_paths_in(payload.get("data"), ""), *_paths_in(payload, "")))

    def __bool__(self) -> bool:
        return bool(self._paths)

    def has(self, path: str) -> bool:
        """Returns whether one of the payloads has a field at this path."""
        return path in self._paths or _without_end(path) in self._paths

    def hint(self, path: str) -> str:
        """Returns a question for a path that no payload has: `: did you mean 'author.id'?` It names the path with the
        same end in another object, or else the most similar one. Returns an empty text if there is none.
        """
        shifted = [known for known in self._paths if known.endswith(f".{path}") or path.endswith(f".{known}")]
        return _question(nearest(path, shifted or self._paths, 0 if shifted else _SIMILAR))

    def hint_if_misspelt(self, path: str) -> str:
        """Returns the question of `hint` if a path is almost equal, and an empty text otherwise. For fields that events
        may lack on purpose.
        """
        return _question(nearest(path, self._paths, _ALMOST_EQUAL))


def _question(path: str | None) -> str:
    return f": did you mean {path!r}?" if path else ""


def _paths_in(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            named = f"{path}.{name}" if path else name
            yield named
            yield from _paths_in(inner, named)
    elif isinstance(value, list) and path:
        for element in value:
            yield from _paths_in(element, path + EACH)


def _without_end(path: str) -> str:
    while path.endswith(EACH):
        path = path.removesuffix(EACH)
    return path
