"""The commands of the documentation work, block by block, as the page says: in a real shell, with real servers."""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.kafka import RealKafka
from tests.support.pages_of_commands import Commands, Shell, commands
from tests.support.service import free_port
from tests.support.tokens import HERALD_FOLDER

ROOT: Final = Path(__file__).parents[2]
HELPDESK: Final = ROOT / "docs/examples/helpdesk"
