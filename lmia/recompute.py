"""A finished audit read back, and every number of its report that scores.parquet carries computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np
import torch

from lmia import evidence
from lmia.errors import LmiaError
from lmia.evidence.order import out_of_order, surplus
from lmia.judging import DEFAULT_FPRS
from lmia.recheck import doubts, judge_of, scored
from lmia.report.model import AttackResult, AuditReport
from lmia.report.run import Floats, Mask, Rows, Run
from lmia.report.scores import NAME as SCORES
from lmia.report.scores import ROLES, ranks

PLAIN = "csa"
"""The attack whose scores are the cosines."""

_NUMBERS = ("auc", "versus_cosine", "tprs", "balanced_accuracy_best", "thresholds", "suspects", "curve", "histogram")
_BLANK: Mapping[str, object] = {name: () if name in ("tprs", "thresholds") else None for name in _NUMBERS}
_ELSEWHERE = (
    "what was read and rejected, the target, the extraction, each attack's seconds and findings, warnings: "
    "not functions of the scores",
    "report.html, report.md and config.yaml: not read; report.json is what was checked",
)


@dataclass(frozen=True)
class Difference:
    """Something that cannot be as written.

    Args:
        where: the file, or the attack and its field.
        problem: what is wrong with it.
        rows: role and key of the rows it concerns, the most telling first.
    """

    where: str
    problem: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """What came of recomputing a run.

    Args:
        differences: what cannot be as written; none where the run holds.
        recomputed: how many numbers of the report were computed again.
        left_out: what could not be, and why.
    """

    differences: Sequence[Difference]
    recomputed: int
    left_out: Sequence[str]


def verify(run: Run) -> Verification:
    """Recompute every number of a report that its scores carry, and name what differs.

    Rank, p and q are functions of the scores: a row that does not fit its own is named. An edit that keeps all of them
    consistent still changes the digest of the file.

    Args:
        run: as `lmia.report.run.read_run` gives it.

    Returns:
        the differences, how many numbers were recomputed, and what could not be.

    Raises:
        LmiaError: the report's confidence, seed or false positive rates are none that an audit can have used.

    Example:
        >>> from pathlib import Path
        >>> from lmia.report.model import Validity
        >>> report = AuditReport("use", False, "2026-01-01T00:00:00Z", "0.1.0", {}, {}, (), (), Validity(), (), (), {}, {},
        ...                      {}, 0, 0.95, 1.5, "the digest written")
        >>> verify(Run(Path(), report, {}, "another")).differences[0].problem
        'has sha256 another, the report names the digest written'
    """
    fprs = _fprs(run.report)
    found: list[Difference] = []
    if run.sha256 != run.report.scores_sha256:
        found.append(Difference(SCORES, f"has sha256 {run.sha256}, the report names {run.report.scores_sha256}"))
    ran = {result.name for result in run.report.attacks if result.status == "ran"}
    found += [
        Difference(name, "has rows, but the report has no such attack that ran")
        for name in sorted({*run.attacks} - ran)
    ]
    found += [Difference(name, f"ran, but has no rows in {SCORES}") for name in sorted(ran - {*run.attacks})]
    recomputed = 0
    for result in run.report.attacks:
        if result.name not in ran & run.attacks.keys():
            continue
        differences, leaves = _attack(run, result, fprs)
        found += [replace(one, where=f"{result.name}: {one.where}") for one in differences]
        recomputed += sum(isinstance(expected, int | float) for _, _, expected in leaves)
    if not found and run.attacks:
        differences, leaves = _doubts(run, fprs)
        found += differences
        recomputed += sum(isinstance(expected, int | float) for _, _, expected in leaves)
    return Verification(found, recomputed, [*_left_out(run), *_ELSEWHERE])


def _left_out(run: Run) -> Iterator[str]:
    if run.report.validity.baselines:
        yield f"how the blind baselines were trained: captions and facts are not in {SCORES}; what they gave the pairs is"
    if run.report.validity.slices is not None:
        yield f"the slices: the columns that pairs are sliced by are not in {SCORES}"
    if run.report.validity.copied is not None:
        yield f"what is there twice: captions and facts are not in {SCORES}"
    if any(np.isnan(rows.cosine).all() for rows in run.attacks.values()):
        yield f"the comparison with the cosine: {SCORES} is of an audit from before cosines were kept there"


def _fprs(report: AuditReport) -> Sequence[float]:
    """Return the report's false positive rates, after a look at everything that the recomputation is steered by."""
    given = report.config.get("fpr")
    fprs = list(DEFAULT_FPRS) if given is None else given
    plain = isinstance(fprs, list) and all(isinstance(fpr, float) and 0 < fpr < 1 for fpr in fprs)
    for name, value, fits in (
        ("config.fpr", fprs, plain),
        ("confidence", report.confidence, 0 < report.confidence < 1),
        ("seed", report.seed, report.seed >= 0),
    ):
        if not fits:
            raise LmiaError(
                f"The report's {name} is {value!r:.60}.", "No audit writes that; take the report as it was."
            )
    return [float(fpr) for fpr in fprs] if isinstance(fprs, list) else []


Leaf = tuple[str, object, object]


def _doubts(run: Run, fprs: Sequence[float]) -> tuple[list[Difference], list[Leaf]]:
    """Hold what the audit did to doubt itself, and its verdict, against the rows."""
    first = next(iter(run.attacks.values()))
    try:
        validity, verdict = doubts(run, judge_of(run.report, first, fprs, {}))
    except (
        LmiaError,
        ValueError,
        KeyError,
        IndexError,
        RuntimeError,
    ) as error:  # rows beside the target, or its report
        return [Difference("validity", f"cannot be computed again: {' '.join(str(error).split())[:200]}")], []
    parts = {"validity": (run.report.validity, validity), "verdict": (run.report.verdict, verdict)}
    leaves = {name: list(_leaves(*pair, name)) for name, pair in parts.items()}
    return list(_unequal(leaves)), [leaf for some in leaves.values() for leaf in some]


def _attack(run: Run, result: AttackResult, fprs: Sequence[float]) -> tuple[list[Difference], list[Leaf]]:
    """Hold one attack's rows against each other, and its part of the report against the rows."""
    rows, first = run.attacks[result.name], next(iter(run.attacks.values()))
    if unusable := list(_unusable(run.report, rows, first)):
        return unusable, []
    found, p = _disagreeing(rows)
    unlike = np.isfinite(rows.cosine) & ~np.isclose(rows.score, rows.cosine, rtol=1e-9, atol=1e-12)
    if result.name == PLAIN and unlike.any():
        found.append(Difference("score", "is not the pair's cosine", rows.names(unlike)))
    try:
        expected = _judged(run.report, result, rows, p, fprs)
    except LmiaError as error:
        return [*found, Difference("scores", f"cannot be judged: {error.problem}")], []
    numbers = [name for name in _NUMBERS if name != "versus_cosine" or not np.isnan(rows.cosine).all()]
    leaves = {name: list(_leaves(getattr(result, name), getattr(expected, name), name)) for name in numbers}
    return [*found, *_unequal(leaves)], [leaf for some in leaves.values() for leaf in some]


def _unusable(report: AuditReport, rows: Rows, first: Rows) -> Iterator[Difference]:
    """Find what leaves nothing to compute: other pairs than those audited, or scores that are no numbers."""
    due = {role.role: role.scored.get("audited", 0) for role in report.roles}
    due["calibration"] = sum(
        role.scored.get("calibration", 0) for role in report.roles if role.role in ("nonmembers", "known_nonmembers")
    )
    for role in sorted({*rows.role, *(role for role in ROLES if due.get(role))}):
        there = len({*rows.key[rows.role == role]})
        if role not in ROLES or there != due.get(role, 0):
            yield Difference(role, f"{there} pairs in {SCORES}, {due.get(role, 0)} in the report")
    places = list(zip(rows.role, rows.key, rows.fold.astype(str), strict=True))
    twice = np.array([i > 0 and places[i - 1] == place for i, place in enumerate(places)], bool)
    if twice.any():
        yield Difference("key", "stands there more than once", rows.names(twice))
    if not np.isfinite(rows.score).all():
        yield Difference("score", "is no finite number", rows.names(~np.isfinite(rows.score)))
    mine, theirs = (
        dict(zip(zip(one.role, one.key, strict=True), np.nan_to_num(one.cosine).tolist(), strict=True))
        for one in (rows, first)
    )
    if mine.keys() != theirs.keys():
        other = mine.keys() ^ theirs.keys()
        yield Difference("key", "other pairs than those of the first attack", tuple(f"{r} {k}" for r, k in other))
    elif moved := [f"{r} {k}" for (r, k), cosine in mine.items() if not _same(theirs[r, k], cosine)]:
        yield Difference("cosine", "another than in the rows of the first attack", tuple(moved))


def _judged(report: AuditReport, result: AttackResult, rows: Rows, p: Floats, fprs: Sequence[float]) -> AttackResult:
    """Judge the scores as the audit did."""
    found = scored(rows, p)
    known = np.nan_to_num(rows.cosine)
    parts, cosines = found.parts, {role: torch.from_numpy(known[rows.role == role]) for role in ROLES}
    needed = {"leakage": {"members", "nonmembers"}, "use": {"suspects"}}[report.question]
    if parts.keys() - {"calibration"} != needed:
        raise LmiaError(f"it has {', '.join(parts)}", f"A report on {report.question} has {', '.join(needed)}.")
    return judge_of(report, rows, fprs, cosines).judge(replace(result, **_BLANK), found)  # type: ignore[arg-type]


def _disagreeing(rows: Rows) -> tuple[list[Difference], Floats]:
    """Name the rows that cannot be as written, and return p as it follows from the scores, `(n,)`."""
    audited = rows.role != "calibration"
    out, (p, wrong) = _misplaced(rows, audited), _p(rows, audited)
    found = []
    if out.any():
        names = rows.names(out & wrong) + rows.names(out & ~wrong)
        found.append(Difference("rank", "score and rank cannot both be as written", names))
    if (wrong & ~out).any():
        found.append(Difference("p", "does not follow from the scores", rows.names(wrong & ~out)))
        moved = np.zeros(len(rows), bool)
        for fold in rows.folds():
            theirs, mine = _calibrating(rows, fold & ~audited), fold & audited & ~out & (rows.p > 0) & (rows.p <= 1)
            moved[theirs] = surplus(rows.score[mine], rows.p[mine], rows.score[theirs])
        if moved.any():
            problem = "so many calibration scores as lie here do not agree with p; one of these may have been moved"
            found.append(Difference("calibration", problem, rows.names(moved)))
    suspects = rows.role == "suspects"
    q = np.full(len(rows), np.nan)
    q[suspects] = evidence.benjamini_hochberg(torch.from_numpy(p[suspects])).numpy()
    unlike = ~np.isclose(rows.q, q, rtol=1e-9, atol=1e-12, equal_nan=True)
    if unlike.any() and not (out | wrong).any():
        found.append(Difference("q", "does not follow from the p-values", rows.names(unlike)))
    return found, p


def _misplaced(rows: Rows, audited: Mask) -> Mask:
    """Find the rows that stand where their rank does not; where the order holds, those whose rank is another number."""
    out = ~audited & ~np.isnan(rows.rank)
    out[audited] = out_of_order(rows.score[audited], rows.rank[audited])
    if not out.any():
        out[audited] = ranks(rows.score[audited], rows.score[audited]) != rows.rank[audited]
    return out


def _p(rows: Rows, audited: Mask) -> tuple[Floats, Mask]:
    """Compute p again, and find the rows that have another; NaN for calibration, which has none."""
    p, wrong = np.full(len(rows), np.nan), ~audited & ~np.isnan(rows.p)
    for fold in rows.folds():
        mine, theirs = fold & audited, torch.from_numpy(rows.score[_calibrating(rows, fold & ~audited)])
        scores = rows.score[mine]
        # Folds were put on one scale after p was taken: scores an ulp apart may have met.
        slack = 0.0 if np.isnan(rows.fold[mine]).all() else 1e-12 * (1 + np.abs(scores))
        low, p[mine], high = (
            evidence.conformal_p(torch.from_numpy(scores + step), theirs).numpy() for step in (slack, 0.0, -slack)
        )
        wrong[mine] = ~((low - 1e-12 <= rows.p[mine]) & (rows.p[mine] <= high + 1e-12))
    return np.where(wrong | ~audited, p, rows.p), wrong


def _calibrating(rows: Rows, calibration: Mask) -> list[int]:
    """Return the places of calibration rows, the first of each group."""
    places = np.flatnonzero(calibration).tolist()
    return sorted({rows.group[at] or rows.key[at]: at for at in reversed(places)}.values())


def _leaves(written: object, expected: object, where: str) -> Iterator[Leaf]:
    """Yield every number and word of a field: where it stands, as written, as computed."""
    if is_dataclass(expected) and isinstance(written, type(expected)):
        for one in fields(expected):
            yield from _leaves(getattr(written, one.name), getattr(expected, one.name), f"{where}.{one.name}")
    elif isinstance(expected, Mapping) and isinstance(written, Mapping) and expected.keys() == written.keys():
        for key in expected:
            yield from _leaves(written[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple) and isinstance(written, list | tuple) and len(expected) == len(written):
        for i, pair in enumerate(zip(written, expected, strict=True)):
            yield from _leaves(*pair, f"{where}[{i}]")
    else:
        yield where, written, expected


def _unequal(leaves: Mapping[str, Sequence[Leaf]]) -> Iterator[Difference]:
    for name, some in leaves.items():
        wrong = [leaf for leaf in some if not _same(leaf[1], leaf[2])]
        if wrong and name in ("curve", "histogram"):
            yield Difference(name, f"{len(wrong)} of its {len(some)} numbers do not follow from the scores")
        else:
            yield from (Difference(at, f"is {a!r:.60}, by the scores {b!r:.60}") for at, a, b in wrong)


def _same(written: object, expected: object) -> bool:
    if isinstance(written, int | float) and isinstance(expected, int | float):
        return math.isclose(written, expected, rel_tol=1e-9, abs_tol=1e-12)
    return written == expected
