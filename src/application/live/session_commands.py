"""Executing the commands of a `herald.v1` client."""

import msgspec

from application.access.identify import IdentifyCaller
from application.hub.session import Session
from application.hub.session_request import ConnectRequest, ReplacementSession
from application.live.followable_streams import FollowableStreams
from application.ports.clock import Clock
from application.ports.store import Store, StoreUnavailable
from domain.caller_errors import (
    AccessRefused,
    HeraldError,
    InvalidInput,
    NotYours,
    SignedOut,
    TokenExpired,
    Unavailable,
)
from domain.identity import Identity, check_not_signed_out
from domain.positions import tag_of
from domain.protocol import herald_v1 as protocol
from domain.protocol.commands import Command, Resume, read_command
from domain.protocol.herald_v1 import CloseCode, CloseReason


class CommandPolicy(msgspec.Struct, frozen=True):
    """Limits of the frames that one client may send: at most `burst_frames` at once, at most `frames_per_s` per second
    on average, and fewer than `max_invalid_commands` invalid commands. A session that exceeds a limit is closed. A
    correct client sends far less; the limits stop a client that sends in an endless loop."""

    burst_frames: float = 60.0
    frames_per_s: float = 5.0
    max_invalid_commands: int = 5  # then the session is closed


class ClientCommands:
    """Executes the commands of one session's client: `resume` (start from a cursor), `auth` (use a new token) and
    `ping`.

    A command that fails is answered with an `error` object. The session is closed if the client exceeds CommandPolicy
    or sends a token that is refused. Before `hello` is sent, it is also closed if a frame contains `auth` but is not a
    valid command: the client has tried to send a token, and a `hello` without its user would replace its cursor.
    """

    def __init__(
        self,
        session: Session,
        request: ConnectRequest,
        streams: FollowableStreams,
        identify: IdentifyCaller,
        store: Store,
        clock: Clock,
        policy: CommandPolicy,
    ) -> None:
        self._session = session
        self._request = request
        self._streams = streams
        self._identify = identify
        self._store = store
        self._clock = clock
        self._policy = policy
        self._allowance = policy.burst_frames
        self._last_frame_at = clock.monotonic()
        self._invalid_commands = 0

    async def __call__(self, frame: str | bytes) -> None:
        """Executes the command in a frame: `str` for a text frame, `bytes` for a binary one, which is always invalid.

        Raises UnknownFeed, TokenMissing or NotYours if the client sends a new token that gives no access to the streams
        it requested when it connected (FollowableStreams).
        """
        self._session.first_frame_received()
        if not self._consume_allowance():
            self._close(CloseCode.TOO_MANY_FRAMES, "too many frames")
            return
        try:
            await self._dispatch(read_command(frame))
        except InvalidInput as error:
            self._reject(error)

    def _reject(self, error: InvalidInput) -> None:
        if error.field == "auth" and not self._session.hello_sent:
            # The client meant to authenticate. A `hello` without its user, or without its resume, would make it replace
            # its cursor.
            self._close(CloseCode.TOKEN_REFUSED, error.detail)
            return
        self._invalid_commands += 1
        self._session.complete_first_command(None)
        self._session.answer(protocol.error(error.code, error.detail))
        if self._invalid_commands >= self._policy.max_invalid_commands:
            self._close(CloseCode.NOT_UNDERSTOOD, "too many commands that can't be understood")

    async def _dispatch(self, command: Command) -> None:
        session = self._session
        if command.auth is not msgspec.UNSET:
            await self._authenticate(command.auth, command.resume)
            if session.close_reason is not None:
                return
        if command.resume is not None:
            if not session.complete_first_command(command.resume.requested(session.tag)):
                session.answer(
                    protocol.error(
                        "too_late",
                        "It is too late to resume: send `resume` in the first frame, or the cursor in ?cursor=.",
                    )
                )
        else:
            session.complete_first_command(None)
        if command.ping is not msgspec.UNSET:
            session.answer(protocol.pong(command.ping))

    async def _authenticate(self, token: str, resume: Resume | None) -> None:
        """Verifies a new token from the client. A session with a user continues; the token must be of the same user. A
        session without a user is replaced by a session of the token's user, which starts from the cursor in `resume`,
        if given. The session is closed if the token is refused."""
        session = self._session
        try:
            identity = await self._identify(token, session.user)
            if session.user is None and identity.user is not None:
                cursor = resume.requested(tag_of(identity.user)) if resume is not None else None
                session.replace(ReplacementSession(identity, str(cursor) if cursor else None))
                return
            if identity.user is not None:
                check_not_signed_out(identity, await self._store.not_before(identity.user))
        except TokenExpired as error:
            self._close(CloseCode.TOKEN_EXPIRED, error.detail)
        except SignedOut as error:
            self._close(CloseCode.SIGNED_OUT, error.detail)
        except NotYours as error:
            self._close(CloseCode.FORBIDDEN, error.detail)
        except AccessRefused as error:
            self._close(CloseCode.TOKEN_REFUSED, error.detail)
        except (HeraldError, StoreUnavailable):
            if session.user is None and not session.hello_sent:
                # The client may have a cursor of the token's user. The `hello` of a session without a user would make
                # it replace that cursor.
                self._close(CloseCode.TRY_LATER, Unavailable.text)
                return
            session.answer(protocol.error("unavailable", "The token can't be checked now: send it again."))
        else:
            self._continue_as(identity)

    def _continue_as(self, identity: Identity) -> None:
        """Continues the session with a new identity if that gives access to the same streams. Otherwise replaces the
        session by a new one on the same connection."""
        session = self._session
        if self._streams(msgspec.structs.replace(self._request, identity=identity)) == session.request.streams:
            session.refresh_identity(identity)
            session.answer(protocol.authenticated(identity.expires_at))
        else:
            session.replace(ReplacementSession(identity))

    def _close(self, code: CloseCode, text: str) -> None:
        self._session.close(CloseReason(code, text))

    def _consume_allowance(self) -> bool:
        now = self._clock.monotonic()
        refill = (now - self._last_frame_at) * self._policy.frames_per_s
        self._allowance = min(self._policy.burst_frames, self._allowance + refill)
        self._last_frame_at = now
        self._allowance -= 1
        return self._allowance >= 0
