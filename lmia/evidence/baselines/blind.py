"""Baselines trained on one half of the pairs and judged on the other, without the model under audit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lmia.evidence.auc import auroc
from lmia.evidence.baselines.traits import Traits
from lmia.evidence.estimate import Estimate

FEWEST = 10
"""Groups a side that each half needs; with fewer nothing is trained, and the reason says so."""

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one baseline found.

    Args:
        kind: of the traits that it saw.
        scores: `(len(Blind.b),)`, of the model trained on half A; higher means more likely a member.
        auroc: on half B.
        cross_fitted: `(n,)` of all rows, each scored by the model of the half that it is not in. For strata only: these
            are not independent of each other, so no interval or test may rest on them.
        reason: why there is none of these, else empty.
    """

    kind: str
    scores: Floats | None
    auroc: Estimate | None
    cross_fitted: Floats | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Blind:
    """What blind baselines found, and on which rows.

    Args:
        baselines: in the order of the traits.
        a: rows that the judged models are trained on, rising.
        b: rows that they are judged on, rising; no duplicate group is in both.
        half: `(n,)` True for the rows of half B, those outside the sample too.
        note: what the sample is, in words.
    """

    baselines: tuple[Baseline, ...]
    a: Rows
    b: Rows
    half: Mask
    note: str


def blind_scores(
    traits: Sequence[Traits],
    labels: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
    per_side: int = 20_000,
    confidence: float = 0.95,
) -> Blind:
    """Train every baseline on a random half A of the duplicate groups, and judge it on the other, B.

    Scores of several folds, pooled, are not independent, and a nominal 5 % test on them fires more often; so one half is
    trained on and the other judged. The settings are fixed and nothing is tuned: logistic regression (C = 1) for sparse
    traits, gradient boosted trees for dense ones, since a threshold such as a JPEG quality is what they find.

    Args:
        traits: of the same n rows.
        labels: `(n,)`, True for members.
        groups: `(n,)`, equal for duplicates; None where pairs are independent.
        seed: of the split, the sample and the trees.
        per_side: at most so many members and so many nonmembers are used; a random sample, half from A and half from B.
        confidence: nominal coverage of the intervals.

    Returns:
        the baselines. With a side missing or too small all have a reason and no numbers.

    Raises:
        ValueError: lengths differ, or `per_side` is below 2.

    Example:
        >>> random, labels = np.random.default_rng(0), np.arange(400) % 2 == 0
        >>> bright = Traits("pixels", random.normal(labels[:, None], 1, (400, 1)).astype(np.float32))
        >>> found = blind_scores([bright], labels)
        >>> len(found.b), found.baselines[0].auroc.low > 0.5
        (200, True)
    """
    labels = np.asarray(labels).astype(bool)
    n = len(labels)
    groups = np.arange(n) if groups is None else np.asarray(groups)
    sizes = {len(groups), *(one.matrix.shape[0] for one in traits if one.matrix is not None)}
    if sizes != {n} or per_side < 2:
        raise ValueError(f"{n} labels, but groups and traits of {sorted(sizes)} rows; per_side is {per_side}")
    random = np.random.default_rng(seed)
    half = _halves(labels, groups, random)
    a, b = (_sampled(np.flatnonzero(half == side), labels, per_side // 2, random) for side in (False, True))
    reason = _too_few(a, b, labels, groups)
    run = _Run(labels, groups, half, a, b, seed, confidence)
    with _alone(), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = tuple(pool.map(lambda one: run.judge(one, one.reason or reason), traits))
    return Blind(found, a, b, half, _note(labels, a, b))


@dataclass(frozen=True, slots=True)
class _Run:
    labels: Mask
    groups: Rows
    half: Mask
    a: Rows
    b: Rows
    seed: int
    confidence: float

    def judge(self, traits: Traits, reason: str = "") -> Baseline:
        if reason or traits.matrix is None:
            return _missing(traits.kind, reason or "it has no traits")
        everywhere = np.empty(len(self.labels))
        with threadpool_limits(1, user_api="openmp"):  # which every thread has for itself
            for trained, others in ((self.a, self.half), (self.b, ~self.half)):
                model = _fitted(traits, traits.matrix, trained, self.labels, self.seed)
                everywhere[others] = model.decision_function(traits.matrix[np.flatnonzero(others)])
        scores = everywhere[self.b]
        area = auroc(
            torch.from_numpy(scores),
            torch.from_numpy(self.labels[self.b]),
            torch.from_numpy(self.groups[self.b]) if len(np.unique(self.groups[self.b])) < len(self.b) else None,
            self.confidence,
        )
        return Baseline(traits.kind, scores, area, everywhere)


def _fitted(
    traits: Traits, matrix: csr_matrix | NDArray[np.float32], rows: Rows, labels: Mask, seed: int
) -> LogisticRegression | HistGradientBoostingClassifier:
    model = (
        LogisticRegression(C=1.0, max_iter=200, tol=1e-3)
        if isinstance(matrix, csr_matrix)
        else HistGradientBoostingClassifier(
            max_iter=100, max_leaf_nodes=15, min_samples_leaf=10, l2_regularization=1.0, early_stopping=False,
            categorical_features=list(traits.categories) or None, random_state=seed,
        )
    )  # fmt: skip
    return model.fit(matrix[rows], labels[rows])


@contextmanager
def _alone() -> Iterator[None]:
    """Let every baseline keep to one thread, and stop a little early: it is a baseline as valid.

    The same sums on every machine; and on busy cores threads inside an operation wait for each other. Both settings are
    the whole process's, so they are made once, around all baselines.
    """
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _missing(kind: str, reason: str) -> Baseline:
    return Baseline(kind, None, None, None, reason)


def _halves(labels: Mask, groups: Rows, random: np.random.Generator) -> Mask:
    """Deal groups to two halves: of every two that are next in size and of the same sides, one to each at random."""
    half = np.zeros(len(labels), bool)
    if not len(labels):
        return half
    _, at = np.unique(groups, return_inverse=True)
    members, nonmembers = (np.bincount(at, side, at.max() + 1) for side in (labels, ~labels))
    place = np.zeros(len(members), bool)
    for some in (nonmembers == 0, members == 0, (members > 0) & (nonmembers > 0)):
        rows = random.permutation(np.flatnonzero(some))
        rows = rows[np.argsort(-(members + nonmembers)[rows], kind="stable")]
        first = np.repeat(random.integers(0, 2, (len(rows) + 1) // 2), 2).astype(bool)[: len(rows)]
        place[rows] = first ^ (np.arange(len(rows)) % 2 == 1)
    half[:] = place[at]
    return half


def _sampled(rows: Rows, labels: Mask, most: int, random: np.random.Generator) -> Rows:
    sides = [rows[labels[rows] == side] for side in (True, False)]
    return np.sort(np.concatenate([random.permutation(side)[:most] for side in sides]))


def _too_few(a: Rows, b: Rows, labels: Mask, groups: Rows) -> str:
    for side, name in ((True, "members"), (False, "nonmembers")):
        if not (labels == side).any():
            return f"there are no {name}"
        counts = [len(np.unique(groups[rows[labels[rows] == side]])) for rows in (a, b)]
        if min(counts) < FEWEST:
            return (
                f"too few {name}: halves of {counts[0]} and {counts[1]} independent ones, {FEWEST} are needed in each"
            )
    return ""


def _note(labels: Mask, a: Rows, b: Rows) -> str:
    used = np.concatenate([labels[a], labels[b]])
    total, members = int(labels.sum()), int(used.sum())
    said = f"trained on {len(a):,} pairs, judged on {len(b):,} others"
    if len(used) == len(labels):
        return said
    others, nonmembers = len(labels) - total, len(used) - members
    return f"{said}: a random sample of {members:,} of {total:,} members and {nonmembers:,} of {others:,} nonmembers"
