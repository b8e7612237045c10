"""What the verdict looks at: each attack on the target, on models that cannot remember, and how the sides came about."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Literal

from lmia.evidence.estimate import Estimate

Question = Literal["leakage", "use"]
Regime = Literal["randomised", "one-run", "post hoc"]


@dataclass(frozen=True)
class Beside:
    """An attack on a model that cannot remember the data: the untrained twin or a placebo.

    Args:
        model: its name.
        auc: raw AUC there.
        p: two-sided, of that AUC being 0.5; not corrected for the number of attacks.
        above: target minus this, paired by row; None where it could not be had.
    """

    model: str
    auc: Estimate
    p: float
    above: Estimate | None

    def __post_init__(self) -> None:
        _check(self.model, self.p, self.auc, *([self.above] if self.above else []))


@dataclass(frozen=True)
class Judged:
    """What one attack found.

    Args:
        name: as in the report.
        trained: whether its `fit` learned from data, so that it may have learned a shift.
        raw: AUC without adjustment.
        adjusted: AUC within strata of the blind score, clustered.
        p: one-sided, of the adjusted AUC being at most 0.5; adjusted for all attacks, settings and signs tried.
        twin: the same attack on the target's architecture untrained; None where it did not run.
        placebos: the same attack on real models that cannot have seen the data.
    """

    name: str
    trained: bool
    raw: Estimate
    adjusted: Estimate
    p: float
    twin: Beside | None
    placebos: tuple[Beside, ...] = ()

    def __post_init__(self) -> None:
        _check(self.name, self.p, self.raw, self.adjusted)

    @property
    def besides(self) -> tuple[Beside, ...]:
        """Every model beside the target that this attack ran on."""
        return self.placebos if self.twin is None else (self.twin, *self.placebos)


@dataclass(frozen=True)
class Facts:
    """All that the rule looks at.

    Args:
        question: `leakage` (truth known) or `use` (suspects).
        regime: `randomised` (roles drawn by lot before training), `one-run` (the same, but a single training, so that
            pairs may influence each other's scores) or `post hoc` (roles found afterwards, in whatever way).
        overlap: of the cross-fitted blind scores, 0 to 1; None where there were no blind baselines.
        attacks: every attack that was judged.
        detectable: smallest adjusted AUC that would have been seen, at ALPHA over the number of attacks; None where none
            would.
        detect: the AUC looked for.
    """

    question: Question
    regime: Regime
    overlap: float | None
    attacks: tuple[Judged, ...]
    detectable: float | None
    detect: float = 0.51

    def __post_init__(self) -> None:
        if self.overlap is not None and not 0 <= self.overlap <= 1:
            raise ValueError(f"an overlap lies between 0 and 1, but is {self.overlap}")
        if not (0.5 < self.detect < 1 and (self.detectable is None or 0.5 < self.detectable <= 1)):
            raise ValueError(f"AUCs to be seen lie above 0.5, but are {self.detectable} and {self.detect}")


def _check(name: str, p: float, *estimates: Estimate) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p lies between 0 and 1, but is {p}")
    for estimate in estimates:
        if any(map(isnan, (estimate.value, estimate.low, estimate.high))) or not estimate.low <= estimate.high:
            raise ValueError(f"{name}: {estimate} is not an estimate with its interval")
