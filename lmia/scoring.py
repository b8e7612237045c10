"""Running one attack on label-free samples: fit, score in fixed chunks, check what came back, cross-fit where asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.attack import Attack
from lmia.contained import bits, contained
from lmia.errors import LmiaError
from lmia.returned import told
from lmia.samples import Known, Samples
from lmia.texts import Texts

CHUNK = 8192

_ARRAYS = {
    "cosine": {"cosine"},
    "embeddings": {"image", "text"},
    "view_embeddings": {"image", "text", "view_image", "view_text"},
    "gradients": set[str](),
}


def only(samples: Samples, attack: Attack, measured: str | None = None) -> Samples:
    """Return the samples with the arrays that the attack declared, and no others; no array is copied.

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
    captions = samples.captions if isinstance(samples.captions, Texts) else tuple(samples.captions)
    return Samples(samples.ids, captions, views, arrays, kept)


def fitted(attack: Attack, known: Known) -> Attack:
    """Return a fitted copy of the attack; the global random state is the seed's inside, and untouched outside.

    Raises:
        LmiaError: the attack changed what it was given, or tried to end the program.
    """
    attack, name = deepcopy(attack), type(attack).__name__.lower()
    with contained(f"The attack '{name}'"), _kept(name, known.nonmembers, known.pool, known.members):
        torch.manual_seed(known.seed)
        attack.fit(known)
    return attack


def score(attack: Attack, name: str, samples: Samples, seed: int) -> Tensor:
    """Score samples in chunks of fixed size, `(n,)` float64.

    Raises:
        LmiaError: the attack returned another shape, or a score that is not finite; it changed what it was given, or tried
            to end the program.
    """
    parts = []
    with contained(f"The attack '{name}'"), _kept(name, samples), torch.no_grad():
        torch.manual_seed(seed)
        for chunk in samples.chunks(CHUNK):
            scores: object = attack.score(chunk)
            if not isinstance(scores, Tensor) or scores.shape != (len(chunk),) or scores.is_complex():
                raise LmiaError(
                    f"The attack '{name}' returned {told(scores)} for {len(chunk)} samples.",
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


@contextmanager
def _kept(name: str, *given: Samples | None) -> Iterator[None]:
    """Refuse an attack that changes its samples: the next one reads the same memory."""
    arrays = [array for one in given if one for array in (one.ids, *one.arrays.values(), *one.measured.values())]
    before = [_imprint(array) for array in arrays]
    yield
    if before != [_imprint(array) for array in arrays]:
        remedy = "Other attacks read the same memory: it must work on copies; tell its author."
        raise LmiaError(f"The attack '{name}' changed the samples that it was given.", remedy)


def _imprint(array: Tensor) -> tuple[int, bytes, bytes]:
    """Tell an array from what becomes of it, by sums: of each row, and of each column for what is sorted within rows."""
    whole = bits(array if array.dim() > 1 else array[:, None])
    return array._version, whole.sum(-1).numpy().tobytes(), whole.sum(0).numpy().tobytes()


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
