"""What the metrics return where one number with its interval is not enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmia.evidence.estimate import Estimate


@dataclass(frozen=True)
class TPR:
    """The true positive rate at a false positive rate, or why it cannot be estimated.

    Args:
        fpr: the false positive rate asked for.
        estimate: empirical TPR with its interval; None where `note` says why not.
        population_fpr: the expected FPR in the population at that threshold, (k + 1)/(n + 1).
        note: a warning, or why there is no estimate.
    """

    fpr: float
    estimate: Estimate | None
    population_fpr: float | None
    note: str = ""


@dataclass(frozen=True)
class Threshold:
    """A threshold that can be deployed: conformal, from calibration non-members alone.

    Args:
        fpr: the false positive rate it promises.
        value: member if score > value; None where calibration is too small.
        calibration: how many calibration scores it rests on.
        achieved_fpr: on the audited non-members, with Clopper-Pearson interval; None where there are none.
        achieved_tpr: on the audited members, likewise.
        balanced_accuracy: (achieved TPR + 1 - achieved FPR)/2, likewise.
        note: why there is none, or a warning.
    """

    fpr: float
    value: float | None
    calibration: int
    achieved_fpr: Estimate | None = None
    achieved_tpr: Estimate | None = None
    balanced_accuracy: Estimate | None = None
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """A ROC curve, thinned for drawing; metrics are never computed from it.

    Args:
        fpr: ascending, as many as tpr.
        tpr: at each fpr.
    """

    fpr: Sequence[float]
    tpr: Sequence[float]


@dataclass(frozen=True)
class Histogram:
    """Scores by group in common bins.

    Args:
        edges: k + 1 ascending bin edges.
        counts: k counts for each group: `members`, `nonmembers`, `suspects`, `calibration`.
    """

    edges: Sequence[float]
    counts: Mapping[str, Sequence[int]]
