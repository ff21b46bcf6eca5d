"""Finds and reads the files of mail templates: those in the operator's folder, and the shipped ones."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from jinja2 import BaseLoader, Environment, TemplateNotFound
from jinja2.loaders import split_template_path

from adapters.mail.shipped_templates import CHANNEL_TEMPLATES

# In templates, a name with this prefix is always a shipped template, even if the operator's folder has a template of
# that name. So the operator's base.html can extend the shipped base.html.
SHIPPED_PREFIX: Final = "shipped/"

# The path of a file, its modification time in nanoseconds, its size and its inode. Together they identify a version of
# it.
_Stamp = tuple[str, int, int, int]


class TemplateFiles(BaseLoader):
    """The template loader for Jinja. It loads a template from the first folder that contains a file of this name: the
    operator's folder, then the folders of the shipped profiles, then the folder of the base templates.

    Added, changed and removed files take effect immediately. A template name can't lead out of these folders
    (`../secret` is not found), but a symbolic link in a folder may, because Kubernetes mounts files as such links.
    """

    def __init__(self, site: str | None, profile_templates: Sequence[Path] = ()) -> None:
        self._shipped = (*map(str, profile_templates), str(CHANNEL_TEMPLATES))
        self._folders = (*([os.path.abspath(site)] if site else []), *self._shipped)

    # The path is resolved at each use: unlike Jinja's loader, this one also finds a file that was added to an earlier
    # folder.
    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        stamp = self.find(template)
        if stamp is None:
            raise TemplateNotFound(template)
        with open(stamp[0], encoding="utf-8-sig") as file:
            return file.read(), stamp[0], lambda: self.find(template) == stamp

    def find(self, name: str) -> _Stamp | None:
        """Returns the path of the file that is used for this template name, with its modification time, size and
        inode. If any of them differ later, the template has changed. Returns None if there is no file for the name."""
        folders = self._shipped if name.startswith(SHIPPED_PREFIX) else self._folders
        try:
            parts = split_template_path(name.removeprefix(SHIPPED_PREFIX))
        except TemplateNotFound:
            return None
        for folder in folders:
            path = os.path.join(folder, *parts)
            try:
                status = os.stat(path)
            except (FileNotFoundError, NotADirectoryError, ValueError):
                continue
            # Reading a named pipe would block until something writes to it.
            if stat.S_ISREG(status.st_mode):
                return path, status.st_mtime_ns, status.st_size, status.st_ino
        return None

    def name_of(self, path: str) -> str | None:
        """Returns the name of the template whose file has this path; None if the path is outside of the template
        folders."""
        for folder in self._folders:
            if path.startswith(folder + os.sep):
                return path.removeprefix(folder + os.sep)
        return None
