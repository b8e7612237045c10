"""`lmia show RUN ...`: finished audits side by side, one row each: what the attack finds, and what stands against it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmia.commands import Parser
from lmia.evidence.estimate import Estimate
from lmia.report import verdict
from lmia.report.archive import NAME, read_report
from lmia.report.cells import interval
from lmia.report.model import Adjusted, AuditReport
from lmia.report.visible import visible

ABOUT = """\
Show finished audits side by side, a row for each attack: its AUC, the same among pairs that look alike, what is seen
without the model and on the untrained twin, and the verdict.

  lmia show lmia-audit lmia-audit/unlike"""

LESSON = (
    "A high AUC says that two sides can be told apart. Whether that is memory, the columns beside it say: what is as high "
    "without the model, or on a model that remembers nothing, lies in the data."
)


def main(argv: Sequence[str]) -> int:
    """Run `lmia show` with the words behind it.

    Raises:
        LmiaError: a folder holds no report.
    """
    parser = Parser("show", ABOUT)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished audits")
    args = parser.parse_args(argv)
    reports = {folder: read_report(folder / NAME) for folder in args.runs}
    console = Console()
    console.print(table(reports))
    for folder, report in reports.items():
        console.print(Text(visible(f"{folder}: {verdict.mark(report)}. {verdict.headline(report)}")), soft_wrap=True)
    console.print(Text(LESSON))
    return 0


def table(reports: dict[Path, AuditReport]) -> Table:
    """Lay finished audits out, a row for each attack that ran."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("audit", "attack", "AUC", "among like", "without model", "twin"):
        shown.add_column(column, overflow="fold")
    for folder, report in reports.items():
        for i, attack in enumerate(report.validity.adjusted):
            cells = (attack.raw, attack.adjusted, _blind(report), _twin(report, attack))
            words = ("" if i else visible(folder.name), visible(attack.attack), *(_cell(cell) for cell in cells))
            shown.add_row(*map(Text, words))
    return shown


def _blind(report: AuditReport) -> Estimate | None:
    found = [one.auc for one in report.validity.baselines if one.auc is not None]
    return max(found, key=lambda auc: abs(auc.value - 0.5), default=None)


def _twin(report: AuditReport, attack: Adjusted) -> Estimate | None:
    twins = (one.auc for one in report.validity.besides if one.kind == "twin" and one.attack == attack.attack)
    return next(twins, None)


def _cell(estimate: Estimate | None) -> str:
    value, _, rest = interval(estimate).partition(" [")
    return f"{value}\n[{rest.replace(', ', ',')}" if rest else value
