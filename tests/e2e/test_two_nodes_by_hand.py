"""The commands of docs/deploying.md, "Two nodes without Docker", work as they stand there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.nginx import missing
from tests.support.pages_of_commands import REPEAT, Commands, Shell, commands
from tests.support.redis import RealRedis
from tests.support.service import free_port, real_is_required

ROOT: Final = Path(__file__).parents[2]
(BLOCK,) = (
    block for block in commands(ROOT / "docs/deploying.md") if "deploy/nginx.conf > var/nginx.conf" in block.text
)


@pytest.fixture
def shell(tmp_path: Path, postgres_url: str, real_redis: RealRedis) -> Iterator[Shell]:
    if reason := missing():
        (pytest.fail if real_is_required() else pytest.skip)(reason)
    one, two, proxy = free_port(), free_port(), free_port()
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "deploy").mkdir()
    # Only the port and the folders of nginx itself differ.
    text = (ROOT / "deploy/nginx.conf").read_text().replace("/tmp/", f"{tmp_path}/")
    (tmp_path / "deploy/nginx.conf").write_text(text.replace("listen 8080", f"listen 127.0.0.1:{proxy}"))
    addresses = {
        "postgresql://herald:secret@127.0.0.1/herald": postgres_url,
        "redis://127.0.0.1:6379": real_redis.url,
        "127.0.0.1:8001": f"127.0.0.1:{one}",
        "127.0.0.1:8002": f"127.0.0.1:{two}",
        "HERALD_PORT=8001": f"HERALD_PORT={one}",
        "HERALD_PORT=8002": f"HERALD_PORT={two}",
        "localhost:8080": f"localhost:{proxy}",
    }
    shell = Shell(tmp_path, {"PATH": f"{ROOT / '.venv/bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin"}, addresses)
    yield shell
    shell.close()
    print(shell.transcript)


def test_nginx_distributes_requests_over_both_nodes(shell: Shell) -> None:
    shell.follow(BLOCK)
    # The page waits for one node; the other one may start later.
    again = """curl --silent --fail --output live.json localhost:8080/health/live
grep -o '"upstream":"[^",]*","upstream_status":"200"' var/nginx.log | sort -u | wc -l
"""
    shell.follow(Commands(BLOCK.line, REPEAT, again, "2\n"))
