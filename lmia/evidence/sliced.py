"""What came of slices: the AUC inside each, whether it differs from the others, and why where that cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmia.evidence.estimate import Estimate


@dataclass(frozen=True)
class Slice:
    """A slice of one column.

    Args:
        column: what it is a slice of, such as `words in the caption`.
        name: which values it holds, such as `5 to 9`.
        members: how many.
        nonmembers: how many.
        auc: AUROC inside it; None where it is too small.
        rest: AUROC of the column's other slices, each within itself, pooled; None where nothing is compared.
        difference: auc minus rest, above 0 where the slice is the more exposed.
        p_alone: two-sided, of no difference, had this been the only comparison.
        p: the same, corrected for all comparisons.
        reason: why it is not compared, or empty.
    """

    column: str
    name: str
    members: int
    nonmembers: int
    auc: Estimate | None = None
    rest: Estimate | None = None
    difference: Estimate | None = None
    p_alone: float | None = None
    p: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Slices:
    """All slices of all columns; none is left out.

    Args:
        slices: column by column; numbers rising, words from the most frequent on.
        tests: for how many comparisons p is corrected; two slices that are all of a column are one comparison.
        confidence: with which all AUCs lie in their intervals at once (Bonferroni), and likewise all differences.
        permutations: the most that a p-value rests on.
    """

    slices: Sequence[Slice]
    tests: int
    confidence: float
    permutations: int

    def standing_out(self, alpha: float = 0.05) -> list[Slice]:
        """Return the slices that differ from the others at this level, the most exposed first."""
        found = [one for one in self.slices if one.p is not None and one.p <= alpha]
        return sorted(found, key=lambda one: -one.difference.value if one.difference else 0.0)

    def sentences(self, alpha: float = 0.05) -> tuple[str, ...]:
        """Say in plain words which slices stand out, which could not be compared, and what that does not show.

        Example:
            >>> Slices((Slice("format", "PNG", 9, 40, reason="too small"),), 0, 0.95, 1999).sentences()
            ('No slice could be compared with others.', 'Not compared: format PNG (too small).')
        """
        found, tried = self.standing_out(alpha), [one.p for one in self.slices if one.p is not None]
        said = [_sentence(one) for one in found]
        if not tried:
            said.append("No slice could be compared with others.")
        elif not found:
            said.append(
                f"No slice was found to be more exposed than others, or less: the smallest p is {min(tried):.2g}, "
                f"corrected for {self.tests} comparisons."
            )
        else:
            said.append(
                f"Corrected for {self.tests} comparisons. A slice may stand out because its two sides differ more in other "
                "ways, not only because more of it is remembered."
            )
        left = [f"{one.column} {one.name} ({one.reason})" for one in self.slices if one.reason]
        return (*said, *([f"Not compared: {'; '.join(left)}."] if left else []))


def _sentence(one: Slice) -> str:
    word = "more" if one.difference is not None and one.difference.value > 0 else "less"
    return (
        f"{one.column} {one.name}: {word} exposed than the others, AUC {one.auc} against {one.rest} "
        f"(corrected p = {one.p:.2g}; {one.members:,} members, {one.nonmembers:,} nonmembers)."
    )
