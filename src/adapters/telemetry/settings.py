"""The settings of logs."""

from typing import Annotated, Literal

from domain.setting_declarations import Section, Setting
from domain.setting_parsers import choice


class LogSettings(Section, frozen=True):
    """Logs: their format, and the lowest level that is written."""

    format: Annotated[
        Literal["console", "json"],
        Setting(
            "HERALD_LOG_FORMAT",
            choice("console", "json"),
            "The format of log lines: `console` (coloured text) or `json`.",
            in_dev="console",
        ),
    ] = "json"
    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Setting(
            "LOG_LEVEL",
            choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
            "The lowest level of log lines that are written: DEBUG, INFO, WARNING, ERROR or CRITICAL.",
        ),
    ] = "INFO"
