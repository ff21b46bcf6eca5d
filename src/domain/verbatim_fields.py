"""The values of payload fields as text, exactly as they were sent. Decoding would turn `1.50` into `1.5`."""

from typing import Any, Final

import msgspec

from domain.payload_paths import at_path, names_to

_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def can_show(value: Any) -> bool:
    """Returns whether a template can be filled with this value: text, a number, true or false."""
    return value is not None and type(value) not in (dict, list)


class VerbatimFields:
    """The values of a payload as text, for templates. Made from the decoded payload and the JSON text that it was
    decoded from.

    The JSON text is parsed again only for values whose decoded form may differ from it, such as fractions. Each object
    in it is parsed at most once, without its inner values.
    """

    def __init__(self, payload: Any, text: str) -> None:
        self._payload = payload
        self._objects: dict[tuple[str, ...], dict[str, msgspec.Raw]] = {}
        self._text = text

    def text_at(self, path: str) -> str | None:
        """Returns the value at a dotted path (see `at_path`) as text; None if there is no value, or it is an object or
        a list.
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
        """Returns the fields of the object at this path, each as JSON text that is not decoded. `names` are the field
        names that lead to the object, outermost first.
        """
        fields = self._objects.get(names)
        if fields is None:
            fields = _decode(self._object(names[:-1])[names[-1]] if names else self._text)
            self._objects[names] = fields
        return fields
