"""A real Kafka of one node, for trying Herald by hand and for the tests.

    python scripts/kafka.py install            Maven fetches Kafka's jars into .cache/kafka/libs
    python scripts/kafka.py run [--port 9092]  a broker on loopback in the foreground, its data in var/kafka

Only the standard library, so that it runs before anything is installed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

VERSION: Final = "4.1.0"
ROOT: Final = Path(__file__).resolve().parent.parent

POM: Final = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>herald</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""


def libs() -> Path:
    """Where Kafka's jars are, or would be."""
    return Path(os.environ.get("HERALD_KAFKA_HOME") or ROOT / ".cache" / "kafka" / "libs")


def missing() -> str | None:
    """What a real Kafka lacks on this machine, in words; None when it can run."""
    if not shutil.which("java"):
        return "no java on the PATH (17 or newer)"
    if not any(libs().glob("kafka_*.jar")):
        return f"no Kafka jars in {libs()}: run `python scripts/kafka.py install`"
    return None


class Node:
    """Broker and controller in one process, on loopback; what it keeps is in `directory` and outlives the process."""

    def __init__(self, directory: Path, port: int, controller_port: int, *, create_topics: bool) -> None:
        self.servers = f"127.0.0.1:{port}"
        self._properties = directory / "server.properties"
        self._data = directory / "data"
        directory.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(self._settings(port, controller_port, create_topics))

    def format(self) -> None:
        """Prepares the storage; leaves one that is prepared as it is."""
        if (self._data / "meta.properties").exists():
            return
        java = [*self._java(), "kafka.tools.StorageTool"]
        made = subprocess.run([*java, "random-uuid"], capture_output=True, text=True, check=True)
        cluster = made.stdout.strip()
        subprocess.run(
            [*java, "format", "--standalone", f"--cluster-id={cluster}", f"--config={self._properties}"],
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def command(self) -> list[str]:
        """What starts the node, in the foreground."""
        return [*self._java(), "kafka.Kafka", str(self._properties)]

    def _java(self) -> list[str]:
        # The serial collector and the first compiler only: on two cores a quick start counts for more than speed.
        return ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{libs()}/*"]

    def _settings(self, port: int, controller_port: int, create_topics: bool) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
            "log.dirs": self._data,
            "auto.create.topics.enable": str(create_topics).lower(),
            # Everything below is sized for one node with a small heap.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            # A broker that was killed is let back in when its old session has run out: by default 9 s.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            # Nobody else is about to join: the first member need not wait for others.
            "group.initial.rebalance.delay.ms": 0,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def install() -> None:
    """Fetches the jars; does nothing when they are there."""
    if any(libs().glob("kafka_*.jar")):
        print(f"Kafka is in {libs()}")
        return
    if absent := [tool for tool in ("java", "mvn") if not shutil.which(tool)]:
        sys.exit(f"Kafka needs {' and '.join(absent)} on the PATH (Java 17 or newer, and Maven).")
    with tempfile.TemporaryDirectory() as build:
        pom = Path(build, "pom.xml")
        pom.write_text(POM)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={libs()}"]
        fetched = subprocess.run(["mvn", "-q", "--batch-mode", f"--file={pom}", *goal], check=False)
    if fetched.returncode:
        sys.exit("Maven could not fetch Kafka; its own words are above.")
    print(f"Kafka {VERSION} is in {libs()}")


def run(port: int) -> None:
    """Becomes a broker that makes topics as they are named; Ctrl-C ends it."""
    if reason := missing():
        sys.exit(f"Kafka cannot run: {reason}")
    node = Node(ROOT / "var" / "kafka", port, port + 1, create_topics=True)
    node.format()
    print(f"Kafka {VERSION} on {node.servers}; Ctrl-C ends it. For Herald: KAFKA_BROKERS={node.servers}", flush=True)
    command = node.command()
    os.execvp(command[0], command)


def main() -> None:
    parser = argparse.ArgumentParser(description="A real Kafka of one node, on loopback.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="let Maven fetch Kafka's jars into .cache/kafka/libs")
    running = commands.add_parser("run", help="run a broker in the foreground, its data in var/kafka")
    running.add_argument("--port", type=int, default=9092, help="the next port is the controller's (default: 9092)")
    chosen = parser.parse_args()
    if chosen.command == "install":
        install()
    else:
        run(chosen.port)


if __name__ == "__main__":
    main()
