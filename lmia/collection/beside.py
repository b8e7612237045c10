"""The same test on a model that cannot have seen the pairs, and the target less that model, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmia.collection.asked import Asked
from lmia.collection.units import Units
from lmia.evidence.inference import paired_p, permutation_p
from lmia.evidence.inferred import Cause, Inference

Scores = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of mine and of held-out, one a unit."""


@dataclass(frozen=True)
class Beside:
    """A placebo beside the target.

    Args:
        model: its name.
        found: the test of the same score on it.
        above: the test of target minus placebo, each in units of its own spread over all pairs.
    """

    model: str
    found: Inference
    above: Inference

    def quiet(self, alpha: float) -> bool:
        """Say whether it does not tell the collections apart, in either direction."""
        return self.found.two_sided > alpha

    def speaks(self, alpha: float) -> bool:
        """Say whether the target stands out against it: it is quiet, and the target lies above it."""
        return self.quiet(alpha) and self.above.p <= alpha

    def sentences(self, alpha: float) -> list[str]:
        """Say what it shows."""
        p, numbers = self.found.two_sided, self.found.numbers().partition("; ")[2]
        word = "does not tell" if self.quiet(alpha) else "tells"
        found = [f"The placebo {self.model} {word} the two collections apart (p = {p:.2g} either way; {numbers})."]
        if not self.quiet(alpha):
            found.append("It cannot have seen the pairs, so that much of a difference lies in the pairs themselves.")
        more = "tells them apart by more than the placebo" if self.above.p <= alpha else "is not shown to do more"
        found.append(
            f"Target less placebo, pair by pair, in standard deviations: the target {more} ({self.above.numbers()})."
        )
        return found


def inference(scores: Scores, units: tuple[Units, Units], asked: Asked) -> Inference:
    """Test scores of units as was asked: in pairs, or by whole clusters.

    Raises:
        ValueError: there are too few clusters or pairs, or a cluster lies on both sides.

    Example:
        >>> two = [Units(np.arange(2), np.array([f"{side}1", f"{side}2"])) for side in "mh"]
        >>> inference((np.array([3.0, 4.0]), np.array([1.0, 2.0])), (two[0], two[1]), Asked()).p == 1 / 6
        True
    """
    test = paired_p if asked.pair_by else permutation_p
    return test(*scores, units[0].labels, units[1].labels, asked.permutations, asked.seed)


def beside(model: str, target: Scores, placebo: Scores, units: tuple[Units, Units], asked: Asked) -> Beside:
    """Test the placebo's scores, and the target's less the placebo's.

    Two models' scores differ in scale. Each is put in units of its standard deviation over the pairs of both
    collections together, which is the same whichever side a pair is on: so exchanging pairs still exchanges differences.

    Args:
        model: the placebo's name.
        target: its scores of the units of both sides.
        placebo: likewise.
        units: of both sides.
        asked: what to heed.

    Raises:
        ValueError: as `inference`.

    Example:
        >>> two = [Units(np.arange(2), np.array([f"{side}1", f"{side}2"])) for side in "mh"]
        >>> same = np.array([3.0, 4.0]), np.array([1.0, 2.0])
        >>> beside("other", same, same, (two[0], two[1]), Asked()).above.difference.value
        0.0
    """
    found = [one - other for one, other in zip(_scaled(target), _scaled(placebo), strict=True)]
    return Beside(model, inference(placebo, units, asked), inference((found[0], found[1]), units, asked))


def cause(found: Sequence[Beside], asked: Asked, alpha: float) -> Cause:
    """Say what speaks to the cause of a difference: a lot, placebos that all leave the target standing out, or nothing.

    A lot cannot make a placebo tell the sides apart. Where one does, the word of a lot carries nothing.

    Example:
        >>> cause([], Asked(), 0.01), cause([], Asked(randomised=True), 0.01)
        ('open', 'lot')
    """
    if asked.randomised and all(one.quiet(alpha) for one in found):
        return "lot"
    return "placebo" if found and all(one.speaks(alpha) for one in found) else "open"


def _scaled(scores: Scores) -> Scores:
    every = np.concatenate(scores)
    spread = float(every.std()) or 1.0
    return (scores[0] - every.mean()) / spread, (scores[1] - every.mean()) / spread
