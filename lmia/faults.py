"""Faults of the machine, told as what they are: memory that ran out, a process that was killed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmia.errors import LmiaError

_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says where it raises no error of its own kind."""
_LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Socket closed",
    "NCCL communicator was aborted",
)
"""What a process says whose companion is gone."""
_OF_THE_FILE = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV, errno.EINVAL}
"""What is the file's own; of anything else, from a full table of handles to a server that is gone, the next try is free."""
LONGEST = 200
"""Characters of another's message that are shown."""


@contextmanager
def faults(smaller: str, kept: str) -> Iterator[None]:
    """Turn a fault of the machine into a mistake's two lines; whatever else goes wrong inside stays what it is.

    Args:
        smaller: how this work is made to need less memory.
        kept: what the next run need not do again.

    Raises:
        LmiaError: memory ran out, or a process was killed.

    Example:
        >>> with faults("Give fewer pairs a batch, with --batch.", "Finished shards are kept."):
        ...     raise MemoryError("Unable to allocate 9 TiB")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: Memory ran out: Unable to allocate 9 TiB.
        Give fewer pairs a batch, with --batch. Finished shards are kept.
    """
    try:
        yield
    except LmiaError:
        raise
    except Exception as error:
        if (found := _told(error, smaller, kept)) is None:
            raise
        raise found from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, the machine's or an accelerator's.

    Example:
        >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("CUDA error: out of memory"))
        (True, True)
        >>> out_of_memory(RuntimeError("shapes differ"))
        False
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY)


def ran_out(error: BaseException) -> str:
    """Say in one sentence that memory ran out, with what is known of how much was wanted.

    Example:
        >>> ran_out(MemoryError()), ran_out(MemoryError("Unable to allocate 9 TiB for an array"))
        ('Memory ran out.', 'Memory ran out: Unable to allocate 9 TiB for an array.')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return "Memory ran out."
    line = lines[-1 if lines[0].startswith("Caught ") else 0]  # of a reading process's traceback, what it ends in
    return f"Memory ran out: {line[:LONGEST].rstrip('. ')}."


def unread(shard: str, error: LmiaError | OSError) -> LmiaError:
    """Say that a shard cannot be read; a mistake that says so itself stays as it is.

    Example:
        >>> print(unread("a.tar", OSError(5, "Input/output error")))
        The shard 'a.tar' cannot be read: [Errno 5] Input/output error.
        Mend that and run again; finished shards are kept.
    """
    if isinstance(error, LmiaError):
        return error
    return LmiaError(
        f"The shard '{shard}' cannot be read: {error}.", "Mend that and run again; finished shards are kept."
    )


def unreadable(path: Path, error: OSError) -> str:
    """Return why a file is rejected, where that lies in the file.

    Raises:
        LmiaError: it lies in a disk, a network or the machine: a rejection would be kept when that is long mended.

    Example:
        >>> unreadable(Path("a.jpg"), PermissionError(errno.EACCES, "Permission denied"))
        'file cannot be read'
        >>> unreadable(Path("a.jpg"), OSError(errno.ESTALE, "Stale file handle"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The file 'a.jpg' cannot be read: Stale file handle.
        Mend that and run again; finished shards are kept.
    """
    if error.errno in _OF_THE_FILE:
        return "file cannot be read"
    remedy = "Mend that and run again; finished shards are kept."
    raise LmiaError(f"The file '{path}' cannot be read: {error.strerror or error}.", remedy) from error


def _told(error: Exception, smaller: str, kept: str) -> LmiaError | None:
    said = str(error)
    if out_of_memory(error):
        return LmiaError(ran_out(error), f"{smaller} {kept}")
    if isinstance(error, RuntimeError) and said.startswith("DataLoader worker"):
        shared = "Bus error" in f"{said} {error.__cause__}"
        why = "the memory that it shares (/dev/shm) is full" if shared else "most likely for want of memory"
        return LmiaError(
            f"A process that reads pictures was killed, {why}.", f"Run again, with --workers 0 if need be. {kept}"
        )
    if isinstance(error, RuntimeError) and any(words in said for words in _LOST):
        return LmiaError(
            "Another process of this run was killed, and the others cannot go on without it.", f"Run again. {kept}"
        )
    return None
