"""Pages whose blocks of commands a test executes, one after the other, in one shell.

A fenced block `sh` has commands. A block `text` below it has their output, in which `…` stands for any text within a
line, and a line with only `…` for any lines. A comment before a block says how it is run:

- `<!-- repeat -->`: again until the output is as the page says, as a reader does who waits for something to arrive;
- `<!-- docker -->`: not at all, because there is no Docker where tests run; the commands are only parsed;
- `<!-- not run: reason -->`: not at all.
"""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BLOCK: Final = re.compile(
    r"(?:^<!-- (?P<marker>.+?) -->\n)?^```sh\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Commands:
    """`output` is None if the page shows none. `line` is where the block begins."""

    line: int
    marker: str
    text: str
    output: str | None

    @property
    def is_run(self) -> bool:
        return self.marker in ("", "repeat")

    def printed(self, output: str) -> bool:
        """Whether the output is what the page says."""
        if self.output is None:
            return True
        lines = [_pattern(line) for line in self.output.splitlines(keepends=True)]
        return re.fullmatch("".join(lines), output) is not None


def _pattern(line: str) -> str:
    if line == "…\n":
        return r"(?:.*\n)*"
    return ".*".join(re.escape(part) for part in line.split("…"))


def commands(page: Path) -> list[Commands]:
    text = page.read_text(encoding="utf-8")
    return [
        Commands(text.count("\n", 0, at.start()) + 1, at["marker"] or "", at["commands"], at["output"])
        for at in BLOCK.finditer(text)
    ]


class Shell:
    """A bash that executes blocks of commands, and all processes that it started."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._transcript = folder / "transcript.txt"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
        with self._transcript.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "-u"],
                cwd=folder,
                env={**inherited, **env},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._seen = 0

    def run(self, text: str) -> tuple[int, str]:
        """Return the exit code of the last command, and what the commands printed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\necho \"end-of-block $?\"\n".encode())
        self._process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while not (end := re.search(r"end-of-block (\d+)\n", self._new())):
            assert self._process.poll() is None, f"the shell ended: {self._new()}"
            assert time.monotonic() < deadline, f"not done in {PATIENCE} s:\n{text}\n{self._new()}"
            time.sleep(0.02)
        printed = self._new()[: end.start()]
        self._seen += len(self._new().encode())
        return int(end[1]), printed

    def _new(self) -> str:
        return self._transcript.read_bytes()[self._seen :].decode()

    def follow(self, block: Commands) -> None:
        """Execute the block. It must succeed and print what the page says."""
        deadline = time.monotonic() + PATIENCE
        while True:
            code, printed = self.run(block.text)
            if code == 0 and block.printed(printed):
                return
            waits = block.marker == "repeat" and time.monotonic() < deadline
            assert waits, f"line {block.line}: exit code {code}\n{block.text}\nprinted:\n{printed}\nnot:\n{block.output}"
            time.sleep(0.1)

    def close(self) -> None:
        """End the shell and everything that it started."""
        subprocess.run(["pkill", "-KILL", "-s", str(self._process.pid)], check=False)
        self._process.wait(PATIENCE)
