"""From what an audit measured to its verdict: the facts that the rule looks at, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from scipy.special import ndtri

from lmia import evidence
from lmia.evidence import judged
from lmia.evidence.bounds import tail
from lmia.evidence.estimate import Estimate
from lmia.evidence.judged import Facts, Judged, Question, Regime
from lmia.evidence.power import detectable_by
from lmia.evidence.word import ALPHA, Verdict
from lmia.report.model import Adjusted, Beside, Validity

BY_LOT = ("randomised", "one-run")
"""Regimes in which chance alone decided who was trained on."""
_NOTHING = Estimate(0.5, 0.0, 1.0, 0.95, "no stratum holds both sides", 0)


def verdict(validity: Validity, question: Question, regime: Regime, detect: float) -> Verdict | None:
    """Apply the verdict's rule to what was measured; None where no attack was judged.

    The positive control is no part of the rule: it adds one sentence to a verdict that found nothing.

    Args:
        validity: the audit's checks on itself.
        question: `leakage` or `use`.
        regime: how the roles came about, as the user states it.
        detect: the AUC that the audit was to be able to see.

    Example:
        >>> verdict(Validity(), "use", "post hoc", 0.51) is None
        True
    """
    attacks = tuple(_judged(one, validity) for one in validity.adjusted)
    if not attacks:
        return None
    seen = [auc for one in attacks if (auc := _detectable(one.adjusted, len(attacks))) is not None]
    facts = Facts(question, regime, validity.overlap, attacks, min(seen, default=None), detect)
    found = evidence.decide(facts)
    if found.word not in ("none", "underpowered") or validity.positives is None:
        return found
    said = validity.positives.silence(regime in BY_LOT)
    return replace(found, reasons=(*found.reasons, said)) if said else found


def _judged(one: Adjusted, validity: Validity) -> Judged:
    mine = [beside for beside in validity.besides if beside.attack == one.attack and beside.auc is not None]
    twins = [_beside(beside) for beside in mine if beside.kind == "twin"]
    placebos = tuple(_beside(beside) for beside in mine if beside.kind == "placebo")
    twin = twins[0] if twins else None
    p = 1.0 if one.p is None else one.p
    return Judged(one.attack, one.trained, one.raw, one.adjusted or _NOTHING, p, twin, placebos)


def _beside(one: Beside) -> judged.Beside:
    p = 1.0 if one.p is None else one.p
    return judged.Beside(one.model, one.adjusted or _NOTHING, p, one.above_adjusted)


def _detectable(adjusted: Estimate, attacks: int) -> float | None:
    """Return the smallest AUC that an attack would have shown, by the error of its own estimate."""
    error = (adjusted.high - adjusted.low) / (-2 * float(ndtri(tail(adjusted.confidence))))
    found = detectable_by(error, alpha=ALPHA / attacks) if error > 0 else None
    return None if found is None else max(found, 0.5 + 1e-9)
