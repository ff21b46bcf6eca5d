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
    """Converts a value of a payload to the text of an e-mail address, which can be stored and displayed but may be
    invalid: `fault_in_address` checks it.

    Surrounding spaces are removed, non-printable characters are replaced, and the domain is converted to lower case. A
    value that is not a string is converted to JSON. The text is cut to MAX_ADDRESS_BYTES + 1 characters, one more than
    an address may have, so that `fault_in_address` still rejects it.
    """
    text = value.strip(" ") if type(value) is str else msgspec.json.encode(value).decode()
    # One character longer than any address, so that validation still finds it too long.
    text = "".join(character if character.isprintable() else _REPLACED for character in text[: MAX_ADDRESS_BYTES + 1])
    local, at, domain = text.rpartition("@")
    return f"{local}{at}{domain.lower()}" if at else text


def split_mailbox(text: str) -> tuple[str, str]:
    """Splits `Kim Lee <kim@example.com>` into name and address. Returns ("", text) if the text has another form, or if
    its name contains angle brackets outside quotes: such a text may contain several addresses.

    A name in quotes is returned without them. A name with commas, colons or other special characters is accepted
    without quotes too, although RFC 5322, section 3.4, requires them.
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
    """Returns the reason why mail can't be sent to the address, as text; None if the address is valid. Non-ASCII
    characters are accepted before and after the @. Quoted local parts (`"kim lee"@example.com`) and IP addresses
    (`kim@[192.0.2.1]`) are not accepted.
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
    """Returns a domain in ASCII, as DNS and SMTP need it: `bücher.example` becomes `xn--bcher-kva.example` (IDNA, RFC
    3490). Raises ValueError if the domain is invalid, or contains a character that IDNA 2003 and IDNA 2008 convert
    differently, such as ß.
    """
    if _AMBIGUOUS.intersection(domain):
        raise ValueError("IDNA 2003 and IDNA 2008 map the domain to different ones")
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(str(error)) from None


def masked(address: str) -> str:
    """Returns the address for logs, with its local part hidden except for the first character: `k***@example.com`.
    Returns `***` if the address is invalid, and empty text for empty text.
    """
    if not address:
        return ""
    local, _, domain = address.rpartition("@")
    return "***" if fault_in_address(address) else f"{local[:1]}***@{domain}"


def masked_in(text: str, address: str) -> str:
    """Returns a text for logs, with every occurrence of `address` in it masked (also in the escaped form of `repr`),
    and everything else in it that looks like an e-mail address masked, too.
    """
    for form in {address, repr(address)[1:-1]} - {""}:
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", lambda _: masked(address), text, flags=re.IGNORECASE)
    return _WITHIN.sub(lambda found: masked(core := found[0].rstrip(".-")) + found[0][len(core) :], text)
