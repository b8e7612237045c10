"""`lmia fit`: train a target whose members are known, so that an audit of it has a truth to be held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer

from lmia import options
from lmia.defence import Defence
from lmia.errors import LmiaError, nearest
from lmia.flags import Flag, Tree, put, read_config, split
from lmia.guide import section
from lmia.quiet import quiet
from lmia.registry import registry
from lmia.report.visible import visible
from lmia.request import defences, thing
from lmia.specs import source_config, target_config
from lmia.subcommand import SubcommandCLI
from lmia.training import FitData, Learner, Plan, Record, run_fit
from lmia.training.run import TRAINER_DEFAULTS

START = """\
lmia fit: train a target whose members are known, and audit it against the truth.

  lmia fit --model demo,random --source emoji:0:10000 --out mine --stop-auc 0.8
  lmia audit --plugin csa --model local-dir:mine --truth mine/membership.parquet --source emoji:0:10000

What you need most
  --source SPEC            the pairs, as an audit reads them: tar shards, a table, a folder, emoji:0:10000
  --model SPEC             what to begin from: ARCHITECTURE,random; a trained model to fine-tune; local-dir:FOLDER.
                           `demo,random` is the demo's small architecture
  --share 0.5              of the pairs that is drawn into the training; the others are the held-out truth
  --defence NAME           something done against leaks; repeat it for several. `--defence.rate 0.1` is an option of the
                           last one named
  --out DIR                a new folder for the target, membership.parquet, metrics.csv and training.json (./lmia-fit).
                           The same command goes on with a run that was broken off
  --seed 0                 of lots, orders, dropout and first weights
  --config FILE            all of this from a file; flags go on top. OUT/config.yaml replays a run
  --print_config           print the config that results, and stop
  --trainer.devices 2      how Lightning trains: devices, precision ...; `lmia audit --trainer.help` has them all
"""
TOP = ("trainer", "model", "data", "out", "seed")
"""The keys of a config."""
_NAMED = (("model", "target", "model", target_config), ("data", "source", "source", source_config))
"""Where a config holds a thing that is named by a word: section, key, flag, and what turns the word into a class."""


class Fitter(Trainer):
    """A Trainer whose one subcommand makes a target."""

    config: dict[str, Any]

    def fit_target(self, model: Learner, datamodule: FitData, out: Path = Path("lmia-fit"), seed: int = 0) -> Record:
        """Train a target on a drawn part of some pairs, and write it with the manifest of who was in.

        Args:
            model: what learns, and how.
            datamodule: the pairs, and how they are drawn.
            out: a new folder for the target and its manifest.
            seed: of everything random.
        """
        return run_fit(model, datamodule, out, seed, self, self.config)


class FitCLI(SubcommandCLI):
    """LightningCLI with the subcommand `fit_target`, fed with a config that `request` has made.

    Args:
        tree: the config below the subcommand.
    """

    result: Record

    def __init__(self, tree: dict[str, Any]) -> None:
        defaults, seed = dict(TRAINER_DEFAULTS), tree.get("seed", 0)
        super().__init__("fit_target", tree, Learner, FitData, Fitter, defaults, seed, command="fit")


def main(argv: Sequence[str]) -> int:
    """Run `lmia fit` with the words behind it; print what became of it, and how to audit it."""
    words = [word for word in argv if word not in ("--print_config", "--print-config")]
    if {"-h", "--help"} & set(words):
        print(guide())
        return 0
    tree = request(words)
    if len(words) < len(argv):
        print(yaml.safe_dump(tree, sort_keys=False), end="")
        return 0
    with quiet():
        cli = FitCLI(tree)
    if cli.trainer.is_global_zero:
        print(visible(said(cli.result, Path(str(tree.get("out", "lmia-fit")))), lines=True))
    return 0


def said(record: Record, out: Path) -> str:
    """Say what a training made, and what to do with it."""
    figures = record.last
    lines = [
        f"{record.pairs:,} of {record.pairs + record.held_out:,} pairs were in, {record.epochs} epochs: "
        f"live AUC {figures['auc']:.3f}, R@1 {figures['recall']:.3f} held out and {figures['recall in']:.3f} in.",
        *(f"{name}: {value:.4g}" for name, value in record.promises.items()),
        f"The target is in {out}; audit it against the truth:",
        f"  lmia audit --plugin csa --model local-dir:{out} --truth {out}/membership.parquet --source SPEC",
    ]
    return "\n".join(lines)


def guide() -> str:
    """Return the whole of `lmia fit --help`.

    Example:
        >>> "--stop-auc" in guide() or "--stop_auc" in guide()
        True
    """
    parts = [START, section("The training", Plan, None), section("The data", FitData, None, {"source"})]
    for plugin in registry().listing():
        if plugin.cls is not None and plugin.kind == "defence" and plugin.cls.around is Defence.around:
            title = f"Defence {plugin.name}: {plugin.summary}"
            parts.append(section(title, plugin.cls, "defence"))
    return "\n".join(parts)


def request(argv: Sequence[str]) -> Tree:
    """Turn the words behind `lmia fit` into a config with class paths, checked as far as nothing is made yet.

    Raises:
        LmiaError: a flag, key, name, spec or value is wrong.

    Example:
        >>> request(["--source", "emoji:0:10", "--epochs", "x", "--model", "demo,random"])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The option 'epochs' of the training cannot be 'x'.
        It takes int.
    """
    flags = split(argv)
    tree = _configs(flags)
    tree["model"]["defence"] = defences(tree["model"].get("defence"), flags)
    for part, key, flag_name, name in _NAMED:
        named = [flag.text for flag in flags if flag.name == flag_name]
        given = named[-1] if named else tree[part].get(key)
        if given is None:
            raise LmiaError(f"No {key} is given.", f"Give --{flag_name} SPEC; `lmia fit --help` shows how.")
        tree[part][key] = name(given) if isinstance(given, str) else given
    for flag in flags:
        _apply(tree, flag)
    return _checked(tree)


def _configs(flags: Sequence[Flag]) -> Tree:
    tree = read_config([flag.text for flag in flags if flag.name == "config"], TOP)
    for name in ("trainer", "model", "data"):
        tree[name] = dict(tree.get(name) or {})
    tree["model"]["plan"] = dict(tree["model"].get("plan") or {})
    return tree


def _apply(tree: Tree, flag: Flag) -> None:
    """Put a flag where it belongs: every option of the training and of the data has its own, short name."""
    head, _, rest = flag.name.partition(".")
    if head in ("config", "defence") or flag.name in ("model", "source"):
        return
    if head in ("trainer", "data") and rest:
        put(tree, flag.name, flag.value)
    elif head in ("model", "source") and rest:
        put(tree, f"{'model.target' if head == 'model' else 'data.source'}.{rest}", flag.value)
    elif flag.name in options.names(Plan):
        tree["model"]["plan"][flag.name] = flag.value if flag.words else True
    elif flag.name in options.names(FitData):
        tree["data"][flag.name] = flag.value
    elif flag.name in ("out", "seed"):
        tree[flag.name] = flag.value
    else:
        known = {*TOP, *options.names(Plan), *options.names(FitData), "defence", "config"}
        raise LmiaError(f"There is no option {flag.typed}.", nearest(flag.name, known))


def _checked(tree: Tree) -> Tree:
    """Check every name and value against the signatures they are for."""
    top = options.checked("fit", run_fit, {name: tree[name] for name in ("out", "seed") if name in tree})
    model = tree["model"]
    _check_keys("model", model, options.names(Learner))
    target = thing("target", model["target"])
    if "seed" in options.names(registry().get("target", target["class_path"])):
        target["init_args"].setdefault("seed", top.get("seed", 0))
    if "max_epochs" in tree["trainer"]:
        raise LmiaError("The trainer's max_epochs is not how a training ends here.", "Give --epochs N.")
    return {
        "trainer": options.checked("trainer", Trainer, tree["trainer"]),
        "model": {
            "target": target,
            "plan": options.checked("training", Plan, model["plan"]),
            "defence": [thing("defence", config) for config in model["defence"]],
        },
        "data": options.checked("data", FitData, {**tree["data"], "source": thing("source", tree["data"]["source"])}),
        **top,
    }


def _check_keys(where: str, given: Mapping[str, object], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise LmiaError(f"The config's {where} has no key '{name}'.", nearest(name, known))
