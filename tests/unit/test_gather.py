"""Questions asked at once: answered together, each with its own answer, whatever befalls the others."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.sql.coalescer import Gather
from adapters.sql.errors import Refused
from application.ports.store import StoreUnavailable


class Source:
    """Answers n with 10 * n, once it is let; refuses to hear of 13."""

    def __init__(self, most: int = 4, at_once: int = 2, patience: float = 5) -> None:
        self.asked: list[list[int]] = []
        self.running = self.most_running = 0
        self.let = asyncio.Event()
        self.let.set()
        self.away = False
        self.turns = asyncio.Semaphore(at_once)
        self.gather = Gather(self.ask, self.turns, most=most, patience=patience)

    async def ask(self, questions: Sequence[int]) -> Sequence[int]:
        self.asked.append(list(questions))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self.let.wait()
        await asyncio.sleep(0)
        self.running -= 1
        if self.away:
            raise StoreUnavailable("away")
        if 13 in questions:
            raise Refused("unlucky")
        return [10 * question for question in questions]


async def test_each_gets_its_own_answer_and_all_take_few_questions() -> None:
    source = Source()
    answers = await asyncio.gather(*map(source.gather, range(100, 200)))
    assert answers == [10 * n for n in range(100, 200)]
    assert len(source.asked) == 25
    assert source.most_running == 2


@pytest.mark.parametrize("at_once", [1, 2])
async def test_who_comes_alone_is_asked_at_once_and_alone(at_once: int) -> None:
    source = Source(at_once=at_once)
    for n in range(20, 40):
        assert await source.gather(n) == 10 * n
    assert source.asked == [[n] for n in range(20, 40)]


async def test_no_answer_is_older_than_its_question() -> None:
    source = Source(at_once=1)
    source.let.clear()
    first = asyncio.create_task(source.gather(1))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(source.gather(1))
    await asyncio.sleep(0.01)
    source.let.set()
    assert await asyncio.gather(first, second) == [10, 10]
    assert source.asked == [[1], [1]]


async def test_a_refused_question_spoils_no_other() -> None:
    source = Source()
    answers = await asyncio.gather(*map(source.gather, (12, 13, 14)), return_exceptions=True)
    assert answers[::2] == [120, 140]
    assert isinstance(answers[1], Refused)
    assert source.asked == [[12, 13, 14], [12], [13, 14], [13], [14]]


async def test_all_learn_that_the_source_is_away_and_the_next_is_asked_anew() -> None:
    source = Source()
    source.away = True
    answers = await asyncio.gather(*map(source.gather, range(10)), return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    source.away = False
    assert await source.gather(7) == 70


async def test_nobody_waits_for_ever_and_what_is_stuck_keeps_no_turn() -> None:
    source = Source(most=1, at_once=1, patience=0.05)
    source.let.clear()
    answers = await asyncio.gather(*map(source.gather, (1, 2, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    source.let = asyncio.Event()
    source.let.set()
    assert await source.gather(4) == 40
    assert source.asked == [[1], [4]]


async def test_several_share_their_turns() -> None:
    source = Source(at_once=2)
    other = Gather(source.ask, source.turns, most=3)
    questions = range(100, 130)
    await asyncio.gather(*map(source.gather, questions), *map(other, questions))
    assert source.most_running == 2
    assert len(source.asked) == 8 + 10


async def test_nobody_gets_an_answer_where_one_is_missing() -> None:
    async def ask(questions: Sequence[int]) -> Sequence[int]:
        return list(questions)[1:]

    gather = Gather(ask, asyncio.Semaphore(1), most=4)
    answers = await asyncio.gather(*map(gather, range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError] * 3


async def test_who_leaves_costs_the_others_nothing_and_is_not_asked_for() -> None:
    source = Source(most=2, at_once=1)
    source.let.clear()
    tasks = [asyncio.create_task(source.gather(n)) for n in range(6)]
    await asyncio.sleep(0.01)
    for leaver in (tasks[1], tasks[2], tasks[3]):
        leaver.cancel()
    source.let.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answers[n] for n in (0, 4, 5)] == [0, 40, 50]
    assert all(isinstance(answers[n], asyncio.CancelledError) for n in (1, 2, 3))
    assert source.asked == [[0, 1], [4, 5]]


@pytest.mark.parametrize("at_once", [1, 3])
async def test_nobody_is_forgotten_whenever_he_comes(at_once: int) -> None:
    source = Source(most=3, at_once=at_once)

    async def ask_often(start: int) -> list[int]:
        answers = []
        for n in range(start, start + 20):
            answers.append(await source.gather(n))
            for _ in range(n % 5):
                await asyncio.sleep(0)
        return answers

    async with asyncio.timeout(10):
        found = await asyncio.gather(*(ask_often(start) for start in range(100, 10_000, 100)))
    assert found == [[10 * n for n in range(start, start + 20)] for start in range(100, 10_000, 100)]
