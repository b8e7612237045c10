"""The lots that decide who is in a training: one rule for every run, so that anyone can draw them again."""

from __future__ import annotations

from hashlib import sha256

_BITS = 53
"""Bits of the hash that are used: as many as a float holds."""


def lot(key: str, seed: int) -> float:
    """Draw the lot of a pair, uniform in [0, 1): the bits of sha256("SEED:KEY"), read from the last one on.

    It asks for no list and no order, so any part of a source is drawn the same way, independently of what a pair shows.

    Example:
        >>> [round(lot(f"scene-{i}", 0), 3) for i in range(4)]
        [0.208, 0.531, 0.004, 0.422]
    """
    number = int.from_bytes(sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).digest()[-8:])
    bits: str = f"{number & (2**_BITS - 1):0{_BITS}b}"
    return int(bits[::-1], 2) / (1 << _BITS)


def drawn(key: str, seed: int, share: float = 0.5) -> bool:
    """Say whether a pair is in a training on `share` of the pairs: whoever is in a smaller share is in a larger one too.

    Example:
        >>> [drawn(f"scene-{i}", 0) for i in range(4)]
        [False, True, False, False]
        >>> sum(drawn(f"scene-{i}", 0, 0.1) for i in range(1000))
        100
    """
    return lot(key, seed) >= 1 - share
