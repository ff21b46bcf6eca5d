"""Questions that are asked at once, answered together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from adapters.sql.faults import Refused
from application.ports.store import StoreUnavailable

Question = TypeVar("Question")
Answer = TypeVar("Answer")


# Seconds: a client is better told to come back than kept waiting behind a database that does not move.
PATIENCE: Final = 10.0


class Gather(Generic[Question, Answer]):
    """Has questions answered by `ask`, which takes up to `most` of them, and runs `at_once` times at most.

    A question that nobody is in front of is asked at once; those that come meanwhile are asked together. So a thousand
    clients that return in the same moment take a few statements, and leave connections for others. No answer is older
    than its question. One that the database refuses spoils none of those that were asked with it; one that is not
    answered within `patience` seconds ends in StoreUnavailable.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        most: int,
        at_once: int,
        patience: float = PATIENCE,
    ) -> None:
        self._ask = ask
        self._most = most
        self._at_once = at_once
        self._patience = patience
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._busy = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, question: Question) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._busy < self._at_once:
            self._busy += 1
            task = asyncio.create_task(self._answer_all())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(self._patience):
                return await future
        except TimeoutError:
            raise StoreUnavailable(f"the database has not answered within {self._patience:g} s") from None

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                # Who asked may have left since.
                await self._answer([(question, future) for question, future in taken if not future.done()])
        finally:
            # In the step that has found nobody waiting: who comes next finds room.
            self._busy -= 1

    async def _answer(self, some: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        if not some:
            return
        try:
            answers = await self._ask([question for question, _ in some])
        except Refused as fault:
            if len(some) > 1:
                for one in some:
                    await self._answer([one])
            else:
                _fail(some, fault)
        except Exception as fault:
            _fail(some, fault)
        else:
            for (_, future), answer in zip(some, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(some: Sequence[tuple[Question, asyncio.Future[Answer]]], fault: Exception) -> None:
    for _, future in some:
        if not future.done():
            future.set_exception(fault)
