"""Text from outside cannot control a terminal, and a client that disconnects while sending a body is not logged as a
server error."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from adapters.telemetry.logs import set_up_logs
from domain.safe_text import visible
from entrypoints.cli.explain import explain
from entrypoints.cli.http_client import RequestFailed
from entrypoints.cli.main import main
from tests.support.core import table
from tests.support.server import Server

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\r\nforged"


@given(st.text())
def test_visible_text_has_no_control_characters(text: str) -> None:
    assert visible(text).isprintable()
    assert json.loads(visible(json.dumps(text, ensure_ascii=False))) == text


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, set up as `herald` does it. All loggers are restored afterwards."""
    root = logging.getLogger()
    handlers = root.handlers
    loggers = [root, *(logging.getLogger(name) for name in (*logging.root.manager.loggerDict, "aiormq", "httpx"))]
    levels = [logger.level for logger in loggers]
    before = structlog.get_config()
    set_up_logs("console", "INFO", "herald", "n")
    yield root
    structlog.configure(**before)
    root.handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def test_the_console_log_escapes_control_characters(root_logger: logging.Logger) -> None:
    output = io.StringIO()
    root_logger.handlers[0].stream = output  # type: ignore[attr-defined]  # a StreamHandler
    log = structlog.get_logger("tests.terminals")
    log.warning("dead_letter", source=HOSTILE, detail=[HOSTILE])
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed", path=f"/{HOSTILE}")
    shown = output.getvalue()
    assert "\\u001b[2J" in shown
    assert all(line.isprintable() for line in shown.split("\n"))
    assert not any(line.startswith("forged") for line in shown.split("\n")[:1])


def test_explain_escapes_control_characters() -> None:
    body = json.dumps({"to": "ada", "title": HOSTILE, "event_id": HOSTILE}).encode()
    shown = explain("direct", body, table(), datetime.now(UTC)).text
    assert all(line.isprintable() for line in shown.split("\n"))


def test_request_errors_escape_control_characters() -> None:
    assert str(RequestFailed(f"Refused with 400: {HOSTILE}")).isprintable()


def test_a_mail_preview_escapes_control_characters(tmp_path: Path) -> None:
    routes = tmp_path / "routes.toml"
    routes.write_text(
        'profile = "p"\n[[routes]]\nsource = "s"\nemail = { to = "to", subject = "{title}", template = "missing.html" }'
    )
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"to": f"a{HOSTILE}@b.example", "title": HOSTILE}))
    environ = {"HERALD_PROFILE": "", "HERALD_ROUTES": ""}
    shown = CliRunner(env=environ).invoke(
        main, ["mail", "preview", str(event), "--source", "s", "--routes", str(routes), "--out", str(tmp_path / "out")]
    )
    assert "subject " in shown.output + shown.stderr
    assert all(line.isprintable() for line in (shown.output + shown.stderr).split("\n"))


async def test_a_client_that_disconnects_during_its_body_is_not_an_error() -> None:
    server = Server().start(ready=True)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = "POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.close()
        async with asyncio.timeout(20):
            while "path=/api/v1/events" not in server.log:
                await asyncio.sleep(0.05)
        assert "Traceback" not in server.log
        assert "status=500" not in server.log
    finally:
        server.kill()
