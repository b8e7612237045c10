"""`lmia compare A B`: two audits of the same pairs, attack by attack, with the paired difference of their AUCs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from lmia import evidence
from lmia.commands import Parser
from lmia.errors import LmiaError
from lmia.evidence import duplicates
from lmia.evidence.estimate import Estimate
from lmia.report.aside import write_aside
from lmia.report.cells import NONE, interval, percent, rate, signed
from lmia.report.model import TPR, AttackResult
from lmia.report.run import Rows, Run, read_run
from lmia.report.visible import visible

ABOUT = """\
Compare two audits of the same pairs, such as of a model without and with a defence.

  lmia compare plain-audit defended-audit
  lmia compare plain-audit defended-audit --out compare.json

Differences are B - A, paired by row, with their interval, in which duplicates count as one."""

NO_SUCCESS = (
    "A lower AUC alone is no success: what counts is the TPR at a low FPR, where a few pairs may still be given away, "
    "and the model's utility, which this comparison does not measure."
)
"""Said under every comparison."""

_OTHER_ROWS = "Compare two audits of the same members and nonmembers, cut by the same seed."


@dataclass(frozen=True)
class Compared:
    """One attack in two audits.

    Args:
        attack: its name in both reports.
        a: its AUC in the first.
        b: its AUC in the second.
        difference: b - a, paired by row.
        tprs: for each FPR in either report, the TPR in the first and in the second; None where one lacks it.
        note: in what the two attacks are not alike.
    """

    attack: str
    a: Estimate
    b: Estimate
    difference: Estimate
    tprs: Sequence[tuple[float, TPR | None, TPR | None]]
    note: str = ""


def main(argv: Sequence[str]) -> int:
    """Run `lmia compare` with the words behind it.

    Raises:
        LmiaError: the runs cannot be read or are of different rows, or no attack is in both.
    """
    parser = Parser("compare", ABOUT)
    parser.add_argument("a", type=Path, help="folder of a finished audit")
    parser.add_argument("b", type=Path, help="folder of another, of the same pairs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the comparison as JSON")
    args = parser.parse_args(argv)
    a, b = read_intact(args.a), read_intact(args.b)
    found = compare(a, b)
    said = [*notes(a, b, found), NO_SUCCESS]
    console = Console()
    console.print(Text(visible(f"A: {args.a}\nB: {args.b}", lines=True)))
    console.print(table(found))
    for line in said:
        console.print(Text(visible(line)))
    if args.out is not None:
        data = {"format": 1, "a": _who(a), "b": _who(b), "attacks": [_plain(one) for one in found], "notes": said}
        write_aside(args.out, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())
        console.print(Text(visible(f"Written: {args.out}")), soft_wrap=True)
    return 0


def read_intact(folder: Path) -> Run:
    """Read a finished audit whose scores are those its report was written with.

    Raises:
        LmiaError: it cannot be read, or its scores.parquet was changed.

    Example:
        >>> read_intact(Path("nowhere"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 'nowhere/report.json' cannot be read: ...
    """
    run = read_run(folder)
    if run.sha256 != run.report.scores_sha256:
        raise LmiaError(
            f"'{folder}/scores.parquet' is not the file that its report was written with.",
            f"`lmia verify {folder}` names what was changed.",
        )
    return run


def same_rows(runs: Sequence[Run], attack: str) -> tuple[list[Tensor], Tensor, Tensor | None]:
    """Return one attack's scores of the members and nonmembers of several audits, row beside row.

    Args:
        runs: at least one.
        attack: as named in their reports.

    Returns:
        `(n,)` scores of each run, `(n,)` labels, true for members, and `(n,)` int64, equal for duplicates; None where
        no run knows any.

    Raises:
        LmiaError: a run has no such attack or no truth, or a score that is no finite number, or the runs are of
            different rows.
    """
    every, first = [], None
    for run in runs:
        rows = run.rows(attack)
        rows = rows.only((rows.role == "members") | (rows.role == "nonmembers"))
        if not {"members", "nonmembers"} <= {*rows.role}:
            raise LmiaError(
                f"'{run.folder}' does not know who is a member: it was audited with suspects.",
                "Audit with --members and --nonmembers.",
            )
        names = rows.names(np.ones(len(rows), dtype=bool))
        first = first or names
        if names != first:
            unlike = sorted({*names} ^ {*first})
            raise LmiaError(
                f"'{runs[0].folder}' and '{run.folder}' are of different rows: {len(unlike):,} are in one of them only, "
                f"such as '{unlike[0] if unlike else names[0]}'.",
                _OTHER_ROWS,
            )
        _check_content(runs[0], run)
        every.append(rows)
    scores = [torch.from_numpy(rows.score) for rows in every]
    return scores, torch.from_numpy((every[0].role == "members").astype(bool)), _groups(every)


def _check_content(first: Run, run: Run) -> None:
    """Refuse other captions or pictures under the same keys, as far as both reports have a digest of theirs."""
    ours, theirs = _contents(first), _contents(run)
    if other := [role for role in sorted(ours.keys() & theirs.keys()) if ours[role] != theirs[role]]:
        said = f"their {other[0]} have other captions or pictures under the same keys"
        raise LmiaError(f"'{first.folder}' and '{run.folder}' are of different data: {said}.", _OTHER_ROWS)


def _contents(run: Run) -> dict[str, str]:
    return {count.role: count.content for count in run.report.roles if count.content}


def _groups(every: Sequence[Rows]) -> Tensor | None:
    """Number the duplicate groups of rows that several runs have alike: rows that any run joins are one group."""
    links = []
    for rows in every:
        words = ["" if group is None else f"group {group}" for group in rows.group]
        first = duplicates.same(words, words)
        links.append((np.flatnonzero(first >= 0), first[first >= 0]))
    joined = duplicates.groups(len(every[0]), links)
    return torch.from_numpy(joined) if len(np.unique(joined)) < len(joined) else None


def compare(a: Run, b: Run) -> list[Compared]:
    """Compare every attack that both audits ran.

    Raises:
        LmiaError: no attack is in both, or the rows are not the same.
    """
    both = [name for name in a.attacks if name in b.attacks]
    if not both:
        raise LmiaError(
            f"No attack ran in both audits: {', '.join(a.attacks) or 'none'}; {', '.join(b.attacks) or 'none'}.",
            "Run the same attacks on both models.",
        )
    return [_compared(a, b, name) for name in both]


def _compared(a: Run, b: Run, name: str) -> Compared:
    (of_a, of_b), labels, groups = same_rows([a, b], name)
    first, second = result_of(a, name), result_of(b, name)
    if first.auc is None or second.auc is None:
        raise LmiaError(f"A report has scores of '{name}' but no AUC.", "`lmia verify RUN` says what was changed.")
    confidence = min(a.report.confidence, b.report.confidence)
    difference = evidence.auroc_difference(of_b, of_a, labels, groups, confidence)
    rates = {tpr.fpr: None for tpr in (*first.tprs, *second.tprs)}
    left, right = ({tpr.fpr: tpr for tpr in result.tprs} for result in (first, second))
    note = "" if first.settings == second.settings else f"'{name}' has other settings in A than in B."
    return Compared(
        name, first.auc, second.auc, difference, [(fpr, left.get(fpr), right.get(fpr)) for fpr in rates], note
    )


def notes(a: Run, b: Run, found: Sequence[Compared]) -> list[str]:
    """Say what was not compared, and what a reader must know before trusting the rest."""
    lone = [
        f"Not compared, because {word} alone has it: {name}."
        for word, one, other in (("A", a, b), ("B", b, a))
        for name in one.attacks
        if name not in other.attacks
    ]
    return [*(one.note for one in found if one.note), *lone, *cautions(a, b)]


def cautions(a: Run, b: Run) -> list[str]:
    """Say what weakens any comparison of two audits: the same model twice, other data."""
    found = []
    if a.report.target.get("fingerprint") == b.report.target.get("fingerprint"):
        found.append(f"'{a.folder}' and '{b.folder}' are of the same model.")
    if _sources(a) != _sources(b):
        how = "by role, key and content" if _contents(a) and _contents(b) else "by role and key alone"
        found.append(f"'{a.folder}' and '{b.folder}' name their data differently; pairs were matched {how}.")
    return found


def _sources(run: Run) -> tuple[object, ...]:
    data = run.report.config.get("data")
    return tuple(data.get(role) for role in ("members", "nonmembers")) if isinstance(data, Mapping) else ()


def result_of(run: Run, name: str) -> AttackResult:
    """Return an attack's part of a run's report.

    Raises:
        LmiaError: there is none.
    """
    found = [result for result in run.report.attacks if result.name == name]
    if not found:
        raise LmiaError(
            f"'{run.folder}' has scores of '{name}', and its report does not name it.",
            f"`lmia verify {run.folder}` says what was changed.",
        )
    return found[0]


def table(found: Sequence[Compared]) -> Table:
    """Lay a comparison out for the terminal: a line for each AUC, and one for each TPR."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("attack", "", "A", "B", "B - A"):
        shown.add_column(column, overflow="fold")
    for one in found:
        cells = (interval(one.a), interval(one.b), signed(one.difference))
        shown.add_row(Text(visible(one.attack), style="bold"), "AUC", *map(cell, cells))
        for fpr, a, b in one.tprs:
            shown.add_row("", f"TPR@{rate(fpr)}", cell(shown_tpr(a)), cell(shown_tpr(b)), NONE)
    return shown


def cell(shown: str) -> Text:
    r"""Put an interval under its value, so that four columns fit into 80 characters.

    Example:
        >>> cell("0.829 [0.809, 0.848]").plain
        '0.829\n[0.809, 0.848]'
    """
    return Text(shown.replace(" [", "\n["))


def shown_tpr(tpr: TPR | None) -> str:
    """Write a TPR with its interval, or that there is none.

    Example:
        >>> shown_tpr(None), shown_tpr(TPR(0.001, None, None, "not estimable: needs 10000 nonmembers, has 400"))
        ('-', 'not estimable')
    """
    return NONE if tpr is None else "not estimable" if tpr.estimate is None else percent(tpr.estimate)


def _who(run: Run) -> Mapping[str, object]:
    target = run.report.target
    return {
        "folder": str(run.folder),
        "target": target.get("name"),
        "fingerprint": target.get("fingerprint"),
        "scores_sha256": run.sha256,
    }


def _plain(one: Compared) -> Mapping[str, object]:
    """Name the two sides of each TPR; the rest of a comparison is plain already."""
    tprs = [{"fpr": fpr, "a": a and asdict(a), "b": b and asdict(b)} for fpr, a, b in one.tprs]
    return {**asdict(one), "tprs": tprs}
