"""A binary classifier on feature rows, trained with Lightning: the attack model of weakly supervised attacks."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lmia.errors import LmiaError

_VALIDATION = "validation loss"
_VALIDATION_BATCH = 4096
_STEPS = 32
"""How many batches Lightning hands over at a time: its bookkeeping costs a millisecond, a small net's step three."""


def build_network(network: Literal["mlp", "linear"], width: int, *, seed: int) -> nn.Sequential:
    """Make an untrained classifier from `(b, width)` features to `(b, 2)` logits; the global generator stays as it was.

    `mlp` is the attack model of Ko et al. (ICCV 2023, arXiv 2310.00108; layer sizes from their code):
    width-512-256-128-2 with ReLU. `linear` is logistic regression: one logit, beside the constant 0 for class 0, so that
    cross entropy on the two is binary cross entropy on the one.

    Args:
        network: which of the two.
        width: feature width d.
        seed: of the initial weights.

    Example:
        >>> build_network("linear", 3, seed=0)(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that reseeds the accelerators too
        if network == "linear":
            return nn.Sequential(nn.Linear(width, 1), nn.ConstantPad1d((1, 0), 0.0))
        layers: list[nn.Module] = []
        for inputs, outputs in ((width, 512), (512, 256), (256, 128)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(128, 2))


def fit_classifier(
    features: Tensor,
    labels: Tensor,
    *,
    network: Literal["mlp", "linear"] = "mlp",
    epochs: int = 15,
    batch: int = 32,
    patience: int = 3,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    validation: float = 0.1,
    keep: Literal["best", "last"] = "best",
    accelerator: Literal["auto", "cpu", "gpu"] = "auto",
    seed: int,
) -> nn.Module:
    """Train a binary classifier with cross entropy and AdamW (which is Adam where `weight_decay` is 0).

    All randomness comes from `seed`: the initial weights (`build_network`), and one generator that draws first the
    order of all rows, whose first `floor(validation * n)` (at least one) are held out, then the order of each epoch.
    Nothing is written to disk or printed, the global generators are neither read nor moved, and on a CPU one thread does
    the work: the result is the same however many there are.

    Args:
        features: `(n, d)` float, finite; read by row, neither copied as a whole nor changed.
        labels: `(n,)` integers, 0 or 1, both present.
        network: `mlp` or `linear`, as in `build_network`.
        epochs: at most so many passes over the training rows.
        batch: rows a step.
        patience: stop after so many epochs without a smaller validation loss.
        lr: learning rate.
        weight_decay: decoupled weight decay.
        validation: share of rows held out; 0 holds out none, and trains all epochs.
        keep: weights of the epoch with the smallest validation loss, or of the last epoch.
        accelerator: where to train, as Lightning's Trainer calls it; one device.
        seed: of everything random.

    Returns:
        The trained network, `(b, d)` float32 to `(b, 2)` logits, in eval mode on the CPU.

    Raises:
        ValueError: features or labels are not as described, or `keep="best"` without validation rows.
        LmiaError: features hold NaN or infinity, or training diverged.

    Example:
        >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        >>> net = fit_classifier(x, (x[:, 0] > 0).long(), network="linear", epochs=40, lr=0.05, seed=0, accelerator="cpu")
        >>> bool((net(x).argmax(dim=1) == (x[:, 0] > 0)).float().mean() > 0.95)
        True
    """
    _check(features, labels, validation, keep)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(features), generator=generator)
    held_out = max(1, int(validation * len(features))) if validation else 0
    training = _Batches(features, labels, order[held_out:], _STEPS * batch, generator)
    held = _Batches(features, labels, order[:held_out], _VALIDATION_BATCH) if held_out else None
    best = _BestWeights()
    callbacks = [EarlyStopping(_VALIDATION, patience=patience), best] if held_out else []
    # A caller may stand in inference mode, where nothing can be trained.
    with _silence(), one_thread(), torch.inference_mode(False), torch.enable_grad():
        module = _Classifier(build_network(network, features.shape[1], seed=seed), batch, lr, weight_decay)
        _trainer(epochs, callbacks, accelerator).fit(module, training, held)
    if (held and not best.weights) or not all(bool(w.isfinite().all()) for w in module.parameters()):
        raise LmiaError(f"Training diverged at lr {lr:g}: loss or weights are not finite.", "Use a smaller lr.")
    if keep == "best":
        module.load_state_dict(best.weights)
    return module.network.cpu().eval().requires_grad_(False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one CPU thread: sums are split among threads, so their number shows in the last bits.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _check(features: Tensor, labels: Tensor, validation: float, keep: str) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1] or len(labels) < 2:
        raise ValueError(
            f"A classifier needs (n, d) features and (n,) labels, n > 1, got {tuple(features.shape)} and {tuple(labels.shape)}."
        )
    if (found := torch.unique(labels).tolist()) != [0, 1]:
        raise ValueError(f"A classifier needs labels 0 and 1, both present, got {found[:5]}.")
    if not 0 <= validation < 1 or (keep == "best" and not validation):
        raise ValueError(f"keep='best' needs a share of validation rows above 0 and below 1, got {validation}.")
    if not all(bool(end.isfinite()) for end in features.aminmax()):  # NaN if one is; no (n, d) mask in memory
        rows = int((~features.isfinite()).any(dim=1).sum())
        raise LmiaError(f"Features hold NaN or infinity in {rows} of {len(features)} rows.", "Try a higher precision.")


class _Batches:
    """Batches cut by row number: no workers, no collation row by row, and no draw from the global generator."""

    def __init__(
        self, features: Tensor, labels: Tensor, rows: Tensor, batch: int, generator: torch.Generator | None = None
    ) -> None:
        self.features, self.labels, self.rows, self.batch, self.generator = features, labels, rows, batch, generator

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows = self.rows
        if self.generator is not None:
            rows = rows[torch.randperm(len(rows), generator=self.generator)]
        for part in torch.split(rows, self.batch):
            yield self.features[part].float(), self.labels[part].long()


class _Classifier(LightningModule):
    """The network under cross entropy and AdamW."""

    def __init__(self, network: nn.Module, batch: int, lr: float, weight_decay: float) -> None:
        super().__init__()
        self.network, self.batch, self.lr, self.weight_decay = network, batch, lr, weight_decay
        self.automatic_optimization = False  # see _STEPS

    def training_step(self, several: tuple[Tensor, Tensor]) -> None:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)  # the one of configure_optimizers
        for features, labels in zip(*(torch.split(part, self.batch) for part in several), strict=True):
            optimizer.zero_grad()
            torch.autograd.backward(cross_entropy(self.network(features), labels))
            optimizer.step()

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        features, labels = batch
        self.log(_VALIDATION, cross_entropy(self.network(features), labels), batch_size=len(labels))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.network.parameters(), self.lr, weight_decay=self.weight_decay, fused=True)


class _BestWeights(Callback):
    """Remember the weights of the epoch with the smallest validation loss, in memory."""

    def __init__(self) -> None:
        self.loss = math.inf
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(trainer.callback_metrics[_VALIDATION])
        if loss < self.loss:
            self.loss = loss
            self.weights = {name: value.clone() for name, value in pl_module.state_dict().items()}


def _trainer(epochs: int, callbacks: Sequence[Callback], accelerator: str) -> Trainer:
    return Trainer(
        accelerator=accelerator,
        devices=1,
        plugins=[LightningEnvironment()],  # one process, whatever cluster the audit itself was started on
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Lightning's hints to itself while it trains a small net inside somebody's audit."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PossibleUserWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
