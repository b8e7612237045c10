"""Data-set inference: one p-value for "this collection was trained on", by permuting whole clusters of one fixed score.

The score is named before anything is seen and nothing is fitted, so there is no split and no seed to choose among; the
seed here only draws permutations. What a small p-value shows is that the two collections differ under the model. Why
they differ it cannot show.
"""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from lmia.evidence.bounds import tail
from lmia.evidence.estimate import Estimate
from lmia.evidence.inferred import Inference
from lmia.evidence.permuting import (
    TIE,
    Floats,
    Whole,
    arranged,
    at_least,
    by_cluster,
    finite,
    flipped,
    labelled,
    studentised,
    welch,
)


def permutation_p(
    mine: ArrayLike,
    heldout: ArrayLike,
    clusters_mine: ArrayLike | None = None,
    clusters_heldout: ArrayLike | None = None,
    permutations: int = 10_000,
    seed: int = 0,
) -> Inference:
    """Test whether mine scores higher than held-out, exchanging whole clusters between the two.

    The statistic is the difference of the means over its standard error, which is made of cluster sums: a side with
    sums S_c of sizes n_c and mean m = sum S_c / sum n_c has the variance k/(k-1) sum (S_c - m n_c)^2 / (sum n_c)^2
    over its k clusters (a ratio estimator's). Exact where clusters are exchangeable, sizes included; and, as it is
    studentised, right for many clusters also where the sides' clusters differ in size or spread (Chung and Romano,
    Annals of Statistics 41, 2013), where the plain difference of means would not be.

    Args:
        mine: (n,) scores of the collection; higher means more likely a member.
        heldout: (m,) scores of one like it that was not trained on.
        clusters_mine: (n,) what belongs together, such as the shoot; every row on its own unless given.
        clusters_heldout: (m,) likewise.
        permutations: B; all are enumerated where there are no more, else p = (1 + b)/(1 + B) of B drawn ones.
        seed: of the permutations drawn.

    Raises:
        ValueError: a score is not finite, a side has fewer than two clusters, or a cluster lies on both sides.

    Example:
        >>> found = permutation_p([3.0, 4.0, 5.0], [0.0, 1.0, 2.0])
        >>> found.p == 1 / 20, found.exact, found.difference.value
        (True, True, 3.0)
    """
    sides = (finite(mine, "mine"), finite(heldout, "heldout"))
    labels = [labelled(names, side) for names, side in zip((clusters_mine, clusters_heldout), sides, strict=True)]
    if clusters_mine is not None and clusters_heldout is not None:
        both = np.intersect1d(np.asarray(clusters_mine), np.asarray(clusters_heldout))
        if len(both):
            raise ValueError(f"cluster {both[0]!s} lies on both sides ({len(both)} do): pair by it, or name it apart")
    if permutations < 1:
        raise ValueError(f"{permutations} permutations are none")
    sums, sizes = by_cluster(sides, labels)
    k, ours = len(sums), int(labels[0].max()) + 1
    if min(ours, k - ours) < 2:
        raise ValueError(f"{ours} and {k - ours} clusters: each side needs at least two")
    few = min(ours, k - ours) <= permutations.bit_length()  # else there are more than 2^bits; comb would take a second
    every = comb(k, ours) if few else permutations + 1
    exact = every <= permutations
    table = np.stack([sums, sizes, sums**2, sums * sizes, sizes**2], 1)
    whole = table.sum(0)
    observed, gap, error = (part[0] for part in studentised(table[:ours].sum(0)[None], whole, ours, k))
    beyond = np.zeros(2, np.int64)
    for part in arranged(sums, sizes, ours, None if exact else permutations, seed):
        found = studentised(part, whole, ours, k)[0]
        beyond += [(found >= at_least(observed)).sum(), (-found >= at_least(-observed)).sum()]
    p, opposite = (beyond / every if exact else (1 + beyond) / (1 + permutations)).tolist()
    return Inference(
        p,
        welch(float(gap), float(error), table, ours),
        float(error),
        "studentised difference of means, whole clusters permuted",
        every if exact else permutations,
        exact,
        1 / every if exact else 1 / (1 + permutations),
        (ours, k - ours),
        (len(sides[0]), len(sides[1])),
        opposite,
    )


def paired_p(
    mine: ArrayLike,
    heldout: ArrayLike,
    pair_mine: ArrayLike,
    pair_heldout: ArrayLike,
    permutations: int = 10_000,
    seed: int = 0,
) -> Inference:
    """Test published against unpublished frames of the same shoots: each shoot's difference of means, signs flipped.

    Every shoot weighs the same. Exact where a shoot's difference is as likely up as down under the null: always so
    where a shoot has as many frames on one side as on the other and which were published does not depend on the
    picture; otherwise where scores within a shoot are symmetric, and for many shoots in the limit.

    Args:
        mine: (n,) scores of published frames.
        heldout: (m,) scores of unpublished ones.
        pair_mine: (n,) the shoot of each.
        pair_heldout: (m,) likewise. Shoots on one side only are left out, and counted.
        permutations: B, as for `permutation_p`; the 2^k flips are enumerated where they are no more.
        seed: of the flips drawn.

    Raises:
        ValueError: a score is not finite, or fewer than two shoots have frames on both sides.

    Example:
        >>> found = paired_p([2.0, 3.0, 5.0], [1.0, 1.0, 1.0, 9.0], [1, 2, 3], [1, 2, 3, 4])
        >>> found.p == 1 / 8, found.unused
        (True, (0, 1))
    """
    sides = (finite(mine, "mine"), finite(heldout, "heldout"))
    names = (np.asarray(pair_mine), np.asarray(pair_heldout))
    for name, side in zip(names, sides, strict=True):
        labelled(name, side)
    if permutations < 1:
        raise ValueError(f"{permutations} permutations are none")
    shoots = np.intersect1d(*names)
    if len(shoots) < 2:
        raise ValueError(f"{len(shoots)} of the shoots have frames on both sides: a paired test needs at least two")
    kept = [np.isin(name, shoots) for name in names]
    means = []
    for side, name, keep in zip(sides, names, kept, strict=True):
        place = np.searchsorted(shoots, name[keep])
        means.append(np.bincount(place, side[keep]) / np.bincount(place))
    gaps: Floats = means[0] - means[1]
    k, exact = len(gaps), len(gaps) < 62 and 2 ** len(gaps) <= permutations
    slack = TIE * float(np.abs(gaps).sum())
    beyond = np.zeros(2, np.int64)
    for found in flipped(gaps, None if exact else permutations, seed):
        beyond += [(found >= gaps.sum() - slack).sum(), (found <= gaps.sum() + slack).sum()]
    every = 2**k if exact else permutations
    p, opposite = (beyond / every if exact else (1 + beyond) / (1 + every)).tolist()
    error = float(gaps.std(ddof=1) / np.sqrt(k))
    mean, reach = float(gaps.mean()), -float(stdtrit(k - 1, tail(0.95))) * error
    return Inference(
        p,
        Estimate(mean, mean - reach, mean + reach, 0.95, "t over pairs", k),
        error,
        "difference of means in each pair, signs flipped",
        every,
        exact,
        1 / every if exact else 1 / (1 + every),
        (k, k),
        (int(kept[0].sum()), int(kept[1].sum())),
        opposite,
        (int((~kept[0]).sum()), int((~kept[1]).sum())),
    )


def heldout_control(
    heldout: ArrayLike, clusters: ArrayLike | None = None, permutations: int = 10_000, seed: int = 0
) -> Inference:
    """Test one half of the held-out clusters against the other: this checks the arithmetic, never the data.

    A small p-value here happens by luck as often as it says. A large one does not show that the held-out collection is
    comparable with yours.

    Args:
        heldout: (m,) scores.
        clusters: (m,) what belongs together.
        permutations: as for `permutation_p`.
        seed: of the halves and of the permutations.

    Raises:
        ValueError: a score is not finite, or there are fewer than four clusters.

    Example:
        >>> heldout_control([1.0, 2.0, 3.0, 4.0]).sentences()[1][:42]
        'This checks the arithmetic, not the data: '
    """
    scores = finite(heldout, "heldout")
    label = labelled(clusters, scores)
    count = int(label.max()) + 1
    if count < 4:
        raise ValueError(f"{count} clusters cannot be halved into two of at least two")
    first = np.isin(label, np.random.default_rng(seed).permutation(count)[: count // 2])
    found = permutation_p(scores[first], scores[~first], label[first], label[~first], permutations, seed)
    return replace(found, control=True)


def per_unit(scores: ArrayLike, units: ArrayLike) -> tuple[Floats, Whole]:
    """Reduce several captions or renditions of one photo to one score by a fixed rule, their mean: counted once.

    Args:
        scores: (n,).
        units: (n,) which photo.

    Returns:
        (u,) means, in the order in which units first occur, and (u,) the row of each unit's first occurrence.

    Raises:
        ValueError: a score is not finite, or the shapes differ.

    Example:
        >>> per_unit([1.0, 5.0, 3.0], ["b", "a", "b"])
        (array([2., 5.]), array([0, 1]))
    """
    values = finite(scores, "scores")
    label = labelled(units, values)
    _, first = np.unique(label, return_index=True)
    means: Floats = np.bincount(label, values) / np.bincount(label)
    order = np.argsort(first)
    return means[order], first[order].astype(np.int64)
