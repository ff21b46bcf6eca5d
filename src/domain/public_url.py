"""The URL under which clients reach the service."""

import msgspec


class PublicUrl(msgspec.Struct, frozen=True):
    """What all addresses begin with that Herald gives out.

    `base` is an absolute http or https URL without a trailing slash, with a path where a gateway strips one from
    requests. Empty if it is not configured: then addresses are relative to the host (`/schema`), which is right where
    Herald is reached at the root of a host.
    """

    base: str = ""

    def of(self, path: str) -> str:
        """The address of a path of the service; the path begins with a slash."""
        return self.base + path

    def of_socket(self, path: str) -> str:
        """The same for a WebSocket: ws or wss."""
        return self.of(path).replace("http", "ws", 1) if self.base else path
