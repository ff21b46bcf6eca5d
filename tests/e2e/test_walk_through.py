"""The commands of a page work, block by block, in a real shell with real servers."""

import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.kafka import RealKafka
from tests.support.pages_of_commands import Shell, commands
from tests.support.service import free_port

ROOT: Final = Path(__file__).parents[2]
HELPDESK: Final = Path("docs/examples/helpdesk")
BLOCKS: Final = [block for block in commands(ROOT / HELPDESK / "README.md") if block.is_run]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, real_kafka: RealKafka) -> Iterator[Shell]:
    """A shell in a copy of what the page uses of a clone, with a Kafka that has the topics of the routes."""
    clone = tmp_path_factory.mktemp("clone")
    for folder in (HELPDESK, Path("deploy")):
        shutil.copytree(ROOT / folder, clone / folder, ignore=shutil.ignore_patterns("var", ".env"))
    (clone / ".venv").mkdir()
    (clone / ".venv/bin").symlink_to(Path(sys.executable).parent)
    for topic in ("ticket.created", "ticket.assigned"):
        real_kafka.ensure_topic(topic)
    port = str(free_port())
    env = {
        "HERALD_PORT": port,
        "HERALD_URL": f"http://localhost:{port}",
        "KAFKA_BROKERS": real_kafka.servers,
        "HERALD_KAFKA_GROUP": f"walk-{uuid.uuid4()}",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    addresses = {"localhost:8000": f"localhost:{port}", "localhost:9092": real_kafka.servers}
    shell = Shell(clone, env, addresses)
    yield shell
    shell.close()
    print(shell.transcript)


def test_the_walk_through_of_the_helpdesk(shell: Shell) -> None:
    # One test, because several may be divided between processes.
    for block in BLOCKS:
        shell.follow(block)
