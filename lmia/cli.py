"""The command line behind the shell: Lightning's CLI with one subcommand of its own, and the list of plugins."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from rich.console import Console

from lmia.attack import Attack
from lmia.audit import run_audit
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.evidence.judged import Regime
from lmia.extract import FeatureExtractor
from lmia.guide import guide, trainer_guide
from lmia.outlook import outlook
from lmia.progress import PairProgress
from lmia.quiet import quiet
from lmia.record import TRAINER_DEFAULTS
from lmia.registry import registry
from lmia.report import AuditReport
from lmia.report.terminal import print_summary
from lmia.report.visible import visible
from lmia.request import request
from lmia.subcommand import SubcommandCLI
from lmia.target import Target


class Auditor(Trainer):
    """A Trainer whose one subcommand is an audit."""

    config: dict[str, Any]

    def audit(
        self,
        model: FeatureExtractor,
        datamodule: AuditData,
        plugin: list[Attack],
        placebo: list[Target] | None = None,
        out: Path = Path("lmia-audit"),
        fpr: list[float] | None = None,
        detect: float = 0.51,
        regime: Regime = "post hoc",
        seal: Path | None = None,
        seed: int = 0,
        confidence: float = 0.95,
        show_pairs: bool = False,
        demo: bool = False,
    ) -> AuditReport:
        """Audit a model: which of these pairs was it trained on, and how sure can one be?

        Args:
            model: the target, its views, and where features are kept.
            datamodule: the roles of the data.
            plugin: the attacks.
            placebo: real models that cannot have seen the data, to run the attacks on as well.
            out: folder of the report; files in it are replaced.
            fpr: false positive rates to report; 0.01 and 0.001 where the data carries them, unless told.
            detect: the AUC that the audit is to be able to see; the report says how surely it would.
            regime: how the roles came about, which decides what a difference can prove: `randomised` (drawn by lot before
                training, over several trainings), `one-run` (by lot before a single training), or `post hoc` (found
                afterwards; no difference is then a proof).
            seal: the file that `lmia seal` wrote before scoring; the audit stops if it is another one.
            seed: of every cut, fit, shuffle and bootstrap.
            confidence: of every interval.
            show_pairs: also write pairs.html, which holds pictures and captions of the audited data.
            demo: whether the data is the embedded demo; set where neither model nor data is given.
        """
        if self.global_rank == 0 and (said := outlook(datamodule, detect, len(plugin))):
            print(said, flush=True)  # the report repeats it
        return run_audit(
            model,
            datamodule,
            plugin,
            placebo=placebo or (),
            out=out,
            fpr=fpr,
            detect=detect,
            regime=regime,
            seal=seal,
            seed=seed,
            confidence=confidence,
            show_pairs=show_pairs,
            demo=demo,
            trainer=self,
            trainer_config=self.config,
        )


class AuditCLI(SubcommandCLI):
    """LightningCLI with the subcommand `audit`, fed with a config that `lmia.request` has made.

    Args:
        tree: the config below the subcommand.
    """

    result: AuditReport

    def __init__(self, tree: dict[str, Any]) -> None:
        watched = (tree.get("trainer") or {}).get("enable_progress_bar") is not False
        defaults = {**TRAINER_DEFAULTS, "callbacks": [PairProgress()] if watched else []}
        super().__init__("audit", tree, FeatureExtractor, AuditData, Auditor, defaults)


class _Terminal(Console):
    """A console that leaves a reader who has gone away to the shell."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def audit(argv: Sequence[str]) -> int:
    """Run `lmia audit` with the words behind it; print the summary and where the report lies."""
    words = [word for word in argv if word not in ("--print_config", "--print-config")]
    if {"-h", "--help"} & set(words):
        print(guide())
        return 0
    if "--trainer.help" in words:
        print(trainer_guide())
        return 0
    tree = request(words)
    if len(words) < len(argv):
        print(yaml.safe_dump(tree, sort_keys=False), end="")
        return 0
    with quiet():
        report = AuditCLI(tree).result
    print_summary(report, _Terminal(), Path(str(report.config["out"])) / "report.html")
    return 0


def plugins(argv: Sequence[str]) -> int:
    """Run `lmia plugins`: a line for every plugin, cut to the terminal's width; the broken ones last, with their reason."""
    if argv:
        raise LmiaError(f"`lmia plugins` takes no arguments, got {' '.join(argv)}.", "Leave them out.")
    found = registry().listing()
    rows = [["kind", "name", "from", "version", "what it is"]]
    rows += [[*map(visible, (one.kind, one.name, one.distribution, one.version, one.summary))] for one in found]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in rows:
        line = "  ".join([*(word.ljust(width) for word, width in zip(row[:4], widths, strict=True)), row[4]])
        print(line if row[0] == "broken" else line[:room])
    return 0
