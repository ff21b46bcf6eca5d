"""Fan-out: the size of what a plan stores, and the division of large plans into parts, each small enough for one
transaction.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from domain.plans import Addressed, Plan
from domain.streams import SignOut, stored_bytes


class Size(NamedTuple):
    """The size of what a plan stores: the number of rows that it adds or changes, and the approximate number of bytes
    of text in them.
    """

    rows: int
    bytes: int


def size_of(plan: Plan) -> Size:
    rows = len(plan.sign_outs) + len(plan.broadcasts) + len(plan.deliveries)
    total = sum(len(one.content.body) for one in plan.broadcasts)
    total += sum(len(one.item.payload) for one in plan.deliveries)
    for addressed in plan.addressed:
        rows += len(addressed.users)
        total += len(addressed.users) * stored_bytes(addressed.content)
    if plan.dead_letter is not None:
        rows += 1
        total += len(plan.dead_letter.message.body or b"")
    return Size(rows, total)


def divided(plan: Plan, most: Size) -> Iterator[Plan]:
    """Divides a plan that is too large for one transaction into smaller plans. Each has notifications of at most the
    size `most` (or one notification, if that alone is larger), and at most `most.rows` sign-outs. The order of users is
    kept. Broadcasts, deliveries and the dead letter are not divided: all are in the first plan.
    """
    for number, (addressed, sign_outs) in enumerate(_parts(plan, most)):
        part = msgspec.structs.replace(plan, addressed=addressed, sign_outs=sign_outs)
        yield part if number == 0 else msgspec.structs.replace(part, broadcasts=(), deliveries=(), dead_letter=None)


def _parts(plan: Plan, most: Size) -> Iterator[tuple[tuple[Addressed, ...], tuple[SignOut, ...]]]:
    addressed: list[Addressed] = []
    rows = size = 0
    for one in plan.addressed:
        each = stored_bytes(one.content)
        first = 0
        while first < len(one.users):
            room = min(most.rows - rows, (most.bytes - size) // each)
            if room < 1 and rows:
                yield tuple(addressed), ()
                addressed, rows, size = [], 0, 0
                continue
            users = one.users[first : first + max(room, 1)]
            addressed.append(msgspec.structs.replace(one, users=users))
            first, rows, size = first + len(users), rows + len(users), size + len(users) * each
    room = max(most.rows - rows, 0)
    if addressed or room or not plan.sign_outs:
        yield tuple(addressed), plan.sign_outs[:room]
    for first in range(room, len(plan.sign_outs), most.rows):
        yield (), plan.sign_outs[first : first + most.rows]
