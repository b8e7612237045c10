"""`lmia unlearned`: has a model forgotten the pairs it was told to forget, as far as an attack can see?"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmia import specs
from lmia.commands import Parser
from lmia.commands.compare import cautions, cell, read_intact, result_of, same_rows, shown_tpr
from lmia.errors import LmiaError
from lmia.evidence.equivalence import Forgetting, Keeping, forgetting, keeping
from lmia.report.cells import NONE, interval, percent, rate, signed
from lmia.report.run import Run
from lmia.report.visible import visible

ABOUT = """\
Test whether unlearning has made a forget set indistinguishable from pairs that were never trained on.

Give the models and the pairs, and each model is audited here:

  lmia unlearned --before local-dir:original --after local-dir:unlearned \\
       --forget forget.csv --heldout heldout.csv --retain kept.csv

--retain names pairs that were to be kept: where these are lost as well, a model has not unlearned but broken.
Or give audits that are finished, each of the forget set as members and held-out pairs as nonmembers:

  lmia audit --plugin csa --model local-dir:original --members forget.csv --nonmembers heldout.csv --out before
  lmia audit --plugin csa --model local-dir:unlearned --members forget.csv --nonmembers heldout.csv --out after
  lmia unlearned --before before --after after

Answers: indistinguishable, still detectable, over-forgotten, cannot tell. Each wrong answer has a chance of 5 %.
With --clean, a model trained without the forget set, that model's AUC is the standard instead of 0.5.
Intervals count duplicates as one."""

LIMITS = (
    "An answer is one attack's view: another may still see what this one does not. Few pairs that are still remembered can "
    "hide in an AUC near 0.5, hence the TPR beside it. What the model has lost of its use is not measured here."
)
"""Said under every answer."""

SEVERAL = (
    "Of several attacks, one that still detects is enough; and the more there are, the likelier one does so by chance."
)
"""Said under the answers of several attacks."""

_BROKEN = " A model that loses whatever it learnt has not unlearned but broken."


def main(argv: Sequence[str]) -> int:
    """Run `lmia unlearned` with the words behind it; the exit code is 0 whatever the answer.

    Raises:
        LmiaError: a run cannot be read or made, or lacks the attack; the runs are of different rows; the margin is none.
    """
    args = _parser().parse_args(argv)
    _check(args)
    attacks, given = args.attack or ["csa"], _named(args, "before", "after", "clean")
    if args.forget is None:
        places = {word: _finished(folder) for word, folder in given.items()}
    else:
        attacks, places = _audited(args, attacks, given)
    every = {word: read_intact(folder) for word, folder in places.items()}
    runs = {word: run for word, run in every.items() if not word.endswith("-retain")}
    console = Console()
    for name in attacks:
        _show(console, name, runs, [run for word, run in every.items() if word not in runs], args.margin)
    others = [other for word, other in runs.items() if word != "before"]
    notes = dict.fromkeys(note for other in others for note in cautions(runs["before"], other))
    for line in [*notes, *([SEVERAL] if len(attacks) > 1 else []), LIMITS]:
        console.print(Text(visible(line)))
    if args.forget is not None:
        console.print(Text(visible(f"Reports: {', '.join(map(str, places.values()))}")), soft_wrap=True)
    return 0


def _parser() -> Parser:
    parser = Parser("unlearned", ABOUT)
    parser.add_argument(
        "--before", required=True, metavar="MODEL|RUN", help="the model before unlearning, or its finished audit"
    )
    parser.add_argument("--after", required=True, metavar="MODEL|RUN", help="the model after it, or its finished audit")
    parser.add_argument(
        "--clean", metavar="MODEL|RUN", help="a model trained without the forget set, or its finished audit"
    )
    parser.add_argument("--forget", metavar="SPEC", help="audit the models here: the pairs to be forgotten")
    parser.add_argument("--heldout", metavar="SPEC", help="with --forget: pairs like these that no model has seen")
    parser.add_argument("--retain", metavar="SPEC", help="with --forget: pairs trained on that were to be kept")
    parser.add_argument("--margin", type=float, default=0.05, help="AUC this far off counts as none (default 0.05)")
    parser.add_argument(
        "--attack", action="append", metavar="NAME", help="whose scores to judge by (default csa); may come again"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="with --forget: of the audits (default lmia-unlearned)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="with --forget: where features are kept")
    return parser


def _check(args: Namespace) -> None:
    """Refuse options that do not go together, and a margin that is none."""
    if not 0 < args.margin < 0.5:
        raise LmiaError(
            f"--margin {args.margin:g} is no margin around an AUC of 0.5.", "Give one between 0 and 0.5, such as 0.05."
        )
    given = [*_named(args, "forget", "heldout", "retain", "out", "cache")]
    for name in ("forget", "heldout"):
        if given and name not in given:
            raise LmiaError(
                f"--{given[0]} is given without --{name}.",
                "Give --forget SPEC and --heldout SPEC, and models as --before and --after; or folders of finished audits "
                "alone.",
            )


def _named(args: Namespace, *names: str) -> dict[str, str]:
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _finished(folder: str) -> Path:
    """Refuse what is no folder, with a word on what may have been meant."""
    if not Path(folder).is_dir():
        raise LmiaError(
            f"There is no finished audit '{folder}'.",
            "Give its folder; if this is a model, add the pairs: --forget SPEC and --heldout SPEC.",
        )
    return Path(folder)


def _audited(args: Namespace, attacks: Sequence[str], models: Mapping[str, str]) -> tuple[list[str], dict[str, Path]]:
    """Audit the models, and return what the attacks are called in the reports, and where these are."""
    from lmia.commands.series import Series  # Lightning takes seconds, so only who needs it waits

    sources = {word: specs.source(spec) for word, spec in _named(args, "forget", "retain", "heldout").items()}
    targets = {word: specs.target(spec) for word, spec in models.items()}
    series = Series(targets, sources, attacks, args.out or Path("lmia-unlearned"), args.cache)
    series.check()
    series.run()
    return series.names, {word: series.out / word for word in series.audits}


def _show(console: Console, attack: str, runs: Mapping[str, Run], retained: Sequence[Run], margin: float) -> None:
    """Print one attack's answer, what it rests on, and what became of the pairs that were to be kept."""
    scores, labels, groups = same_rows(list(runs.values()), attack)
    clean = scores[2] if "clean" in runs else None
    found = forgetting(scores[0], scores[1], labels, clean, groups, margin)
    lines = remembered(runs, attack) if found.outcome == "indistinguishable" else []
    if retained:
        (before, after), labels, groups = same_rows(retained, attack)
        lines.insert(0, kept(keeping(before, after, labels, groups, margin), attack))
    console.print(Text(visible(answer(found, attack)), style="bold"))
    console.print(table(runs, attack, found))
    for line in lines:
        console.print(Text(visible(line)))


def answer(found: Forgetting, attack: str) -> str:
    """Say the outcome in a sentence.

    Example:
        >>> from lmia.evidence.estimate import Estimate
        >>> some = Estimate(0.2, 0.1, 0.3, 0.9, "DeLong", 100)
        >>> answer(Forgetting("still detectable", "it still stands out", some, some, 0.05), "csa")
        "still detectable: to the attack 'csa', it still stands out (margin 0.05)."
    """
    return f"{found.outcome}: to the attack '{attack}', {found.reason} (margin {found.margin:g})."


def kept(found: Keeping, attack: str) -> str:
    """Say what became of the pairs that were to be kept.

    Example:
        >>> from lmia.evidence.estimate import Estimate
        >>> high, low, change = (Estimate(x, x - 0.05, x + 0.05, 0.9, "DeLong", 100) for x in (0.75, 0.5, -0.25))
        >>> print(kept(Keeping("lost", "the attack sees less of these pairs than before", high, low, change, 0.05), "csa"))
        The pairs to be kept: lost, at least in part, as far as the attack 'csa' shows. Their AUC was 0.750 [0.700, 0.800]...
    """
    word = "lost, at least in part" if found.outcome == "lost" else found.outcome
    return (
        f"The pairs to be kept: {word}, as far as the attack '{attack}' shows. Their AUC was {interval(found.before)} before "
        f"and is {interval(found.after)} after, a difference of {signed(found.change)} "
        f"({100 * found.change.confidence:g} % intervals): {found.reason} (margin {found.margin:g})."
        f"{_BROKEN if found.outcome == 'lost' else ''}"
    )


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
