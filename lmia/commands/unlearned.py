"""`lmia unlearned`: has a model forgotten the pairs it was told to forget, as far as an attack can see?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmia.commands import Parser
from lmia.commands.compare import cautions, cell, read_intact, result_of, same_rows, shown_tpr
from lmia.errors import LmiaError
from lmia.evidence.equivalence import Forgetting, forgetting
from lmia.report.cells import NONE, interval, percent, rate, signed
from lmia.report.run import Run
from lmia.report.visible import visible

ABOUT = """\
Test whether unlearning has made a forget set indistinguishable from pairs that were never trained on.

First audit each model on the same data, the forget set as members and held-out pairs as nonmembers:

  lmia audit --plugin csa --model before.pt --members forget.csv --nonmembers heldout.csv --out before
  lmia audit --plugin csa --model after.pt  --members forget.csv --nonmembers heldout.csv --out after
  lmia unlearned --before before --after after

Answers: indistinguishable, still detectable, over-forgotten, cannot tell. Each wrong answer has a chance of 5 %.
With --clean RUN, of a model trained without the forget set, that model's AUC is the standard instead of 0.5."""

LIMITS = (
    "This is one attack's view: another may still see what this one does not. Few pairs that are still remembered can "
    "hide in an AUC near 0.5, hence the TPR beside it. What the model has lost of its use is not measured here."
)
"""Said under every answer."""


def main(argv: Sequence[str]) -> int:
    """Run `lmia unlearned` with the words behind it; the exit code is 0 whatever the answer.

    Raises:
        LmiaError: a run cannot be read, or lacks the attack; the runs are of different rows; the margin is none.
    """
    parser = Parser("unlearned", ABOUT)
    parser.add_argument(
        "--before", required=True, type=Path, metavar="RUN", help="audit of the model before unlearning"
    )
    parser.add_argument("--after", required=True, type=Path, metavar="RUN", help="audit of the model after it")
    parser.add_argument("--clean", type=Path, metavar="RUN", help="audit of a model trained without the forget set")
    parser.add_argument("--margin", type=float, default=0.05, help="AUC this far off counts as none (default 0.05)")
    parser.add_argument("--attack", default="csa", help="whose scores to judge by (default csa)")
    args = parser.parse_args(argv)
    if not 0 < args.margin < 0.5:
        raise LmiaError(
            f"--margin {args.margin:g} is no margin around an AUC of 0.5.", "Give one between 0 and 0.5, such as 0.05."
        )
    named = {"before": args.before, "after": args.after, "clean": args.clean}
    runs = {word: read_intact(folder) for word, folder in named.items() if folder is not None}
    scores, labels = same_rows(list(runs.values()), args.attack)
    found = forgetting(scores[0], scores[1], labels, scores[2] if "clean" in runs else None, margin=args.margin)
    console = Console()
    console.print(Text(visible(answer(found, args.attack)), style="bold"))
    console.print(table(runs, args.attack, found))
    others = [other for word, other in runs.items() if word != "before"]
    lines = remembered(runs, args.attack) if found.outcome == "indistinguishable" else []
    for line in [*lines, *dict.fromkeys(note for other in others for note in cautions(runs["before"], other)), LIMITS]:
        console.print(Text(visible(line)))
    return 0


def answer(found: Forgetting, attack: str) -> str:
    """Say the outcome in a sentence.

    Example:
        >>> from lmia.evidence.estimate import Estimate
        >>> some = Estimate(0.2, 0.1, 0.3, 0.9, "DeLong", 100)
        >>> answer(Forgetting("still detectable", "it still stands out", some, some, 0.05), "csa")
        "still detectable: to the attack 'csa', it still stands out (margin 0.05)."
    """
    return f"{found.outcome}: to the attack '{attack}', {found.reason} (margin {found.margin:g})."


def remembered(runs: Mapping[str, Run], attack: str) -> list[str]:
    """Name the FPRs at which an attack still finds more of the forget set than chance, or the clean model, gives it."""
    clean = {tpr.fpr: tpr.estimate for tpr in result_of(runs["clean"], attack).tprs} if "clean" in runs else {}
    found = []
    for tpr in result_of(runs["after"], attack).tprs:
        standard = clean.get(tpr.fpr)
        above = standard.high if standard is not None else tpr.fpr
        if tpr.estimate is not None and tpr.estimate.low > above:
            found.append(
                f"Yet at an FPR of {rate(tpr.fpr)} the attack finds {percent(tpr.estimate)} of the forget set, more than "
                f"{'the clean model gives' if standard else 'chance'}: some of its pairs may still be remembered."
            )
    return found


def table(runs: Mapping[str, Run], attack: str, found: Forgetting) -> Table:
    """Lay out what the answer rests on: AUCs and TPRs of the reports, and the differences that were tested."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("", *runs):
        shown.add_column(column, overflow="fold")
    results = [result_of(run, attack) for run in runs.values()]
    shown.add_row("AUC", *(cell(interval(result.auc)) for result in results))
    standard = "clean" if "clean" in runs else "0.5"
    tested = (signed(found.before), signed(found.after), NONE)[: len(runs)]
    shown.add_row(f"AUC - {standard}\n({100 * found.after.confidence:g} % interval)", *map(cell, tested))
    for fpr in dict.fromkeys(tpr.fpr for result in results for tpr in result.tprs):
        cells = [next((tpr for tpr in result.tprs if tpr.fpr == fpr), None) for result in results]
        shown.add_row(f"TPR@{rate(fpr)}", *(cell(shown_tpr(tpr)) for tpr in cells))
    return shown
