"""The folder of the shipped profiles, and the folder of the mail templates that their routes use."""

from pathlib import Path
from typing import Final

PROFILES: Final = Path(__file__).parent
PROFILE_TEMPLATES: Final = PROFILES / "templates"
