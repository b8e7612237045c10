"""What the audit did to doubt itself, laid out for people: the same attacks on models that cannot remember."""

from __future__ import annotations

from dataclasses import replace

from lmia.evidence.estimate import Estimate
from lmia.evidence.word import ALPHA
from lmia.report.cells import count, interval, signed
from lmia.report.findings import Table
from lmia.report.model import AuditReport, Beside
from lmia.report.sentences import corrected_low

_LOOKS = {"captions": "captions", "files": "properties of the files", "pixels": "statistics of the pixels"} | {
    "metadata": "where they were published",
    "all": "captions, files and pixels together",
}


def besides(report: AuditReport) -> Table | None:
    """Lay out every attack on every model that cannot remember; None where there was none."""
    found = report.validity.besides
    if not any(beside.auc for beside in found):
        return None
    rows = tuple(
        (one.model, one.attack, _auc(one), interval(one.adjusted), signed(one.above), signed(one.above_adjusted))
        for one in found
    )
    columns = ("model", "attack", "AUC there", "among like pairs", "target above it", "among like pairs")
    return Table("", columns, rows, 0)


def baselines(report: AuditReport) -> Table | None:
    """Lay out what tells the two sides apart without the model; None where nothing was tried."""
    rows = tuple((one.kind, interval(one.auc), one.reason) for one in report.validity.baselines)
    return Table("", ("what it looks at", "AUC without the model", "why not"), rows, 0) if rows else None


def copies(report: AuditReport) -> Table | None:
    """Lay out what the two sides hold twice, and by what; of other parts, what shares a file, an address or a key.

    None where nothing does, or nobody looked.
    """
    found = report.validity.copied
    columns = ("sha256", "url", "looks", "caption", "key")
    sides = {"members", "nonmembers", "suspects"} | ({"calibration"} if report.question == "use" else set())
    rows = tuple(
        (
            f"repeated within {one.part}" if one.part == one.other else f"{one.part} also in {one.other}",
            count(one.pairs),
            *(count(one.by.get(rule, 0)) for rule in columns),
        )
        for one in (found.shared if found else ())
        if any(n for rule, n in one.by.items() if {one.part, one.other} <= sides or rule in ("sha256", "url", "key"))
    )
    head = ("where", "of pairs", "same file", "same address", "look alike", "same caption", "same key")
    return Table("", head, rows, 0) if rows else None


def sentences(report: AuditReport) -> list[str]:
    """Say what so many pairs can show, what the models that cannot remember and the positive control show, and which checks were not made."""
    models = dict.fromkeys((beside.model, beside.kind) for beside in report.validity.besides if beside.auc)
    power = [report.validity.power] if report.validity.power else []
    positive = [report.validity.positives.sentence()] if report.validity.positives else []
    beside = [_said(report, model, kind) for model, kind in models]
    return [*power, *_blind(report), *beside, *positive, *report.validity.notes]


def differs(auc: Estimate, among: int) -> bool:
    """Whether an AUC lies off 0.5, on either side, corrected for having picked it of several: the first step of Holm's.

    Example:
        >>> differs(Estimate(0.4, 0.37, 0.43, 0.95, "DeLong", 900), 4), differs(Estimate(0.52, 0.5, 0.54, 0.95, "", 9), 1)
        (True, False)
    """
    mirrored = replace(auc, value=1 - auc.value, low=1 - auc.high, high=1 - auc.low)
    return max(corrected_low(auc, among), corrected_low(mirrored, among)) > 0.5


def _blind(report: AuditReport) -> list[str]:
    """Say what the strongest blind baseline shows, and how much of the two sides is alike."""
    found = {one.kind: one.auc for one in report.validity.baselines if one.auc is not None}
    if not found:
        return []
    kind = max(found, key=lambda kind: _off(found[kind]))
    if differs(found[kind], len(found)):
        said = (
            f"Without the model, the two sides can be told apart as well: by {_LOOKS[kind]}, AUC {interval(found[kind])}. "
            "They differ in more than in who was trained on."
        )
    else:
        alone = found[kind].low > 0.5 or found[kind].high < 0.5
        picked = f" That interval alone leaves 0.5 out; corrected for being the farthest of {len(found)}, it does not."
        said = (
            "Without the model, nothing was found that tells the two sides apart: of captions, files and pixels, farthest "
            f"from guessing is AUC {interval(found[kind])} ({_LOOKS[kind]}).{picked if alone else ''}"
        )
    share = report.validity.overlap
    return [
        said,
        *([] if share is None else [f"{100 * share:.0f} % of either side has a counterpart that looks alike."]),
    ]


def _said(report: AuditReport, model: str, kind: str) -> str:
    """Say what the attacks find on a model that cannot remember, by the verdict's own test: among like pairs."""
    found = [one for one in report.validity.besides if one.model == model and one.auc]
    first = min(found, key=lambda one: (1.0 if one.p is None else one.p, -_off(one.adjusted or one.auc)))
    where = "the target's architecture with random weights" if kind == "twin" else f"the placebo {model}"
    higher = f" The target's AUC less that: {signed(first.above)}." if first.above else ""
    auc = f"AUC {interval(first.auc)}"
    if first.adjusted and report.validity.strata_of:
        auc += f", among like pairs {interval(first.adjusted)}"
    fires = first.p is not None and first.p * len(found) <= ALPHA
    if fires or (first.auc is not None and differs(first.auc, len(found))):
        left = "At least that much lies in the data." if fires else "Among like pairs that does not show, or cannot."
        return (
            f"On {where}, which cannot remember these pairs, {first.attack} tells the two sides apart as well: {auc}. "
            f"{left}{higher}"
        )
    return (
        f"On {where}, which cannot remember these pairs, no attack was found to tell the two sides apart: nearest to it is "
        f"{first.attack}, {auc}.{higher}"
    )


def _off(auc: Estimate | None) -> float:
    return 0.0 if auc is None else abs(auc.value - 0.5)


def _auc(beside: Beside) -> str:
    return interval(beside.auc) if beside.status == "ran" else beside.status
