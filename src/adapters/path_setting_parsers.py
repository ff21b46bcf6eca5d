"""Parsers for settings whose value is the path of a file or a folder, shared by several adapters.

Each raises ValueError if the value is invalid. The text follows the name of the setting: "names a file that …".
"""

import ssl
from pathlib import Path


def pem(value: str) -> str:
    """Returns a key or certificate as PEM text: the value itself if it is PEM, otherwise the content of the file
    with this path. Raises ValueError if the file can't be read or is not UTF-8."""
    if value.lstrip().startswith("-----"):
        return value
    try:
        return _content(value).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text") from None


def certificates(value: str) -> str:
    """Checks that the value is the path of a PEM file with certificates of certificate authorities, and returns the
    path. Raises ValueError if the file can't be read or contains no certificates."""
    check_certificates(value.strip(), "names a file that")
    return value.strip()


def check_certificates(path: str, words: str) -> None:
    """Checks that a file contains certificates in PEM. Raises ValueError if it can't be read or contains none.
    `words` is the beginning of the error text, such as "names a file that"."""
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{words} holds no certificates in PEM") from None
    except OSError as error:
        raise ValueError(f"{words} can't be read: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise ValueError(f"{words} can't be read: this is not a valid path") from None


def file_path(value: str) -> str:
    """Checks that the value is the path of a readable file, and returns the path. Raises ValueError if the file
    can't be read."""
    _content(value)
    return value.strip()


def folder_path(value: str) -> str:
    """Checks that the value is the path of a folder, and returns the path. Raises ValueError if there is no such
    folder."""
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
