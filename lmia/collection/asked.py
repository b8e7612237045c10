"""What a data-set test is to heed, as the user asks for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """What the test is to heed.

    Args:
        cluster_by: column of what belongs together.
        pair_by: column of what has frames on both sides.
        unit: column of the photo that a pair is of.
        permutations: how many to draw.
        seed: of the permutations.
        score: what the score is called.
        randomised: whether, as the user states, a lot decided which pairs are held out.
        member_effect: by how much use raises a score, where the user has measured it.

    Example:
        >>> Asked(cluster_by="shoot", unit="photo").columns
        ['photo', 'shoot']
    """

    cluster_by: str | None = None
    pair_by: str | None = None
    unit: str | None = None
    permutations: int = 10_000
    seed: int = 0
    score: str = "csa"
    randomised: bool = False
    member_effect: float | None = None

    @property
    def columns(self) -> list[str]:
        """Name the columns that are needed."""
        return sorted({name for name in (self.cluster_by, self.pair_by, self.unit) if name})
