"""The plain sentences of a report, said once for the terminal, Markdown and HTML.

They claim no more than the numbers carry: that two collections can be told apart is not yet that one was memorised.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from lmia.evidence.estimate import Estimate
from lmia.report.cells import count, interval, percent, rate, signed
from lmia.report.model import AttackResult, AuditReport, RoleCount, Threshold

DEMO = "DEMO: not your data"
LEVEL = "0.05"
_ROLES = {
    "members": "Members",
    "nonmembers": "Non-members",
    "suspects": "Suspects",
    "known_nonmembers": "Known non-members",
    "known_members": "Known members",
    "pool": "Pool",
    "unlisted": "In no role",
}


def question(report: AuditReport) -> str:
    """Ask the audit's question in one sentence."""
    name = target_name(report)
    if report.question == "leakage":
        return f"Does {name} give away which of these pairs it was trained on?"
    n = sum(sum(role.scored.values()) for role in report.roles if role.role == "suspects")
    return f"Was this 1 pair used to train {name}?" if n == 1 else f"Were these {count(n)} pairs used to train {name}?"


def target_name(report: AuditReport) -> str:
    """Return what the target is called."""
    return str(report.target.get("name") or "the model")


def answer(report: AuditReport) -> str:
    """Answer the question, with the interval and with what the answer leaves open."""
    void = report.verdict is not None and report.verdict.word == "void"
    if report.question == "leakage":
        found = [attack for attack in report.attacks if attack.status == "ran" and attack.auc is not None]
        return _leakage(found, void) if found else _nothing(report)
    judged = [attack for attack in report.attacks if attack.status == "ran" and attack.suspects is not None]
    return _use(judged, len(report.attacks), void) if judged else _nothing(report)


def strongest(attacks: Sequence[AttackResult]) -> AttackResult | None:
    """Return the attack with the highest AUC, the first of equals; None where no attack has one."""
    found = [attack for attack in attacks if attack.status == "ran" and attack.auc is not None]
    return max(found, key=_auc, default=None)


def corrected_low(estimate: Estimate, attacks: int) -> float:
    """Lower the lower end for having picked the best of several attacks (Bonferroni, normal quantiles).

    Args:
        estimate: the picked attack's AUC.
        attacks: among how many it was picked.

    Example:
        >>> auc = Estimate(0.52, 0.502, 0.538, 0.95, "DeLong", 4000)
        >>> round(corrected_low(auc, 1), 3), round(corrected_low(auc, 4), 3)
        (0.502, 0.497)
    """
    alpha = 1 - estimate.confidence
    widen = NormalDist().inv_cdf(1 - alpha / (2 * attacks)) / NormalDist().inv_cdf(1 - alpha / 2)
    return estimate.value - widen * (estimate.value - estimate.low)


def standard_limits(question: str) -> tuple[str, ...]:
    """Say what no report of this kind shows.

    Args:
        question: `leakage` or `use`.

    Example:
        >>> len(standard_limits("leakage")) >= 3
        True
    """
    shared = (
        "A signal is not a proof of training: two collections that differ in date, origin or processing can be told "
        "apart by a model that saw neither. The untrained twin shows some of that, not all.",
        "No signal is not a proof of the contrary: another attack, or more pairs, may show what these did not.",
    )
    if question == "leakage":
        return (*shared, "The numbers speak of these pairs as a whole, not of any single pair.")
    return (
        *shared,
        "The p-values hold only if a suspect that was not used looks like the known non-members; a p-value is not the "
        "probability that a pair was used.",
    )


def limits(report: AuditReport) -> Sequence[str]:
    """Say what this audit does not show: the report's own words, or the standard ones where it has none."""
    return report.limits or standard_limits(report.question)


def sides(report: AuditReport) -> list[str]:
    """Say how many pairs of each role took part, and where they came from."""
    return [_side(role) for role in report.roles]


def status(attack: AttackResult) -> str:
    """Say in a sentence what became of an attack."""
    reason = f": {attack.reason}" if attack.reason else "."
    return {
        "ran": f"{attack.name} ran{reason}",
        "nothing to learn": f"{attack.name} found nothing to learn{reason}",
        "did not run": f"{attack.name} did not run{reason}",
    }[attack.status]


def notes(attack: AttackResult) -> list[str]:
    """List what a reader of this attack's row must know besides its numbers."""
    found = [attack.reason] if attack.reason else []
    if attack.auc is not None and attack.auc.high < 0.5:
        found.append("The AUC lies below 0.5: this attack ranks members below non-members here.")
    if attack.suspects is not None and attack.suspects.note:
        found.append(attack.suspects.note)
    return found


def tpr_notes(report: AuditReport) -> list[str]:
    """List what limits the true positive rates: once for all attacks, since it mostly is the number of non-members."""
    heard: dict[str, list[str]] = {}
    for attack in report.attacks:
        for tpr in attack.tprs:
            if tpr.note:
                heard.setdefault(f"At {rate(tpr.fpr)} FPR: {tpr.note}", []).append(attack.name)
    judged = sum(bool(attack.tprs) for attack in report.attacks)
    return [note + ("." if len(who) == judged else f" ({', '.join(who)}).") for note, who in heard.items()]


def threshold(attack: AttackResult, item: Threshold) -> str:
    """Say what a deployable threshold promises and what it did on the audited pairs."""
    if item.value is None:
        return f"{attack.name}: no threshold for a false positive rate of {rate(item.fpr)}. {item.note}".rstrip()
    text = (
        f"{attack.name}: call a pair a member if its score is above {item.value:.6g}. Set on {count(item.calibration)} "
        f"known non-members to let at most {rate(item.fpr)} of non-members through on average."
    )
    did = []
    if item.achieved_fpr is not None:
        did.append(f"let through {percent(item.achieved_fpr)} of the non-members")
    if item.achieved_tpr is not None:
        did.append(f"found {percent(item.achieved_tpr)} of the members")
    if did:
        text += f" On the audited pairs it {' and '.join(did)}."
    return f"{text} {item.note}".rstrip()


def discoveries(attack: AttackResult) -> int | None:
    """Return how many suspects stand out at q <= 0.05; None where the attack judged none."""
    return None if attack.suspects is None else attack.suspects.discoveries.get(LEVEL, 0)


def _auc(attack: AttackResult) -> float:
    return -1.0 if attack.auc is None else attack.auc.value


def _who(best: AttackResult, attacks: int) -> str:
    return f"the attack {best.name}" if attacks == 1 else f"the strongest of {attacks} attacks ({best.name})"


def _leakage(found: Sequence[AttackResult], void: bool) -> str:
    """Answer from the AUCs; where the sides cannot be compared, no difference is a "yes" to what was asked."""
    best = strongest(found)
    if best is None or best.auc is None:  # pragma: no cover (the caller asks only where there is one)
        raise ValueError("no attack has an AUC")
    auc, who, low = best.auc, _who(best, len(found)), corrected_low(best.auc, len(found))
    if low > 0.5 and void:
        return (
            f"No answer: the two sides can be told apart ({who} does so with AUC {interval(auc)}, where 0.5 is guessing and "
            f"1 is certainty), but they cannot be compared, for the reasons of the verdict.{_beyond_cosine(best)} Nothing "
            "here says whether the model remembers any of these pairs."
        )
    if low > 0.5:
        return (
            f"Yes, the two sides can be told apart: {who} does so with AUC {interval(auc)}, where 0.5 is guessing and 1 "
            f"is certainty.{_at_low_fpr(best)}{_beyond_cosine(best)} Whether that is memory or another difference "
            "between the two collections, this number alone does not say: that is what the verdict weighs."
        )
    if auc.low > 0.5:
        return (
            f"Not settled: {who} has AUC {interval(auc)}, just above 0.5, guessing. But the best of {len(found)} is "
            f"above it by luck more often than a single attack is: corrected for that, the interval begins at {low:.3f}."
        )
    if auc.high < 0.5:
        return (
            f"Not shown: no attack ranks members above non-members. {_sentence(who)} has AUC {interval(auc)}, below 0.5, "
            "guessing: the two sides do differ, the other way round. Look for a difference between the collections."
        )
    return (
        f"Not shown: {who} has AUC {interval(auc)}, and that includes 0.5, guessing. It is no proof of the contrary: "
        f"an AUC up to {auc.high:.3f} fits these data too."
    )


def _at_low_fpr(best: AttackResult) -> str:
    for tpr in best.tprs:
        if tpr.estimate is not None:
            return f" Where {rate(tpr.fpr)} of non-members are wrongly named, it finds {percent(tpr.estimate)} of the members."
    return ""


def _beyond_cosine(best: AttackResult) -> str:
    gain = best.versus_cosine
    if gain is None or (gain.low == gain.high == 0):
        return ""
    word = "more than" if gain.low > 0 else "less than" if gain.high < 0 else "not measurably different from"
    return f" That is {word} what the plain cosine similarity gives (difference in AUC {signed(gain)})."


def _use(judged: Sequence[AttackResult], asked: int, void: bool) -> str:
    """Answer from who is named by the attack that names the most; that it was picked is in the level (Bonferroni)."""
    best = max(judged, key=lambda attack: (_named(attack), discoveries(attack) or 0))
    most, alone, n = _named(best), discoveries(best) or 0, best.suspects.n if best.suspects else 0
    of = "the attack" if len(judged) == 1 else f"any of {len(judged)} attacks"
    level = f"q <= {float(LEVEL) / asked:.2g}"
    if alone == 0:
        smallest = min(attack.suspects.smallest_p for attack in judged if attack.suspects)
        return (
            f"Not shown: none of the {count(n)} pairs stands out by {of} (q <= {LEVEL}). That is no proof that they were "
            f"not used. The smallest p-value that these known non-members allow is {smallest:.3g}."
        )
    if most == 0:
        return (
            f"Not settled: {best.name} names {count(alone)} of the {count(n)} pairs (q <= {LEVEL}). But the one of {asked} "
            f"attacks that names the most is wrong more often than a single attack is: corrected for that ({level}), none "
            "stands out."
        )
    said = f"{best.name}" if asked == 1 else f"{best.name}, which names the most of {asked} attacks"
    if void:
        return (
            f"No answer: {count(most)} of the {count(n)} pairs rank far above the known non-members, by {said} ({level}), "
            "but the two cannot be compared, for the reasons of the verdict, and p-values do not hold then. Nothing here "
            "says whether any of these pairs was used."
        )
    others = "; ".join(f"{attack.name} {_named(attack)}" for attack in judged if attack is not best)
    return (
        f"For {count(most)} of the {count(n)} pairs it looks so: by {said}, they rank far above the known non-members "
        f"({level}: among pairs named so, at most 1 in 20 is wrong on average, if suspects that were not used look like "
        "the known non-members; the report's checks may refute that, and cannot prove it)."
        + (f" By the others: {others}." if others else "")
    )


def _named(attack: AttackResult) -> int:
    return attack.suspects.named if attack.suspects else 0


def _nothing(report: AuditReport) -> str:
    if not report.attacks:
        return "No answer: no attack was asked for."
    words = {"did not run": "did not run", "nothing to learn": "found nothing to learn", "ran": "gave no number"}
    counts = {word: sum(attack.status == key for attack in report.attacks) for key, word in words.items()}
    said = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    n = len(report.attacks)
    return f"No answer: {'the attack' if n == 1 else f'none of the {n} attacks'} gave {'no' if n == 1 else 'a'} result ({said})."


def _side(role: RoleCount) -> str:
    scored, rejected = sum(role.scored.values()), sum(role.rejected.values())
    left = role.records - scored - rejected
    parts = [f"{count(n)} {part}" for part, n in role.scored.items()] if len(role.scored) > 1 else []
    text = f"{_ROLES.get(role.role, role.role)}: {count(scored)} pairs"
    text += f" ({', '.join(parts)})" if parts else ""
    text += f" of {count(role.records)} records from {role.source}"
    text += f"; {count(rejected)} rejected" if rejected else ""
    text += f"; {count(left)} left out" if left else ""
    return f"{text}. {role.note}".rstrip()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
