"""Messages of a plain event stream that are not entries. A plain WebSocket has none."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from domain.endpoints import Endpoint
from domain.protocol.plain_envelopes import to_rfc3339

_TYPE: Final = "type"


class PlainMessages(msgspec.Struct, frozen=True):
    """The messages that a plain event stream of one endpoint sends besides entries, without the fields that the server
    adds.
    """

    connected: Mapping[str, Any]
    heartbeat: Mapping[str, Any]

    @classmethod
    def of(cls, endpoint: Endpoint) -> "PlainMessages":
        return cls(
            {_TYPE: "connection"} if endpoint.connected is None else endpoint.connected,
            {_TYPE: "heartbeat"} if endpoint.heartbeat is None else endpoint.heartbeat,
        )

    def connected_text(self, now: datetime, cursor: str, gaps: tuple[str, ...]) -> str:
        """Returns the first message. `gap` has the streams in which entries may be missing, if there are any."""
        gap = {"gap": gaps} if gaps else {}
        return _json({**self.connected, "timestamp": to_rfc3339(now), "cursor": cursor, **gap})

    def heartbeat_text(self, now: datetime, cursor: str) -> str:
        return _json({**self.heartbeat, "timestamp": to_rfc3339(now), "cursor": cursor})


def _json(message: Mapping[str, Any]) -> str:
    return msgspec.json.encode(message).decode()
