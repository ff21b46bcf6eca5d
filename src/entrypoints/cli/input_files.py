"""Opens the files that commands read. `-` is standard input."""

from typing import BinaryIO, cast

import click


def opened(file: str) -> BinaryIO:
    """Opens a file for reading. Raises FileError, which ends the command with the reason."""
    try:
        return cast(BinaryIO, click.open_file(file, "rb"))
    except OSError as error:
        raise click.FileError(file, error.strerror) from None


def content(file: str) -> bytes:
    """Returns the content of a file. Raises FileError."""
    with opened(file) as stream:
        return stream.read()
