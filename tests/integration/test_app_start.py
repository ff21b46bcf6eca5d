"""A start that fails: the cause is in the log."""

from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from structlog.testing import capture_logs

from entrypoints.app import create_app
from entrypoints.channels import CHANNELS, OutboundChannel
from entrypoints.settings.loader import load
from tests.support.app import IN_MEMORY
from tests.support.print_channel import PrintTable


async def test_the_cause_of_a_failed_start_is_logged() -> None:
    def fail(_: Any) -> Any:
        raise PermissionError(13, "Permission denied", "/var/printed")

    app = create_app(load(IN_MEMORY, "dev", {}), channels=(*CHANNELS, OutboundChannel(PrintTable, fail)))
    with capture_logs() as lines, pytest.raises(BaseException):  # noqa: PT011, B017 - the client's own, of any type
        async with AsyncTestClient(app):
            pass
    (line,) = [line for line in lines if line["event"] == "start_failed"]
    assert line["log_level"] == "error"
    assert line["exc_info"]
