"""The points of the checklist that are about numbers: what was measured, and what it was held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lmia.evidence.estimate import Estimate
from lmia.evidence.sliced import Slice
from lmia.report.cells import count, interval, percent, rate, rough
from lmia.report.model import AttackResult, AuditReport
from lmia.report.sentences import strongest
from lmia.report.weighing import Said, listed, parted, weighed

RATES = (0.1, 0.01, 0.001)
"""False positive rates at which a report should say what is found, or why that cannot be said."""
BY_LOT = ("randomised", "one-run")
"""Regimes in which chance alone decided who was trained on."""
PRIORS = (0.01, 0.001)
"""Shares of members among all pairs for which a report should say what a named pair is worth."""
_BLIND = {"captions": "captions", "files": "files", "pixels": "pixels", "metadata": "addresses", "all": "all of these"}
_SLICES = {"words in the caption": "length of the caption", "script": "script of the caption", "copies": "copies"}
_UNKNOWN = "who is a member is not known"


def blind(report: AuditReport) -> Said:
    """Say which blind baselines stand in the report, and whether another trained model does."""
    found = {one.kind: one for one in report.validity.baselines}
    have = [name for kind, name in _BLIND.items() if kind in found and found[kind].auc]
    missing = {name: found[kind].reason if kind in found else "" for kind, name in _BLIND.items() if name not in have}
    lack = [f"{name} ({reason})" if reason else name for name, reason in missing.items()]
    other = any(one.kind == "placebo" and one.auc for one in report.validity.besides)
    (have if other else lack).append("another model that cannot have seen the pairs")
    return weighed(have, lack, "It was tried, with intervals, by {}.", "Not by {}.")


def rule(report: AuditReport) -> Said:
    """Say whether the verdict rests on a rule that compares like with like."""
    verdict, overlap = report.verdict, report.validity.overlap
    if verdict is None:
        return "not done", "There is no verdict, as no attack was judged."
    word = f"A rule that was fixed before scoring gave the verdict '{verdict.word}'"
    if overlap is None:
        return "partly", f"{word}, but how far the two sides differ without the model was not measured."
    lack = [one.attack for one in report.validity.adjusted if one.adjusted is None]
    alike = f"{100 * overlap:.0f} % of either side have a counterpart that looks alike without the model"
    return weighed([word], lack, f"{{}}, comparing like with like: {alike}.", "No like pairs were found for {}.")


def worth(report: AuditReport) -> Said:
    """Say how many pairs there are, and which share of named pairs would be members if few pairs were."""
    if report.question == "use":
        return "does not apply", f"What a named pair is worth cannot be computed, since {_UNKNOWN}."
    members, nonmembers = (_audited(report, side) for side in ("members", "nonmembers"))
    if not members or not nonmembers:
        return "not done", "The number of members or of non-members is missing."
    here = f"{count(members)} members and {count(nonmembers)} non-members ({rough(members / (members + nonmembers))} members)"
    best = strongest(report.attacks)
    rates = {tpr.fpr: tpr.estimate for tpr in best.tprs if tpr.estimate} if best else {}
    if best is None or not rates:
        return "partly", f"{here}; what a named pair is worth cannot be said without a true positive rate."
    fpr = min(rates)
    said = [
        f"if {rate(prior)} of all were members, {percent(_ppv(rates[fpr], fpr, prior))} would be" for prior in PRIORS
    ]
    return "done", f"{here}. Of the pairs that {best.name} names at {rate(fpr)} false positives, {'; '.join(said)}."


def _audited(report: AuditReport, side: str) -> int:
    return sum(role.scored.get("audited", 0) for role in report.roles if role.role == side)


def _ppv(tpr: Estimate, fpr: float, prior: float) -> Estimate:
    """Say which share of named pairs are members if `prior` of all are: it rises with the true positive rate."""
    value, low, high = (prior * one / (prior * one + (1 - prior) * fpr) for one in (tpr.value, tpr.low, tpr.high))
    return Estimate(value, low, high, tpr.confidence, tpr.method, tpr.n)


def metrics(report: AuditReport) -> Said:
    """Say whether every attack has its AUC, its ROC curve, and the true positive rates at low false positive rates."""
    if report.question == "use":
        return "does not apply", f"There are p-values and q-values instead, since {_UNKNOWN}."
    attacks = ran(report)
    made: dict[str, object] = {
        "AUC": attacks and all(one.auc for one in attacks),
        "ROC curve on logarithmic axes": attacks and all(one.curve for one in attacks),
    }
    for fpr in RATES:
        said = [any(tpr.fpr == fpr and (tpr.estimate or tpr.note) for tpr in one.tprs) for one in attacks]
        made[f"true positive rate at {rate(fpr)}"] = attacks and all(said)
    have, lack = parted(made)
    return weighed(
        have, lack, "With its interval, or the reason why not, every attack that ran has its {}.", "Not given: {}."
    )


def thresholds(report: AuditReport) -> Said:
    """Say whether thresholds come from calibration pairs, and what they were seen to do on others."""
    usable = {one.name: [each for each in one.thresholds if each.value is not None] for one in ran(report)}
    have = [name for name, some in usable.items() if some]
    if not have:
        return "not done", "No threshold could be set on known non-members."
    lack = [name for name, some in usable.items() if not any(each.achieved_fpr for each in some)]
    n = max(each.calibration for some in usable.values() for each in some)
    why = f", since {_UNKNOWN}" if report.question == "use" else ""
    said = f"Thresholds of {{}} were set on {count(n)} known non-members that nothing was fitted on."
    return weighed(have, lack, said, f"What they let through among audited pairs is not known for {{}}{why}.")


def negative(report: AuditReport) -> Said:
    """Say where the attacks were tried that nothing can be found, and how often something was."""
    checks = [(one.kind, one.auc) for one in report.validity.checks if one.auc]
    besides = [one.auc for one in report.validity.besides if one.auc]
    have, lack = parted(
        {
            "labels dealt anew": [kind for kind, _ in checks if kind == "shuffled labels"],
            "two halves of the non-members": [kind for kind, _ in checks if kind == "halves"],
            "models that cannot remember": besides,
        }
    )
    every = [auc for _, auc in checks] + besides
    off = sum(not auc.low <= 0.5 <= auc.high for auc in every)
    return weighed(have, lack, f"Tried on {{}}: of {len(every)} intervals {off} lie off 0.5.", "Not on {}.")


def positive(report: AuditReport) -> Said:
    """Say whether the attacks were seen to find training where there was some: drawn by lot, or shown again and again."""
    verdict, best = report.verdict, strongest(report.attacks)
    by_lot = verdict is not None and verdict.question == "leakage" and verdict.regime in BY_LOT
    if by_lot and verdict is not None and verdict.word == "evidence" and best is not None:
        return (
            "done",
            f"This audit is one itself: a lot decided who was trained on, as the user states, and an attack finds it (the "
            f"strongest is {best.name}, AUC {interval(best.auc)}).",
        )
    if known := _repeated(report):
        return known
    return (
        "not done",
        "The attacks were not tried on a model that is known to have been trained on such pairs, so it is not shown that "
        "they would have found it.",
    )


def _repeated(report: AuditReport) -> Said | None:
    """Say what came of members that are known to have been shown again and again; None where there are none."""
    found = report.validity.positives
    best = found.best() if found else None
    if found is None or best is None:
        return None
    what = f"{count(found.members)} members that were shown several times (median {found.times:g})"
    result = "finds" if found.seen else "does not find"
    said = f"They were tried on {what}: the strongest, {best.attack}, {result} them, AUC {interval(best.repeated)}."
    if report.verdict is not None and report.verdict.regime in BY_LOT:
        return "done", said
    return "partly", f"{said} Whether these differ from the non-members in anything else is not known."


def together(report: AuditReport) -> Said:
    """Say what all pairs show together, and what they could have shown."""
    p = {one.attack: one.p for one in report.validity.adjusted if one.p is not None}
    have, lack = [], []
    if p:
        best = min(p, key=lambda name: p[name])
        have.append(f"p = {p[best]:.2g} of all pairs together ({best}, the best of {len(p)}, corrected for that)")
    else:
        lack.append("a p-value of all pairs together")
    if report.verdict:
        least = report.verdict.detectable
        have.append(
            "that no AUC would be seen" if least is None else f"the smallest AUC that would be seen ({least:.3f})"
        )
    elif report.validity.power:
        have.append("which AUC would be seen")
    else:
        lack.append("which AUC would be seen")
    return weighed(have, lack, "Stated: {}.", "Not stated: {}.")


def slices(report: AuditReport) -> Said:
    """Say by what the pairs were cut to see which of them are exposed most."""
    found = report.validity.slices
    if found is None and report.question == "use":
        return "does not apply", f"No AUC can be had of a part of the suspects, since {_UNKNOWN}."
    every: Sequence[Slice] = found.slices if found else ()
    columns = Counter(one.column for one in every)
    compared = {one.column for one in every if one.p is not None}
    alike = [name for column, name in _SLICES.items() if columns[column] == 1]
    have = [_SLICES.get(column, column) for column in columns if column in compared]
    lack = [
        f"{name} (no slice of it could be compared)" if columns[column] else name
        for column, name in _SLICES.items()
        if column not in compared and name not in alike
    ]
    did = f"Slices are compared by {{}}, by the scores of {report.validity.sliced}."
    state, said = weighed(have, lack, did, "Not by {}.")
    return state, f"{said} All pairs are alike in {listed(alike)}." if alike else said


def ran(report: AuditReport) -> list[AttackResult]:
    """List the attacks that ran."""
    return [attack for attack in report.attacks if attack.status == "ran"]
