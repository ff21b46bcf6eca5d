"""The server's own messages on a plain event stream. A plain socket has none."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from domain.endpoints import Endpoint
from domain.protocol.envelopes import to_rfc3339

_TYPE: Final = "type"


class PlainMessages(msgspec.Struct, frozen=True):
    """The server's own messages of an endpoint, without the fields that the server adds."""

    connected: Mapping[str, Any]
    heartbeat: Mapping[str, Any]

    @classmethod
    def of(cls, endpoint: Endpoint) -> "PlainMessages":
        return cls(
            {_TYPE: "connection"} if endpoint.connected is None else endpoint.connected,
            {_TYPE: "heartbeat"} if endpoint.heartbeat is None else endpoint.heartbeat,
        )

    def connected_text(self, now: datetime, cursor: str, gaps: tuple[str, ...]) -> str:
        """The first message; `gap` names the streams in which entries may be missing, if there are any."""
        gap = {"gap": gaps} if gaps else {}
        return _json({**self.connected, "timestamp": to_rfc3339(now), "cursor": cursor, **gap})

    def heartbeat_text(self, now: datetime, cursor: str) -> str:
        return _json({**self.heartbeat, "timestamp": to_rfc3339(now), "cursor": cursor})


def _json(message: Mapping[str, Any]) -> str:
    return msgspec.json.encode(message).decode()
