"""The connection of one session, as the session and the hub see it."""

from typing import Protocol


class Transport(Protocol):
    """Carries the frames of one session to its client. Each socket adapter has its own, and attaches it to the session
    when it begins to send.

    No method waits, and none calls back into the session or the hub. An exception closes this session with
    INTERNAL_ERROR and affects no other.
    """

    def try_send(self, frame: str) -> bool:
        """Sends the frame now, if all earlier ones have been sent. Returns False, and sends nothing, if not."""

    @property
    def oldest_unsent(self) -> int | None:
        """The number of the oldest frame that the client has not accepted yet, counted from any start; None if it has
        accepted all. A number that stays the same shows a client that does not read."""

    def force_close(self) -> None:
        """Aborts a send that does not end by itself, and so the connection."""
