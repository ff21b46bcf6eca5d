"""How a session speaks to its client: its own messages, and the cursors of an event stream."""

from typing import TYPE_CHECKING

from application.hub.frames import Frames
from domain.positions import cursor_text
from domain.protocol import herald_v1 as protocol
from domain.streams import public_name

if TYPE_CHECKING:
    from application.hub.session import Session


def greeting(session: "Session") -> str | None:
    """The first frame; a plain socket has none."""
    opening = session.opening
    if session.view.protocol:
        resume_point = session.resume_point
        text = protocol.hello(
            session.id,
            session.epoch,
            session.positions.by_name,
            session.cursor,
            opening.heartbeat,
            resume_point.resumed,
            resume_point.gaps,
            resume_point.unread,
        )
    elif session.view.transport == "sse":
        text = protocol.plain_connection(opening.now(), session.cursor, session.resume_point.gaps)
    else:
        return None
    retry = f"retry: {opening.retry}\n" if session.view.transport == "sse" else ""
    return retry + message(session, text)


def heartbeat(session: "Session") -> str:
    make = protocol.heartbeat if session.view.protocol else protocol.plain_heartbeat
    return message(session, make(session.opening.now(), session.cursor))


def message(session: "Session", text: str) -> str:
    """A frame that is no entry: on an event stream it carries the cursor as its id, like all others."""
    if session.view.transport == "ws":
        return text
    return f"id: {session.cursor}\n{protocol.sse_block(text)}\n"


def event_stream_text(session: "Session", index: int, frames: Frames) -> str:
    """The frames of the stream at `index` with their cursors. Sessions of one and the same stream share the text."""
    alone = len(session.positions.buffers) == 1 and session.user is None
    if alone and frames.shared is not None:
        return frames.shared
    names = [public_name(buffer.name) for buffer in session.positions.buffers]
    positions = list(session.positions.values)
    events = []
    for mark, block in zip(frames.marks, frames.texts, strict=True):
        positions[index] = mark
        cursor = cursor_text(session.epoch, session.tag, zip(names, positions, strict=True))
        events.append(f"id: {cursor}\n{block}\n")
    text = "".join(events)
    if alone:
        frames.shared = text
    return text
