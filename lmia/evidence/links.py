"""Which rows belong together, and how near they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Links:
    """Rows that belong together.

    Args:
        left: `(m,)` row numbers in the first set.
        right: `(m,)` row numbers in the second.
        value: `(m,)` how near: differing bits, or a cosine.
    """

    left: Rows
    right: Rows
    value: NDArray[np.float64]
