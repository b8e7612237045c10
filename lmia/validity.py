"""What an audit does to doubt itself: power, blind baselines, like against like, models that cannot remember."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from lmia import evidence
from lmia.baselines import blind_baselines
from lmia.blind import Ran
from lmia.controls import Aside
from lmia.evidence.baselines import Blind
from lmia.evidence.comparison import Comparison, compare
from lmia.evidence.power import spoken
from lmia.evidence.repeated import Positives
from lmia.exposure import exposure
from lmia.judging import Judge
from lmia.report.model import Adjusted, Baseline, Beside, Check, Validity
from lmia.roles import Roles
from lmia.scoring import folds

FEW = 20
"""Rows a side below which a check of the arithmetic shows nothing."""
_NO_TWIN = "The target has no untrained twin, so what the attacks find in the data without any memory is not known."


@dataclass(frozen=True)
class Doubt:
    """The two sides of an audit, laid out for every check.

    Args:
        judge: of the audit.
        blind: what tells the sides apart without the model.
        comparison: which pairs look alike to that.
    """

    judge: Judge
    blind: Blind
    comparison: Comparison

    @staticmethod
    def of(judge: Judge, pairs: pa.Table, cache: Path) -> Doubt:
        """Train the blind baselines, which are kept in the cache, and cut the pairs into strata of what they say.

        Args:
            judge: of the audit.
            pairs: `(n,)` both sides' rows with all their facts.
            cache: the folder of features.
        """
        groups, labels = judge.roles.groups[judge.side_rows], judge.labels.numpy()
        blind = blind_baselines(cache, pairs, labels, groups, judge.seed, judge.confidence)
        like = compare(blind.baselines, blind.half, judge.labels, judge.groups, judge.seed, judge.confidence)
        return Doubt(judge, blind, like)

    def scores(self, ran: Ran) -> Tensor | None:
        """Return an attack's scores of both sides, `(n,)`; None where it did not run."""
        return None if ran.scored is None else ran.scored.sides(self.judge.roles.sides)[0]

    def auc(self, scores: Tensor) -> evidence.Estimate:
        """Estimate the raw AUC of one side against the other."""
        return evidence.auroc(scores, self.judge.labels, self.judge.groups, self.judge.confidence)


def validity(
    doubt: Doubt, trained: Mapping[str, bool], ran: Mapping[str, Ran], asides: Sequence[Aside], detect: float
) -> Validity:
    """Make every check on itself that an audit makes.

    Args:
        doubt: the two sides.
        trained: whether each attack's `fit` learns from data.
        ran: what became of each attack on the target.
        asides: what became of each on the untrained twin and the placebos.
        detect: the AUC that the audit is to be able to see.
    """
    said = [f"The blind baselines were {doubt.blind.note}."] if doubt.blind.note else []
    twin = any(aside.kind == "twin" for aside in asides)
    found = {name: scores for name, one in ran.items() if (scores := doubt.scores(one)) is not None}
    sliced, slices = exposure(doubt.judge, found) if doubt.judge.roles.rows.num_rows else ("", None)
    return Validity(
        power=power(doubt.judge.roles, detect, max(1, len(found))),
        baselines=[Baseline(each.kind, each.auroc, each.reason) for each in doubt.blind.baselines],
        besides=_besides(doubt, ran, asides),
        notes=[*said, *([] if twin else [_NO_TWIN])],
        overlap=doubt.comparison.overlap,
        strata_of=doubt.comparison.kind,
        adjusted=_adjusted(doubt, trained, ran),
        checks=[check for name, one in ran.items() for check in _checks(doubt, name, one)],
        sliced=sliced,
        slices=slices,
        positives=_positives(doubt, found),
    )


def _positives(doubt: Doubt, found: Mapping[str, Tensor]) -> Positives | None:
    """Judge every attack on members that are known to have been shown again and again; None where that is not known."""
    judge, repeats = doubt.judge, doubt.judge.roles.repeats
    if repeats is None or judge.roles.sides[0] != "members" or not found:
        return None
    shown = torch.from_numpy(repeats[judge.side_rows])
    return evidence.positives(found, judge.labels, shown, judge.groups, judge.confidence)


def power(part: Roles, detect: float, attacks: int) -> str:
    """Say what so many independent pairs can show to the first of so many attacks: duplicates count once."""
    first, second = (len(np.unique(part.groups[part.parts[side]])) for side in part.sides)
    return spoken(first, second, detect, attacks=attacks) if first and second else ""


def _adjusted(doubt: Doubt, trained: Mapping[str, bool], ran: Mapping[str, Ran]) -> list[Adjusted]:
    """Compare like with like, attack by attack; p-values are corrected for the best of them all."""
    found = {name: scores for name, one in ran.items() if (scores := doubt.scores(one)) is not None}
    p = doubt.comparison.tested(list(found.values())).best.tolist() if found else []
    adjusted = {name: doubt.comparison.adjusted(scores) for name, scores in found.items()}
    return [
        Adjusted(
            name,
            trained[name],
            doubt.auc(scores),
            adjusted[name],
            value if adjusted[name] else None,
            _versus_blind(doubt, scores),
        )
        for (name, scores), value in zip(found.items(), p, strict=True)
    ]


def _versus_blind(doubt: Doubt, scores: Tensor) -> evidence.Estimate | None:
    """Compare an attack with the strongest blind baseline, on the half that no baseline was trained on."""
    judged = [one for one in doubt.blind.baselines if one.auroc is not None and one.scores is not None]
    if not judged:
        return None
    best = max(judged, key=lambda one: one.auroc.value if one.auroc else 0.0)
    rows = torch.from_numpy(doubt.blind.b)
    groups = None if doubt.judge.groups is None else doubt.judge.groups[rows]
    blind = torch.as_tensor(best.scores)
    return evidence.auroc_difference(scores[rows], blind, doubt.judge.labels[rows], groups, doubt.judge.confidence)


def _besides(doubt: Doubt, ran: Mapping[str, Ran], asides: Sequence[Aside]) -> list[Beside]:
    """Judge every attack on every model that cannot remember, beside the target."""
    found = []
    for model in dict.fromkeys(aside.model for aside in asides):
        mine = [aside for aside in asides if aside.model == model]
        scored = [scores for aside in mine if (scores := doubt.scores(aside.ran)) is not None]
        p = iter(doubt.comparison.tested(scored, two_sided=True).alone.tolist() if scored else [])
        found += [_beside(doubt, aside, ran[aside.attack], p) for aside in mine]
    return found


def _beside(doubt: Doubt, aside: Aside, on_target: Ran, p: Iterator[float]) -> Beside:
    result, there, here = aside.ran.result, doubt.scores(aside.ran), doubt.scores(on_target)
    beside = Beside(aside.model, aside.kind, aside.attack, result.status, result.reason)
    if there is None:
        return beside
    labels, groups, at = doubt.judge.labels, doubt.judge.groups, doubt.judge.confidence
    adjusted, value = doubt.comparison.adjusted(there), next(p)
    return replace(
        beside,
        auc=doubt.auc(there),
        above=None if here is None else evidence.auroc_difference(here, there, labels, groups, at),
        adjusted=adjusted,
        p=value if adjusted else None,
        above_adjusted=None if here is None else doubt.comparison.above(here, there),
    )


def _checks(doubt: Doubt, name: str, ran: Ran) -> list[Check]:
    """Judge an attack where it cannot be right: on labels dealt anew, and on two halves of the second side."""
    scores = doubt.scores(ran)
    if scores is None:
        return []
    labels, groups, at = doubt.judge.labels, doubt.judge.groups, doubt.judge.confidence
    dealt = evidence.dealt(labels, groups, doubt.judge.seed)
    second = torch.arange(len(labels))[~labels]
    mine = None if groups is None else groups[second]
    half = folds(np.arange(len(second)) if mine is None else mine.numpy(), doubt.judge.seed)
    if min(int(labels.sum()), int((half == 0).sum()), int((half == 1).sum())) < FEW:
        few = f"fewer than {FEW} pairs a side"
        return [Check("shuffled labels", name, None, few), Check("halves", name, None, few)]
    return [
        Check("shuffled labels", name, evidence.auroc(scores, dealt, groups, at)),
        Check("halves", name, evidence.auroc(scores[second], torch.from_numpy(half == 1), mine, at)),
    ]
