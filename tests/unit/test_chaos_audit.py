"""The audit of the chaos trials detects every kind of violation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.audit import Audit, audit_stream

EXPECTED = [5, 3, 8, 1, 9]


@pytest.mark.parametrize(
    ("spans", "audit"),
    [
        ([EXPECTED], Audit(received=5)),
        ([[5, 3, 1, 9]], Audit(received=4, lost=1)),
        ([[]], Audit(lost=5)),
        ([[5, 3, 3, 8, 1, 9]], Audit(received=6, duplicated=1)),
        ([[5, 8, 3, 1, 9]], Audit(received=5, reordered=1)),
        ([[5, 3, 8, 1, 9, 7]], Audit(received=6, unexpected=1)),
        ([[5, 3], [8, 1, 9]], Audit(received=5)),
        ([[5], [1, 9]], Audit(received=3, missed=2)),
        ([[3], [1, 9]], Audit(received=3, lost=1, missed=1)),
        ([[], [1, 9]], Audit(received=2, missed=3)),
        ([[5, 8], [1, 9]], Audit(received=4, lost=1)),
        ([[5, 3], [8, 1]], Audit(received=4, lost=1)),
        ([[5, 3], []], Audit(received=2, missed=3)),
        ([[5, 3, 8], [8, 1, 9]], Audit(received=6, duplicated=1)),
        ([[], []], Audit(missed=5)),
    ],
)
def test_violations_are_counted_by_kind(spans: list[list[int]], audit: Audit) -> None:
    assert audit_stream(spans, EXPECTED) == audit


@given(st.lists(st.integers(0, 30), unique=True), st.data())
def test_only_a_connection_that_received_exactly_the_stream_has_no_violations(
    expected: list[int], data: st.DataObject
) -> None:
    received = data.draw(st.permutations(expected) | st.lists(st.integers(0, 40)))
    assert (audit_stream([received], expected).violations == 0) == (received == expected)
