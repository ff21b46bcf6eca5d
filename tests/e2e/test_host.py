"""HERALD_HOST as a host name."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from entrypoints.listening import listening_address
from tests.e2e.conftest import StartServer
from tests.support.service import free_port


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0"])
def test_a_host_name_is_resolved_and_listened_on(start_server: StartServer, host: str) -> None:
    server = start_server({"HERALD_HOST": host})
    assert httpx.get(f"http://127.0.0.1:{server.port}/health/live").status_code == 200
    assert httpx.get(f"http://localhost:{server.port}/health/live").status_code == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log
    assert f"http://{host}:{server.port}/" in server.log


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a b", "x" * 70, "[::1]", "::1%lo", "203.0.113.1"])
def test_a_host_that_cannot_be_listened_on_is_named(host: str) -> None:
    with pytest.raises(OSError, match=r"^HERALD_HOST") as refused:
        listening_address(host, free_port(), "HERALD_PORT")
    assert host in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_an_unresolvable_host_name_refuses_the_start(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
    env = {**clean, "HERALD_HOST": "no-such-host.invalid", "HERALD_PORT": str(free_port())}
    program = str(Path(sys.executable).with_name("herald"))
    refused = subprocess.run(
        [program, "dev"], env=env, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("herald: HERALD_HOST")
    assert "no-such-host.invalid" in line
