"""The laws of a defence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from random import Random
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from lmia.defence import Defence
from lmia.target import Target
from lmia.testing.laws import called, generators, require
from lmia.testing.making import check_made, copied
from lmia.testing.targets import check_target
from lmia.testing.towers import LENGTH, SIDE, WORDS, make_towers
from lmia.trainable import Trainable

CAPTIONS = ("a dog above a cat", "One", "", "Ein Hund, größer als\nzwei 猫.", "  two  spaces ")
EPOCHS = [{"loss": 3.0 - n / 10, "recall": 0.1 + n / 50, "auc": 0.5 + n / 20} for n in range(3)]
_T = TypeVar("_T")


def check_defence(defence: Defence, towers: Trainable | None = None, target: Target | None = None) -> None:
    """Check a defence, in a training and around a target, as far as it has a say in either.

    Laws: made as `check_made` says; it changes a training or answers; everything drawn comes from the generators that are
    handed over, so the same again gives the same; inputs are left as they are; captions stay as many, pictures keep shape,
    dtype and range; `keep` says one truth value a pair; towers keep the names of their weights, and answer in evaluation as
    they did; a step leaves finite parameters, and a second `settle` changes nothing; promises are JSON. Around a target:
    `answers` is lowered and never raised; what stands around it keeps all laws of `check_target`, prepares pairs alike, has a
    fingerprint and facts of its own, and an untrained twin behind the same defence; the target is left as it was.

    Args:
        defence: the defence.
        towers: that can carry it, for pictures and tokens as `make_towers()` takes them; those unless given.
        target: to stand around; needed where the defence changes answers.

    Raises:
        ConformanceError: a law is broken.

    Example:
        >>> class Lower(Defence):
        ...     '''Shows captions in lower case.'''
        ...     def captions(self, captions, draw):
        ...         return [caption.lower() for caption in captions]
        >>> check_defence(Lower())
    """
    check_made(defence)
    name = type(defence).__name__
    require(
        defence.trains or defence.answers,
        "a defence does something",
        f"{name} changes neither a training nor answers",
        "override what it changes",
    )
    _check_pairs(defence)
    _check_captions(defence)
    _check_pixels(defence)
    _check_plan(defence)
    _check_towers(defence, towers or make_towers())
    if defence.answers:
        require(target is not None, "a defence can be tried", f"{name} changes answers", "give check_defence a target")
    if target is not None:
        _check_around(defence, target)


def _again(defence: Defence, what: str, call: Callable[[Defence], _T], equal: Callable[[_T, _T], bool]) -> _T:
    """Call twice and on a copy, global generators elsewhere each time; all must agree."""
    who = f"{type(defence).__name__}.{what}"
    found = []
    for state, one in enumerate((defence, defence, copied(defence))):
        with generators(41 + state, who):
            found.append(called(f"{what} works", who, "take what lmia.Defence says", partial(call, one)))
    require(
        all(equal(found[0], other) for other in found[1:]),
        "the same draws give the same",
        f"{who}, asked again or on a copy, returned something else",
        "draw from the generator that is handed over, and keep no state",
    )
    return found[0]


def _check_pairs(defence: Defence) -> None:
    name, law = type(defence).__name__, "keep says one truth value a pair"
    for count in (5, 0):
        keys, captions = [f"pair {i}" for i in range(count)], list(CAPTIONS[:count])
        phash = [f"{i // 2:016x}" for i in range(count)]
        given = (list(keys), list(captions), list(phash))
        kept = _again(defence, "keep", lambda one, given=given: one.keep(*given), np.array_equal)  # type: ignore[misc]
        right = isinstance(kept, np.ndarray) and kept.dtype == np.bool_ and kept.shape == (count,)
        require(right, law, f"{name}.keep returned {kept!r} for {count} pairs", "return a bool array")
        same = given == (keys, captions, phash)
        require(same, "inputs are left as they are", f"{name}.keep changed its input", "work on a copy")


def _check_captions(defence: Defence) -> None:
    name = type(defence).__name__

    def shown(one: Defence) -> list[str]:
        given = list(CAPTIONS)
        said = list(one.captions(given, Random(1)))
        same = given == list(CAPTIONS)
        require(same, "inputs are left as they are", f"{name}.captions changed its input", "work on a copy")
        return said

    found = _again(defence, "captions", shown, lambda one, other: one == other)
    right = len(found) == len(CAPTIONS) and all(isinstance(caption, str) for caption in found)
    require(right, "a caption stays a caption", f"{name} makes {found} of {CAPTIONS}", "return one text for each")
    _again(defence, "captions", lambda one: list(one.captions([], Random(1))), lambda one, other: one == other == [])


def _pictures() -> Tensor:
    noise = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return torch.cat([noise, torch.zeros(1, 3, SIDE, SIDE), torch.ones(1, 3, SIDE, SIDE)])


def _check_pixels(defence: Defence) -> None:
    name, given, law = type(defence).__name__, _pictures(), "pictures keep their shape, dtype and range"
    found = _again(
        defence, "pixels", lambda one: one.pixels(given, torch.Generator().manual_seed(1)).detach().clone(), torch.equal
    )
    told = f"{name} makes {tuple(found.shape)} {found.dtype} of {tuple(given.shape)} {given.dtype}"
    require(found.shape == given.shape and found.dtype == given.dtype, law, told, "resize and cast back")
    low, high = found.min().item(), found.max().item()
    inside = low >= 0 and high <= 1 and not bool(found.isnan().any())
    require(inside, law, f"{name} reaches from {low:.4g} to {high:.4g}", "clamp to [0, 1], and make no NaN")
    same = torch.equal(given, _pictures())
    require(same, "inputs are left as they are", f"{name}.pixels changed its input", "work on a copy")


def _check_plan(defence: Defence) -> None:
    name, decay = type(defence).__name__, defence.decay()
    right = decay is None or (math.isfinite(decay) and decay >= 0)
    require(right, "a decay is a number", f"{name}.decay is {decay}", "return None, or a number of at least 0")
    stop = _again(defence, "enough", lambda one: one.enough(EPOCHS), lambda one, other: one is other)
    require(isinstance(stop, bool), "enough is yes or no", f"{name}.enough is {stop!r}", "return a bool")
    promised: Mapping[str, float] = _again(
        defence, "promise", lambda one: one.promise(1000, 50, 200), lambda one, other: one == other
    )
    called(
        "promises are JSON",
        f"writing the promises {promised!r} of {name}",
        "return finite numbers by name",
        lambda: json.dumps(dict(promised), allow_nan=False),
    )


def _check_towers(defence: Defence, towers: Trainable) -> None:
    """Take a step as `lmia fit` does, but in eval mode: dropout has no generator but torch's own."""
    name, pixels = type(defence).__name__, _pictures()
    tokens = torch.arange(len(pixels) * LENGTH).reshape(len(pixels), LENGTH) % WORDS
    plain = copied_towers(towers).eval()
    before = plain.encode_image(pixels), plain.encode_text(tokens)

    def step(one: Defence) -> Trainable:
        changed = copied_towers(towers)
        one.adapt(changed)
        _check_adapted(name, changed.eval(), plain, before, (pixels, tokens))
        changed.zero_grad()
        changed(pixels, tokens).backward()
        one.gradients(changed, torch.Generator().manual_seed(2))
        torch.optim.SGD(changed.parameters(), lr=0.01).step()
        one.settle(changed)
        return changed

    trained = _again(defence, "adapt", step, _alike)
    finite = all(bool(parameter.isfinite().all()) for parameter in trained.parameters())
    require(finite, "a step leaves finite parameters", f"{name} makes NaN or infinity", "guard divisions")
    settled = copied_towers(trained)
    defence.settle(settled)
    require(_alike(trained, settled), "settle settles", f"{name}.settle moves on when called again", "project")


def copied_towers(towers: Trainable) -> Trainable:
    """Return a copy that has no gradients yet."""
    made = deepcopy(towers)
    made.zero_grad()
    return made


def _check_adapted(
    name: str, changed: Trainable, plain: Trainable, before: tuple[Tensor, Tensor], given: tuple[Tensor, Tensor]
) -> None:
    own, its = list(changed.state_dict()), list(plain.state_dict())
    law = "weights keep their names"
    strange = sorted(set(own) ^ set(its))[:3]
    remedy = "use hooks, or modules without weights: a defended model is loaded as a plain one"
    require(own == its, law, f"{name}.adapt adds or takes {strange or 'their order'}", remedy)
    with torch.no_grad():
        after = changed.encode_image(given[0]), changed.encode_text(given[1])
    same = all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    remedy = "act in training mode alone"
    require(same, "evaluation is as without", f"towers with {name} have other features in eval mode", remedy)


def _alike(one: Trainable, other: Trainable) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(mine, its) for mine, its in pairs)


def _check_around(defence: Defence, target: Target) -> None:
    name, before = type(defence).__name__, target.fingerprint()
    defended = called("around takes a target", f"{name}.around", "return a Target", lambda: defence.around(target))
    if not defence.answers:
        same = defended is target
        require(
            same, "around is for answers", f"{name}, no defence of answers, returned another target", "leave it out"
        )
        return
    raised = sorted(defended.answers - target.answers)
    require(not raised, "answers are lowered", f"behind {name} a target answers {raised} too", "take of its answers")
    check_target(defended)
    own, again = defended.fingerprint(), defence.around(target).fingerprint()
    require(
        own == again != before == target.fingerprint(),
        "a fingerprint covers the defence",
        f"{name} around a target of fingerprint {before!r} has {own!r}, then {again!r}; left is {target.fingerprint()!r}",
        "digest the defence's options and the target's fingerprint, and leave the target as it is",
    )
    known, told = target.facts(), defended.facts()
    said = told.name != known.name and told.details.keys() >= known.details.keys() and told.details != known.details
    require(said, "facts name the defence", f"behind {name} a target tells {told}", "add it to name and details")
    twin, plain = defended.untrained(1), target.untrained(1)
    behind = plain if plain is None else defence.around(plain)
    right = (twin and twin.fingerprint()) == (behind and behind.fingerprint())
    require(right, "a twin has the same defence", f"that behind {name} is another", "put the defence around the twin")
