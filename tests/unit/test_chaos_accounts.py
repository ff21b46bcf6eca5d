"""The accounts of the chaos trials: a trial is worth what its accounts see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.account import Account, judge

TRUTH = [5, 3, 8, 1, 9]


@pytest.mark.parametrize(
    ("spans", "account"),
    [
        ([TRUTH], Account(shown=5)),
        ([[5, 3, 1, 9]], Account(shown=4, lost=1)),
        ([[]], Account(lost=5)),
        ([[5, 3, 3, 8, 1, 9]], Account(shown=6, twice=1)),
        ([[5, 8, 3, 1, 9]], Account(shown=5, disordered=1)),
        ([[5, 3, 8, 1, 9, 7]], Account(shown=6, strange=1)),
        ([[5, 3], [8, 1, 9]], Account(shown=5)),
        ([[5], [1, 9]], Account(shown=3, missed=2)),
        ([[3], [1, 9]], Account(shown=3, lost=1, missed=1)),
        ([[], [1, 9]], Account(shown=2, missed=3)),
        ([[5, 8], [1, 9]], Account(shown=4, lost=1)),
        ([[5, 3], [8, 1]], Account(shown=4, lost=1)),
        ([[5, 3], []], Account(shown=2, missed=3)),
        ([[5, 3, 8], [8, 1, 9]], Account(shown=6, twice=1)),
        ([[], []], Account(missed=5)),
    ],
)
def test_what_is_wrong_is_found(spans: list[list[int]], account: Account) -> None:
    assert judge(spans, TRUTH) == account


@given(st.lists(st.integers(0, 30), unique=True), st.data())
def test_one_connection_that_was_shown_everything_is_faultless_and_no_other(
    truth: list[int], data: st.DataObject
) -> None:
    shown = data.draw(st.permutations(truth) | st.lists(st.integers(0, 40)))
    assert (judge([shown], truth).faults == 0) == (shown == truth)
