"""E-mail addresses: what can be one, and what logs show of it."""

import re
from typing import Any, Final

import msgspec

# RFC 5321, sections 4.5.3.1.1 and 4.5.3.1.3: octets of a local part, and of a path without its angle brackets.
LONGEST_LOCAL: Final = 64
LONGEST: Final = 254

# What stands for a character that can't be shown, nor kept.
_REPLACED: Final = "\ufffd"

# Specials of RFC 5322, section 3.2.3, which only quoted local parts may hold. Nobody has those.
_SPECIALS: Final = frozenset('()<>[]:;@\\,"' + _REPLACED)
# What can be an address within a text. Servers write them in ways of their own: in other letters, or with the domain
# as DNS has it.
_WITHIN: Final = re.compile(r"""(?<![^\s<>()\[\]:;\\,"'@])[^\s<>()\[\]:;\\,"'@]+@[\w.-]+""")

# They mean one domain to the IDNA of 2003, which is what Python knows, and another to that of 2008 (RFC 5894, section
# 7.2): a mail could go to a stranger.
_AMBIGUOUS: Final = frozenset("ßς\u200c\u200d")

# A character behind a backslash, in quotes.
_ESCAPED: Final = re.compile(r"\\(.)")

_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)\Z")


def as_address(value: Any) -> str:
    """What is found where an address should be, as text that can be kept and shown: the domain in lower case, and each
    character replaced that is none to look at. It need not be an address: see fault_in_address. What is no text is
    shown as JSON."""
    text = value.strip(" ") if type(value) is str else msgspec.json.encode(value).decode()
    # A little longer than any address, so that it stays one too many.
    text = "".join(character if character.isprintable() else _REPLACED for character in text[: LONGEST + 1])
    local, at, domain = text.rpartition("@")
    return f"{local}{at}{domain.lower()}" if at else text


def split_mailbox(text: str) -> tuple[str, str]:
    """Name and address of `Name <address>`, or "" and the text where it is neither. The name may be any text, with or
    without the quotes that RFC 5322, section 3.4, wants around commas, colons and their kind; angle brackets only with
    quotes, since without them there may be several addresses."""
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
    """What keeps it from being an address that mail can be sent to, in words; None if nothing does. Names beyond ASCII
    are fine on either side of the @; quoted local parts and address literals are not."""
    if not address:
        return "the event names no address"
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        return "it has no name before an @, or no domain behind it"
    if len(address.encode(errors="replace")) > LONGEST or len(local.encode(errors="replace")) > LONGEST_LOCAL:
        return f"it is longer than {LONGEST} bytes, or than {LONGEST_LOCAL} before the @"
    if any(character in _SPECIALS or character.isspace() or not character.isprintable() for character in local):
        return "it has characters before the @ that no address has"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "a dot before the @ stands alone"
    try:
        labels = ascii_domain(domain).split(".")
    except ValueError:
        return "its domain is none"
    return None if all(_LABEL.match(label) for label in labels) else "its domain is none"


def ascii_domain(domain: str) -> str:
    """A domain as DNS and SMTP have it (IDNA, RFC 3490). Raises ValueError, also where it depends on who asks."""
    if _AMBIGUOUS.intersection(domain):
        raise ValueError("the domain means another one to some")
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError as fault:
        raise ValueError(str(fault)) from None


def masked(address: str) -> str:
    """As those may see it who need not know whose it is: `k***@example.com`, and nothing of what is no address."""
    if not address:
        return ""
    local, _, domain = address.rpartition("@")
    return "***" if fault_in_address(address) else f"{local[:1]}***@{domain}"


def masked_in(text: str, address: str) -> str:
    """The text with this address masked, as it is and as `repr` quotes it, and with it all that looks like one."""
    for form in {address, repr(address)[1:-1]} - {""}:
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", lambda _: masked(address), text, flags=re.IGNORECASE)
    return _WITHIN.sub(lambda found: masked(core := found[0].rstrip(".-")) + found[0][len(core) :], text)
