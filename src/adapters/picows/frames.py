"""WebSocket frames that the server sends (RFC 6455, section 5.2): unfragmented, unmasked text frames."""

from typing import Final

# The first byte of an unfragmented text frame: FIN, opcode 1.
_TEXT: Final = 0x81

# Limits of FrameCache: the frames of a burst to all sessions fit in, and it stays small.
MAX_CACHED_FRAMES: Final = 256
MAX_CACHED_BYTES: Final = 1024 * 1024


def text_frame(text: str) -> bytes:
    """Returns the text as a WebSocket frame, with its header."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


class FrameCache:
    """The latest text frames of this process. Sessions with the same view send the same texts, so that each text is
    encoded once, and its frame is shared by their connections."""

    def __init__(self) -> None:
        self._frames: dict[str, bytes] = {}
        self._bytes = 0

    def frame(self, text: str) -> bytes:
        frame = self._frames.get(text)
        if frame is None:
            frame = text_frame(text)
            if len(self._frames) >= MAX_CACHED_FRAMES or self._bytes > MAX_CACHED_BYTES:
                self._frames.clear()
                self._bytes = 0
            self._frames[text] = frame
            self._bytes += len(frame)
        return frame
