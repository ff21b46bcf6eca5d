"""Questions that are asked at once, answered together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from adapters.sql.errors import Refused
from application.ports.store import StoreUnavailable

Question = TypeVar("Question")
Answer = TypeVar("Answer")

# Seconds: a client is better told to come back than kept waiting behind a database that does not move.
PATIENCE: Final = 10.0


class Gather(Generic[Question, Answer]):
    """Has questions answered by `ask`, up to `most` of them together, for which it takes one of `turns`.

    A question that nobody is in front of is asked at once; those that come while there is no turn for them are asked
    together. So a thousand clients that return in the same moment take a few statements, and leave connections for
    others. No answer is older than its question. One that the database refuses spoils none of those that were asked
    with it; one that is not answered within `patience` seconds ends in StoreUnavailable.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        turns: asyncio.Semaphore,
        *,
        most: int,
        patience: float = PATIENCE,
    ) -> None:
        self._ask = ask
        self._turns = turns
        self._most = most
        self._patience = patience
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._coming = False  # whether somebody is on the way to take what waits
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, question: Question) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        self._send_for_them()
        try:
            async with asyncio.timeout(self._patience):
                return await future
        except TimeoutError:
            raise StoreUnavailable(f"the database has not answered within {self._patience:g} s") from None

    def _send_for_them(self) -> None:
        if self._waiting and not self._coming:
            self._coming = True
            task = asyncio.create_task(self._take_turn())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take_turn(self) -> None:
        async with self._turns:
            taken: list[tuple[Question, asyncio.Future[Answer]]] = []
            while self._waiting and len(taken) < self._most:
                question, future = self._waiting.popleft()
                if not future.done():  # who asked may have left
                    taken.append((question, future))
            self._coming = False
            self._send_for_them()
            await self._answer(taken)

    async def _answer(self, some: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        some = [(question, future) for question, future in some if not future.done()]
        if not some:
            return
        try:
            # A statement that is given up goes on until its own limits end it, and gives its connection back then.
            async with asyncio.timeout(self._patience):
                answers = await self._ask([question for question, _ in some])
            for (_, future), answer in list(zip(some, answers, strict=True)):
                if not future.done():
                    future.set_result(answer)
        except Refused as fault:
            if len(some) == 1:
                _fail(some, fault)
            else:
                middle = len(some) // 2
                await self._answer(some[:middle])
                await self._answer(some[middle:])
        except TimeoutError:
            pass  # so has everybody who asked
        except Exception as fault:
            _fail(some, fault)


def _fail(some: Sequence[tuple[Question, asyncio.Future[Answer]]], fault: Exception) -> None:
    for _, future in some:
        if not future.done():
            future.set_exception(fault)
