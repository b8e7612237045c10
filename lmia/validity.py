"""What an audit does to doubt itself: power, blind baselines, and its attacks on models that cannot remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lmia.blind import Ran
from lmia.controls import Control, besides
from lmia.evidence.baselines import blind_scores, traits_of
from lmia.evidence.power import spoken
from lmia.judging import Judge
from lmia.report.model import Baseline, Validity
from lmia.roles import Roles

_NO_TWIN = "The target has no untrained twin, so what the attacks find in the data without any memory is not known."


def validity(controls: Sequence[Control], ran: Mapping[str, Ran], judge: Judge, detect: float) -> Validity:
    """Make every check on itself that an audit makes.

    Args:
        controls: the untrained twin and placebos, extracted.
        ran: what became of each attack on the target.
        judge: of the audit.
        detect: the AUC that the audit is to be able to see.
    """
    without, note = baselines(judge.roles, judge.seed, judge.confidence)
    twin = any(control.kind == "twin" for control in controls)
    notes = [*note, *([] if twin else [_NO_TWIN])]
    return Validity(power(judge.roles, detect), without, besides(controls, ran, judge), notes)


def power(part: Roles, detect: float) -> str:
    """Say what so many independent pairs can show: duplicates count once."""
    first, second = (len(np.unique(part.groups[part.parts[side]])) for side in part.sides)
    return spoken(first, second, detect) if first and second else ""


def baselines(part: Roles, seed: int, confidence: float) -> tuple[list[Baseline], list[str]]:
    """Ask what tells the two sides apart without the model; with a note on what was left out.

    Args:
        part: who is who, with the facts of every pair.
        seed: of the split and of the trees.
        confidence: of the intervals.
    """
    one, other = (part.parts[side] for side in part.sides)
    rows = np.concatenate([one, other])
    labels = np.arange(len(rows)) < len(one)
    traits = traits_of(part.rows.take(rows))
    found = blind_scores(traits, labels, part.groups[rows], seed, confidence=confidence)
    said = [f"The blind baselines were {found.note}."] if found.note else []
    return [Baseline(each.kind, each.auroc, each.reason) for each in found.baselines], said
