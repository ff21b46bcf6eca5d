"""Escaping of untrusted text for display in a terminal."""


def visible(text: str, keep: str = "") -> str:
    """Escape every character that a terminal would interpret or hide, in JSON notation (`\\u001b`), except those in
    `keep`. JSON text keeps its meaning.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
