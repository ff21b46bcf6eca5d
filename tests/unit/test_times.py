"""Digits as times: seconds or milliseconds since 1970, by magnitude, or no time."""

from datetime import UTC, datetime

import pytest

from adapters.http.api.list_parameters import moment
from domain.caller_errors import InvalidInput
from domain.planning import plan
from domain.unix_times import since_1970
from tests.support.core import message, table

MOMENT = datetime(2026, 2, 28, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize("number", ["1772274600", "1772274600000", "1772274600.0", 1772274600, 1772274600000.0])
def test_the_magnitude_decides_between_seconds_and_milliseconds(number: str | float) -> None:
    assert since_1970(number) == MOMENT


@pytest.mark.parametrize(
    "number",
    ["2026", "20260228", "1772274600000000", "9" * 4_000, "1e9", "-1772274600", "", "0x1", float("nan"), 1e308],
)
def test_other_numbers_are_no_time(number: str | float) -> None:
    assert since_1970(number) is None


def test_query_parameters_of_lists_follow_the_same_rule() -> None:
    assert moment("1772274600", "start_date") == MOMENT
    assert moment("1772274600000", "end_date", last=True) == MOMENT
    for digits in ("2026", "20260228", "1772274600000000", "9" * 40):
        with pytest.raises(InvalidInput, match="since 1970"):
            moment(digits, "start_date")


@pytest.mark.parametrize("stamp", ["1772274600000", 1772274600000, "1772274600", "2026-02-28T10:30:00Z"])
def test_the_time_of_a_log_out_is_read_in_every_format(stamp: object) -> None:
    (sign_out,) = plan(message("bye", {"user_id": "ada", "timestamp": stamp}), table()).sign_outs
    assert sign_out.not_before == MOMENT
