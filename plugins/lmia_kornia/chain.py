"""One view of a picture, made of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Step = Callable[[Tensor], Tensor]
"""`(b, 3, h, w)` float32 in [0, 1] to the same shape, row by row."""

CACHED = 2**20
"""Numbers worked on at once on a CPU: more fall out of its cache between steps (colour and JPEG: 1.5 times slower)."""


@dataclass(frozen=True)
class Chain:
    """One view of a picture: steps one after the other, computed in float32 whatever comes in.

    Args:
        steps: what to do, in order.

    Raises:
        TypeError: the pixels are whole numbers, so that [0, 1] cannot be meant.

    Example:
        >>> from lmia_kornia.geometry import Flip
        >>> from lmia_kornia.optics import Jitter
        >>> view = Chain((Flip(horizontal=True), Jitter(brightness=1.5)))
        >>> view(torch.full((2, 3, 4, 4), 0.9, dtype=torch.bfloat16))[0, 0, 0, 0]
        tensor(1., dtype=torch.bfloat16)
    """

    steps: tuple[Step, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Transform `(b, 3, h, w)` in [0, 1] into the same shape, dtype, device and range."""
        if not pixels.is_floating_point():
            raise TypeError(f"A view needs float pixels in [0, 1], got {pixels.dtype}.")
        if not len(pixels):  # kornia's codec refuses an empty batch
            return pixels
        size = max(1, CACHED // pixels[0].numel()) if pixels.device.type == "cpu" else len(pixels)
        with torch.autocast(pixels.device.type, enabled=False):
            parts = [self._run(part.float()).to(pixels.dtype) for part in torch.split(pixels, size)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _run(self, pixels: Tensor) -> Tensor:
        seen = pixels
        for step in self.steps:
            seen = step(seen)
        theirs = seen.untyped_storage().data_ptr() == pixels.untyped_storage().data_ptr()  # a step that did nothing
        return seen.clamp(0, 1) if theirs else seen.clamp_(0, 1)
