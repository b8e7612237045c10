"""A learnt combination of several attacks: taught by one half of both collections, tested on the other, and the reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmia import scoring, specs
from lmia.attack import Attack
from lmia.collection.asked import Asked
from lmia.collection.pairs import SEED, Pairs
from lmia.collection.units import Units
from lmia.errors import LmiaError, NothingToLearn
from lmia.evidence.combining import any_dependence, combination
from lmia.evidence.inference import paired_p, permutation_p
from lmia.evidence.inferred import Inference
from lmia.samples import Known

FEWEST = 20
"""Groups a side that learning takes: four quarters of five."""

Mask = NDArray[np.bool_]
Masks = tuple[Mask, Mask]
"""Of mine and of held-out."""


@dataclass(frozen=True)
class Half:
    """One half of both collections, tested with what the other half taught.

    Args:
        found: the test; None where no attack found anything to learn.
        weights: by attack, in the combination, in units of each score's spread.
        without: attacks that found nothing to learn in the other half.
    """

    found: Inference | None
    weights: dict[str, float]
    without: list[str]


@dataclass(frozen=True)
class Learned:
    """What a learnt combination found.

    Args:
        names: of the attacks.
        p: of both halves together, valid however they depend on each other.
        method: how it was made.
        halves: the two tests.
    """

    names: list[str]
    p: float
    method: str
    halves: tuple[Half, Half]

    def sentences(self, score: str, single: float, alpha: float) -> list[str]:
        """Say what it found, beside the p-value of the one score that was named.

        Args:
            score: its name.
            single: its p-value.
            alpha: chance of a false alarm.
        """
        each = [half.found.p if half.found else 1.0 for half in self.halves]
        word = "A difference" if self.p <= alpha else "No difference"
        found = [
            f"Learned, as you chose with --learn: {', '.join(self.names)} combined by a logistic regression, each half of "
            f"the collections tested with what the other taught. {word} found: p = {self.p:.2g}, twice the smaller of "
            f"{each[0]:.2g} and {each[1]:.2g}.",
            f"It is a second test beside that of {score} alone, p = {single:.2g}, which was named first and decides the words "
            "above. What learns finds a difference of style as readily as use. To go by whichever is smaller, double it.",
        ]
        for i, half in enumerate(self.halves):
            if half.without:
                found.append(f"In half {i + 1}, left out for having nothing to learn from: {', '.join(half.without)}.")
        return found


def learners(names: Sequence[str]) -> list[Attack]:
    """Return the attacks to combine, which may learn from known non-members and a pool but need nothing else.

    Raises:
        LmiaError: there is none, one stands there twice, or one measures gradients or compares views.

    Example:
        >>> [type(attack).__name__ for attack in learners(["csa", "anchor"])]
        ['CSA', 'Anchor']
    """
    if not names:
        raise LmiaError("--learn is given, but nothing to learn with.", "Name attacks: --plugin csa --plugin anchor.")
    found = specs.attacks(names)
    for attack, name in zip(found, specs.attack_names(found), strict=True):
        if type(attack).measure is not Attack.measure or attack.requires - {"known_nonmembers", "pool"}:
            raise LmiaError(
                f"'{name}' measures gradients or compares views, which --learn cannot.", "Leave its --plugin out."
            )
    return found


def learned(pairs: Pairs, attacks: Sequence[Attack], units: tuple[Units, Units], asked: Asked) -> Learned:
    """Test each half of the clusters with what the other taught, and make one p-value of both.

    The other half is cut in two again: its held-out pairs of the first quarter are the attacks' known non-members and
    its pairs of mine their pool; the second quarter, which the fitted attacks have not seen, teaches the combination.
    Where no attack learns, the whole half does. Given what it was taught by, the sum tested is a fixed score, so each
    half's p-value is as sound as that of a score named beforehand.

    Args:
        pairs: as the target sees them.
        attacks: unfitted.
        units: what counts once, and what belongs together, on both sides.
        asked: what to heed.

    Raises:
        LmiaError: there are too few clusters, or an attack cannot be fitted or returns scores that are no numbers.
    """
    few = min(len(np.unique(one.labels)) for one in units)
    if few < FEWEST:
        raise LmiaError(
            f"--learn cuts both collections in quarters, and one has {few} groups.",
            f"It takes {FEWEST} a side; leave --learn out.",
        )
    every = np.ones(len(units[0]), np.bool_), np.ones(len(units[1]), np.bool_)
    first = _halved(units, every, asked, SEED)
    names = specs.attack_names(attacks)
    halves = []
    for tested in (first, _but(every, first)):
        rest = _but(every, tested)
        quarter = _halved(units, rest, asked, SEED + 1)
        fits = any(type(attack).fit is not Attack.fit for attack in attacks)
        halves.append(_half(pairs, attacks, units, asked, tested, quarter, _but(rest, quarter) if fits else rest))
    p = any_dependence([half.found.p if half.found else 1.0 for half in halves])
    method = "logistic regression of the attacks' scores, cross-fitted by halves; twice the smaller p-value"
    return Learned(names, p, method, (halves[0], halves[1]))


def _half(
    pairs: Pairs,
    attacks: Sequence[Attack],
    units: tuple[Units, Units],
    asked: Asked,
    tested: Masks,
    fitting: Masks,
    teaching: Masks,
) -> Half:
    """Fit the attacks on one part, teach the combination by another, and test a third."""
    names, used, without = specs.attack_names(attacks), [], []
    columns: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for attack, name in zip(attacks, names, strict=True):
        try:
            columns.append(_scores(pairs, attack, name, units, fitting, (tested, teaching)))
            used.append(name)
        except NothingToLearn:
            without.append(name)
        except LmiaError as error:
            shares = " and ".join(f"{int(mask.sum()):,}" for mask in fitting)
            raise LmiaError(
                f"--learn taught '{name}' with {shares} of the two collections' units: {error.problem}",
                "It takes larger collections; or leave its --plugin out.",
            ) from error
    if not used:
        return Half(None, {}, without)
    mine, heldout = (np.stack([column[side] for column in columns], 1) for side in (0, 1))
    taught = combination(mine[teaching[0]], heldout[teaching[1]])
    test = paired_p if asked.pair_by else permutation_p
    found = test(
        taught.score(mine[tested[0]]),
        taught.score(heldout[tested[1]]),
        units[0].labels[tested[0]],
        units[1].labels[tested[1]],
        asked.permutations,
        asked.seed,
    )
    return Half(found, dict(zip(used, taught.weights.tolist(), strict=True)), without)


def _scores(
    pairs: Pairs, attack: Attack, name: str, units: tuple[Units, Units], fitting: Masks, wanted: Sequence[Masks]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit an attack on some units and score others: `(u,)` a side, NaN where none is wanted."""
    if type(attack).fit is not Attack.fit:
        pool, known = (pairs.select(at, attack) for at in _places(pairs, units, fitting))
        attack = scoring.fitted(attack, Known(known, pool, pairs.facts, SEED))
    masks = wanted[0][0] | wanted[1][0], wanted[0][1] | wanted[1][1]
    rows = np.sort(np.concatenate(_places(pairs, units, masks)))
    full = np.full(len(pairs.samples), np.nan)
    full[rows] = scoring.score(attack, name, pairs.select(rows, attack), SEED).numpy()
    found = []
    for at, one, mask in zip(pairs.at.values(), units, masks, strict=True):
        scores = np.full(len(one), np.nan)
        kept = Units(np.cumsum(mask)[one.of[mask[one.of]]] - 1, one.labels[mask])
        scores[mask] = kept.reduced(full[at][mask[one.of]])
        found.append(scores)
    return found[0], found[1]


def _places(pairs: Pairs, units: tuple[Units, Units], masks: Masks) -> list[NDArray[np.int64]]:
    """Return the positions of mine and of held-out whose units are wanted, each in rising order."""
    return [np.sort(at[mask[one.of]]) for at, one, mask in zip(pairs.at.values(), units, masks, strict=True)]


def _halved(units: tuple[Units, Units], among: Masks, asked: Asked, seed: int) -> Masks:
    """Choose half of the clusters that `among` holds, whole; of a paired test, the same shoots on both sides."""
    labels = [one.labels[mask] for one, mask in zip(units, among, strict=True)]
    if asked.pair_by:
        half = scoring.folds(_numbered(np.concatenate(labels)), seed) == 0
        halves = [half[: len(labels[0])], half[len(labels[0]) :]]
    else:
        halves = [scoring.folds(_numbered(label), seed) == 0 for label in labels]
    chosen = [np.zeros(len(mask), np.bool_) for mask in among]
    for whole, mask, half in zip(chosen, among, halves, strict=True):
        whole[mask] = half
    return chosen[0], chosen[1]


def _numbered(labels: NDArray[np.str_]) -> NDArray[np.int64]:
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _but(masks: Masks, without: Masks) -> Masks:
    return masks[0] & ~without[0], masks[1] & ~without[1]
