"""Models that cannot remember the data, audited beside the target: its untrained twin, and placebos.

What an attack finds on them is in the data, not in anyone's training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from lightning.pytorch import Trainer

from lmia.blind import Blind, Ran
from lmia.errors import LmiaError
from lmia.evidence.baselines import blind_scores, traits_of
from lmia.evidence.power import spoken
from lmia.extract import FeatureExtractor, Measurement
from lmia.judging import Judge, unique_keys
from lmia.report.model import Baseline, Beside
from lmia.roles import Roles
from lmia.setup import Setup
from lmia.target import Target

TWIN = "untrained twin"
_APART = 1_000_003
"""Keeps the twin's weights apart from those of a target that is itself drawn by the audit's seed."""


@dataclass(frozen=True)
class Control:
    """A model that cannot remember, extracted as the target was.

    Args:
        name: in the report.
        kind: an untrained twin or a placebo.
        setup: the audit's, with this model in the target's place.
        measurements: what attacks measured on it.
    """

    name: str
    kind: Literal["twin", "placebo"]
    setup: Setup
    measurements: Sequence[Measurement]


def extracted(setup: Setup, placebos: Sequence[Target], trainer: Trainer) -> list[Control]:
    """Extract on the target's untrained twin, where it has one, and on the placebos what the attacks need.

    Args:
        setup: the audit's, checked and extracted.
        placebos: real models that cannot have seen the data.
        trainer: runs the passes.

    Raises:
        LmiaError: a placebo is the target itself, or does not answer what an attack needs.
    """
    target = setup.model.target
    for placebo in placebos:
        if placebo.fingerprint() == target.fingerprint():
            raise LmiaError(
                f"The placebo {placebo.facts().name} is the target itself.",
                "Give --placebo a model that cannot have seen the data, such as one released before it.",
            )
    twin = target.untrained(setup.seed + _APART)
    wanted: list[tuple[str, Literal["twin", "placebo"], Target]] = [(TWIN, "twin", twin)] if twin else []
    names = unique_keys([placebo.facts().name for placebo in placebos])
    wanted += [(name, "placebo", placebo) for name, placebo in zip(names, placebos, strict=True)]
    return [_control(setup, name, kind, model, trainer) for name, kind, model in wanted]


def besides(controls: Sequence[Control], part: Roles, ran: Mapping[str, Ran], judge: Judge) -> list[Beside]:
    """Run every attack on every control, unchanged, and judge it there beside the target.

    Args:
        controls: as `extracted` made them.
        part: who is who.
        ran: what became of each attack on the target.
        judge: of the audit.
    """
    found = []
    for control in controls:
        blind = Blind.make(control.setup, part, control.measurements)
        for attack, name in zip(control.setup.attacks, control.setup.names, strict=True):
            there = blind.run(attack, name)
            beside = Beside(control.name, control.kind, name, there.result.status, there.result.reason)
            found.append(judge.beside(beside, there.scored, ran[name].scored))
    return found


def baselines(part: Roles, seed: int, confidence: float) -> tuple[list[Baseline], list[str]]:
    """Ask what tells the two sides apart without the model; with notes on what was left out.

    Args:
        part: who is who, with the facts of every pair.
        seed: of the split and of the trees.
        confidence: of the intervals.
    """
    one, other = (part.parts[side] for side in _sides(part))
    rows = np.concatenate([one, other])
    labels = np.arange(len(rows)) < len(one)
    traits = traits_of(part.rows.take(rows))
    found = blind_scores(traits, labels, part.groups[rows], seed, confidence=confidence)
    said = [f"The blind baselines were {found.note}."] if found.note else []
    return [Baseline(each.kind, each.auroc, each.reason) for each in found.baselines], said


def _sides(part: Roles) -> tuple[str, str]:
    return ("members", "nonmembers") if "members" in part.parts else ("suspects", "calibration")


def power(part: Roles, detect: float) -> str:
    """Say what so many independent pairs can show: duplicates count once."""
    first, second = (len(np.unique(part.groups[part.parts[side]])) for side in _sides(part))
    return spoken(first, second, detect) if first and second else ""


def notes(controls: Sequence[Control]) -> list[str]:
    """Say which of these checks were not made."""
    if any(control.kind == "twin" for control in controls):
        return []
    return ["The target has no untrained twin, so what the attacks find in the data without any memory is not known."]


def _control(setup: Setup, name: str, kind: Literal["twin", "placebo"], target: Target, trainer: Trainer) -> Control:
    other = replace(setup, model=FeatureExtractor(target, setup.model.augmentation, setup.model.cache))
    other.check()
    _, _, measurements = other.extract(trainer)
    return Control(name, kind, other, measurements)
