"""Messages of a session that are not entries, and the cursors between the entries of an event stream."""

from datetime import datetime

from application.hub.frames import Frames
from application.hub.session_positions import SessionPositions
from application.hub.session_request import SessionRequest
from domain.positions import ResumePoint, cursor_text
from domain.protocol import herald_v1 as protocol
from domain.protocol.entry_kinds import View
from domain.streams import public_name


def first_message(
    request: SessionRequest,
    positions: SessionPositions,
    cursor: str,
    resume_point: ResumePoint,
    heartbeat_s: float,
    now: datetime,
) -> str | None:
    """Returns `hello`, or the first message of a plain event stream; None for a plain socket."""
    view = request.view
    if view.protocol:
        text = protocol.hello(
            request.id,
            request.epoch,
            positions.by_name,
            cursor,
            heartbeat_s,
            resume_point.resumed,
            resume_point.gaps,
            resume_point.unread,
        )
    elif view.transport == "sse":
        text = request.plain.connected_text(now, cursor, resume_point.gaps)
    else:
        return None
    retry = f"retry: {request.retry_ms}\n" if view.transport == "sse" else ""
    return retry + as_frame(view, text, cursor)


def heartbeat(request: SessionRequest, cursor: str, now: datetime) -> str:
    make = protocol.heartbeat if request.view.protocol else request.plain.heartbeat_text
    return as_frame(request.view, make(now, cursor), cursor)


def as_frame(view: View, text: str, cursor: str) -> str:
    """Returns the frame of a message. On an event stream it has the cursor as its id, as all frames have."""
    if view.transport == "ws":
        return text
    return f"id: {cursor}\n{protocol.sse_block(text)}\n"


def event_stream_text(epoch: str, tag: str, positions: SessionPositions, index: int, frames: Frames) -> str:
    """Returns the frames of the stream at `index` as one text, each frame with its cursor. The text is shared by all
    sessions without a user that follow only this stream."""
    is_shared = len(positions.buffers) == 1 and not tag
    if is_shared and frames.shared is not None:
        return frames.shared
    names = [public_name(buffer.name) for buffer in positions.buffers]
    values = list(positions.values)
    events = []
    for mark, block in zip(frames.marks, frames.texts, strict=True):
        values[index] = mark
        cursor = cursor_text(epoch, tag, zip(names, values, strict=True))
        events.append(f"id: {cursor}\n{block}\n")
    text = "".join(events)
    if is_shared:
        frames.shared = text
    return text
