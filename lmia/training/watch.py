"""What an epoch did to a model's use and to its secrets: the figures of metrics.csv, and when they are enough."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from lmia.evidence import auroc
from lmia.membership import Membership
from lmia.trainable import Trainable
from lmia.training.data import seeded
from lmia.training.learner import Learner
from lmia.training.pairs import Pairs

CHUNK = 256
METRICS = "metrics.csv"
COLUMNS = ("epoch", "loss", "recall", "recall in", "auc", "scale")

Figures = dict[str, float]


@dataclass(frozen=True)
class Watched:
    """The pairs that figures are taken from.

    Args:
        pairs: of the source.
        tokens: `(n, l)` of their captions.
        inside: rows of members that an epoch shows once; repeated ones only where there are no others.
        outside: rows of pairs that are not in.
    """

    pairs: Pairs
    tokens: Tensor
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]

    @classmethod
    def chosen(cls, pairs: Pairs, tokens: Tensor, membership: Membership, count: int, seed: int) -> Watched:
        """Draw up to `count` rows of either side."""
        once = np.flatnonzero(membership.repeats == 1)
        sides = (once if len(once) else np.flatnonzero(membership.inside), np.flatnonzero(~membership.inside))
        lots = np.random.default_rng(seeded(seed, "watched"))
        return cls(pairs, tokens, *(np.sort(lots.permutation(side)[:count]) for side in sides))

    def figures(self, towers: Trainable) -> Figures:
        """Measure use (`recall`, on pairs that are not in) and leak (`auc`); what has no pairs is NaN."""
        device = next(towers.parameters()).device
        learning = towers.training
        towers.eval()
        with torch.inference_mode():
            image, text = (self._features(towers, rows, device) for rows in (self.inside, self.outside))
        towers.train(learning)
        cosines = torch.cat([(i * t).sum(1) for i, t in (image, text)])
        labels = torch.arange(len(cosines)) < len(self.inside)
        both = len(self.inside) > 0 and len(self.outside) > 0
        return {
            "recall": recall(*text),
            "recall in": recall(*image),
            "auc": auroc(cosines, labels).value if both else float("nan"),
            "scale": float(towers.temperature.detach().exp()),
        }

    def _features(self, towers: Trainable, rows: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return normalised features `(m, d)` and `(m, d)` of some rows, on the CPU."""
        if not len(rows):
            return torch.zeros(0, 1), torch.zeros(0, 1)
        found: list[tuple[Tensor, Tensor]] = []
        for part in torch.split(torch.from_numpy(rows), CHUNK):
            pixels, tokens = self.pairs.pixels[part].to(device), self.tokens[part].to(device)
            pair = towers.encode_image(pixels.float() / 255), towers.encode_text(tokens)
            found.append((normalize(pair[0].float(), dim=-1).cpu(), normalize(pair[1].float(), dim=-1).cpu()))
        images, texts = zip(*found, strict=True)
        return torch.cat(images), torch.cat(texts)


def recall(image: Tensor, text: Tensor) -> float:
    """Return R@1 of n pairs among themselves, the mean of both directions: `(n, d)` and `(n, d)`, normalised, to [0, 1].

    A pair whose best match is shared with another counts as not found unless the first of them is its own. NaN for none.

    Example:
        >>> recall(torch.eye(3), torch.eye(3)[[0, 2, 1]])
        0.3333333432674408
    """
    if not len(image):
        return float("nan")
    own = torch.arange(len(image))
    found = [(one @ other.T).argmax(1) == own for one, other in ((image, text), (text, image))]
    return float(torch.stack(found).float().mean())


class Watch(Callback):
    """Measures every epoch, writes it down, and stops the training where the plan or a defence says so.

    Args:
        out: folder of metrics.csv.
    """

    watched: Watched
    """The pairs; set once they are there."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.epochs: list[Figures] = []

    def state_dict(self) -> dict[str, object]:
        """Return what a resumed run has to know."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Take up where a broken run ended."""
        epochs = state_dict["epochs"]
        assert isinstance(epochs, list)  # as above
        self.epochs = epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once where a broken run had already reached its end."""
        assert isinstance(pl_module, Learner)
        trainer.should_stop = self.enough(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, write, and say whether it is enough; every rank measures the same."""
        assert isinstance(pl_module, Learner)
        loss = float(trainer.callback_metrics["loss"])
        figures = {"epoch": float(trainer.current_epoch + 1), "loss": loss, **self.watched.figures(pl_module.towers)}
        self.epochs.append(figures)
        if trainer.is_global_zero:
            write_metrics(self.out / METRICS, self.epochs)
            print(said(figures), file=sys.stderr)
        trainer.should_stop = self.enough(pl_module)

    def enough(self, learner: Learner) -> bool:
        """Whether the figures so far end the training."""
        if not self.epochs:
            return False
        plan, last = learner.plan, self.epochs[-1]
        reached = [
            plan.stop_auc is not None and last["auc"] >= plan.stop_auc,
            plan.stop_recall is not None and last["recall in"] >= plan.stop_recall,
            *(defence.enough(self.epochs) for defence in learner.defences),
        ]
        return any(reached)


def said(figures: Mapping[str, float]) -> str:
    """Say an epoch's figures to a person.

    Example:
        >>> said({"epoch": 3, "loss": 2.5, "recall": 0.125, "recall in": 0.5, "auc": float("nan"), "scale": 14.0})
        'epoch 3: loss 2.500, R@1 .125 held out and .500 in, live AUC -'
    """
    recall, inside, auc = (_short(figures[name]) for name in ("recall", "recall in", "auc"))
    return f"epoch {figures['epoch']:.0f}: loss {figures['loss']:.3f}, R@1 {recall} held out and {inside} in, live AUC {auc}"


def _short(value: float) -> str:
    return "-" if value != value else f"{value:.3f}".removeprefix("0")


def write_metrics(path: Path, epochs: Sequence[Mapping[str, float]]) -> None:
    """Write the figures of all epochs, one line each."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([[f"{one[name]:.6g}" for name in COLUMNS] for one in epochs])
