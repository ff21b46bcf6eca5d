"""Hearing what a client of herald.v1 says."""

import msgspec

from application.access.identify import IdentifyCaller
from application.hub.opening import ReplacementSession
from application.hub.session import Session
from application.ports.clock import Clock
from application.ports.store import Store, StoreUnavailable
from domain.errors import AccessRefused, HeraldError, InvalidInput, NotYours, SignedOut, TokenExpired, Unavailable
from domain.identity import check_not_signed_out
from domain.positions import tag_of
from domain.protocol import herald_v1 as protocol
from domain.protocol.herald_v1 import CloseCode, CloseReason, Command, Resume

# Frames a client may send in a burst, and a second in the long run. A client has little to say; a loop that went wild
# has much.
BURST_FRAMES = 60.0
FRAMES_PER_S = 5.0

# Commands that can't be understood, after which the client is taken to speak another language.
MOST_MISTAKES = 5


class ClientCommands:
    """Carries out the commands of one session's client: `resume`, `auth`, `ping`.

    Answers with an `error` object to what can't be done, and closes a client that repeats itself, sends too much,
    or shows a token that does not hold. Before `hello`, a frame that names `auth` and can't be read is such a token.
    """

    def __init__(self, session: Session, identify: IdentifyCaller, store: Store, clock: Clock) -> None:
        self._session = session
        self._identify = identify
        self._store = store
        self._clock = clock
        self._allowance = BURST_FRAMES
        self._heard_at = clock.monotonic()
        self._mistakes = 0

    async def __call__(self, frame: str | bytes) -> None:
        """Hears one frame: text, or bytes if it is binary."""
        self._session.first_frame_received()
        if not self._consume_allowance():
            self._session.close(CloseReason(CloseCode.TOO_MANY_FRAMES, "too many frames"))
            return
        try:
            await self._dispatch(protocol.read_command(frame))
        except InvalidInput as fault:
            if fault.field == "auth" and not self._session.greeted:
                # A hello now would replace the position that the client keeps, by that of another user or of no resume.
                self._session.close(CloseReason(CloseCode.TOKEN_REFUSED, fault.detail))
                return
            self._mistakes += 1
            self._session.complete_first_command(None)
            self._session.answer(protocol.error(fault.code, fault.detail))
            if self._mistakes >= MOST_MISTAKES:
                self._session.close(CloseReason(CloseCode.NOT_UNDERSTOOD, "too many commands that can't be understood"))

    async def _dispatch(self, command: Command) -> None:
        session = self._session
        if command.auth is not msgspec.UNSET:
            await self._authenticate(command.auth, command.resume)
            if session.close_reason is not None:
                return
        if command.resume is not None:
            if not session.complete_first_command(command.resume.asked(session.tag)):
                session.answer(protocol.error("too_late", "Resume belongs in the first frame, or in ?cursor=."))
        else:
            session.complete_first_command(None)
        if command.ping is not msgspec.UNSET:
            session.answer(protocol.pong(command.ping))

    async def _authenticate(self, token: str, resume: Resume | None) -> None:
        """A fresh token for a session that is open: it must be the same user's. Nobody's session gives way to the
        user's own."""
        session = self._session
        try:
            identity = await self._identify(token, session.user)
            if session.user is None and identity.user is not None:
                asked = resume.asked(tag_of(identity.user)) if resume is not None else None
                session.replace(ReplacementSession(identity, str(asked) if asked else None))
                return
            if identity.user is not None:
                check_not_signed_out(identity, await self._store.not_before(identity.user))
        except TokenExpired as fault:
            session.close(CloseReason(CloseCode.TOKEN_EXPIRED, fault.detail))
        except SignedOut as fault:
            session.close(CloseReason(CloseCode.SIGNED_OUT, fault.detail))
        except NotYours as fault:
            session.close(CloseReason(CloseCode.FORBIDDEN, fault.detail))
        except AccessRefused as fault:
            session.close(CloseReason(CloseCode.TOKEN_REFUSED, fault.detail))
        except (HeraldError, StoreUnavailable):
            if session.user is None and not session.greeted:
                # It may have shown that user's place, which nobody's hello would replace.
                session.close(CloseReason(CloseCode.TRY_LATER, Unavailable.text))
                return
            session.answer(protocol.error("unavailable", "The token can't be checked now: send it again."))
        else:
            if session.refresh_identity(identity):
                session.answer(protocol.authenticated(identity.expires_at))

    def _consume_allowance(self) -> bool:
        now = self._clock.monotonic()
        self._allowance = min(BURST_FRAMES, self._allowance + (now - self._heard_at) * FRAMES_PER_S)
        self._heard_at = now
        self._allowance -= 1
        return self._allowance >= 0
