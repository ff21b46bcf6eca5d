"""Files that commands read, `-` for standard input."""

from typing import BinaryIO, cast

import click


def opened(file: str) -> BinaryIO:
    try:
        return cast(BinaryIO, click.open_file(file, "rb"))
    except OSError as error:
        raise click.FileError(file, error.strerror) from None


def content(file: str) -> bytes:
    with opened(file) as stream:
        return stream.read()
