"""The cores of a machine, shared out between reading pictures and encoding them."""

from __future__ import annotations

import multiprocessing
import os
import shutil

from lmia.streams import MOST


def reading(ranks: int, shards: int, workers: int | None, device: str) -> tuple[int, int]:
    """Share out the cores of a machine: how many reading processes a rank has, and how many threads each decodes on.

    With a GPU decoding overlaps the model on all cores but one. Without, decoding and encoding take turns on all cores:
    in processes where there are shards enough to keep them busy, since threads wait for each other's Python; else on the
    threads that encode. On many cores several would want one core and slow each
    other down severalfold; and where processes are not forked, or have little memory to share, threads are safer.

    Args:
        ranks: processes that share the machine.
        shards: shards of this rank; more workers than shards would idle.
        workers: what the user asked for, or None.
        device: type of the model's device.

    Example:
        >>> reading(1, 4, 0, "cpu")[0]
        0
    """
    cores = max(1, len(os.sched_getaffinity(0)) // ranks)
    wanted = workers if workers is not None else _workers(cores, shards, device)
    processes = min(wanted, shards)
    return processes, max(1, wanted // processes if processes else cores)


def _workers(cores: int, shards: int, device: str) -> int:
    if not shares_memory():
        return 0
    if device != "cpu":
        return cores - 1
    return cores if 1 < cores <= MOST and shards >= 2 * cores else 0


def shares_memory(least: int = 1 << 30) -> bool:
    """Tell whether reading processes can be forked and hand over pixels: a container may have 64 MB for that."""
    if multiprocessing.get_start_method() != "fork":
        return False
    try:
        return shutil.disk_usage("/dev/shm").free >= least
    except OSError:
        return False
