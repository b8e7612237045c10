"""The command line behind the shell: Lightning's CLI with one subcommand of its own, and the list of plugins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError
from lightning.pytorch import Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from rich.console import Console
from rich.table import Table

from lmia.attack import Attack
from lmia.audit import run_audit
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.progress import PairProgress
from lmia.quiet import quiet
from lmia.record import TRAINER_DEFAULTS
from lmia.registry import registry
from lmia.report import AuditReport
from lmia.report.terminal import print_summary
from lmia.request import request


class Auditor(Trainer):
    """A Trainer whose one subcommand is an audit."""

    config: dict[str, Any]

    def audit(
        self,
        model: FeatureExtractor,
        datamodule: AuditData,
        plugin: list[Attack],
        out: Path = Path("lmia-audit"),
        fpr: list[float] | None = None,
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
            out: folder of the report; files in it are replaced.
            fpr: false positive rates to report; 0.01 and 0.001 where the data carries them, unless told.
            seed: of every cut, fit, shuffle and bootstrap.
            confidence: of every interval.
            show_pairs: also write pairs.html, which holds pictures and captions of the audited data.
            demo: whether the data is the embedded demo; set where neither model nor data is given.
        """
        return run_audit(
            model,
            datamodule,
            plugin,
            out=out,
            fpr=fpr,
            seed=seed,
            confidence=confidence,
            show_pairs=show_pairs,
            demo=demo,
            trainer=self,
            trainer_config=self.config,
        )


class AuditCLI(LightningCLI):
    """LightningCLI with the subcommand `audit`, fed with a config that `lmia.request` has made.

    Args:
        tree: the config below the subcommand; or command line words, such as `["--help"]`.
    """

    report: AuditReport

    def __init__(self, tree: dict[str, Any] | list[str]) -> None:
        self.tree = tree
        words: ArgsType = {"subcommand": "audit", "audit": tree} if isinstance(tree, dict) else ["audit", *tree]
        super().__init__(
            FeatureExtractor,
            AuditData,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_class=Auditor,
            trainer_defaults={**TRAINER_DEFAULTS, "callbacks": [PairProgress()]},
            parser_kwargs={"exit_on_error": False, "audit": {"exit_on_error": False}, "prog": "lmia"},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=words,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """There is one: `audit`."""
        return {"audit": {"model", "datamodule"}}

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the config; `sys.argv` stays what the user typed, for ranks to be started with."""
        self.config = parser.parse_args(args) if isinstance(args, list) else parser.parse_object(args)

    def _run_subcommand(self, subcommand: str) -> None:
        trainer = self.trainer
        assert isinstance(trainer, Auditor)  # trainer_class says so
        trainer.config = dict(self.tree.get("trainer") or {}) if isinstance(self.tree, dict) else {}
        self.report = trainer.audit(**self._prepare_subcommand_kwargs(subcommand))


def audit(argv: Sequence[str]) -> int:
    """Run `lmia audit` with the words behind it; print the summary and where the report lies."""
    if {"-h", "--help"} & set(argv):
        print(GUIDE)
        with quiet():
            AuditCLI(["--help"])
    tree = request([word for word in argv if word != "--print_config"])
    if "--print_config" in argv:
        print(yaml.safe_dump(tree, sort_keys=False), end="")
        return 0
    try:
        with quiet():
            cli = AuditCLI(tree)
    except ArgumentError as error:
        problem = " ".join(str(error.message).split())
        raise LmiaError(problem.rstrip(".") + ".", "`lmia audit --help` explains every option.") from error
    page = Path(str(cli.report.config["out"])) / "report.html"
    print_summary(cli.report, Console(), page)
    return 0


def plugins(argv: Sequence[str]) -> int:
    """Run `lmia plugins`: one row for every plugin, the broken ones last with their reason."""
    if argv:
        raise LmiaError(f"`lmia plugins` takes no arguments, got {' '.join(argv)}.", "Leave them out.")
    table = Table("kind", "name", "from", "what it is", box=None, header_style="bold")
    for plugin in registry().listing():
        owner = f"{plugin.distribution} {plugin.version}".strip()
        table.add_row(plugin.kind, plugin.name, owner, plugin.summary, style="red" if plugin.kind == "broken" else None)
    console = Console()
    console.print(table)
    return 0


GUIDE = """\
lmia audit: which of these pairs was a model trained on, and how sure can one be?

What you need most
  --plugin NAME            an attack; repeat it for several. `wsa:bench` is a preset; `--plugin.lam 0.5` an option of
                           the last one named; `+NAME` adds to a config's list
  --model SPEC             an open_clip architecture with --pretrained TAG or FILE; hf-hub:ORG/NAME; local-dir:FOLDER
  --members SPEC --nonmembers SPEC           truth known: what does the model leak?
  --suspects SPEC --known-nonmembers SPEC    truth unknown: were these used?
  --pool SPEC              unlabelled pairs that an attack may learn from; cut from the above where it is not given
  --views NAME             the augmentation set, for attacks that compare views; `--views.k 8` is an option of it
  --out DIR                where the report goes (./lmia-audit)
  --fpr 0.01 0.001         false positive rates to report
  --config FILE            all of this from a file; flags go on top
  --trainer.devices 2      how Lightning runs the extraction; every Trainer option is there
  --print_config           print the config that results, and stop

SPEC: 'a/{000..009}.tar' (quoted), 'a/*.tar::b/*.tar', pairs.csv, .tsv, .jsonl, .parquet, or a folder.
      'SPEC?n=3000&seed=0' is a sample of it. Neither model nor data: the demo.

Every option
"""
