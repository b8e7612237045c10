"""What the kernel counts of this process's memory, in bytes."""

from __future__ import annotations

from pathlib import Path


def _counted(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def anonymous() -> int:
    """Return the anonymous memory held now."""
    return _counted("RssAnon")


def most_resident() -> int:
    """Return the most that was ever resident; unlike `ru_maxrss`, nothing of the process that started this one."""
    return _counted("VmHWM")
