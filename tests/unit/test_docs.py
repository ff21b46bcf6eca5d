"""Links in the documentation resolve, and the files that it names exist."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
]
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# Files of worked examples, which the reader creates.
EXAMPLES: Final = {"src/adapters/printer/__init__.py", "src/adapters/printer/channel.py"}
NAMED_FILE: Final = re.compile(r"`((?:src|tests|docs|deploy|scripts|benchmarks|clients)/[\w./-]+)`")
# Paths relative to src, as docs/architecture.md writes them.
NAMED_MODULE: Final = re.compile(r"`((?:domain|application|adapters|entrypoints)/[\w./-]+)`")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    text = CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in set(NAMED_FILE.findall(text)) - EXAMPLES:
        assert (ROOT / name).exists(), name
    for name in NAMED_MODULE.findall(text):
        assert (ROOT / "src" / name).exists(), name


def test_every_folder_of_modules_is_a_package() -> None:
    """The import contracts do not check others. Revisions of the database are not imported."""
    folders = {path.parent for path in (ROOT / "src").rglob("*.py") if path.parent.name != "versions"}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
