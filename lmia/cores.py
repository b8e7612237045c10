"""The cores of a machine, shared out between reading pictures and encoding them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import shutil

from lmia.streams import MOST

AHEAD = 2
"""Batches that a reading process has ready beside the one that it makes."""
POLITE = 5
"""How far reading processes stand back: what is decoded is encoded before more is."""


def batch_size(device: str) -> int:
    """Return how many pairs make a batch: a GPU is kept waiting by the calls of small ones.

    Example:
        >>> batch_size("cpu"), batch_size("cuda")
        (64, 256)
    """
    return 64 if device == "cpu" else 256


def reading(ranks: int, shards: int, workers: int | None, device: str, batch: int = 10 << 20) -> tuple[int, int]:
    """Share out the cores of a machine: how many reading processes a rank has, and how many threads each decodes on.

    With a GPU decoding overlaps the model on all cores but one. Without, decoding and encoding take turns on all cores:
    in processes where there are shards enough to keep them busy, since threads wait for each other's Python; else on the
    threads that encode. On many cores several would want one core and slow each other down severalfold; and where
    processes are not forked, or have little memory to share, threads are safer. No threads (0) are for a process that
    decodes by itself: to hand pictures to a single other thread gains nothing where no core stands idle.

    Args:
        ranks: processes that share the machine.
        shards: shards of this rank; more workers than shards would idle.
        workers: what the user asked for, or None.
        device: type of the model's device.
        batch: bytes of a batch.

    Example:
        >>> reading(1, 4, 0, "cpu")[0]
        0
    """
    cores = max(1, len(os.sched_getaffinity(0)) // ranks)
    wanted = workers if workers is not None else _workers(cores, shards, device, ranks * (AHEAD + 2) * batch)
    processes = min(wanted, shards)
    threads = max(1, wanted // processes if processes else cores)
    return processes, 0 if processes and threads == 1 and device == "cpu" else threads


def _workers(cores: int, shards: int, device: str, held: int) -> int:
    most = shared_memory() // (2 * held)  # half of it is left to others
    if device != "cpu":
        return min(most, cores - 1)
    return cores if 1 < cores <= min(MOST, most) and shards >= 2 * cores else 0


def shared_memory() -> int:
    """Return the bytes that reading processes have to hand over pixels in; none where they are not forked."""
    if multiprocessing.get_start_method() != "fork":
        return 0
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return 0


def let_go_of_freed_memory() -> None:
    """Give freed memory back to the system, where the C library can: after a fork each page of it would be copied first."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def stand_back(process: int) -> None:
    """Let a reading process wait for those that encode.

    Args:
        process: its number; all are alike.
    """
    os.nice(POLITE)
