"""Preferences: set by their owner, effective for what is stored afterwards."""

import asyncio
from typing import Any

import pytest

from adapters.memory.inboxes import MemoryInboxes
from adapters.memory.preferences import MemoryPreferences
from application.inbox.set_preferences import SetPreferences
from domain.caller_errors import InvalidInput
from domain.notifications import NotificationFilter
from domain.preferences import DEFAULT, Preferences
from tests.support.core import STREAM, Node, Reader, message, settle


class Rig:
    def __init__(self) -> None:
        self.node = Node()
        self.clock = self.node.clock
        self.preferences = SetPreferences(MemoryPreferences(self.node.store.records), self.clock)
        self.inboxes = MemoryInboxes(self.node.store.records)

    async def muted(self) -> list[bool]:
        """Return the muted flags of the inbox, oldest first."""
        page = await self.inboxes.page("ada", NotificationFilter(), 100)
        return [one.state.muted for one in reversed(page.notifications)]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def note(id: str, type: str = "chat") -> Any:
    return message("direct", {"type": type, "to": "ada", "text": id}, id)


async def test_without_preferences_everything_is_on(rig: Rig) -> None:
    assert await rig.preferences.get("ada") == DEFAULT
    assert not DEFAULT.mutes("anything")
    assert DEFAULT.pushes("anything")
    assert DEFAULT.updated_at is None


async def test_replace_sets_all_fields(rig: Rig) -> None:
    await rig.preferences.replace("ada", Preferences(email_notifications=False, muted_types=("chat",)))
    rig.clock.turn(60)
    now = rig.clock.now()
    set_again = await rig.preferences.replace("ada", Preferences(push_notifications=False))
    assert set_again == Preferences(push_notifications=False, updated_at=now)
    assert await rig.preferences.get("ada") == set_again
    assert await rig.preferences.get("bob") == DEFAULT


async def test_patch_keeps_the_other_fields(rig: Rig) -> None:
    await rig.preferences.patch("ada", muted_types=("chat", "news", "chat"))
    rig.clock.turn(60)
    patched = await rig.preferences.patch("ada", websocket_notifications=False)
    assert patched.muted_types == ("chat", "news")
    assert (patched.websocket_notifications, patched.updated_at) == (False, rig.clock.now())
    rig.clock.turn(60)
    assert await rig.preferences.patch("ada") == patched


async def test_an_unstorable_type_is_refused(rig: Rig) -> None:
    for setting in (
        rig.preferences.patch("ada", muted_types=("a\0",)),
        rig.preferences.replace("ada", Preferences(muted_types=("a\0",))),
    ):
        with pytest.raises(InvalidInput) as caught:
            await setting
        assert caught.value.field == "muted_types"
    assert await rig.preferences.get("ada") == DEFAULT


async def test_preferences_apply_to_what_is_stored_afterwards(rig: Rig) -> None:
    await rig.node.record(note("before"))
    await rig.preferences.patch("ada", muted_types=("chat",))
    await rig.node.record(note("muted"), note("other", "news"))
    await rig.preferences.patch("ada", muted_types=(), websocket_notifications=False)
    await rig.node.record(note("off", "news"))
    await rig.preferences.patch("ada", websocket_notifications=True)
    await rig.node.record(note("on"))
    assert await rig.muted() == [False, True, False, True, False]


async def test_muted_notifications_are_stored_as_read_and_not_pushed(rig: Rig) -> None:
    await rig.node.start()
    readers = [
        Reader(rig.node, await rig.node.open("ada", endpoint=STREAM, protocol=True)),
        Reader(rig.node, await rig.node.open("ada")),
    ]
    await settle()
    await rig.preferences.patch("ada", muted_types=("chat",))
    await rig.node.send(note("quiet"), note("loud", "news"))
    await settle()
    await asyncio.gather(*(reader.leave() for reader in readers))
    assert [reader.texts for reader in readers] == [["loud"], ["loud"]]
    assert readers[0].objects[-1]["unread"] == 1
    assert await rig.muted() == [True, False]


def test_muted_types_and_everything_without_live_updates_are_not_pushed() -> None:
    muting = Preferences(muted_types=("chat",))
    assert (muting.mutes("chat"), muting.pushes("chat")) == (True, False)
    assert (muting.mutes("news"), muting.pushes("news")) == (False, True)
    quiet = Preferences(websocket_notifications=False)
    assert (quiet.mutes("chat"), quiet.pushes("chat")) == (False, False)
