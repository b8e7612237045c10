"""Writing a file, or all files of a report, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmia.aside import aside, beside
from lmia.errors import LmiaError

_ROOM = "Make room on the disk, or name another folder with --out."


def write_aside(path: Path, data: bytes) -> Path:
    """Write `data` beside `path` and rename it there, so that nobody ever reads half a file.

    Args:
        path: where the file is to be; an older one is replaced.
        data: all of its bytes.

    Returns:
        `path`.

    Raises:
        LmiaError: the disk is full, or the folder is missing or cannot be written; nothing is left behind.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_aside(Path(folder, "a.txt"), b"whole").read_bytes()
        b'whole'
    """
    with aside(path, _ROOM) as file:
        file.write(data)
    return path


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """Lend a folder whose files come into `folder` when all of them are whole: a report is never half of another.

    Args:
        folder: where the files are to be; older ones of their names are replaced, others stay.

    Raises:
        LmiaError: they cannot be written; then `folder` is as it was.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp())
        >>> with together(place) as lent:
        ...     _ = (lent / "a.txt").write_text("new")
        ...     there = sorted(path.name for path in place.iterdir() if not path.name.startswith("."))
        >>> there, [path.name for path in place.iterdir()]
        ([], ['a.txt'])
    """
    lent = beside(folder / "report")
    try:
        with _said(folder):
            lent.mkdir()
        yield lent
        with _said(folder):
            _bring(lent, folder)
    finally:
        shutil.rmtree(lent, ignore_errors=True)


def _bring(lent: Path, folder: Path) -> None:
    for path in sorted(path for path in lent.rglob("*") if not path.is_dir()):
        to = folder / path.relative_to(lent)
        to.parent.mkdir(parents=True, exist_ok=True)
        path.replace(to)


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LmiaError(f"'{folder}' cannot be written: {error.strerror or error}.", _ROOM) from error
