"""Where the files that Herald ships are: the profiles, and the mail templates that their routes use."""

from pathlib import Path
from typing import Final

PROFILES: Final = Path(__file__).parent
PROFILE_TEMPLATES: Final = PROFILES / "templates"
