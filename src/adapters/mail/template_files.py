"""The files of templates: those of the site, and the shipped ones."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from jinja2 import BaseLoader, Environment, TemplateNotFound
from jinja2.loaders import split_template_path

from adapters.mail.shipped_templates import CHANNEL_TEMPLATES

# Prefix with which a site's template names a shipped one even if the site has a template of that name. It allows a
# site's base.html to extend the shipped base.html.
SHIPPED_PREFIX: Final = "shipped/"

# A file's path, its modification time in nanoseconds, its size and its inode: they identify a version of the file.
_Stamp = tuple[str, int, int, int]


class TemplateFiles(BaseLoader):
    """Loads a template from a site's folder, or else the shipped one: that of a profile, or that of the channel.

    The path is resolved at each use: unlike with Jinja's own loader, a file that is added in front of another takes
    effect immediately, as a changed or removed file does. A symbolic link may lead out of the folder, because
    Kubernetes mounts files that way; a template name may not.
    """

    def __init__(self, site: str | None, profile_templates: Sequence[Path] = ()) -> None:
        self._shipped = (*map(str, profile_templates), str(CHANNEL_TEMPLATES))
        self._folders = (*([os.path.abspath(site)] if site else []), *self._shipped)

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        stamp = self.find(template)
        if stamp is None:
            raise TemplateNotFound(template)
        with open(stamp[0], encoding="utf-8-sig") as file:
            return file.read(), stamp[0], lambda: self.find(template) == stamp

    def find(self, name: str) -> _Stamp | None:
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
        """The name of the template at a path; None if it is not a template."""
        for folder in self._folders:
            if path.startswith(folder + os.sep):
                return path.removeprefix(folder + os.sep)
        return None
