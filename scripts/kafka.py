"""A real Kafka with one node, for manual use and for the tests.

    python scripts/kafka.py install            fetches Kafka's jars with Maven into .cache/kafka/libs
    python scripts/kafka.py run [--port 9092]  runs a broker on loopback in the foreground, with its data in var/kafka
                                [--partitions 4]

Uses only the standard library, so that it runs before any package is installed.
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
    """The folder of Kafka's jars; it may not exist yet."""
    return Path(os.environ.get("HERALD_KAFKA_HOME") or ROOT / ".cache" / "kafka" / "libs")


def missing() -> str | None:
    """Why Kafka cannot run on this machine, or None."""
    if not shutil.which("java"):
        return "no java on the PATH (17 or newer)"
    if not any(libs().glob("kafka_*.jar")):
        return f"no Kafka jars in {libs()}: run `python scripts/kafka.py install`"
    return None


class Node:
    """Broker and controller in one process, on loopback. The data in `directory` outlives the process."""

    def __init__(
        self, directory: Path, port: int, controller_port: int, *, create_topics: bool, partitions: int = 1
    ) -> None:
        self.servers = f"127.0.0.1:{port}"
        self._properties = directory / "server.properties"
        self._data = directory / "data"
        directory.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(self._settings(port, controller_port, create_topics, partitions))

    def format(self) -> None:
        """Formats the storage, unless it is formatted already."""
        if (self._data / "meta.properties").exists():
            return
        java = [*self._java(), "kafka.tools.StorageTool"]
        result = subprocess.run([*java, "random-uuid"], capture_output=True, text=True, check=True)
        cluster = result.stdout.strip()
        subprocess.run(
            [*java, "format", "--standalone", f"--cluster-id={cluster}", f"--config={self._properties}"],
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def command(self) -> list[str]:
        """The command that runs the node in the foreground."""
        return [*self._java(), "kafka.Kafka", str(self._properties)]

    def _java(self) -> list[str]:
        # The serial garbage collector and the first compiler tier only: a fast start matters more than throughput here.
        return ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{libs()}/*"]

    def _settings(self, port: int, controller_port: int, create_topics: bool, partitions: int) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
            "log.dirs": self._data,
            "auto.create.topics.enable": str(create_topics).lower(),
            "num.partitions": partitions,
            # Sized for one node with a small heap.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            # A killed broker can register again only when its old session has expired, by default after 9 s.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            # The first member of a group does not wait for others to join.
            "group.initial.rebalance.delay.ms": 0,
            # Tests shorten the sessions of consumers; by default 6 s is the minimum.
            "group.min.session.timeout.ms": 1000,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def install() -> None:
    """Fetches the jars, unless they exist already."""
    if any(libs().glob("kafka_*.jar")):
        print(f"Kafka is in {libs()}")
        return
    if missing_tools := [tool for tool in ("java", "mvn") if not shutil.which(tool)]:
        sys.exit(f"Kafka needs {' and '.join(missing_tools)} on the PATH (Java 17 or newer, and Maven).")
    with tempfile.TemporaryDirectory() as build:
        pom = Path(build, "pom.xml")
        pom.write_text(POM)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={libs()}"]
        fetched = subprocess.run(["mvn", "-q", "--batch-mode", f"--file={pom}", *goal], check=False)
    if fetched.returncode:
        sys.exit("Maven could not fetch Kafka; see its output above.")
    print(f"Kafka {VERSION} is in {libs()}")


def run(port: int, partitions: int) -> None:
    """Replaces this process by a broker that creates topics on first use, with this number of partitions. Ctrl-C ends
    it."""
    if reason := missing():
        sys.exit(f"Kafka cannot run: {reason}")
    node = Node(ROOT / "var" / "kafka", port, port + 1, create_topics=True, partitions=partitions)
    node.format()
    print(f"Kafka {VERSION} on {node.servers}; Ctrl-C ends it. For Herald: KAFKA_BROKERS={node.servers}", flush=True)
    command = node.command()
    os.execvp(command[0], command)


def main() -> None:
    parser = argparse.ArgumentParser(description="A real Kafka with one node, on loopback.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="fetch Kafka's jars with Maven into .cache/kafka/libs")
    running = commands.add_parser("run", help="run a broker in the foreground, with its data in var/kafka")
    running.add_argument("--port", type=int, default=9092, help="the next port is the controller's (default: 9092)")
    running.add_argument(
        "--partitions", type=int, default=1, help="of topics that are created on first use (default: 1)"
    )
    options = parser.parse_args()
    if options.command == "install":
        install()
    else:
        run(options.port, options.partitions)


if __name__ == "__main__":
    main()
