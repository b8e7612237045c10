"""Train a small CLIP whose members are known: `python -m lmia_demo.train --source emoji:0:10000 --out target`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jsonargparse import auto_cli
from open_clip import CLIP, SimpleTokenizer
from torch import Tensor

from lmia.errors import LmiaError
from lmia_demo.corpus import open_source, read_corpus
from lmia_demo.folder import WEIGHTS, write_membership, write_shards, write_target
from lmia_demo.halves import in_half
from lmia_demo.learner import CONTEXT, Plan, architecture, fit


@dataclass(frozen=True)
class Training:
    """What happened; written as `training.json`.

    Args:
        source: the spec of the pairs.
        pairs: how many were trained on, the members.
        held_out: how many usable ones were not, the non-members.
        repeated: how many of these an epoch showed `repeats` times (the first ones, in the source's order).
        repeats: how often.
        epochs: how many epochs it took.
        seed: of halves, initial weights and order.
        live_aucs: after each epoch, the AUC of members' cosines against non-members', on the pairs that were watched,
            repeated ones left out.
        stop_auc: where training was to stop.
        dropped: records left out, by reason.
        torch: the version that trained it.
    """

    source: str
    pairs: int
    held_out: int
    repeated: int
    repeats: int
    epochs: int
    seed: int
    live_aucs: list[float]
    stop_auc: float
    dropped: dict[str, int]
    torch: str


def train(
    source: str,
    out: Path,
    seed: int = 0,
    repeated: int = 200,
    repeats: int = 8,
    stop_auc: float = 0.80,
    max_epochs: int = 24,
    batch: int = 128,
    lr: float = 1e-3,
    image_size: int = 48,
    near_copies: int | None = None,
    watched: int = 1000,
    threads: int = 2,
    shards: bool = False,
) -> Training:
    """Train a CLIP from scratch on a seeded random half of a source's pairs, until it remembers them well enough.

    Args:
        source: any source that lmia reads: `emoji:0:10000`, tar shards, a table, a folder.
        out: a new folder for the target (`--model local-dir:OUT`), `training.json` and `membership.csv`.
        seed: of halves, initial weights and order.
        repeated: how many members an epoch shows more than once: something plain to find.
        repeats: how often an epoch shows those.
        stop_auc: stop after the first epoch whose live AUC (members against non-members, by cosine) reaches this.
        max_epochs: stop here at the latest; the learning rate falls to zero towards it.
        batch: pairs per step.
        lr: the highest learning rate (AdamW, warm-up and cosine).
        image_size: side of the model's input in pixels, a multiple of 8.
        near_copies: leave out a picture within so many bits (of 64, perceptual hash) of an earlier one.
        watched: how many members and how many non-members the live AUC is taken from.
        threads: CPU threads of torch.
        shards: also write `shards/members-*.tar` and `shards/nonmembers-*.tar`, to audit the target with.

    Raises:
        LmiaError: nobody reads `source`, it holds too few pairs, or `out` already holds a target.
    """
    if (out / WEIGHTS).exists() or (out / "shards").exists():
        raise LmiaError(f"'{out}' already holds a target.", "Give another --out, or remove that folder.")
    torch.set_num_threads(threads)
    opened = open_source(source)
    corpus = read_corpus(opened, image_size, near_copies)
    times = _times(corpus.keys, seed, repeated, repeats)
    tokens = SimpleTokenizer(context_length=CONTEXT)(corpus.captions)
    config = architecture(image_size)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIP(**config, output_dict=False)
        plan = Plan(stop_auc, max_epochs, batch, lr)
        aucs = fit(model, corpus.pixels, tokens, times, _watched(times, watched), plan)
    done = Training(
        source=source,
        pairs=int((times > 0).sum()),
        held_out=int((times == 0).sum()),
        repeated=int((times > 1).sum()),
        repeats=repeats,
        epochs=len(aucs),
        seed=seed,
        live_aucs=[round(auc, 4) for auc in aucs],
        stop_auc=stop_auc,
        dropped=dict(corpus.dropped),
        torch=torch.__version__,
    )
    out.mkdir(parents=True, exist_ok=True)
    write_target(out, model, config, tokens)
    write_membership(out, corpus.keys, times)
    if shards:
        write_shards(out, opened, corpus.keys, times)
    (out / "training.json").write_text(json.dumps(asdict(done), indent=2) + "\n")
    return done


def _times(keys: list[str], seed: int, repeated: int, repeats: int) -> Tensor:
    times = torch.tensor([int(in_half(key, seed)) for key in keys])
    members = times.nonzero()[:, 0]
    if len(members) in (0, len(keys)):
        raise LmiaError(f"One half of the {len(keys)} pairs is empty.", "Give more pairs.")
    times[members[:repeated]] = repeats
    return times


def _watched(times: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Choose rows of members and of non-members; repeated members only where there are no others."""
    inside = (times == 1).nonzero()[:, 0] if (times == 1).any() else (times > 0).nonzero()[:, 0]
    outside = (times == 0).nonzero()[:, 0]
    return (
        inside[torch.randperm(len(inside))[:count]],
        outside[torch.randperm(len(outside))[:count]],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `train` from the command line; a user's mistake is two lines and exit code 2.

    Args:
        arguments: what stands behind the program's name; the process's own unless told.
    """
    try:
        done = auto_cli(train, args=None if arguments is None else list(arguments), as_positional=False)
    except LmiaError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{done.pairs} members, {done.held_out} non-members, {done.epochs} epochs, live AUC {done.live_aucs[-1]:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
