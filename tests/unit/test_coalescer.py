"""Coalescer and StoreRequests: concurrent requests share a query. Each gets its own result, whatever happens to the
others."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.coalescer import Coalescer
from adapters.sql.errors import Refused
from adapters.sql.store_requests import StoreRequests
from application.ports.store import StoreUnavailable


class Source:
    """Answers n with 10 * n while `open` is set; refuses 13."""

    def __init__(self, max_batch: int = 4, slots: int = 2, timeout_s: float = 5) -> None:
        self.queries: list[list[int]] = []
        self.running = self.max_running = 0
        self.open = asyncio.Event()
        self.open.set()
        self.unavailable = False
        self.slots = asyncio.Semaphore(slots)
        self.request = StoreRequests(self.query, self.slots, max_batch=max_batch, timeout_s=timeout_s)

    async def query(self, requests: Sequence[int]) -> Sequence[int]:
        self.queries.append(list(requests))
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        await self.open.wait()
        await asyncio.sleep(0)
        self.running -= 1
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        if 13 in requests:
            raise Refused("refused")
        return [10 * request for request in requests]

    async def until_running(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.running < count:
                await asyncio.sleep(0)


async def test_concurrent_requests_share_queries_and_get_their_own_results() -> None:
    source = Source()
    answers = await asyncio.gather(*map(source.request, range(100, 200)))
    assert answers == [10 * n for n in range(100, 200)]
    assert len(source.queries) == 25
    assert source.max_running == 2


@pytest.mark.parametrize("slots", [1, 2])
async def test_a_single_request_runs_immediately_and_alone(slots: int) -> None:
    source = Source(slots=slots)
    for n in range(20, 40):
        assert await source.request(n) == 10 * n
    assert source.queries == [[n] for n in range(20, 40)]


async def test_no_result_is_older_than_its_request() -> None:
    source = Source(slots=1)
    source.open.clear()
    first = asyncio.create_task(source.request(1))
    await source.until_running(1)
    second = asyncio.create_task(source.request(1))
    await asyncio.sleep(0)
    source.open.set()
    assert await asyncio.gather(first, second) == [10, 10]
    assert source.queries == [[1], [1]]


async def test_a_refused_request_fails_alone() -> None:
    source = Source()
    answers = await asyncio.gather(*map(source.request, (12, 13, 14)), return_exceptions=True)
    assert answers[::2] == [120, 140]
    assert isinstance(answers[1], Refused)
    assert source.queries == [[12, 13, 14], [12], [13, 14], [13], [14]]


async def test_an_outage_fails_all_waiting_requests_and_no_later_ones() -> None:
    source = Source()
    source.unavailable = True
    answers = await asyncio.gather(*map(source.request, range(10)), return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    source.unavailable = False
    assert await source.request(7) == 70


async def test_a_request_times_out_and_a_stalled_query_releases_its_slot() -> None:
    source = Source(max_batch=1, slots=1, timeout_s=0.05)
    source.open.clear()
    answers = await asyncio.gather(*map(source.request, (1, 2, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    source.open.set()
    assert await source.request(4) == 40
    assert source.queries == [[1], [4]]


async def test_coalescers_share_their_slots() -> None:
    source = Source(slots=2)
    other = StoreRequests(source.query, source.slots, max_batch=3)
    requests = range(100, 130)
    await asyncio.gather(*map(source.request, requests), *map(other, requests))
    assert source.max_running == 2
    assert len(source.queries) == 8 + 10


async def test_a_missing_result_fails_the_whole_batch() -> None:
    async def query(requests: Sequence[int]) -> Sequence[int]:
        return list(requests)[1:]

    request = StoreRequests(query, asyncio.Semaphore(1), max_batch=4)
    answers = await asyncio.gather(*map(request, range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError] * 3


async def test_a_cancelled_request_is_left_out_and_does_not_affect_others() -> None:
    source = Source(max_batch=2, slots=1)
    source.open.clear()
    tasks = [asyncio.create_task(source.request(n)) for n in range(6)]
    await source.until_running(1)
    for cancelled in (tasks[1], tasks[2], tasks[3]):
        cancelled.cancel()
    source.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answers[n] for n in (0, 4, 5)] == [0, 40, 50]
    assert all(isinstance(answers[n], asyncio.CancelledError) for n in (1, 2, 3))
    assert source.queries == [[0, 1], [4, 5]]


@pytest.mark.parametrize("slots", [1, 3])
async def test_every_request_gets_a_result_whenever_it_arrives(slots: int) -> None:
    source = Source(max_batch=3, slots=slots)

    async def request_often(start: int) -> list[int]:
        answers = []
        for n in range(start, start + 20):
            answers.append(await source.request(n))
            for _ in range(n % 5):
                await asyncio.sleep(0)
        return answers

    async with asyncio.timeout(10):
        found = await asyncio.gather(*(request_often(start) for start in range(100, 10_000, 100)))
    assert found == [[10 * n for n in range(start, start + 20)] for start in range(100, 10_000, 100)]


async def test_an_exception_among_the_answers_fails_its_request_alone() -> None:
    async def query(requests: Sequence[int]) -> Sequence[int | Exception]:
        return [LookupError(str(n)) if n % 2 else n for n in requests]

    request: Coalescer[int, int] = Coalescer(query, asyncio.Semaphore(1), max_batch=10)
    answers = await asyncio.gather(*map(request, range(4)), return_exceptions=True)
    assert [answers[n] for n in (0, 2)] == [0, 2]
    assert all(isinstance(answers[n], LookupError) and str(answers[n]) == str(n) for n in (1, 3))


@pytest.mark.parametrize("steps", range(6))
async def test_closing_ends_at_any_moment(steps: int) -> None:
    """Also while a task has ended whose callbacks have yet to run."""
    source = Source()
    request: Coalescer[int, int] = Coalescer(source.query, asyncio.Semaphore(1), max_batch=2)
    task = asyncio.create_task(request(1))
    for _ in range(steps):
        await asyncio.sleep(0)
    await request.close(StoreUnavailable("closed"))
    task.cancel()


async def test_a_request_after_closing_is_answered() -> None:
    source = Source()
    source.open.clear()
    request: Coalescer[int, int] = Coalescer(source.query, asyncio.Semaphore(1), max_batch=1)
    tasks = [asyncio.create_task(request(n)) for n in range(3)]
    await source.until_running(1)
    await request.close(StoreUnavailable("closed"))
    await asyncio.gather(*tasks, return_exceptions=True)
    source.open.set()
    async with asyncio.timeout(5):
        assert await request(7) == 70


async def test_closing_fails_every_request_without_an_answer() -> None:
    source = Source()
    source.open.clear()
    request: Coalescer[int, int] = Coalescer(source.query, asyncio.Semaphore(1), max_batch=2)
    tasks = [asyncio.create_task(request(n)) for n in range(5)]
    await source.until_running(1)
    await request.close(StoreUnavailable("closed"))
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) and str(answer) == "closed" for answer in answers)
