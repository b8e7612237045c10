"""What an audit found there twice: how many pairs of one part are also in another, and by what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shared:
    """Pairs of one part of an audit that are also in another, or there before in their own.

    Args:
        part: such as `members`.
        other: where they are as well; the part itself, where it repeats them.
        pairs: how many the part has.
        by: how many of them are there, by what they share: `sha256` (the file), `url`, `looks` (perceptual hashes that
            differ in few bits), `key` and `caption`; `any` counts the first three together, copies of copies too.
    """

    part: str
    other: str
    pairs: int
    by: Mapping[str, int]


@dataclass(frozen=True)
class Copied:
    """The pairs of all parts of an audit, compared with each other.

    Args:
        shared: every part with itself and with each other one.
        look_alikes: pairs of looks that are near, though neither captions, files nor addresses agree.
        seconded: how many of these the target's own features find near as well; None where no attack asked for features.
    """

    shared: Sequence[Shared]
    look_alikes: int
    seconded: int | None = None

    def sentences(self) -> list[str]:
        """Say what was found across the parts, and what it may mean: looks alone are a hint.

        Example:
            >>> Copied([Shared("members", "pool", 9, {"sha256": 2, "url": 0})], 0).sentences()
            ['Pictures of one part that are also in another, by file or address: 2 of members in pool.']
        """
        across = [(one, max(one.by["sha256"], one.by["url"])) for one in self.shared if one.part != one.other]
        found = [f"{n:,} of {one.part} in {one.other}" for one, n in across if n]
        said = (
            f"Pictures of one part that are also in another, by file or address: {', '.join(found)}."
            if found
            else "No picture of one part was found in another, by file or address."
        )
        return [said, *self._alike()]

    def _alike(self) -> list[str]:
        if not self.look_alikes:
            return []
        seconded = "" if self.seconded is None else f"; the model's features are near in {self.seconded:,} of them"
        return [
            f"Two pictures look alike (few bits of a perceptual hash differ) without sharing caption, file or address "
            f"{self.look_alikes:,} times: copies under another caption, or chance{seconded}. lmia data check lists them."
        ]
