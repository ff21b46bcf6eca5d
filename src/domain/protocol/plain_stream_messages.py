"""The messages of a plain event stream that are not about entries: the first message, and the heartbeat. A plain
WebSocket has neither.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from domain.endpoints import Endpoint
from domain.protocol.plain_envelopes import to_rfc3339

_TYPE: Final = "type"


class PlainMessages(msgspec.Struct, frozen=True):
    """The first message (`connected`) and the `heartbeat` of the plain event streams at one endpoint, before the server
    adds the fields `timestamp`, `cursor` and `gap`.
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
        """Returns the first message of a plain event stream, in JSON. `gaps` are the streams in which entries after the
        client's cursor may be missing; if there are any, the field `gap` has their names.
        """
        gap = {"gap": gaps} if gaps else {}
        return _json({**self.connected, "timestamp": to_rfc3339(now), "cursor": cursor, **gap})

    def heartbeat_text(self, now: datetime, cursor: str) -> str:
        return _json({**self.heartbeat, "timestamp": to_rfc3339(now), "cursor": cursor})


def _json(message: Mapping[str, Any]) -> str:
    return msgspec.json.encode(message).decode()
