"""The URLs of notifications: the address that a notification links to, made from the template `inbox.url` of a route.

A URL is either an http or https URL, or a path of the site that shows the notification, such as `/tickets/7`. It
consists of ASCII characters only. It contains no user name and no segment `.` or `..`. So a browser can't be made to
run a script, or to open another site, by a value of the payload.

A template is one of two:

- A text with placeholders, such as `/tickets/{ticket_id}`. The values are percent-encoded, so they can't add a segment,
  a parameter or a fragment. The scheme and the host have no placeholders.
- A single placeholder, such as `{link}`. Its value is the whole URL.
"""

import re
from typing import Final
from urllib.parse import quote, unquote

from domain.text_templates import PLACEHOLDER, fill, validate_template
from domain.verbatim_fields import VerbatimFields

MAX_URL_LENGTH: Final = 2_048

# The scheme and the host of an http or https URL. What follows must begin with a slash, a question mark or a hash.
_SITE: Final = re.compile(r"https?://(?:[a-z0-9_][a-z0-9._-]*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?=[/?#]|\Z)", re.I)

# Browsers ignore some control characters, and read a backslash as a slash.
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\]")

# The ASCII punctuation that stays as it is outside of values: delimiters of RFC 3986, and escapes.
_DELIMITERS: Final = "%/:?#[]@!$&'()*+,;="


class UrlRefused(ValueError):
    """Raised if the URL that a template and a payload lead to is not allowed. The text gives the reason."""


def validate_url_template(template: str) -> str | None:
    """Returns the reason why a template of a URL is invalid; None if it is valid."""
    if fault := validate_template(template):
        return fault
    if PLACEHOLDER.fullmatch(template):
        return None
    # A placeholder directly behind the host would make its value a part of the host, so its substitute is not allowed
    # there either.
    return _fault_in(PLACEHOLDER.sub("{}", template))


def fill_url(template: str, fields: VerbatimFields) -> str | None:
    """Returns the URL that the template makes of a payload. Returns None if the payload has no value for one of the
    placeholders, or if the URL is empty. Raises UrlRefused if the URL is not allowed.
    """
    filled = fill(template, fields, None if PLACEHOLDER.fullmatch(template) else _as_value)
    if not filled:
        return None
    if fault := _fault_in(filled):
        raise UrlRefused(fault)
    url = quote(filled, _DELIMITERS)
    if len(url) > MAX_URL_LENGTH:
        raise UrlRefused(f"it has {len(url)} characters; at most {MAX_URL_LENGTH} are allowed")
    return url


def _as_value(text: str) -> str:
    """Returns the text percent-encoded, as one segment of a path or one value of a query."""
    return quote(text, "")


def _fault_in(url: str) -> str | None:
    """Returns the reason why a URL is not allowed; None if it is. The URL may contain characters that are not ASCII,
    but not in its host.
    """
    if len(url) > MAX_URL_LENGTH:
        return f"it has {len(url)} characters; at most {MAX_URL_LENGTH} are allowed"
    if _FORBIDDEN.search(url):
        return "it contains a space, a control character or a backslash"
    site = _SITE.match(url)
    if site is None and (not url.startswith("/") or url.startswith("//")):
        return "it is neither an http or https URL with a valid host nor a path that begins with exactly one slash"
    path = re.split(r"[?#]", url[site.end() if site else 0 :], maxsplit=1)[0]
    # Servers and browsers decode `%2e` and `%2f` before they resolve these segments.
    if not {".", ".."}.isdisjoint(re.split(r"[/\\]", unquote(path))):
        return "its path has the segment '.' or '..'"
    return None
