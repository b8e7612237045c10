"""The laws of an attack."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from lmia import evidence, scoring
from lmia.attack import NEEDS, REQUIRES, Attack
from lmia.errors import LmiaError, NothingToLearn
from lmia.samples import Known, Samples
from lmia.testing.laws import ConformanceError, called, generators, largest_gap, require, same
from lmia.testing.making import check_made, copied, remade
from lmia.testing.world import World, make_world

RELATIVE = 1e-6
"""Scores by chunks may differ from scores at once by this much of the largest: matrix products are not bitwise equal."""


def check_attack(attack: Attack, world: World | None = None, null: World | None = None) -> None:
    """Check an attack on a world with a planted trace of membership, and on one without.

    Laws: made as `check_made` says, presets too; `needs` and `requires` hold known words, and no array is read that
    they do not name; one finite score a sample, `(n,)`; a row's score does not depend on the other rows, nor on their
    order; fits of one seed score alike whatever the global generators, which stay untouched; inputs are left as they
    are; a copy, and one made again from the settings, score alike; findings are JSON; and members score higher.

    Args:
        attack: not yet fitted; it is copied, never changed.
        world: where its members can be told from non-members; `make_world()` unless given. An attack that measures
            gets its numbers here: `make_world(measured={"norm": -2.0})`.
        null: a world without memory, where it may refuse with an `LmiaError`, `NothingToLearn` above all;
            `make_world(signal=0)`, and left out where only `world` is given.

    Raises:
        ConformanceError: a law is broken.

    Example:
        >>> from lmia.attack import Attack
        >>> class Distance(Attack):
        ...     '''The cosine, the wrong way round.'''
        ...     def score(self, samples):
        ...         return -samples.cosine[:, 0]
        >>> check_attack(Distance())
        Traceback (most recent call last):
            ...
        lmia.testing.laws.ConformanceError: a higher score means more likely a member: Distance has AUC 0.0...
    """
    _check_declared(attack)
    check_made(attack)
    _check_presets(attack)
    if null is None and world is None:
        null = make_world(signal=0.0)
    world = _seen(attack, world or make_world())
    before = _contents(world)
    fitted = _fitted(attack, world.known, state=1)
    scores = _scores(fitted, [world.samples], state=1)
    _check_rows(fitted, world.samples, scores)
    _check_again(attack, fitted, world, scores)
    _check_unchanged(attack, before, _contents(world))
    _check_findings(attack, fitted.findings())
    _check_orientation(attack, scores, world.labels)
    if "pool" not in attack.requires:
        alone = replace(world.known, pool=None)
        _scores(_fitted(attack, alone, state=1), [world.samples], state=1)
    if null is not None:
        _check_null(attack, _seen(attack, null))


def _check_declared(attack: Attack) -> None:
    cls = type(attack)
    for word, allowed in (("needs", NEEDS), ("requires", REQUIRES)):
        unknown = set(getattr(attack, word)) - allowed
        require(
            not unknown, f"{word} holds known words", f"{cls.__name__} says {unknown}", f"take of {sorted(allowed)}"
        )


def _check_presets(attack: Attack) -> None:
    cls = type(attack)
    law, allowed = "a preset makes an attack", inspect.signature(cls.__init__).parameters
    for name, args in cls.presets.items():
        unknown = args.keys() - allowed.keys()  # without an __init__ of its own a class takes anything
        told = f"the preset '{name}' of {cls.__name__} gives {sorted(unknown)}"
        require(not unknown, law, told, "give a preset arguments that __init__ takes")
        preset = called(
            law,
            f"{cls.__name__}(**{dict(args)}), the preset '{name}',",
            "give a preset arguments that __init__ takes",
            partial(cls, **args),
        )
        check_made(preset)


def _seen(attack: Attack, world: World) -> World:
    """Return the world as the audit shows it to this attack: the arrays it declared, and no others."""

    def only(samples: Samples) -> Samples:
        return replace(scoring.only(samples, attack), measured=samples.measured)

    pool = None if world.known.pool is None else only(world.known.pool)
    asked = world.known.members if "known_members" in attack.requires else None
    members = None if asked is None else only(asked)
    known = replace(world.known, nonmembers=only(world.known.nonmembers), pool=pool, members=members)
    return World(known, only(world.samples), world.labels)


_REMEDY = "declare every array in needs, the pool and views in requires, or give check_attack a world it can learn from"


def _fitted(attack: Attack, known: Known, state: int) -> Attack:
    """Fit a copy as the audit does, but that nothing is put back behind it: what it moves and changes is to be seen."""
    name, fitted = type(attack).__name__, copied(attack)
    with generators(state, f"{name}.fit"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(known.seed)
        called("fit works on what is declared", f"{name}.fit", _REMEDY, partial(fitted.fit, known))
    return fitted


def _scores(fitted: Attack, parts: Sequence[Samples], state: int) -> Tensor:
    """Score samples part by part, as the audit does its chunks, and check what comes back: `(n,)` float64."""
    name = type(fitted).__name__
    found = []
    with generators(state, f"{name}.score"), torch.random.fork_rng(devices=[]), torch.no_grad():
        for part in parts:
            scores = called("score works on what is declared", f"{name}.score", _REMEDY, partial(fitted.score, part))
            _check_shape(name, scores, len(part))
            found.append(scores.double().cpu())
    together = torch.cat(found)
    bad = int((~together.isfinite()).sum())
    told = f"{bad} of {len(together)} scores of {name} are NaN or infinite"
    require(not bad, "scores are finite", told, "guard divisions and logarithms")
    return together


def _check_shape(name: str, scores: object, n: int) -> None:
    shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
    told = f"{name}.score returned {shape} for {n} samples"
    right = isinstance(scores, Tensor) and scores.shape == (n,)
    require(right, "one score a sample", told, f"return a tensor of shape ({n},)")
    floats = isinstance(scores, Tensor) and scores.is_floating_point()
    require(floats, "scores are floats", f"{name}.score returned whole numbers", "return float scores")


def _check_rows(fitted: Attack, samples: Samples, scores: Tensor) -> None:
    """Compare scores of all rows with those of chunks, of single rows, and of the rows in another order."""
    name = type(fitted).__name__
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(1))
    found = {
        "in chunks of 7": _scores(fitted, list(samples.chunks(7)), state=2),
        "one by one": _scores(fitted, list(samples.select(order[:8]).chunks(1)), state=3),
        "in another order": _scores(fitted, [samples.select(order)], state=4),
    }
    rows = {"in chunks of 7": torch.arange(len(samples)), "one by one": order[:8], "in another order": order}
    for how, other in found.items():
        own = scores[rows[how]]
        require(
            same(own, other, RELATIVE),
            "rows are independent",
            f"{name} scores samples {how} otherwise than at once, {largest_gap(own, other)}",
            "let a row's score depend on that row and on what fit has learnt, never on its batch-mates",
        )


def _check_again(attack: Attack, fitted: Attack, world: World, scores: Tensor) -> None:
    """Score with a second fit, a copy of the first, and a fit of an attack made again from the settings."""
    name = type(attack).__name__
    others = {
        ("fits of one seed score alike", "a second fit"): _fitted(attack, world.known, state=5),
        ("a copy scores alike", "a copy of the fitted attack"): copied(fitted),
        ("settings say all", "an attack made again from its settings"): _fitted(remade(attack), world.known, state=6),
    }
    for (law, who), other in others.items():
        again = _scores(other, [world.samples], state=7)
        require(
            torch.equal(scores, again),
            law,
            f"{who} of {name} scores otherwise, {largest_gap(scores, again)}",
            "draw only from known.seed, in fit, and keep all options in __init__'s arguments",
        )


def _contents(world: World) -> list[Tensor]:
    parts = [world.samples, world.known.nonmembers, *([world.known.pool] if world.known.pool else [])]
    return [array.clone() for part in parts for array in (part.ids, *part.arrays.values(), *part.measured.values())]


def _check_unchanged(attack: Attack, before: list[Tensor], after: list[Tensor]) -> None:
    changed = sum(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    require(
        not changed,
        "inputs are left as they are",
        f"{type(attack).__name__} changed {changed} of the arrays it was given",
        "work on copies: other attacks read the same memory",
    )


def _check_findings(attack: Attack, findings: Mapping[str, object]) -> None:
    called(
        "findings are JSON",
        f"writing the findings {findings!r} of {type(attack).__name__}",
        "return plain numbers (not NaN), texts, lists and dicts",
        lambda: json.dumps(dict(findings), allow_nan=False),
    )


def _check_orientation(attack: Attack, scores: Tensor, labels: Tensor) -> None:
    auc = evidence.auroc(scores, labels).value
    assert auc is not None  # both sides are there, and the scores finite
    require(
        auc > 0.5,
        "a higher score means more likely a member",
        f"{type(attack).__name__} has AUC {auc:.3f} where members have the higher cosines",
        "return the negative, or give check_attack a world with the trace that this attack looks for",
    )


def _check_null(attack: Attack, null: World) -> None:
    """Where there is nothing to learn, an attack says so in a form that the report can show, or scores as ever."""
    try:
        fitted = _fitted(attack, null.known, state=1)
    except ConformanceError as broken:
        if not isinstance(broken.__cause__, LmiaError):
            raise
        if isinstance(broken.__cause__, NothingToLearn):
            _check_findings(attack, broken.__cause__.findings)
    else:
        _scores(fitted, [null.samples], state=1)
