"""Origins: which pages a browser may connect from."""

import re
from typing import Final

import msgspec

LOOPBACK: Final = "loopback"

LOOPBACK_ORIGIN: Final = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_LOOPBACK_ORIGIN: Final = re.compile(LOOPBACK_ORIGIN)


class Origins(msgspec.Struct, frozen=True):
    """Origins by their exact text (RFC 6454, section 6.2), with `loopback` for every page of this machine's own. None
    allows everyone."""

    allowed: tuple[str, ...] | None = None

    def allow(self, origin: str | None) -> bool:
        """Whether a request with this Origin header may go on. One without is no browser's."""
        if origin is None or self.allowed is None or origin in self.allowed:
            return True
        return LOOPBACK in self.allowed and _LOOPBACK_ORIGIN.fullmatch(origin) is not None
