"""A new broker needs a folder and a line in the registry; routes files, settings, ingest, health and metrics support
it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.clients import until_http
from tests.support.server import Server

WITH_LINES: Final = (sys.executable, "-m", "tests.support.lines")

ROUTES: Final = """
profile = "mine"
broker = "lines"
[feeds.news]
access = "public"
[[routes]]
source = "news.*"
feed = "news"
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (routes := tmp_path / "routes.toml").write_text(ROUTES)
    (lines := tmp_path / "lines.txt").write_text('news.a {"text": "one"}\nnews.b {"text": "two"}\n')
    return {"HERALD_ROUTES": str(routes), "LINES_FILE": str(lines), "HERALD_AUTH": "open"}


async def test_its_events_are_consumed_and_reported_in_health_and_metrics(files: dict[str, str]) -> None:
    server = Server(files, ("serve",), prefix=WITH_LINES).start(ready=True)
    try:
        health = await until_http(server, "/health", lambda _: True, 10)
        assert list(health["checks"]) == ["store", "backplane", "memory", "lines", "draining", "mail", "tokens"]
        assert health["sources"][1]["assigned"] == ["news.*"]
        metrics = await until_http(server, "/metrics", lambda body: body["events"]["in"].get("lines") == 2, 10)
        assert metrics["events"]["stored"] == 2, (metrics["events"], server.log)
    finally:
        assert server.stop() == 0


def test_its_settings_and_name_are_known_to_the_commands(files: dict[str, str]) -> None:
    def herald(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        command = [*WITH_LINES, "herald", *arguments]
        return subprocess.run(command, env=files | environ, capture_output=True, text=True, check=False)

    shown = herald("config", HERALD_BROKER="lines").stdout
    assert f"LINES_FILE {files['LINES_FILE']} LINES_FILE" in " ".join(shown.split())
    assert "kafka, rabbitmq, memory or lines, not 'line'" in herald("config", HERALD_BROKER="line").stderr
    assert "events from lines" in herald("routes", "check", files["HERALD_ROUTES"]).stdout
