"""What ties rows together by one rule: equal words, and words that are near; and which row each row is tied to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmia.evidence.links import Links, Rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tie:
    """Which of n rows a rule ties together.

    Args:
        first: `(n,)` the first row with the same word, -1 for rows without one.
        near: the first rows of two words that are near, each pair once, the nearest pair first; None where the rule is
            one of yes or no.
    """

    first: Rows
    near: Links | None = None

    def edges(self) -> list[tuple[Rows, Rows]]:
        """Return the pairs of rows that join all that are tied."""
        rows = np.flatnonzero(self.first >= 0)
        equal = (rows, self.first[rows])
        return [equal] if self.near is None else [equal, (self.near.left, self.near.right)]


def partners(role: Rows, ties: Sequence[Tie]) -> tuple[Rows, Rows, Floats]:
    """Choose one row for each row that it is tied to: one of another role, else an earlier one, else any.

    Args:
        role: `(n,)` number of each row's role.
        ties: the strongest first; of several ties that have such a row, the first counts.

    Returns:
        `(n,)` row numbers and `(n,)` numbers of ties, -1 where nothing is tied; `(n,)` how near, 0 where equal.

    Example:
        >>> of, by, value = partners(np.array([0, 1, 1]), [Tie(np.array([0, 0, -1]))])
        >>> of.tolist(), by.tolist(), value.tolist()
        ([1, 0, -1], [0, 0, -1], [0.0, 0.0, 0.0])
    """
    of, by, value = np.full(len(role), -1, np.int64), np.full(len(role), -1, np.int64), np.zeros(len(role))
    ways: Sequence[Callable[[Tie], tuple[Rows, Floats]]] = (lambda tie: _elsewhere(tie, role), _earlier, _any)
    for choose in ways:
        for number, tie in enumerate(ties):
            found, how = choose(tie)
            take = (of < 0) & (found >= 0)
            of[take], by[take], value[take] = found[take], number, how[take]
    return of, by, value


def _elsewhere(tie: Tie, role: Rows) -> tuple[Rows, Floats]:
    """Return a row of another role for each row: the first with its own word, else with the nearest word that has one."""
    found, second = _other_kind(tie.first, role)
    value = np.zeros(len(role))
    if tie.near is None:
        return found, value
    a, b, near = _both_ways(tie.near)
    for one in np.unique(role):
        theirs = np.where(role[b] != one, b, second[b])
        there = theirs >= 0
        best, how = _last(len(role), a[there], theirs[there], near[there])
        mine = np.flatnonzero((role == one) & (found < 0) & (tie.first >= 0))
        found[mine], value[mine] = best[tie.first[mine]], how[tie.first[mine]]
    return found, value


def _earlier(tie: Tie) -> tuple[Rows, Floats]:
    """Return an earlier row for each row: the first with its own word, else with the nearest word that began before."""
    rows = np.arange(len(tie.first))
    equal = np.where((tie.first >= 0) & (tie.first < rows), tie.first, -1)
    if tie.near is None:
        return equal, np.zeros(len(rows))
    low, high = np.minimum(tie.near.left, tie.near.right), np.maximum(tie.near.left, tie.near.right)
    best, how = _last(len(rows), high[::-1], low[::-1], tie.near.value[::-1])
    return np.where(equal >= 0, equal, best), np.where(equal >= 0, 0, how)


def _any(tie: Tie) -> tuple[Rows, Floats]:
    equal, _ = _other_kind(tie.first, np.arange(len(tie.first)))
    if tie.near is None:
        return equal, np.zeros(len(equal))
    best, how = _last(len(equal), *_both_ways(tie.near))
    return np.where(equal >= 0, equal, best), np.where(equal >= 0, 0, how)


def _other_kind(first: Rows, kind: Rows) -> tuple[Rows, Rows]:
    """Return for each row the first of another kind with the same word; and the same for the first row of each word."""
    n = len(first)
    rows = np.flatnonzero(first >= 0)
    second = np.full(n, n, np.int64)
    apart = rows[kind[rows] != kind[first[rows]]]
    np.minimum.at(second, first[apart], apart)
    second[second == n] = -1
    found = np.full(n, -1, np.int64)
    found[rows] = np.where(kind[first[rows]] != kind[rows], first[rows], second[first[rows]])
    return found, second


def _both_ways(near: Links) -> tuple[Rows, Rows, Floats]:
    """Return every link from both its ends, the nearest last."""
    a, b = np.concatenate([near.left, near.right]), np.concatenate([near.right, near.left])
    value = np.concatenate([near.value, near.value])
    order = np.tile(np.arange(len(near.left)), 2).argsort(kind="stable")[::-1]
    return a[order], b[order], value[order]


def _last(n: int, where: Rows, what: Rows, value: Floats) -> tuple[Rows, Floats]:
    """Write each entry to its row, the last one over the others."""
    best, how = np.full(n, -1, np.int64), np.zeros(n)
    best[where], how[where] = what, value
    return best, how
