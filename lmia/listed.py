"""A source seen through the manifest of a training: the pairs that were in, or those that were out, by lot or otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lmia.errors import LmiaError
from lmia.membership import Membership, read
from lmia.source import Selection, Source, drawn, expected

Side = Literal["in", "out"]
IN, OUT, UNLISTED = 1, 0, -1
"""What a manifest says of a key."""


class Listed(Selection):
    """One side of a manifest: what `--truth FILE --source SPEC` makes of both roles.

    Both sides read the same shards, so every picture is decoded once. Pairs that the manifest does not list are on
    neither.

    Args:
        source: the pairs that the training drew from.
        manifest: a CSV or parquet file with `key`, `in` and `repeats`; see `lmia.membership`.
        side: which pairs of it: those that were `in`, or those that were `out`.
    """

    def __init__(self, source: Source, manifest: str, side: Side) -> None:
        super().__init__(source)
        self.manifest = Path(manifest)
        self.side = side

    @cached_property
    def known(self) -> Membership:
        """The manifest, read once.

        Raises:
            LmiaError: it cannot be read, is none, or has pairs on one side only.
        """
        found = read(self.manifest)
        sides = {"in": int(found.inside.sum()), "out": int((~found.inside).sum())}
        if empty := [name for name, n in sides.items() if not n]:
            problem = f"No pair of the manifest '{self.manifest}' is {empty[0]} ({len(found):,} pairs)."
            raise LmiaError(problem, "An audit sets pairs that were in against pairs that were out; give both.")
        return found

    def shards(self) -> Sequence[str]:
        """List the source's, once the manifest is one: a mistake in it is said before any pair is read."""
        assert len(self.known)  # reading it is the point
        return super().shards()

    def draw(self, keys: Sequence[str]) -> list[int]:
        """Return the positions of the source's keys that are on this side, ascending."""
        mine = self.mine(keys)
        return [place for place in drawn(self.source, keys) if mine[place]]

    def expected(self, pairs: int) -> int:
        """Return this side's share of so many pairs, taking it that the manifest lists them all."""
        side = int((self.known.inside == (self.side == "in")).sum())
        return min(side, round(expected(self.source, pairs) * side / len(self.known)))

    def mine(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Say which of n keys the manifest has on this side, `(n,)`."""
        found: NDArray[np.bool_] = self.said(keys) == (IN if self.side == "in" else OUT)
        return found

    def said(self, keys: Sequence[str]) -> NDArray[np.int8]:
        """Say of n keys, `(n,)`, whether the manifest has them `IN`, `OUT`, or not at all (`UNLISTED`)."""
        place = self._places(keys)
        found: NDArray[np.int8] = np.where(place < 0, UNLISTED, self.known.inside[place]).astype(np.int8)
        return found

    def repeats(self, keys: Sequence[str]) -> NDArray[np.int32]:
        """Say how often an epoch showed each of n keys, `(n,)`; 0 where it was not in or is not listed."""
        place = self._places(keys)
        found: NDArray[np.int32] = np.where(place < 0, 0, self.known.repeats[place]).astype(np.int32)
        return found

    def missing(self, keys: Sequence[str]) -> list[str]:
        """List the manifest's keys that are not among these, in the manifest's order."""
        there = set(keys)
        return [key for key in self.known.keys if key not in there]

    def _places(self, keys: Sequence[str]) -> NDArray[np.int64]:
        place = pc.index_in(pa.array(list(keys), pa.string()), value_set=self._listed)
        found: NDArray[np.int64] = place.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return found

    @cached_property
    def _listed(self) -> pa.Array:
        return pa.array(list(self.known.keys), pa.string())
