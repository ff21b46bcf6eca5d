"""E-mail addresses: validation, normalisation and masking for logs."""

import re
from typing import Any, Final

import msgspec

# RFC 5321, sections 4.5.3.1.1 and 4.5.3.1.3: octets of a local part, and of a path without its angle brackets.
MAX_LOCAL_PART_BYTES: Final = 64
MAX_ADDRESS_BYTES: Final = 254

# Replacement for characters that can't be displayed or stored.
_REPLACED: Final = "\ufffd"

# Specials of RFC 5322, section 3.2.3: only quoted local parts may contain them, and those are not accepted here.
_SPECIALS: Final = frozenset('()<>[]:;@\\,"' + _REPLACED)
# Matches text that looks like an address. A search for the address itself is not enough: mail servers may repeat it in
# another case, or with the domain in its DNS form.
_WITHIN: Final = re.compile(r"""(?<![^\s<>()\[\]:;\\,"'@])[^\s<>()\[\]:;\\,"'@]+@[\w.-]+""")

# A domain with one of these characters is mapped to different DNS names by IDNA 2003, which Python implements, and by
# IDNA 2008 (RFC 5894, section 7.2). A mail could be sent to a stranger.
_AMBIGUOUS: Final = frozenset("ßς\u200c\u200d")

# A backslash-escaped character in a quoted string.
_ESCAPED: Final = re.compile(r"\\(.)")

_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)\Z")


def as_address(value: Any) -> str:
    """Converts a value to text that can be stored and displayed, of at most MAX_ADDRESS_BYTES + 1 characters. A value
    that is not a string becomes JSON, non-printable characters are replaced, and the domain is in lower case. The
    result may be an invalid address; see `fault_in_address`.
    """
    text = value.strip(" ") if type(value) is str else msgspec.json.encode(value).decode()
    # One character longer than any address, so that validation still finds it too long.
    text = "".join(character if character.isprintable() else _REPLACED for character in text[: MAX_ADDRESS_BYTES + 1])
    local, at, domain = text.rpartition("@")
    return f"{local}{at}{domain.lower()}" if at else text


def split_mailbox(text: str) -> tuple[str, str]:
    """Splits `Name <address>` into name and address. Returns ("", text) for any other text. The name may be any text,
    with or without the quotes that RFC 5322, section 3.4, requires around commas, colons and other specials. Angle
    brackets in the name must be quoted, because unquoted ones may mean several addresses.
    """
    text = text.strip()
    if not text.endswith(">"):
        return "", text
    name, _, address = text[:-1].rpartition("<")
    name = name.strip()
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = _ESCAPED.sub(r"\1", name[1:-1])
    elif "<" in name or ">" in name:
        return "", text
    return name, address.strip()


def fault_in_address(address: str) -> str | None:
    """Returns why mail can't be sent to the address, as text; None if the address is valid. Non-ASCII characters are
    accepted on both sides of the @. Quoted local parts and address literals are not accepted.
    """
    if not address:
        return "the event names no address"
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        return "it has no text before the @, or no domain after it"
    if (
        len(address.encode(errors="replace")) > MAX_ADDRESS_BYTES
        or len(local.encode(errors="replace")) > MAX_LOCAL_PART_BYTES
    ):
        return f"it has more than {MAX_ADDRESS_BYTES} bytes, or more than {MAX_LOCAL_PART_BYTES} before the @"
    if any(character in _SPECIALS or character.isspace() or not character.isprintable() for character in local):
        return "it has characters before the @ that are not allowed there"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "the part before the @ begins or ends with a dot, or has two dots in a row"
    try:
        labels = ascii_domain(domain).split(".")
    except ValueError:
        return "its domain is not valid"
    return None if all(_LABEL.match(label) for label in labels) else "its domain is not valid"


def ascii_domain(domain: str) -> str:
    """Returns the domain in its DNS and SMTP form (IDNA, RFC 3490). Raises ValueError if the domain is invalid, or if
    IDNA 2003 and IDNA 2008 map it to different ones.
    """
    if _AMBIGUOUS.intersection(domain):
        raise ValueError("IDNA 2003 and IDNA 2008 map the domain to different ones")
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(str(error)) from None


def masked(address: str) -> str:
    """Returns the address for logs, without most of its local part: `k***@example.com`. Returns `***` for text that is
    not a valid address, and empty text for empty text.
    """
    if not address:
        return ""
    local, _, domain = address.rpartition("@")
    return "***" if fault_in_address(address) else f"{local[:1]}***@{domain}"


def masked_in(text: str, address: str) -> str:
    """Returns the text with this address masked wherever it occurs, also in the form that `repr` gives it, and with any
    other text masked that looks like an address.
    """
    for form in {address, repr(address)[1:-1]} - {""}:
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", lambda _: masked(address), text, flags=re.IGNORECASE)
    return _WITHIN.sub(lambda found: masked(core := found[0].rstrip(".-")) + found[0][len(core) :], text)
