"""Opens the files that commands read. The name `-` means standard input."""

from typing import BinaryIO, cast

import click


def opened(file: str) -> BinaryIO:
    """Opens a file to read bytes; `-` is standard input. If the file can't be opened, raises click.FileError, which
    ends the command with the reason."""
    try:
        return cast(BinaryIO, click.open_file(file, "rb"))
    except OSError as error:
        raise click.FileError(file, error.strerror) from None


def content(file: str) -> bytes:
    """Returns the content of a file; `-` is standard input. Raises click.FileError if the file can't be opened."""
    with opened(file) as stream:
        return stream.read()
