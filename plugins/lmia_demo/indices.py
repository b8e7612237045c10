"""The indices of drawn pairs: which ones a spec asks for, and how they are cut into shards."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lmia.errors import LmiaError

SHARD = 1000


def bounds(indices: str, what: str, remedy: str) -> tuple[int, int]:
    """Read `START:STOP`, the stop excluded.

    Args:
        indices: as typed.
        what: is drawn, for the error's first sentence.
        remedy: its second.

    Raises:
        LmiaError: it is no such range, or an empty one.

    Example:
        >>> bounds("0:40", "things", "Write things:START:STOP.")
        (0, 40)
    """
    match = re.fullmatch(r"(\d{1,12}):(\d{1,12})", indices)
    if not match or int(match[1]) >= int(match[2]):
        raise LmiaError(f"'{indices}' is no range of {what}.", remedy)
    return int(match[1]), int(match[2])


def shard_names(word: str, start: int, stop: int) -> list[str]:
    """Name shards of 1,000 indices each.

    Example:
        >>> shard_names("scenes", 500, 1600)
        ['scenes-500-1500', 'scenes-1500-1600']
    """
    return [f"{word}-{at}-{min(at + SHARD, stop)}" for at in range(start, stop, SHARD)]


def shard_indices(shard: str, names: Sequence[str]) -> range:
    """List the indices of one of the shards named.

    Raises:
        ValueError: it is none of them.

    Example:
        >>> shard_indices("scenes-500-503", ["scenes-500-503"])
        range(500, 503)
    """
    if shard not in names:
        raise ValueError(f"There is no shard {shard!r}.")
    start, stop = (int(part) for part in shard.split("-")[1:])
    return range(start, stop)
