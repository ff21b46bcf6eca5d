"""The URL under which clients reach the service."""

import msgspec


class PublicUrl(msgspec.Struct, frozen=True):
    """The base of all addresses that Herald publishes.

    `base` is an absolute http or https URL without a trailing slash. It includes the path prefix that a gateway removes
    from requests, if any. If it is empty, addresses are relative to the host (`/schema`), which is correct if Herald is
    served at the root of a host.
    """

    base: str = ""

    def of(self, path: str) -> str:
        """Returns the address of a path of the service. `path` begins with a slash."""
        return self.base + path

    def of_socket(self, path: str) -> str:
        """Returns the address of a path for a WebSocket, with the scheme ws or wss."""
        return self.of(path).replace("http", "ws", 1) if self.base else path
