"""Models that cannot remember the data, audited beside the target: its untrained twin, and placebos.

What an attack finds on them is in the data, not in anyone's training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lightning.pytorch import Trainer

from lmia.blind import Blind, Ran
from lmia.data import Shard
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.judging import Judge
from lmia.keys import unique_keys
from lmia.measurement import Measurement
from lmia.setup import Setup
from lmia.target import Target

TWIN = "untrained twin"
_APART = 1_000_003
"""Keeps the twin's weights apart from those of a target that is itself drawn by the audit's seed."""


Kind = Literal["twin", "placebo"]


@dataclass(frozen=True)
class Control:
    """A model that cannot remember, to be audited as the target is.

    Args:
        name: in the report.
        kind: an untrained twin or a placebo.
        setup: the audit's, with this model in the target's place.
        measurements: what attacks measured on it, once it is extracted.
    """

    name: str
    kind: Kind
    setup: Setup
    measurements: Sequence[Measurement] = ()

    def extracted(self, trainer: Trainer, plan: Mapping[str, Sequence[Shard]]) -> Control:
        """Extract what the attacks need; nothing is left to do where it saw the pictures beside the target."""
        _, measurements = self.setup.extract(trainer, plan)
        return replace(self, measurements=measurements)


def controls(setup: Setup, placebos: Sequence[Target]) -> list[Control]:
    """List the target's untrained twin, where it has one, and the placebos; nothing is computed yet.

    Args:
        setup: the audit's, checked.
        placebos: real models that cannot have seen the data.

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
    names = unique_keys([placebo.facts().name for placebo in placebos])
    found = [_control(setup, TWIN, "twin", twin)] if twin else []
    return found + [_control(setup, name, "placebo", one) for name, one in zip(names, placebos, strict=True)]


@dataclass(frozen=True)
class Aside:
    """What became of an attack on a control.

    Args:
        model: the control's name.
        kind: an untrained twin or a placebo.
        attack: its name in the report.
        ran: as on the target.
    """

    model: str
    kind: Kind
    attack: str
    ran: Ran


def asides(controls: Sequence[Control], judge: Judge) -> list[Aside]:
    """Run every attack on every control, unchanged.

    Args:
        controls: extracted.
        judge: of the audit, who knows who is who.
    """
    return [aside for control in controls for aside in _ran(control, judge)]


def _ran(control: Control, judge: Judge) -> list[Aside]:
    blind = Blind.make(control.setup, judge.roles, control.measurements, control=True)
    named = zip(control.setup.attacks, control.setup.names, strict=True)
    return [Aside(control.name, control.kind, name, blind.run(attack, name)) for attack, name in named]


def _control(setup: Setup, name: str, kind: Kind, target: Target) -> Control:
    other = replace(setup, model=FeatureExtractor(target, setup.model.augmentation, setup.model.cache))
    other.check()
    return Control(name, kind, other)
