"""One of many copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmia import Defence
from lmia.evidence.duplicates import normal_caption
from lmia.evidence.hashes import first_of_each
from lmia_defences.bounds import bounded


class Dedup(Defence):
    """Trains on one of several pairs that are copies of one another, so that none is shown more often than others.

    What is known: of dropping copies from CLIP's training we know no figure against attacks. It costs pairs, and a pass over
    hashes that is short beside a training.

    In the pairs' own order a pair is left out if an earlier one that was kept has a picture whose perceptual hash is near,
    or the same caption, but for case, punctuation and white space.

    Args:
        bits: in how many of 64 bits two hashes of one picture may differ; 6 is what `lmia data check` takes.
        by_caption: whether an equal caption makes a copy, whatever the picture: right for captions that are somebody's
            own words, wrong for those from a few phrases.

    Raises:
        LmiaError: bits are not from 0 to 15.

    Example:
        >>> hashes = ["00000000000000ff", "00000000000000fe", "ffffffff00000000"]
        >>> Dedup().keep(["a", "b", "c"], ["one", "two", "three"], hashes).tolist()
        [True, False, True]
    """

    def __init__(self, bits: int = 6, by_caption: bool = True) -> None:
        bounded(self, "bits", bits, 0, 15)
        self.bits, self.by_caption = bits, by_caption

    def keep(self, keys: Sequence[str], captions: Sequence[str], phash: Sequence[str]) -> NDArray[np.bool_]:
        """Keep the first of each kind."""
        kept = np.zeros(len(keys), dtype=bool)
        words = [normal_caption(one) for one in captions] if self.by_caption else None
        kept[first_of_each(phash, self.bits, words)] = True
        return kept
