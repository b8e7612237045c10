"""Running one attack on label-free samples: fit, score in fixed chunks, check what came back, cross-fit where asked."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.attack import Attack
from lmia.errors import LmiaError
from lmia.samples import Known, Samples

CHUNK = 8192

_ARRAYS = {
    "cosine": {"cosine"},
    "embeddings": {"image", "text"},
    "view_embeddings": {"image", "text", "view_image", "view_text"},
    "gradients": set[str](),
}


def only(samples: Samples, attack: Attack, measured: str | None = None) -> Samples:
    """Return the samples with the arrays that the attack declared, and no others; nothing is copied.

    Args:
        samples: with the arrays of all attacks.
        attack: who asks.
        measured: the array that holds what it measured.
    """
    allowed = {"cosine"}.union(*(_ARRAYS[need] for need in attack.needs))
    arrays = {name: array for name, array in samples.arrays.items() if name in allowed}
    own = f"{measured}/"
    kept = {name.removeprefix(own): array for name, array in samples.measured.items() if name.startswith(own)}
    views = samples.view_names if "views" in attack.requires else samples.view_names[:1]
    for name in ("cosine", "view_image", "view_text"):
        if name in arrays:
            arrays[name] = arrays[name][:, : len(views)]
    return Samples(samples.ids, samples.captions, views, arrays, kept)


def fitted(attack: Attack, known: Known) -> Attack:
    """Return a fitted copy of the attack; the global random state is the seed's inside, and untouched outside."""
    attack = deepcopy(attack)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(known.seed)
        attack.fit(known)
    return attack


def score(attack: Attack, name: str, samples: Samples, seed: int) -> Tensor:
    """Score samples in chunks of fixed size, `(n,)` float64.

    Raises:
        LmiaError: the attack returned another shape, or a score that is not finite.
    """
    parts = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for chunk in samples.chunks(CHUNK):
            scores = attack.score(chunk)
            if not isinstance(scores, Tensor) or scores.shape != (len(chunk),):
                shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
                raise LmiaError(
                    f"The attack '{name}' returned {shape} for {len(chunk)} samples.",
                    f"Its score must return ({len(chunk)},), one number a sample; tell its author.",
                )
            parts.append(scores.detach().double().cpu())
    found = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)
    bad = int((~found.isfinite()).sum())
    if bad:
        raise LmiaError(
            f"The attack '{name}' returned {bad} scores of {len(found)} that are NaN or infinite.",
            "No number is made of that; leave the attack out, or tell its author.",
        )
    return found


def folds(groups: NDArray[np.int64], seed: int) -> NDArray[np.int8]:
    """Put each row into fold 0 or 1 by seed, duplicates together.

    Example:
        >>> folds(np.array([0, 1, 1, 2]), seed=0).shape
        (4,)
    """
    names = np.unique(groups)
    order = np.random.default_rng(seed).permutation(len(names))
    side = np.empty(len(names), np.int8)
    side[order] = np.arange(len(names)) % 2
    return side[np.searchsorted(names, groups)]
