"""What a data-set test found, in numbers and in words that go no further than what was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lmia.evidence.estimate import Estimate

ALPHA = 0.01

Cause = Literal["open", "placebo", "lot"]
"""What speaks to the cause of a difference: nothing; a model that cannot have seen the data and does not show it; or
that chance alone dealt the pairs to the two collections."""

FOUND = "difference found, cause not established"
"""The strongest words where neither lots were drawn nor a placebo model stands beside."""

WORDS: dict[Cause, tuple[str, str]] = {
    "open": (
        FOUND,
        "The two collections differ under this model. Other causes than training remain: another time, style or "
        "choice of pictures, copies elsewhere. Only a choice by lot, or a model that cannot have seen them, could tell.",
    ),
    "placebo": (
        "difference found that the placebo does not show: supports use",
        "Support, no proof: the placebo may have missed what sets the collections apart, and copies elsewhere would look "
        "the same.",
    ),
    "lot": (
        "difference found, and chance alone chose the sides: yours were used, or something that follows from them",
        "This rests on your word (--randomised) that a lot decided which pairs were published and which held back. "
        "Copies of yours elsewhere would do the same.",
    ),
}


@dataclass(frozen=True, slots=True)
class Inference:
    """Whether a collection scores higher than a held-out one, with the number of clusters that this rests on.

    Args:
        p: chance of a difference at least this large where both are alike; one-sided.
        difference: mean of mine minus mean of held-out, in units of the score.
        error: standard error of the difference, over clusters.
        method: how p was made.
        permutations: how many p rests on.
        exact: whether these were all there are.
        least_p: the smallest p that so many clusters can give.
        clusters: of mine and of held-out; of a paired test, the pairs, twice.
        used: pairs of mine and of held-out that p rests on.
        opposite: p the other way: chance of a difference at most this large.
        unused: pairs of either side that had no counterpart in a paired test.
        control: whether both sides are halves of the held-out collection.
    """

    p: float
    difference: Estimate
    error: float
    method: str
    permutations: int
    exact: bool
    least_p: float
    clusters: tuple[int, int]
    used: tuple[int, int]
    opposite: float
    unused: tuple[int, int] = (0, 0)
    control: bool = False

    @property
    def two_sided(self) -> float:
        """Return p for a difference in either direction: twice the smaller one."""
        return min(1.0, 2 * min(self.p, self.opposite))

    def numbers(self) -> str:
        """Say p and the difference with its interval."""
        low, high = self.difference.low, self.difference.high
        return f"p = {self.p:.2g}; difference {self.difference.value:.4g}, 95 % interval {low:.4g} to {high:.4g}"

    def sentences(self, alpha: float = ALPHA, cause: Cause = "open") -> tuple[str, ...]:
        """Say in plain words what was found, what it rests on and what it does not show.

        Args:
            alpha: chance of a false alarm.
            cause: what speaks to the cause.

        Example:
            >>> from lmia.evidence.inference import permutation_p
            >>> permutation_p([3.0, 4.0], [1.0, 2.0]).sentences()[1]
            'With so few groups no p-value below 0.17 is possible, whatever was trained on: collect more.'
        """
        if self.control:
            word = "differ, so mistrust the p-values here" if self.p <= alpha else "do not differ"
            return (
                f"Two halves of the held-out collection {word} ({self.numbers()}).",
                "This checks the arithmetic, not the data: it cannot show that the held-out collection is like yours.",
            )
        words, limit = WORDS[cause]
        found = [f"{words[0].upper()}{words[1:]} ({self.numbers()})."]
        if self.p > alpha:
            found = [f"No difference found ({self.numbers()})."]
            limit = "That is no proof that the collection was not used."
        if self.least_p > alpha:
            reach = f"With so few groups no p-value below {self.least_p:.2g} is possible, whatever was trained on"
            found.append(f"{reach}: collect more.")
        if self.opposite <= alpha:
            found.append(
                f"Yours score lower than the held-out ones (p = {self.opposite:.2g} that way round). Use does not do "
                "that: the two collections differ for another reason, and are no fair comparison."
            )
        if any(self.unused):
            found.append(
                f"Left out for want of a counterpart: {self.unused[0]:,} of mine, {self.unused[1]:,} held out."
            )
        return (*found, limit)
