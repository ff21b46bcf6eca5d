"""The port for the connection of one session."""

from typing import Protocol


class Transport(Protocol):
    """Carries the frames of one session to its client. Each kind of socket has its own class, and attaches an instance
    to the session when it begins to send.

    The methods return without waiting, and do not call the session or the hub. An exception closes this session with
    INTERNAL_ERROR and affects no other.
    """

    def try_send(self, frame: str) -> bool:
        """Sends the frame now and returns True, if all earlier frames have been sent. Otherwise sends nothing and
        returns False."""

    @property
    def oldest_unsent(self) -> int | None:
        """The number of the oldest frame that the client has not accepted yet, counted from any start; None if the
        client has accepted all frames. A number that does not change shows that the client does not read."""

    def force_close(self) -> None:
        """Aborts the connection, and with it a send that does not end by itself."""
