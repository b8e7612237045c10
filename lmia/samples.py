"""What an attack gets to see: samples without labels, what is known beforehand, and facts of the target.

The axes carry the same letters everywhere: n samples, v views (view 0 is the identity), d feature width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from lmia.errors import LmiaError
from lmia.texts import joined, taken

_DECLARE = {"cosine": "cosine", "image": "embeddings", "text": "embeddings"} | {
    "view_image": "view_embeddings",
    "view_text": "view_embeddings",
}


@dataclass(frozen=True)
class Samples:
    """Rows of image-text pairs as a target sees them; frozen and label-free.

    Only the arrays an attack's `needs` ask for are there; reading another one is an error that names the need.

    Args:
        ids: `(n,)` int64, opaque and unique; they say nothing about membership.
        captions: n captions, as the source gave them.
        view_names: v names, the first is `identity`.
        arrays: `cosine (n, v)`; `image (n, d)` and `text (n, d)` of the identity view with their raw norms;
            `view_image (n, v, d)` and `view_text (n, v, d)`.
        measured: what `Attack.measure` returned, each `(n, ...)`.

    Example:
        >>> few = Samples(torch.arange(2), ("a", "b"), ("identity",), {"cosine": torch.tensor([[0.1], [0.3]])})
        >>> few.cosine[:, 0].tolist(), len(few)
        ([0.10000000149011612, 0.30000001192092896], 2)
    """

    ids: Tensor
    captions: Sequence[str]
    view_names: tuple[str, ...]
    arrays: Mapping[str, Tensor]
    measured: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {len(self.ids), len(self.captions), *(len(a) for a in self.arrays.values())}
        sizes |= {len(a) for a in self.measured.values()}
        if len(sizes) > 1:
            raise ValueError(f"Samples need one number of rows in all their arrays, got {sorted(sizes)}.")

    def __len__(self) -> int:
        return len(self.ids)

    def _array(self, name: str) -> Tensor:
        if name not in self.arrays:
            raise LmiaError(
                f"The samples hold no '{name}': they hold {', '.join(sorted(self.arrays)) or 'nothing'}.",
                f"Declare it in the attack: needs = frozenset({{'{_DECLARE[name]}'}}).",
            )
        return self.arrays[name]

    @property
    def cosine(self) -> Tensor:
        """`(n, v)` float32 cosines of image and text features, one column a view."""
        return self._array("cosine")

    @property
    def image(self) -> Tensor:
        """`(n, d)` image features of the identity view, raw norms (needs `embeddings`)."""
        return self._array("image")

    @property
    def text(self) -> Tensor:
        """`(n, d)` text features of the identity view, raw norms (needs `embeddings`)."""
        return self._array("text")

    @property
    def view_image(self) -> Tensor:
        """`(n, v, d)` image features of every view, raw norms (needs `view_embeddings`)."""
        return self._array("view_image")

    @property
    def view_text(self) -> Tensor:
        """`(n, v, d)` text features of every view, raw norms (needs `view_embeddings`)."""
        return self._array("view_text")

    def select(self, rows: Tensor) -> Samples:
        """Return the samples at `rows` ((m,) int64), in that order."""
        return Samples(
            self.ids[rows],
            taken(self.captions, rows.tolist()),
            self.view_names,
            {name: array[rows] for name, array in self.arrays.items()},
            {name: array[rows] for name, array in self.measured.items()},
        )

    def chunks(self, size: int = 8192) -> Iterator[Samples]:
        """Yield consecutive chunks of at most `size` rows; arrays are views, nothing is copied."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Samples(
                self.ids[part],
                self.captions[part],
                self.view_names,
                {name: array[part] for name, array in self.arrays.items()},
                {name: array[part] for name, array in self.measured.items()},
            )


def concat(parts: Sequence[Samples]) -> Samples:
    """Join samples of the same views row after row.

    Raises:
        ValueError: there is nothing to join, or the views or arrays differ.

    Example:
        >>> one = Samples(torch.tensor([7]), ["a"], ("identity",), {"cosine": torch.tensor([[0.1]])})
        >>> concat([one, one]).ids.tolist()
        [7, 7]
    """
    if not parts:
        raise ValueError("concat needs at least one Samples.")
    first = parts[0]
    if any(p.view_names != first.view_names or p.arrays.keys() != first.arrays.keys() for p in parts):
        raise ValueError("concat needs samples of the same views and arrays.")
    return Samples(
        torch.cat([part.ids for part in parts]),
        joined([part.captions for part in parts]),
        first.view_names,
        {name: torch.cat([part.arrays[name] for part in parts]) for name in first.arrays},
        {name: torch.cat([part.measured[name] for part in parts]) for name in first.measured},
    )


@dataclass(frozen=True)
class TargetFacts:
    """What is known of a target beyond its answers.

    Args:
        name: what a person calls it, such as `ViT-B-32-quickgelu, laion400m_e32`.
        logit_scale: the factor t on cosines in its training loss (already exponentiated); None if unknown.
        logit_bias: the bias of a sigmoid loss; None if it has none.
        loss: the contrastive loss it was trained with, `softmax` (CLIP) or `sigmoid` (SigLIP).
        details: anything else worth a line in the report: architecture, activation, precision, preprocessing,
            weights digest, library version; `pairs` (N) and `epochs` (T) of training where known.
    """

    name: str
    logit_scale: float | None = None
    logit_bias: float | None = None
    loss: Literal["softmax", "sigmoid"] = "softmax"
    details: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """The attacker's knowledge, handed to `Attack.fit`: never a row that is judged, never a calibration row.

    Args:
        nonmembers: known non-members (their fit part only).
        pool: unlabelled pairs, members and non-members mixed, or None.
        target: facts of the target.
        seed: the seed of everything random in `fit`.
        members: known members, for attacks that are supervised; None where nobody is known to have been in.
    """

    nonmembers: Samples
    pool: Samples | None
    target: TargetFacts
    seed: int = 0
    members: Samples | None = None
