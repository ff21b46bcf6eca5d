"""The fields of a payload as text, exactly as they were sent. Decoded numbers would lose their form: `1.50` becomes
`1.5`.
"""

from typing import Any, Final

import msgspec

from domain.events import at_path, names_to

_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def can_show(value: Any) -> bool:
    """Returns whether a template can show the value: it is text, a number, true or false."""
    return value is not None and type(value) not in (dict, list)


class VerbatimFields:
    """A decoded payload, and the JSON text that it was decoded from.

    The text is read a second time only for values whose decoded form may differ from it. Each object in it is read at
    most once, without decoding its values.
    """

    def __init__(self, payload: Any, text: str) -> None:
        self._payload = payload
        self._objects: dict[tuple[str, ...], dict[str, msgspec.Raw]] = {}
        self._text = text

    def text_at(self, path: str) -> str | None:
        """Returns the value at a dotted path (see `at_path`) as text; None if there is no value, or one that a template
        can't show.
        """
        value = at_path(self._payload, path)
        if type(value) is str:
            return value
        # Decoding preserves whole numbers, except for the sign of -0.
        if type(value) is int and value:
            return str(value)
        return self._as_sent(names_to(self._payload, path)) if can_show(value) else None

    def _as_sent(self, names: tuple[str, ...]) -> str:
        return bytes(self._object(names[:-1])[names[-1]]).decode()

    def _object(self, names: tuple[str, ...]) -> dict[str, msgspec.Raw]:
        """Returns the fields of an object, not decoded. `names` is the path to the object."""
        fields = self._objects.get(names)
        if fields is None:
            fields = _decode(self._object(names[:-1])[names[-1]] if names else self._text)
            self._objects[names] = fields
        return fields
