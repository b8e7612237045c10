"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lmia.errors import LmiaError


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
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise LmiaError(
            f"'{path}' cannot be written: {error.strerror or error}.",
            "Make room on the disk, or name another folder with --out.",
        ) from error
    return path
