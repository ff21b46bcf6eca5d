"""The port for the connection of one session."""

from typing import Protocol


class Transport(Protocol):
    """The connection by which one session sends frames to its client. Each socket adapter implements it, and passes an
    instance to Session.attach before it sends the first frame.

    The methods return immediately, and must not call the session or the hub. If a method raises, the session is closed
    with INTERNAL_ERROR; other sessions are not affected.
    """

    def try_send(self, frame: str) -> bool:
        """Sends the frame now and returns True if no earlier frame is waiting to be sent. Otherwise sends nothing and
        returns False."""

    @property
    def oldest_unsent(self) -> int | None:
        """The number of the oldest frame that could not be sent yet, because the client does not read fast enough; None
        if all frames are sent. Frames are numbered consecutively; the first number does not matter. If the value stays
        the same for `stalled_after_sweeps` sweeps, CheckSessions closes the session."""

    def force_close(self) -> None:
        """Aborts the connection, even while a frame is being sent to a client that does not read."""
