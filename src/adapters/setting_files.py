"""Parsers for settings whose value is the path of a file or a folder. Shared by all adapters."""

import ssl
from pathlib import Path


def pem(value: str) -> str:
    """Returns PEM text: the value itself if it is PEM, otherwise the content of the file at that path. Raises
    ValueError."""
    if value.lstrip().startswith("-----"):
        return value
    try:
        return _content(value).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text") from None


def certificates(value: str) -> str:
    """Returns the path of a PEM file with the certificates of authorities. Raises ValueError if the file can't be read
    or has no certificates."""
    check_certificates(value.strip(), "names a file that")
    return value.strip()


def check_certificates(path: str, words: str) -> None:
    """Does nothing if the file has certificates in PEM. Raises ValueError otherwise, with a text that begins with
    `words`."""
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{words} holds no certificates in PEM") from None
    except OSError as error:
        raise ValueError(f"{words} can't be read: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise ValueError(f"{words} can't be read: this is not a valid path") from None


def file_path(value: str) -> str:
    """Returns the path of a file. Raises ValueError if the file can't be read."""
    _content(value)
    return value.strip()


def folder_path(value: str) -> str:
    """Returns the path of a folder. Raises ValueError if there is no folder at that path."""
    path = Path(value.strip())
    if not path.is_dir():
        raise ValueError(f"does not name a folder: {path}")
    return str(path)


def _content(path: str) -> bytes:
    try:
        return Path(path.strip()).read_bytes()
    except OSError as error:
        raise ValueError(f"names a file that can't be read: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise ValueError("is not a valid path") from None
