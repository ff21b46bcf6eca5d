"""A kind of entries for tests: it concerns the inbox itself, and has no notification and no content."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from domain.protocol.entry_kinds import ENTRY_KINDS, EntryKind, position_fields
from tests.support.core import NOW


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The owner has opened the inbox, at position `seq`."""

    stream: str
    seq: int
    changed: int
    stored_at: datetime
    unseen: int
    kind: str = "opened"

    @property
    def weight(self) -> int:
        return 200

    @property
    def text_size(self) -> int:
        return 100


def opened(changed: int, seq: int = 1, unseen: int = 0, stream: str = "inbox:ada") -> Opened:
    return Opened(stream, seq, changed, NOW, unseen)


def _text(entry: Opened) -> str:
    return f'{{"kind":"opened",{position_fields(entry)},"unseen":{entry.unseen}}}'


KIND = EntryKind("opened", Opened, _text, lambda view, entry: view.protocol)


@contextmanager
def registered() -> Iterator[None]:
    ENTRY_KINDS[KIND.name] = KIND
    try:
        yield
    finally:
        del ENTRY_KINDS[KIND.name]
