"""Runs `herald listen` in a separate process, and reads its output."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

HERALD: Final = str(Path(sys.executable).with_name("herald"))

PATIENCE: Final = 30.0


class Listen:
    """Runs one process after another. Each has an output file of its own, because the last line of a killed process may
    be incomplete."""

    def __init__(self, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self._options = options
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
        # Writes bytecode, because a start without it takes four times as long.
        self._env = inherited | {"PYTHONDONTWRITEBYTECODE": ""} | (env or {})
        self._folder = folder
        self._outputs: list[Path] = []
        self._news = folder / "news.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Listen":
        self._outputs.append(self._folder / f"output-{len(self._outputs)}.jsonl")
        with self._outputs[-1].open("wb") as output, self._news.open("ab") as news:
            command = [HERALD, "listen", *self._options]
            self._process = subprocess.Popen(command, env=self._env, stdout=output, stderr=news)
        return self

    def stop(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Stop the process. Returns the exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        return process.wait(PATIENCE)

    def ended(self) -> int:
        """Wait until the process ends by itself. Returns the exit code."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    @property
    def runs(self) -> list[list[Any]]:
        """Return what each run has printed, without an incomplete last line."""
        outputs = (output.read_text().splitlines(keepends=True) for output in self._outputs)
        return [[json.loads(line) for line in lines if line.endswith("\n")] for lines in outputs]

    @property
    def objects(self) -> list[Any]:
        return [one for run in self.runs for one in run]

    @property
    def printed(self) -> int:
        """Return the number of complete lines printed so far."""
        return sum(output.read_bytes().count(b"\n") for output in self._outputs)

    @property
    def news(self) -> str:
        return self._news.read_text()

    async def until_news(self, words: str, count: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.news.count(words) < count:
            assert time.monotonic() < deadline, f"no {count} times {words!r} in: {self.news}"
            await asyncio.sleep(0.02)

    async def until_printed(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.printed < count:
            assert time.monotonic() < deadline, f"{self.printed} of {count} lines: {self.news}"
            await asyncio.sleep(0.02)


def in_shell(command: str) -> "subprocess.Popen[bytes]":
    """Run in a shell whose pipelines fail with their first failing command."""
    return subprocess.Popen(["bash", "-o", "pipefail", "-c", command], stdout=subprocess.PIPE)
