"""What `lmia audit --help` says: how to ask, and every option of everything installed, from its own signature."""

from __future__ import annotations

import re
from argparse import SUPPRESS
from collections.abc import Callable, Collection
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer

from lmia.audit import run_audit
from lmia.data import AuditData
from lmia.defence import Defence
from lmia.extract import FeatureExtractor
from lmia.flags import ROLES
from lmia.registry import registry

START = """\
lmia audit: which of these pairs was a model trained on, and how sure can one be?

What you need most
  --plugin NAME            an attack; repeat it for several. `wsa:bench` is a preset; `--plugin.lam 0.5` an option of
                           the last one named; `+NAME` adds to a config's list
  --model SPEC             an open_clip architecture with --pretrained TAG or FILE; hf-hub:ORG/NAME; local-dir:FOLDER
  --members SPEC --nonmembers SPEC           truth known: what does the model leak?
  --truth FILE --source SPEC                 truth drawn by lot: the manifest that a training left (key, in, repeats), and
                           the pairs it drew from; the regime is then `one-run` unless --regime says otherwise
  --suspects SPEC --known-nonmembers SPEC    truth unknown: were these used?
  --pool SPEC              unlabelled pairs that an attack may learn from; cut from the above where it is not given
  --placebo SPEC           a model that cannot have seen the data, to run the attacks on as well; repeat it for several.
                           The target's own architecture with random weights is always run
  --defence NAME           what answers in the model's stead, such as `rounding`; repeat it for several
  --views NAME             the augmentation set, for attacks that compare views; `--views.k 8` is an option of it
  --out DIR                where the report goes (./lmia-audit)
  --fpr 0.01 0.001         false positive rates to report
  --show-pairs             also write pairs.html, with pictures and captions of the audited data
  --config FILE            all of this from a file; flags go on top
  --print_config           print the config that results, and stop
  --trainer.devices 2      how Lightning runs the extraction; `lmia audit --trainer.help` has the rest

SPEC: 'a/{000..009}.tar' (quoted), 'a/*.tar::b/*.tar', pairs.csv, .tsv, .jsonl, .parquet, or a folder.
      'SPEC?n=3000&seed=0' is a sample of it. Neither model nor data: the demo.
"""
_FLAG = {"attack": "plugin", "target": "model", "views": "views", "source": "members", "defence": "defence"}


def guide() -> str:
    """Return the whole of `lmia audit --help`.

    Example:
        >>> "--plugin NAME" in guide() and "--data.batch BATCH" in guide()
        True
    """
    parts = [
        START,
        section(
            "The audit", run_audit, None, {"model", "data", "plugin", "placebo", "trainer", "trainer_config", "demo"}
        ),
        section("The model", FeatureExtractor, "model", {"target", "views", "defence"}),
        section("The data", AuditData, "data", set(ROLES)),
    ]
    for plugin in registry().listing():
        if plugin.cls is not None and plugin.kind in _FLAG and not _of_training(plugin.cls):
            title = f"{plugin.kind.capitalize()} {plugin.name}: {plugin.summary}"
            parts.append(section(title, plugin.cls, _FLAG[plugin.kind]))
    return "\n".join(parts)


def _of_training(cls: type) -> bool:
    """Whether it is a defence that changes no answers: `lmia fit --help` has those."""
    return issubclass(cls, Defence) and cls.around is Defence.around


def trainer_guide() -> str:
    """Return the whole of `lmia audit --trainer.help`.

    Example:
        >>> "--trainer.devices DEVICES" in trainer_guide()
        True
    """
    return section("Lightning's Trainer, which runs the extraction", Trainer, "trainer")


def section(title: str, maker: Callable[..., Any], flag: str | None, skip: Collection[str] = ()) -> str:
    """Return a title and a line or more for every option of a class or function: its words, its type, its default.

    Args:
        title: in one line.
        maker: whose parameters are the options.
        flag: what stands before their names, as in `--plugin.lam`.
        skip: parameters that are no options.

    Example:
        >>> def audit(seed: int = 0) -> None:
        ...     '''Audit.
        ...
        ...     Args:
        ...         seed: of everything.
        ...     '''
        >>> print(section("The audit", audit, None))
        The audit
          --seed SEED  of everything. (type: int, default: 0)
        <BLANKLINE>
    """
    parser = ArgumentParser(usage=SUPPRESS, add_help=False, default_meta=False)
    add = parser.add_class_arguments if isinstance(maker, type) else parser.add_function_arguments
    add(maker, flag, skip=set(skip), fail_untyped=False)
    text = re.sub(r", --\S+\+ \S+", "", parser.format_help())  # jsonargparse's `--fpr+ FPR`: there is no such flag here
    lines = text.splitlines()[1:]
    return "\n".join([title, *(line for line in lines if "Path to a configuration file" not in line), ""])
