"""Delays between attempts: growing, limited, with jitter."""

import pytest

from domain.backoff import Backoff


def test_delays_grow_by_the_factor_up_to_the_maximum() -> None:
    backoff = Backoff(initial_s=0.5, max_s=3.0)
    assert [backoff.delay_s(failures, 0.0) for failures in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert Backoff(1.0, 100.0, factor=3.0).delay_s(3, 0.0) == 9.0


@pytest.mark.parametrize(("jitter", "shortest"), [(0.0, 8.0), (0.5, 4.0), (1.0, 0.0)])
def test_jitter_is_the_random_share_of_the_delay(jitter: float, shortest: float) -> None:
    backoff = Backoff(8.0, 8.0, jitter=jitter)
    assert backoff.delay_s(1, 0.0) == 8.0
    assert backoff.delay_s(1, 1.0) == shortest


def test_any_number_of_failures_has_a_delay() -> None:
    assert Backoff(0.2, 15.0).delay_s(1_000_000, 0.0) == 15.0
