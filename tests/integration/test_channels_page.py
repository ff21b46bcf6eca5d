"""The example of docs/channels.md prints, word for word: its code, its route and its event."""

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
from litestar.testing import AsyncTestClient

from adapters.mail.route_table import EmailTable
from application.delivery.dispatch_policy import DispatchPolicy
from entrypoints.app import create_app
from entrypoints.channels import CHANNELS, OutboundChannel
from entrypoints.settings.loader import load
from tests.support.reading import until

PAGE: Final = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_the_example_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, registry = blocks("python")
    module: dict[str, Any] = {"__name__": "printer"}
    exec(code, module)
    shipped = CHANNELS[0]
    registered = {
        "EmailTable": EmailTable,
        "email_channel": shipped.open,
        "check_email": shipped.check,
        "faults_in_mails": shipped.faults_in,
    }
    entry = re.sub(r"^from adapters\.printer.*\n|: Final", "", registry, flags=re.MULTILINE)
    names = {**module, **registered, "OutboundChannel": OutboundChannel, "DispatchPolicy": DispatchPolicy}
    exec(entry, names)
    assert names["CHANNELS"][0] == shipped

    (tmp_path / "invoices.toml").write_text(blocks("toml")[0])
    settings = load({"DATABASE_URL": "memory:", "HERALD_ROUTES": "invoices.toml"}, "dev", {})
    curl, printed = re.findall(r"^(?:curl|cat) .*$", blocks("sh")[0], re.MULTILINE)
    event = json.loads(shlex.split(curl)[-1])
    file = tmp_path / shlex.split(printed)[1]
    async with AsyncTestClient(create_app(settings, channels=names["CHANNELS"]), base_url="http://127.0.0.1") as client:
        assert (await client.post("/api/v1/events", json=event)).is_success
        await until(file.exists)
        assert re.fullmatch(r"[0-9a-f-]{36} Invoice 41\n", file.read_text())
        event["payload"] = {"number": 42, "printers": [".."]}
        assert (await client.post("/api/v1/events", json=event)).is_success
        while not (failed := (await client.get("/api/v1/notifications", params={"status": "failed"})).json()["items"]):
            await asyncio.sleep(0.02)
        assert failed[0]["error_message"] == "the destination is not the name of a file"
