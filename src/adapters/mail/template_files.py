"""The files of templates: a site's own, and the shipped ones."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jinja2 import BaseLoader, Environment, TemplateNotFound
from jinja2.loaders import split_template_path

SHIPPED: Final = Path(__file__).parent / "templates"

# What a site's template puts before a name to mean the shipped one, its own of that name notwithstanding: so that a
# base.html can extend the base.html that it stands in for.
BEHIND: Final = "shipped/"

# A file's path, the time of its last change in nanoseconds, its size and its inode: what differs when it is another.
_Stamp = tuple[str, int, int, int]


class TemplateFiles(BaseLoader):
    """Loads a template from a site's folder, or else the shipped one.

    Where it is is asked at each use: unlike with Jinja's own loader, a file that is put before another counts from then
    on, as one that is changed or taken away does. A link may lead elsewhere, as Kubernetes mounts files; a name may
    not.
    """

    def __init__(self, site: str | None) -> None:
        self._folders = (*([os.path.abspath(site)] if site else []), str(SHIPPED))

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        stamp = self.find(template)
        if stamp is None:
            raise TemplateNotFound(template)
        with open(stamp[0], encoding="utf-8-sig") as file:
            return file.read(), stamp[0], lambda: self.find(template) == stamp

    def find(self, name: str) -> _Stamp | None:
        folders = self._folders[-1:] if name.startswith(BEHIND) else self._folders
        try:
            parts = split_template_path(name.removeprefix(BEHIND))
        except TemplateNotFound:
            return None
        for folder in folders:
            path = os.path.join(folder, *parts)
            try:
                status = os.stat(path)
            except (FileNotFoundError, NotADirectoryError, ValueError):
                continue
            # Reading a pipe would wait for whoever writes to it.
            if stat.S_ISREG(status.st_mode):
                return path, status.st_mtime_ns, status.st_size, status.st_ino
        return None

    def name_of(self, path: str) -> str | None:
        """The name of the template that is at a path, if it is one."""
        for folder in self._folders:
            if path.startswith(folder + os.sep):
                return path.removeprefix(folder + os.sep)
        return None
