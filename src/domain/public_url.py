"""The URL under which clients reach the service."""

from urllib.parse import urljoin

import msgspec


class PublicUrl(msgspec.Struct, frozen=True):
    """Makes the URLs of this service that Herald shows to others, such as those in the API documents.

    `base` is an absolute http or https URL without a trailing slash. If a gateway removes a path prefix from requests,
    `base` includes that prefix. If `base` is empty, the URLs are paths such as `/schema`, which is correct if Herald is
    served at the root of a host.
    """

    base: str = ""

    def of(self, path: str) -> str:
        """Returns the URL of a path of this service. The path must begin with a slash."""
        return self.base + path

    def of_socket(self, path: str) -> str:
        """Returns the URL of a path for WebSockets, with the scheme `ws` or `wss`; only the path if `base` is empty."""
        return self.of(path).replace("http", "ws", 1) if self.base else path

    def absolute(self, url: str) -> str:
        """Returns the URL of a notification (see domain.notification_urls) as an absolute URL. A path gets the scheme
        and the host of `base`, without its path: it means the same as a link to it on a page of this service. If `base`
        is empty, a path is returned unchanged.
        """
        return urljoin(self.base, url) if self.base else url
