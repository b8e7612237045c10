"""A small CLIP and its training loop, which watches its own leak: the AUC of members' against non-members' cosines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from open_clip import CLIP, ClipLoss
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor

CONTEXT = 24


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Args:
        stop_auc: stop after the first epoch whose live AUC reaches this.
        max_epochs: stop here at the latest.
        batch: pairs per step.
        lr: the highest learning rate, after the warm-up.
    """

    stop_auc: float = 0.80
    max_epochs: int = 24
    batch: int = 128
    lr: float = 1e-3


def architecture(image_size: int = 48) -> dict[str, object]:
    """Return OpenCLIP's `model_cfg` of the small CLIP: 0.5 million parameters, and 3.2 million of token embedding.

    Example:
        >>> architecture()["embed_dim"]
        64
    """
    return {
        "embed_dim": 64,
        "vision_cfg": {"image_size": image_size, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32},
        "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
    }


def live_auc(members: Tensor, nonmembers: Tensor) -> float:
    """Share of (member, non-member) couples whose member scores higher, ties counted half: (m,), (n,) -> AUC.

    Example:
        >>> live_auc(torch.tensor([0.9, 0.5]), torch.tensor([0.5, 0.1]))
        0.875
    """
    ordered = nonmembers.double().sort().values
    below = torch.searchsorted(ordered, members.double(), right=False)
    up_to = torch.searchsorted(ordered, members.double(), right=True)
    return float((below + up_to).double().mean() / (2 * len(nonmembers)))


def cosines(model: CLIP, pixels: Tensor, tokens: Tensor) -> Tensor:
    """Cosine of each pair: `(n, 3, s, s)` uint8 and `(n, l)` tokens -> `(n,)`, the model in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        parts = []
        for start in range(0, len(pixels), 500):
            part = slice(start, start + 500)
            image = model.encode_image(_normal(pixels[part]), normalize=True)
            parts.append((image * model.encode_text(tokens[part], normalize=True)).sum(-1))
    return torch.cat(parts)


def _normal(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1  # mean and std 0.5, as folder.PREPROCESSING says


def fit(
    model: CLIP, pixels: Tensor, tokens: Tensor, times: Tensor, watch: tuple[Tensor, Tensor], plan: Plan
) -> list[float]:
    """Train `model` in place; randomness is drawn from torch's generator, which the caller seeds.

    Args:
        model: a CLIP that returns image features, text features and the scale.
        pixels: `(n, 3, s, s)` uint8.
        tokens: `(n, l)` int64.
        times: `(n,)`, how often an epoch shows each pair; 0 for non-members.
        watch: rows of members and rows of non-members that the live AUC is taken from.
        plan: how long and how fast.

    Returns:
        The live AUC after each epoch.
    """
    shown = torch.repeat_interleave(torch.arange(len(times)), times)
    steps = plan.max_epochs * -(-len(shown) // plan.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.lr, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps))
    aucs: list[float] = []
    with _progress() as bar:
        task = bar.add_task("training", total=steps, auc="")
        for _ in range(plan.max_epochs):
            model.train()
            for rows in _batches(shown, plan.batch):
                _step(model, _normal(pixels[rows]), tokens[rows], optimizer)
                schedule.step()
                bar.advance(task)
            inside, outside = (cosines(model, pixels[rows], tokens[rows]) for rows in watch)
            aucs.append(live_auc(inside, outside))
            bar.update(task, auc=f"AUC {aucs[-1]:.3f}")
            bar.console.print(f"epoch {len(aucs)}: live AUC {aucs[-1]:.3f}")
            if aucs[-1] >= plan.stop_auc:
                break
    return aucs


def _share(step: int, steps: int) -> float:
    """Share of the highest learning rate at a step: up in a line over the first tenth, down in a cosine to zero."""
    return min(10 * (step + 1) / steps, 0.5 + 0.5 * math.cos(math.pi * step / steps))


def _step(model: CLIP, pixels: Tensor, tokens: Tensor, optimizer: torch.optim.Optimizer) -> None:
    image, text, scale = model(pixels, tokens)
    optimizer.zero_grad()
    ClipLoss()(image, text, scale).backward()
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, 4.6052)  # a scale of at most 100, as OpenCLIP trains


def _batches(shown: Tensor, size: int) -> Iterator[Tensor]:
    """Yield shuffled batches; a pair drawn twice into one is shown once there, so as not to be its own negative."""
    order = shown[torch.randperm(len(shown))]
    for start in range(0, len(order), size):
        yield torch.tensor(sorted(set(order[start : start + size].tolist())))


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[auc]}"), console=Console(stderr=True))
