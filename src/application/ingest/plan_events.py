"""Planning events without keeping the event loop from anything else."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from domain.messages import Message
from domain.planning import Plan

# Bytes of an event from which on it is planned in a thread: it may be a hundred thousand lists, or as many addresses.
# One that is still to be decoded is, too, whatever its bytes: they may become many more.
LARGE: Final = 32 * 1024

# Bytes and events that are planned in one step of the event loop, which is about 5 ms of hostile ones.
STEP_BYTES: Final = 32 * 1024
STEP_EVENTS: Final = 50


async def plan_events(messages: Sequence[Message], plan: Callable[[Message], Plan]) -> list[Plan]:
    """The plan of each message, in order."""
    plans: list[Plan] = []
    events = size = 0
    for message in messages:
        length = len(message.body or b"")
        if length > LARGE or message.encoding:
            plans.append(await asyncio.to_thread(plan, message))
            continue
        events, size = events + 1, size + length
        if events > STEP_EVENTS or size > STEP_BYTES:
            await asyncio.sleep(0)
            events, size = 1, length
        plans.append(plan(message))
    return plans
