"""Slices dealt anew: how far the AUC of a slice lies from the others', in units of its error, and how often by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from lmia.evidence.permuting import at_least

ENOUGH = 20
"""Deals at least as far off as the given slices after which no more are drawn: p is then known to about a fifth."""
MOVING = 0.5
"""Share of the rows that must be able to move: else deals look too much like the given slices to tell much."""
_CELLS = 50_000
"""Rows dealt at once, at most; bounds the memory, never the result."""

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Ordered:
    """Rows in rising order of their scores.

    Args:
        rows: (n,) which they were.
        ranks: (n,) rising, equal where scores tie.
        truth: (n,) True for members.
        group: (n,) duplicate groups, numbered from 0.
    """

    rows: Whole
    ranks: Whole
    truth: Mask
    group: Whole

    @staticmethod
    def of(ranks: Whole, truth: Mask, group: Whole) -> Ordered:
        """Put rows in order.

        Args:
            ranks: (n,) `lmia.evidence.ranks.dense_ranks` of the scores.
            truth: (n,) True for members.
            group: (n,) duplicate groups, numbered from 0.
        """
        order = np.argsort(ranks, kind="stable")
        return Ordered(order, ranks[order], truth[order], group[order])


@dataclass(frozen=True)
class Contrast:
    """Each of k slices and the others, members compared with nonmembers of their own slice only; for b columns at once.

    Args:
        area: (b, k) AUC inside; NaN where a side is missing.
        rest: (b, k) AUC of the others, each slice with as many votes as it has pairs; NaN where there are none.
        of_area: (b, k) its variance (DeLong 1988; errors summed by duplicate group: Obuchowski 1997).
        of_rest: (b, k) likewise.
        of_both: (b, k) their covariance: of groups that lie in and outside the slice.
    """

    area: Floats
    rest: Floats
    of_area: Floats
    of_rest: Floats
    of_both: Floats

    @property
    def distance(self) -> Floats:
        """The absolute difference over its standard error, (b, k); 0 or infinite where there is no error."""
        gap, variance = np.abs(self.area - self.rest), self.of_area + self.of_rest - 2 * self.of_both
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(np.maximum(variance, 0))
            found: Floats = np.where(error > 1e-9, gap / error, np.where(gap > 1e-9, np.inf, 0.0))
        return found

    @property
    def correlation(self) -> Floats:
        """How the errors of both AUCs hang together, (b, k)."""
        both = np.sqrt(np.maximum(self.of_area * self.of_rest, 0))
        return np.clip(np.divide(self.of_both, both, out=np.zeros_like(both), where=both > 0), -1, 1)


def contrast(rows: Ordered, codes: Whole, count: int) -> Contrast:
    """Compare each slice with the others, in O(n log n) for every column.

    Args:
        rows: in order of their scores.
        codes: (b, n) b columns of slices, in the same order, from 0 to count - 1.
        count: how many slices.

    Example:
        >>> ranks, truth = np.arange(6), np.array([False, False, True, True, False, True])
        >>> found = contrast(Ordered.of(ranks, truth, np.arange(6)), np.array([[0, 1, 0, 1, 1, 1]]), 2)
        >>> found.area.tolist(), found.rest.tolist()
        ([[1.0, 0.75]], [[0.75, 1.0]])
    """
    columns, size = len(codes), len(codes) * count
    order = np.argsort(codes.astype(np.int16), axis=1, kind="stable")  # of so few values numpy sorts in O(n)
    where = (np.take_along_axis(codes, order, 1) + count * np.arange(columns)[:, None]).ravel()
    order = order.ravel()
    truth, ranks = rows.truth[order], rows.ranks[order]
    m, n = np.bincount(where, truth, size), np.bincount(where, ~truth, size)
    tie = np.concatenate([[0], ((where[1:] != where[:-1]) | (ranks[1:] != ranks[:-1])).cumsum()])
    below = _below(~truth, tie) - (n.cumsum() - n)[where]
    above = (m.cumsum())[where] - _below(truth, tie)
    wins = np.where(truth, below, above)
    pairs, won = (m * n).reshape(columns, count), np.bincount(where, wins * truth, size)
    area = np.divide(won, m * n, out=np.zeros(size), where=m * n > 0)
    excess = wins - np.where(truth, n[where], m[where]) * area[where]
    squares, shared, whole = _products(rows, where, excess, order, columns, count)
    others, won = pairs.sum(1, keepdims=True) - pairs, won.reshape(columns, count)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Contrast(
            area=won / pairs,
            rest=(won.sum(1, keepdims=True) - won) / others,
            of_area=squares / pairs**2,
            of_rest=(whole - 2 * shared + squares) / others**2,
            of_both=(shared - squares) / (pairs * others),
        )


def _below(side: Mask, tie: Whole) -> Floats:
    """Count for each row the rows of this side before it, those it ties with by half, (n,)."""
    at = np.bincount(tie, side)
    counted: Floats = (at.cumsum() - at / 2)[tie]
    return counted


def _products(
    rows: Ordered, where: Whole, excess: Floats, order: Whole, columns: int, count: int
) -> tuple[Floats, Floats, Floats]:
    """Sum over groups: squares of what a slice has of it, (b, k), that times all of it, (b, k), its square, (b, 1)."""
    groups = int(rows.group.max()) + 1
    if groups == len(rows.group):
        squares = np.bincount(where, excess**2, columns * count).reshape(columns, count).astype(np.float64, copy=False)
        return squares, squares, squares.sum(1, keepdims=True)
    counted = np.bincount(where * groups + rows.group[order], excess, columns * count * groups)
    held: Floats = counted.reshape(columns, count, groups).astype(np.float64, copy=False)
    whole: Floats = held.sum(1, keepdims=True)
    return (held**2).sum(2), (held * whole).sum(2), (whole**2).sum(2)


@dataclass(frozen=True)
class Deal:
    """How slices may be dealt anew, if which slice a pair is in is chance once its side is known.

    Args:
        codes: (n,) the slices as they are.
        blocks: each (g, c): rows of g groups between which slices may move, the c rows of a group together.
        group: where blocks hold one row a group, (n,) each row's group, which then has that row's slice; else None.
        heads: (groups,) that row.
    """

    codes: Whole
    blocks: Sequence[Whole]
    group: Whole | None
    heads: Whole

    @staticmethod
    def of(rows: Ordered, codes: Whole) -> Deal | None:
        """Find the groups of as many members and nonmembers, between which slices may move as they lie.

        Where few can, as in a column that goes with the size of groups (the number of copies), the slices of whole groups
        move between groups of any size, of the same sides; p-values are then right for many groups, not exact.

        Args:
            rows: in order of their scores.
            codes: (n,) their slices, in the same order.

        Returns:
            the deal; None where few groups can move, and groups are not of one slice each.
        """
        most = int(rows.group.max()) + 1
        held = np.stack([np.bincount(rows.group[side], minlength=most) for side in (rows.truth, ~rows.truth)], 1)
        kind = np.unique(held, axis=0, return_inverse=True)[1].ravel()
        order = np.lexsort((rows.rows, rows.truth, rows.group, kind[rows.group]))
        blocks = []
        for some in np.split(order, np.flatnonzero(np.diff(kind[rows.group[order]])) + 1):
            block = some.reshape(-1, held[rows.group[some[0]]].sum())
            if (codes[block] != codes[block[0]]).any():
                blocks.append(block)
        heads = np.unique(rows.group, return_index=True)[1]
        if sum(block.size for block in blocks) >= MOVING * len(codes):
            return Deal(codes, blocks, None, heads)
        if (codes != codes[heads][rows.group]).any():
            return None
        sides = (held > 0) @ [1, 2]
        return Deal(codes, [heads[sides == side][:, None] for side in np.unique(sides)], rows.group, heads)

    def draw(self, random: np.random.Generator) -> Whole:
        """Deal the slices anew, (n,)."""
        dealt = self.codes.copy()
        for block in self.blocks:
            dealt[block] = self.codes[block[random.permutation(len(block))]]
        return dealt if self.group is None else dealt[self.heads][self.group]


def dealt_p(
    rows: Ordered,
    codes: Whole,
    count: int,
    due: Sequence[int],
    permutations: int,
    random: np.random.Generator,
    freedom: int = 29,
) -> Floats:
    """Return how often slices that are dealt anew lie as far from the others as the given ones.

    Deals are drawn until each slice was reached `ENOUGH` times, or as many as there may be: p is ENOUGH over the number
    drawn, or (1 + reached)/(1 + permutations). Exact in false alarms for any number (Besag and Clifford, Biometrika 78,
    1991). Where slices cannot be dealt (`Deal.of`), p is that of Student's t, right for many groups.

    Args:
        rows: in order of their scores.
        codes: (n,) their slices, in the same order.
        count: how many slices.
        due: the slices that are asked about.
        permutations: the most deals to draw.
        random: draws them.
        freedom: degrees of freedom of Student's t.

    Returns:
        a two-sided p-value for each slice of `due`.
    """
    asked, deal = np.asarray(due, np.int64), Deal.of(rows, codes)
    found = contrast(rows, codes[None], count).distance[0, asked]
    if deal is None:
        tails: Floats = 2 * stdtr(freedom, -found)
        return tails
    bars = np.array([at_least(float(one)) for one in found])
    reached, p = np.zeros(len(asked), np.int64), np.full(len(asked), np.nan)
    step = int(np.clip(_CELLS // len(codes), 1, 64))
    for start in range(0, permutations, step):
        dealt = np.stack([deal.draw(random) for _ in range(min(step, permutations - start))])
        sums = reached + (contrast(rows, dealt, count).distance[:, asked] >= bars).cumsum(0)
        done = np.isnan(p) & (sums[-1] >= ENOUGH)
        p[done] = ENOUGH / (start + 1 + (sums >= ENOUGH).argmax(0)[done])
        reached = sums[-1]
        if not np.isnan(p).any():
            break
    return np.where(np.isnan(p), (1 + reached) / (1 + permutations), p)
