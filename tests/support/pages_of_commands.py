"""Pages whose blocks of commands a test executes, one after the other, in one shell.

A fenced block `sh` has commands. A block `text` below it has their output, in which `…` stands for any text within a
line, and a line with only `…` for any lines. A comment before a block says how it is run:

- `<!-- repeat until it prints this -->`: again until the output is as the page says, as a reader does who waits for
  something to arrive;
- `<!-- docker -->`: not at all, because there is no Docker where tests run; the commands are only parsed;
- `<!-- not run: reason -->`: not at all.
"""

import os
import re
import signal
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
REPEAT: Final = "repeat until it prints this"
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
        return self.marker in ("", REPEAT)

    def printed(self, output: str) -> bool:
        """Whether the output is what the page says. A terminal shows no carriage returns."""
        if self.output is None:
            return True
        lines = [_pattern(line) for line in self.output.splitlines(keepends=True)]
        return re.fullmatch("".join(lines), output.replace("\r", "").removesuffix("\n") + "\n") is not None


def _pattern(line: str) -> str:
    if line == "…\n":
        return r"(?:.*\n)*"
    return ".*".join(re.escape(part) for part in line.split("…"))


def _replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def commands(page: Path) -> list[Commands]:
    text = page.read_text(encoding="utf-8")
    return [
        Commands(text.count("\n", 0, at.start()) + 1, at["marker"] or "", at["commands"], at["output"])
        for at in BLOCK.finditer(text)
    ]


class Shell:
    """A bash that executes blocks of commands, and all processes that it started. `addresses` are the addresses of the
    page with those that are used instead. After a block that fails it executes no others."""

    def __init__(self, folder: Path, env: Mapping[str, str], addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._failed = False
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
        self._process.stdin.write(f'{text}\necho "end-of-block $?"\n'.encode())
        self._process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while not (end := re.search(r"end-of-block (\d+)\n", self._new())):
            assert self._process.poll() is None, f"the shell ended: {self._new()}"
            assert time.monotonic() < deadline, f"not done in {PATIENCE} s:\n{text}\n{self._new()}"
            time.sleep(0.02)
        printed = self._new()[: end.start()]
        self._seen += len(self._new().encode())
        return int(end[1]), printed

    @property
    def transcript(self) -> str:
        return self._transcript.read_text()

    def _new(self) -> str:
        return self._transcript.read_bytes()[self._seen :].decode()

    def follow(self, block: Commands) -> None:
        """Execute the block. It must succeed and print what the page says."""
        assert not self._failed, "a block before this one failed"
        self._failed = True
        deadline = time.monotonic() + PATIENCE
        while True:
            code, printed = self.run(_replaced(block.text, self._addresses))
            printed = _replaced(printed, {used: written for written, used in self._addresses.items()})
            if code == 0 and block.printed(printed):
                self._failed = False
                return
            waits = block.marker == REPEAT and time.monotonic() < deadline
            assert waits, (
                f"line {block.line}: exit code {code}\n{block.text}\nprinted:\n{printed}\nnot:\n{block.output}"
            )
            time.sleep(0.1)

    def close(self) -> None:
        """End the shell and everything that it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
