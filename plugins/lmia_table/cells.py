"""From a row's cells to a caption and an image's bytes; what does not fit is said by `UnfitError`."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from lmia.faults import unreadable

IMAGE_BYTES = 512 << 20


class UnfitError(Exception):
    """Why a record cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def caption_of(cell: object) -> str:
    """Return a caption as found.

    Raises:
        UnfitError: it is missing, no text, or not Unicode.

    Example:
        >>> caption_of("a dog"), caption_of(b"a dog")
        ('a dog', 'a dog')
    """
    if cell is None:
        raise UnfitError("no caption")
    try:
        text = cell.decode("utf-8") if isinstance(cell, bytes) else cell
        if not isinstance(text, str):
            raise UnfitError("caption is not text")
        text.encode("utf-8")
    except UnicodeError:
        raise UnfitError("caption is not UTF-8") from None
    return text


def path_of(cell: object) -> str | None:
    """Return the path that an image cell gives: the cell, or the `path` of HF's struct.

    Example:
        >>> path_of("a.jpg"), path_of({"bytes": None, "path": "a.jpg"}), path_of(b"...")
        ('a.jpg', 'a.jpg', None)
    """
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    return path if isinstance(path, str) and path else None


def image_of(cell: object, path: str | None, root: Path) -> bytes:
    """Return an image's encoded bytes, from the cell or from the file that it names.

    A path may be absolute or lead out of `root`: manifests do. Only regular files are opened.

    Raises:
        UnfitError: there is no image, or no file that can be read.
    """
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if isinstance(data, bytes):
        return data
    if path is None:
        empty = data is None or data == ""
        raise UnfitError("no image" if empty else "image is neither a path nor bytes")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path):
        raise UnfitError("image is only a url")
    return _read(root / path)


def _read(path: Path) -> bytes:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # opening a fifo or a device would wait, or worse
            raise UnfitError("not a regular file")
        with path.open("rb") as file:
            data = file.read(IMAGE_BYTES + 1) if facts.st_size <= IMAGE_BYTES else None
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name that no file can have
        raise UnfitError("no such file") from None
    except OSError as error:
        raise UnfitError(unreadable(path, error)) from None
    if data is None or len(data) > IMAGE_BYTES:
        raise UnfitError("file too large")
    return data


def facts_of(root: Path, path: str) -> tuple[int, int] | None:
    """Return a file's size and time of change, None where there is none that can be read."""
    try:
        facts = (root / path).stat()
    except (OSError, ValueError):
        return None
    return (facts.st_size, facts.st_mtime_ns) if os.access(root / path, os.R_OK) else None


def kind_of(path: Path) -> str | None:
    """Return `file`, `folder` or `other`, None where nothing is or could be."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def clean(text: str) -> str:
    r"""Return the text with what UTF-8 cannot hold spelt out.

    Example:
        >>> clean("a\udcff")
        'a\\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
