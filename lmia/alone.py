"""A folder that one process works in at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmia.errors import LmiaError


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder until the end, or until this process dies, however that comes.

    Some network file systems have no such locks; there nobody is kept out.

    Args:
        folder: made if it is missing, and then removed if nothing came into it.

    Raises:
        LmiaError: another process holds it, or it cannot be made.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp())
        >>> with alone(place), alone(place):
        ...     pass
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: Another process is at work in '...'.
        Wait until it has ended, or give another --out.
    """
    there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise LmiaError(f"'{folder}' cannot be written: {error.strerror}.", "Give another --out.") from error
    try:
        _lock(held, folder)
        try:
            yield
        finally:
            if not there and not any(folder.iterdir()):
                folder.rmdir()
    finally:
        os.close(held)


def _lock(held: int, folder: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        problem = f"Another process is at work in '{folder}'."
        raise LmiaError(problem, "Wait until it has ended, or give another --out.") from error
    except OSError:  # no locks here
        pass
