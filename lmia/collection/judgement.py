"""The judgement of a whole collection: every test that was asked for, as numbers for a file and as plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from lmia.attack import Attack
from lmia.collection.asked import Asked
from lmia.collection.beside import Beside, Scores, beside, cause, inference
from lmia.collection.columns import Columns
from lmia.collection.learning import learned
from lmia.collection.pairs import Pairs, Side
from lmia.collection.units import Units, counted, units
from lmia.errors import LmiaError
from lmia.evidence.extent import growth, owner_needs
from lmia.evidence.inference import heldout_control
from lmia.evidence.inferred import ALPHA, Inference
from lmia.evidence.share import share_by_effect, share_lower_bound

Told = dict[str, object]


def unfitted(name: str, attacks: Sequence[Attack]) -> Attack:
    """Return the one attack of this name, which must need nothing but a pair's own features.

    Args:
        name: as typed.
        attacks: what the name stands for.

    Raises:
        LmiaError: it learns, measures, or needs what the user would have to supply; or the name stands for several.

    Example:
        >>> from lmia import specs
        >>> type(unfitted("csa", specs.attacks(["csa"]))).__name__
        'CSA'
    """
    if len(attacks) > 1:
        raise LmiaError(f"The score '{name}' stands for {len(attacks)} attacks.", "Name one of their presets.")
    attack = type(attacks[0])
    if attack.fit is not Attack.fit or attack.measure is not Attack.measure or attack.requires:
        raise LmiaError(
            f"The score '{name}' learns from other pairs or needs a bank of them, so it is not fixed beforehand.",
            "Name one that needs nothing but the pair itself, such as --score csa; --learn --plugin NAME adds others.",
        )
    return attacks[0]


def judged(
    sides: tuple[Side, Side],
    columns: Columns,
    asked: Asked,
    placebos: Mapping[str, tuple[Side, Side]] | None = None,
    learning: tuple[Pairs, Sequence[Attack]] | None = None,
) -> tuple[Told, list[str]]:
    """Test the whole collection, and say what it shows.

    Args:
        sides: mine and held-out, with the target's scores.
        columns: what belongs together.
        asked: what to heed.
        placebos: by name, the same pairs with the scores of a model that cannot have seen them.
        learning: the pairs as the target sees them, and the attacks to combine.

    Returns:
        numbers for a file, and sentences; the first one is the answer.

    Raises:
        LmiaError: a pair has no value in a column, a key is ambiguous, a unit lies in several clusters, a cluster on
            both sides, or there are too few clusters.
    """
    both = units(sides, columns, asked)
    scores = _reduced(sides, both)
    try:
        found = inference(scores, both, asked)
        others = [beside(name, scores, _reduced(there, both), both, asked) for name, there in (placebos or {}).items()]
    except ValueError as error:
        raise LmiaError(f"This cannot be tested: {error}.", "See --cluster-by and --pair-by in --help.") from error
    told: Told = {"found": asdict(found), "alpha": ALPHA}
    sentences = list(found.sentences(ALPHA, why := cause(others, asked, ALPHA)))
    told["cause"] = why
    sentences[1:1] = [counted(sides, both, asked)]
    for more in (
        _beside(others, asked),
        _learned(learning, both, asked, found),
        _extent(found, scores, both, asked),
        _control(scores[1], both[1], asked),
    ):
        told |= more[0]
        sentences += more[1]
    return {**told, "sentences": sentences}, sentences


def _reduced(sides: tuple[Side, Side], both: tuple[Units, Units]) -> Scores:
    return both[0].reduced(sides[0].scores), both[1].reduced(sides[1].scores)


def _beside(others: Sequence[Beside], asked: Asked) -> tuple[Told, list[str]]:
    sentences = [sentence for one in others for sentence in one.sentences(ALPHA)]
    if asked.randomised and not all(one.quiet(ALPHA) for one in others):
        sentences.append("A lot would not have made that difference: look again at how the sides came about.")
    return ({"placebos": [asdict(one) for one in others]} if others else {}), sentences


def _learned(
    learning: tuple[Pairs, Sequence[Attack]] | None, both: tuple[Units, Units], asked: Asked, single: Inference
) -> tuple[Told, list[str]]:
    if learning is None:
        return {}, []
    try:
        found = learned(*learning, both, asked)
    except ValueError as error:
        raise LmiaError(
            f"A half cannot be tested: {error}.", "There is too little in it; leave --learn out."
        ) from error
    return {"learned": asdict(found)}, found.sentences(asked.score, single.p, ALPHA)


def _extent(found: Inference, scores: Scores, both: tuple[Units, Units], asked: Asked) -> tuple[Told, list[str]]:
    """Say how many pairs it takes, how p falls as they grow, and which share was used."""
    needs = owner_needs(found)
    told: Told = {"needs": asdict(needs)}
    sentences = [needs.sentence()]
    if not asked.pair_by:  # frames of one shoot on both sides are not independent, as these take them to be
        mine, heldout = (one.labels for one in both)
        grown = growth(*scores, mine, heldout, permutations=asked.permutations, seed=asked.seed, whole=found)
        bound = share_lower_bound(*scores, mine, heldout)
        told |= {"growth": [asdict(one) for one in grown], "share": asdict(bound)}
        steps = ", ".join(f"{one.p:.2g} at {one.used[0]:,}" for one in grown)
        sentences += [f"As the collection grows, p is {steps}.", bound.sentence()]
    if asked.member_effect is not None:
        estimate = share_by_effect(found.difference, asked.member_effect)
        told["share_by_effect"] = asdict(estimate)
        sentences.append(estimate.sentence())
    return told, sentences


def _control(heldout: np.ndarray[tuple[int], np.dtype[np.float64]], one: Units, asked: Asked) -> tuple[Told, list[str]]:
    if len(np.unique(one.labels)) < 4:
        return {}, []
    control = heldout_control(heldout, one.labels, asked.permutations, asked.seed)
    return {"control": asdict(control)}, list(control.sentences())
