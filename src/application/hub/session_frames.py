"""Frames of a session that are not entries (first message, heartbeats, answers), and the text of an event stream, in
which each frame has a cursor as its id."""

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
    """Returns the first frame of a session: `hello` for `herald.v1`, the `connected` message of the endpoint for a
    plain event stream, None for a plain WebSocket. On event streams it contains the reconnection time (`retry:`)."""
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
            resume_point.unseen,
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
    """Returns the message `text` as a frame. On a WebSocket this is the text itself; on an event stream, an event with
    `data:` lines and the cursor as its `id:`."""
    if view.transport == "ws":
        return text
    return f"id: {cursor}\n{protocol.sse_block(text)}\n"


def event_stream_text(epoch: str, tag: str, positions: SessionPositions, index: int, frames: Frames) -> str:
    """Returns the entries in `frames` as text for an event stream: one event for each entry, with the client's cursor
    after this entry as its `id:`. `index` is the index of their stream in `positions`. Sessions that have no user and
    follow only this stream share the text, because their cursors are equal."""
    is_shared = len(positions.buffers) == 1 and not tag
    if is_shared and frames.shared is not None:
        return frames.shared
    names = [public_name(buffer.name) for buffer in positions.buffers]
    values = list(positions.values)
    events = []
    for position, block in zip(frames.cursor_positions, frames.texts, strict=True):
        values[index] = position
        cursor = cursor_text(epoch, tag, zip(names, values, strict=True))
        events.append(f"id: {cursor}\n{block}\n")
    text = "".join(events)
    if is_shared:
        frames.shared = text
    return text
