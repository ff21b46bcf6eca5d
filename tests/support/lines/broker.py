"""A broker whose events are the lines of a file: its settings, and its event source."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from application.ports.broker import Broker, SourceContext
from application.ports.event_source import Batch, EventSource, SourceStatus
from domain.broker_messages import Message
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import text

POLL_INTERVAL_S = 0.05


class LinesSettings(Section, frozen=True):
    """Settings of the broker: the path of the file."""

    path: Annotated[str, Setting("LINES_FILE", text, "The file; each line is a topic, a space and a payload.")] = ""


class LinesSource:
    """Implements EventSource. Every node reads the file from its beginning."""

    name = "lines"
    max_poll_age_s = 60.0
    queue = None

    def __init__(self, settings: LinesSettings, context: SourceContext) -> None:
        self._path = Path(settings.path)
        self._topics = context.patterns
        self._read = 0
        self._last_poll: datetime | None = None

    async def open(self) -> None:
        """No-op: each poll opens the file."""

    async def take(self) -> Batch:
        while True:
            self._last_poll = datetime.now(UTC)
            lines = self._path.read_text().splitlines()[self._read :]
            if lines:
                messages = [self._message(number, line) for number, line in enumerate(lines, self._read)]
                self._read += len(lines)
                return Batch(tuple(messages))
            await asyncio.sleep(POLL_INTERVAL_S)

    async def acknowledge(self, batch: Batch) -> None:
        """No-op: a file keeps its lines."""

    def status(self) -> SourceStatus:
        return SourceStatus(self.name, self._last_poll is not None, assigned=self._topics, last_poll=self._last_poll)

    async def close(self) -> None:
        """No-op: nothing is open."""

    def _message(self, number: int, line: str) -> Message:
        topic, _, payload = line.partition(" ")
        return Message(topic, payload.encode(), datetime.now(UTC), f"line-{number}")


def make_source(settings: LinesSettings, context: SourceContext) -> EventSource:
    return LinesSource(settings, context)


LINES = Broker("lines", LinesSettings, make_source)
