"""A file written beside its place and renamed at the end: whole or not at all, whoever else writes there."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO

from lmia.errors import LmiaError

PART = ".part"
"""How the name of what is still aside ends; it begins with a dot."""
OLD = 3600.0
"""Seconds without a change after which what is aside was left by a kill: a write that goes on changes its file."""


def beside(path: Path) -> Path:
    """Name a place beside `path` that no other process takes, on this machine or on another.

    Example:
        >>> one, other = beside(Path("a/b.npy")), beside(Path("a/b.npy"))
        >>> one.parent.name, one.name[:7], one.suffix, one == other
        ('a', '.b.npy.', '.part', False)
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")


@contextmanager
def aside(path: Path, remedy: str) -> Iterator[IO[bytes]]:
    """Open a file beside its place, and rename it there when everything is written.

    Args:
        path: where the file is to be; its folder must be there, an older file is replaced.
        remedy: what the user can do where it cannot be written.

    Raises:
        LmiaError: it cannot be written; nothing is left behind, and an older file is as it was.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp())
        >>> with aside(place / "a.txt", "Make room.") as file:
        ...     _ = file.write(b"whole")
        >>> [(path.name, path.read_bytes()) for path in place.iterdir()]
        [('a.txt', b'whole')]
    """
    part = beside(path)
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise LmiaError(f"'{path}' cannot be written: {error.strerror or error}.", remedy) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what kills have left aside in a folder and in those right below it; what is under way stays.

    Args:
        folder: that files were written to by `aside`; it need not be there.

    Example:
        >>> import os, tempfile
        >>> place = Path(tempfile.mkdtemp())
        >>> for name, age in ((".old.npy.1.part", 2 * OLD), (".new.npy.2.part", 0.0)):
        ...     (place / name).touch()
        ...     os.utime(place / name, (time.time() - age,) * 2)
        >>> sweep(place)
        >>> [path.name for path in place.iterdir()]
        ['.new.npy.2.part']
    """
    for part in chain(folder.glob(f".*{PART}"), folder.glob(f"*/.*{PART}")):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > OLD:
                shutil.rmtree(part) if part.is_dir() else part.unlink()
