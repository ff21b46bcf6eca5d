"""Plans many or large events without blocking the event loop for long."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from domain.broker_messages import Message
from domain.plans import Plan

# Events of more bytes than this are planned in a thread: they may contain 100,000 lists or addresses. So are events
# that have to be decoded, whatever their size: they may become much larger.
LARGE_BYTES: Final = 32 * 1024

# Bytes and events that are planned in one step of the event loop: about 5 ms for hostile events.
STEP_BYTES: Final = 32 * 1024
STEP_EVENTS: Final = 50


async def plan_events(messages: Sequence[Message], plan: Callable[[Message], Plan]) -> list[Plan]:
    """Returns the plan of each message, in the order of the messages. Plans large or encoded messages in a thread, and
    lets other tasks run between groups of small ones."""
    plans: list[Plan] = []
    events = size = 0
    for message in messages:
        length = len(message.body or b"")
        if length > LARGE_BYTES or message.encoding:
            plans.append(await asyncio.to_thread(plan, message))
            continue
        events, size = events + 1, size + length
        if events > STEP_EVENTS or size > STEP_BYTES:
            await asyncio.sleep(0)
            events, size = 1, length
        plans.append(plan(message))
    return plans
