"""Finds the routes files that an operator names: files, and folders of files."""

import os
from collections.abc import Iterable
from typing import Final

from domain.routes import RoutesInvalid

ENDING: Final = ".toml"

# A name with this prefix stands for a shipped profile, not for a file: `shipped:groups`.
SHIPPED_PREFIX: Final = "shipped:"


def find_routes_files(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the paths of the named files and, for each named folder, those of its routes files, sorted by name. A
    file that is named several times, or by several paths, is returned once. Raises RoutesInvalid if a folder can't be
    read, or has no routes file.

    The path of a file that does not exist is returned unchanged, and the error is reported when it is read. The name of
    a shipped profile (`shipped:groups`) is returned unchanged, too.
    """
    files = (file for name in names for file in (_files_in(name) if _is_folder(name) else (name,)))
    return tuple({os.path.realpath(file) if os.path.isfile(file) else file: file for file in files}.values())


def find_ignored_files(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the paths of everything in the named folders that is neither a routes file nor hidden, such as
    `shop.toml~` or a folder: Herald does not read it, which may be a mistake."""
    folders = (name for name in names if _is_folder(name))
    return tuple(file for folder in folders for file in _visible(folder) if not _is_routes_file(file))


def _is_folder(name: str) -> bool:
    return not name.startswith(SHIPPED_PREFIX) and os.path.isdir(name)


def _files_in(folder: str) -> list[str]:
    visible = _visible(folder)
    if files := [file for file in visible if _is_routes_file(file)]:
        return files
    others = f", only {', '.join(map(os.path.basename, visible[:3]))}" if visible else ""
    raise RoutesInvalid(f"{folder}: this folder has no file whose name ends with {ENDING!r}{others}")


def _visible(folder: str) -> list[str]:
    """Returns the paths of the entries of a folder, without hidden ones, sorted. Kubernetes stores the versions of a
    mounted ConfigMap in hidden folders, to which its visible files are links."""
    try:
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise RoutesInvalid(f"{folder}: this folder can't be read: {error.strerror}") from None


def _is_routes_file(path: str) -> bool:
    """Returns whether a path in a folder is to be read. This includes links to nothing, so that they are reported, but
    no folders, and no named pipes, which would block the reader."""
    return path.endswith(ENDING) and (os.path.isfile(path) or not os.path.exists(path))
