"""Pictures brought to a model's size: by open_clip's own steps on Pillow, or by torch, which does the same sums faster.

Pillow resizes a byte at a time; torch does many at once, three times as fast, and rounds otherwise in one value of two
hundred, by a level or two of 255; where a long picture is squashed, up to seven were seen in one of ten thousand. What that does
to cosines is measured in tests/plugins/test_resizing.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from open_clip.transform import MaybeConvertMode
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.dlpack import from_dlpack
from torchvision.transforms import CenterCrop, Resize

Resizing = Literal["torch", "pillow"]
Step = Callable[..., object]


class Resizer:
    """The steps from an RGB picture to `(3, h, w)` uint8.

    Args:
        steps: of open_clip's evaluation transform, without `ToTensor` and `Normalize`.
        wanted: who resizes. What pads (`longest`) is left to Pillow.

    Attributes:
        by: who does.

    Example:
        >>> tuple(Resizer([Resize(8), CenterCrop(8)], "torch")(Image.new("RGB", (20, 10), "red")).shape)
        (3, 8, 8)
    """

    def __init__(self, steps: Sequence[Step], wanted: Resizing) -> None:
        bare = [step for step in steps if not isinstance(step, MaybeConvertMode)]  # the picture is RGB
        known = all(isinstance(step, Resize | CenterCrop) for step in bare)
        self.by: Resizing = wanted if known else "pillow"
        self.steps = bare if self.by == "pillow" else [_on_planes(step) for step in bare]

    def __call__(self, image: Image.Image) -> Tensor:
        """Resize and crop an RGB picture."""
        seen: object = planes(image) if self.by == "torch" else image
        for step in self.steps:
            seen = step(seen)
        pixels = seen if isinstance(seen, Tensor) else torch.from_numpy(np.array(seen)).permute(2, 0, 1)
        return pixels[:3].contiguous()


def _on_planes(step: Step) -> Step:
    return _Resize(step.size, step.interpolation.value) if isinstance(step, Resize) else step


@dataclass(frozen=True)
class _Resize:
    """As torchvision's `Resize`: to a height and width, or the shorter side to a length."""

    size: int | Sequence[int]
    mode: str

    def __call__(self, pixels: Tensor) -> Tensor:
        now = list(pixels.shape[1:])
        size = [int(self.size * side / min(now)) for side in now] if isinstance(self.size, int) else list(self.size)
        return pixels if size == now else interpolate(pixels[None], size, mode=self.mode, antialias=True)[0]


def planes(image: Image.Image) -> Tensor:
    """Look at an RGB picture as `(4, h, w)` uint8 without copying it, its fourth plane unused; or copy it to `(3, h, w)`.

    Pillow shows its memory where the picture lies in one piece, up to about four million pixels.

    Example:
        >>> planes(Image.new("RGB", (3, 2), "red"))[:3, 0, 0].tolist()
        [255, 0, 0]
    """
    try:
        rows = from_dlpack(pa.array(image).values).view(image.height, image.width, 4)
    except ValueError:
        rows = torch.from_numpy(np.array(image))
    return rows.permute(2, 0, 1)
