"""Parsers of settings that name files. Shared by all adapters."""

import ssl
from pathlib import Path


def pem(value: str) -> str:
    """PEM text: the value itself, or the content of the file that it names."""
    if value.lstrip().startswith("-----"):
        return value
    try:
        return _content(value).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("names a file that is no text in UTF-8") from None


def certificates(value: str) -> str:
    """The path of a file with certificates of authorities, in PEM."""
    check_certificates(value.strip(), "names a file that")
    return value.strip()


def check_certificates(path: str, words: str) -> None:
    """Raises ValueError; its text begins with `words`."""
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{words} holds no certificates in PEM") from None
    except OSError as error:
        raise ValueError(f"{words} can't be read: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise ValueError(f"{words} can't be read: this is no path") from None


def file_path(value: str) -> str:
    """The path of a file that can be read."""
    _content(value)
    return value.strip()


def folder_path(value: str) -> str:
    """The path of a folder that can be read."""
    path = Path(value.strip())
    if not path.is_dir():
        raise ValueError(f"names no folder: {path}")
    return str(path)


def _content(path: str) -> bytes:
    try:
        return Path(path.strip()).read_bytes()
    except OSError as error:
        raise ValueError(f"names a file that can't be read: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise ValueError("names no file") from None
