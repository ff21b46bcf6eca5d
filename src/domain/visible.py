"""Text from outside, fit for a terminal."""


def visible(text: str, keep: str = "") -> str:
    """The text with every character escaped that a terminal would obey or hide, as JSON escapes it (`\\u001b`); except
    those in `keep`. JSON stays the same JSON."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
