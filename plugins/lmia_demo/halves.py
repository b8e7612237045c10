"""The one rule of membership in this demo: which half of a set of pairs a key falls into."""

from __future__ import annotations

from lmia.lots import drawn


def in_half(key: str, seed: int) -> bool:
    """Say whether `key` is of the trained half ("in") under `seed`; the other half is "out".

    The lots are those of every training (`lmia.lots`), at a share of one half. They ask for no list and no range, so any
    part of a source is cut the same way, into two halves of about the same size, independently of what the pair shows.

    Example:
        >>> [in_half(f"scene-{i}", 0) for i in range(4)]
        [False, True, False, False]
        >>> sum(in_half(f"scene-{i}", 0) for i in range(1000))
        499
    """
    return drawn(key, seed)
