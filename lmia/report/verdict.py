"""The verdict in words: what a reader sees first, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from lmia.report.cells import NONE, count, interval, rate, signed
from lmia.report.findings import Table
from lmia.report.model import AuditReport

_REGIMES = {
    "randomised": "who is on which side was drawn by lot before training, as the user states",
    "one-run": "who is on which side was drawn by lot before one training, as the user states",
    "post hoc": "who is on which side was found afterwards, so that no difference is proof",
}
_WORDS = {
    "void": "VOID",
    "evidence": "EVIDENCE",
    "underpowered": "UNDERPOWERED",
    "none": "NONE FOUND",
}


def headline(report: AuditReport) -> str:
    """Say the verdict in one plain sentence.

    Example:
        >>> from lmia.report.model import Validity, Verdict
        >>> found = Verdict("none", "leakage", "post hoc", (), "No leak found above AUC 0.530", (), 0.53, 0.54)
        >>> headline(AuditReport("leakage", False, "", "", {}, {}, (), (), Validity(), (), (), {}, {}, {}, 0, 0.95, 0.0, "", found))
        'No leak found above AUC 0.530.'
    """
    return f"{report.verdict.sentence}." if report.verdict else "No verdict: no attack gave a result."


def mark(report: AuditReport) -> str:
    """Name the verdict in a word or two, for the eye.

    Example:
        >>> sorted(_WORDS.values())
        ['EVIDENCE', 'NONE FOUND', 'UNDERPOWERED', 'VOID']
    """
    return _WORDS[report.verdict.word] if report.verdict else "NO VERDICT"


def grounds(report: AuditReport) -> list[str]:
    """List what the verdict rests on: its reasons, and how the sides came about."""
    if report.verdict is None:
        return []
    regime = (
        f"Rule: fixed before scoring, at {rate(report.verdict.alpha)} false alarms; {_REGIMES[report.verdict.regime]}."
    )
    return [*report.verdict.reasons, regime, *report.provenance.sentences()]


def cautions(report: AuditReport) -> Sequence[str]:
    """List what must be read beside the verdict."""
    return report.verdict.cautions if report.verdict else ()


def adjusted(report: AuditReport) -> Table | None:
    """Lay out every attack before and after comparing like with like; None where no attack was judged."""
    rows = tuple(
        (one.attack, interval(one.raw), interval(one.adjusted), NONE if one.p is None else f"{one.p:.2g}", signed(one.versus_blind))
        for one in report.validity.adjusted
    )  # fmt: skip
    columns = ("attack", "AUC", "AUC among like pairs", "p (best of all)", "less the best blind baseline")
    return Table("", columns, rows, 0) if rows else None


def checks(report: AuditReport) -> Table | None:
    """Lay out the comparisons in which no attack can be right; None where there were none."""
    names = {"shuffled labels": "labels dealt anew", "halves": "two halves of the non-members"}
    rows = tuple((one.attack, names[one.kind], interval(one.auc), one.reason) for one in report.validity.checks)
    return Table("", ("attack", "on", "AUC (0.5 but for chance)", "why not"), rows, 0) if rows else None


def positives(report: AuditReport) -> Table | None:
    """Lay out every attack on members shown again and again, and on the others; None where none are known."""
    found = report.validity.positives
    if found is None or not found.members:
        return None
    rows = tuple((one.attack, interval(one.repeated), interval(one.rest)) for one in found.attacks)
    several = f"AUC of {count(found.members)} shown several times (median {found.times:g})"
    return Table("", ("attack", several, f"AUC of the other {count(found.rest)}"), rows, 0)


def slices(report: AuditReport) -> Table | None:
    """Lay out the slices of the pairs; None where there are none."""
    found = report.validity.slices
    if found is None or not found.slices:
        return None
    rows = tuple(
        (
            f"{one.column}: {one.name}",
            f"{count(one.members)} + {count(one.nonmembers)}",
            interval(one.auc),
            signed(one.difference),
            NONE if one.p is None else f"{one.p:.2g}",
            one.reason,
        )
        for one in found.slices
        if sum(other.column == one.column for other in found.slices) > 1  # a column of one slice compares nothing
    )
    if not rows:
        return None
    return Table("", ("slice", "pairs", "AUC", "less the other slices", "p, corrected", "why not"), rows, 0)
