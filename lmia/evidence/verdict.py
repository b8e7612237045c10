"""The verdict: a pure rule from what an audit measured to one of four words, fixed before any score is seen.

The first that holds:

1. `void`: the sides cannot be compared. Their blind scores overlap by less than `MIN_OVERLAP`, or a model that cannot
   remember the data (the untrained twin, a placebo) tells them apart.
2. `evidence`: some attack's blind-adjusted AUC lies above 0.5 and the target above every model beside it.
3. `underpowered`: the smallest adjusted AUC that would have been seen is larger than the one looked for.
4. `none`.

Where a rule like this could say evidence falsely, and what it does there:

- *Several attacks.* The p-values must be adjusted for everything tried: attacks, settings, signs. That does not cover
  target minus twin: where all attacks see a shift, one of M differences is above 0 by chance up to M times as
  often. So each difference is bounded at ALPHA / M (Bonferroni). Asking for both at once needs no further correction
  (an intersection-union test: Berger, Technometrics 24, 1982).
- *Intervals at another level.* A report's 95 % interval is no test at 1 %. Differences are widened to the level needed,
  by normal quantiles. An adjusted AUC whose own interval holds 0.5 carries nothing, whatever its p-value.
- *The twin.* Its p-values are two-sided: an AUC clearly below 0.5 shows as much that the sides differ. Over the attacks
  on one model they are Bonferroni-corrected, else every tenth honest audit of ten attacks would be void; but the attack
  that carries the evidence must pass without that correction. Each model is a family of its own, so that adding quiet
  placebos cannot silence one that fires.
- *What training adds.* A trained encoder separates shifted data better than an untrained one, and an attack that learns
  finds it. So a trained attack carries nothing unless roles were drawn by lot, or a placebo stands beside it below the
  target.
- *What adjusting leaves.* Deciles of an imperfect blind score remove most of a shift, not all: measured, a false .771
  fell to .529, an eighth of the excess being left. With many pairs that is significant. So unless roles were drawn by
  lot, the adjusted AUC must lie above 0.5 by `LEFTOVER` of what adjusting took away.
- *A check that was not made.* Without blind scores or without a twin nothing carries evidence unless roles were drawn
  by lot. A NaN is an error, since every comparison with it would quietly pass.

It cannot know of re-runs, of data chosen after looking, nor of a lot that was not one; the cautions say so.
"""

from __future__ import annotations

from collections.abc import Sequence

from scipy.special import ndtri

from lmia.errors import LmiaError
from lmia.evidence.bounds import tail
from lmia.evidence.estimate import Estimate
from lmia.evidence.judged import Beside, Facts, Judged
from lmia.evidence.word import ALPHA, Verdict, Word

MIN_OVERLAP = 0.3
"""Overlap of the blind scores below which the sides cannot be compared. Measured in small worlds: at a shift of 80/20,
overlap 0.4, adjusting still worked; at 98/2, overlap 0.04, the strata were empty. Between them nothing was measured, so
the bound lies near the side that worked; an imperfect blind score also shows more overlap than there is."""

LEFTOVER = 0.25
"""Share of what adjusting took away that may still be left in the adjusted AUC: twice the eighth that was measured."""

_BY_LOT = ("randomised", "one-run")


def decide(facts: Facts) -> Verdict:
    """Apply the rule: void, evidence, underpowered, none, the first that holds.

    Args:
        facts: what the audit measured.

    Returns:
        the verdict.

    Raises:
        LmiaError: no attack was judged.

    Example:
        >>> auc = Estimate(0.61, 0.58, 0.64, 0.95, "stratified", 2000)
        >>> twin = Beside("twin", Estimate(0.5, 0.47, 0.53, 0.95, "DeLong", 2000), 0.9, Estimate(0.11, 0.07, 0.15, 0.95, "", 2000))
        >>> found = decide(Facts("use", "post hoc", 0.8, (Judged("csa", False, auc, auc, 1e-6, twin),), 0.54))
        >>> found.word, found.sentence
        ('evidence', 'Supports use, but is no proof')
    """
    if not facts.attacks:
        raise LmiaError(
            "No attack gave a result, so there is no verdict.", "Give both sides, and an attack that runs on them."
        )
    if reasons := _voids(facts):
        return _verdict("void", facts, reasons, "The two sets cannot be compared")
    objections = {attack.name: _objections(attack, facts) for attack in facts.attacks if _stands_out(attack)}
    carriers = [attack for attack in facts.attacks if objections.get(attack.name) == []]
    if carriers:
        return _verdict("evidence", facts, [_carries(attack) for attack in carriers], _supports(facts))
    reasons = [reason for name in objections for reason in objections[name]] or [_quiet(facts.attacks)]
    smallest, few = facts.detectable, facts.detectable is None or facts.detectable > facts.detect
    seen = "no AUC at all" if smallest is None else f"an AUC of {smallest:.3f} or more"
    reasons.append(f"These pairs would have shown {seen}; looked for was {facts.detect:g}.")
    if objections:
        sentence = "A difference was found, its cause is not established"
    elif few:
        sentence = "Too few pairs to tell"
    else:
        sentence = f"No {'leak' if facts.question == 'leakage' else 'sign of use'} found above AUC {smallest:.3f}"
    return _verdict("underpowered" if few else "none", facts, reasons, sentence)


def lower_end(estimate: Estimate, alpha: float) -> float:
    """Move an interval's lower end to another one-sided level, by normal quantiles.

    Args:
        estimate: with an interval of any confidence.
        alpha: one-sided.

    Example:
        >>> round(lower_end(Estimate(0.03, 0.01, 0.05, 0.95, "DeLong", 100), 0.01), 4)
        0.0063
    """
    return estimate.value - float(ndtri(alpha) / ndtri(tail(estimate.confidence))) * max(
        0.0, estimate.value - estimate.low
    )


def _voids(facts: Facts) -> list[str]:
    """Say why the sides cannot be compared; nothing where they can."""
    reasons = []
    if facts.overlap is not None and facts.overlap < MIN_OVERLAP:
        reasons.append(
            f"Without the model, the two sets can be told apart so well that only {100 * facts.overlap:.0f} % of them "
            f"have a counterpart on the other side; at least {100 * MIN_OVERLAP:.0f} % is needed."
        )
    families: dict[tuple[str, str], list[tuple[str, Beside]]] = {}
    for attack in facts.attacks:
        for place in attack.besides:
            kind = "twin" if place is attack.twin else "placebo"
            families.setdefault((kind, place.model), []).append((attack.name, place))
    for (_, model), found in families.items():
        name, place = min(found, key=lambda pair: pair[1].p)
        if place.p * len(found) <= ALPHA:
            reasons.append(
                f"{model} cannot remember these pairs, yet {name} tells the two sets apart there too: AUC {place.auc}."
            )
    return reasons


def _stands_out(attack: Judged) -> bool:
    return attack.p <= ALPHA and attack.adjusted.low > 0.5


def _objections(attack: Judged, facts: Facts) -> list[str]:
    """Say why an attack that stands out carries no evidence; nothing where it does."""
    by_lot, name, level = facts.regime in _BY_LOT, attack.name, ALPHA / len(facts.attacks)
    found = [
        f"{name} stands out, but not clearly above what it finds on {place.model}, which cannot remember these pairs."
        for place in attack.besides
        if place.p <= ALPHA or (place.above is not None and not lower_end(place.above, level) > 0)
    ]
    if by_lot:
        return found
    if facts.overlap is None:
        found.append(f"{name} stands out, but how far the two sets differ without the model was not measured.")
    if attack.twin is None or attack.twin.above is None:
        found.append(f"{name} stands out, but could not be compared with an untrained model.")
    if attack.trained and not any(place.above for place in attack.placebos):
        found.append(
            f"{name} stands out, but it learns, and may have learned how the two sets differ: roles drawn by lot, or a "
            "model that cannot have seen the data, would settle that."
        )
    left = LEFTOVER * max(0.0, attack.raw.value - attack.adjusted.value)
    if not attack.adjusted.low > 0.5 + left:
        found.append(
            f"{name} stands out, but by less than the difference between the two sets may explain: {attack.raw.value:.3f} "
            f"fell to {attack.adjusted} once like was compared with like."
        )
    return found


def _carries(attack: Judged) -> str:
    besides = "".join(f", {place.above} above {place.model}" for place in attack.besides if place.above)
    return f"{attack.name}, comparing like with like, has AUC {attack.adjusted} (raw {attack.raw}){besides}."


def _quiet(attacks: Sequence[Judged]) -> str:
    highest = max(attack.adjusted.high for attack in attacks)
    return f"No attack stands out once like is compared with like; an AUC up to {highest:.3f} still fits these pairs."


def _supports(facts: Facts) -> str:
    subject = "a leak" if facts.question == "leakage" else "use"
    return f"Supports {subject}" + ("" if facts.regime in _BY_LOT else ", but is no proof")


def _verdict(word: Word, facts: Facts, reasons: Sequence[str], sentence: str) -> Verdict:
    cautions = tuple(_cautions(word, facts))
    seen, wanted = facts.detectable, facts.detect
    return Verdict(word, facts.question, facts.regime, tuple(reasons), sentence, cautions, seen, wanted)


def _cautions(word: Word, facts: Facts) -> list[str]:
    found = {
        "post hoc": (
            "This is no proof of training: who is on which side was not drawn by lot. Other explanations remain: copies of "
            "these pairs elsewhere, syndication, a pre-training that this audit knows nothing of, or a difference between "
            "the two sets that no check saw."
        ),
        "one-run": "It speaks of a single training, in which pairs may have influenced each other's scores.",
        "randomised": "It rests on the statement that roles were drawn by lot before training; no audit can check that.",
    }
    cautions = [found[facts.regime]]
    if facts.regime == "one-run":
        cautions.append(found["randomised"])
    if facts.overlap is None:
        cautions.append("How far the two sets differ without the model was not measured.")
    if any(attack.twin is None for attack in facts.attacks):
        cautions.append("Not every attack could be run on the target's untrained twin.")
    if word in ("none", "underpowered"):
        cautions.append("Absence of a signal is not absence of training: another attack, or more pairs, may show one.")
    if word == "void":
        cautions.append(
            "Void says nothing for or against: it is the data that cannot answer, not the model that is cleared."
        )
    return cautions
