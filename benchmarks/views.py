"""What K views of a picture cost beyond their forward passes: the bound is K + 1 passes plus 15 %.

The numerator is what extraction does with a decoded batch: the identity and K views made from it, each encoded. The
denominator is K + 1 forward passes of the same batch, taken turn by turn with them. On a CPU both run on one thread, as
the streams of an extraction do. Both towers have random weights, whose speed is that of trained ones.

    python benchmarks/views.py                     # the demo's tower and ViT-B-32 (5 to 10 minutes)
    python benchmarks/views.py --towers demo       # half a minute
    python benchmarks/views.py --device cuda --images 256
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

import open_clip
import torch
from torch import Tensor

from benchmarks.figures import figure, tell
from lmia.registry import registry
from lmia.returned import seen
from lmia.views import View

BOUND = 1.15
ROUNDS = 5
TOWERS = {"demo": (48, 64), "ViT-B-32": (224, 4)}
"""Towers by name, with the side of their pictures and how many make a batch on a CPU: of ViT-B-32 an extraction encodes 20 at
once, of which five rounds would take twenty minutes."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        tower: which image tower.
        views: the augmentation set.
        k: how many views besides the identity.
        alone: seconds of K + 1 forward passes of the batch, median of the rounds: the denominator.
        full: seconds of making the views and of their K + 1 passes, likewise.
        ratios: full / alone of each round.
    """

    tower: str
    views: str
    k: int
    alone: float
    full: float
    ratios: tuple[float, ...]

    def __str__(self) -> str:
        return f"| {self.tower} | {self.views} | {self.k} | {self.full:.3f} s | {self.alone:.3f} s |"


def tower(name: str) -> torch.nn.Module:
    """Make a CLIP with random weights: the demo's architecture, or one that open_clip knows."""
    torch.manual_seed(0)
    if name != "demo":
        return open_clip.create_model(name, pretrained=None).eval()
    vision = open_clip.CLIPVisionCfg(image_size=TOWERS[name][0], patch_size=8, width=96, layers=3, head_width=32)
    text = open_clip.CLIPTextCfg(context_length=24, vocab_size=64, width=64, heads=2, layers=2)
    return open_clip.CLIP(64, vision, text).eval()


def seconds(work: Callable[[], object], device: str) -> float:
    """Time one call, up to the end of what it started on the device."""
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def one_round(encode: Callable[[Tensor], Tensor], pixels: Tensor, views: Sequence[View]) -> tuple[float, float]:
    """Time the identity and K views with their passes, and K + 1 bare passes, turn by turn so that drift cancels."""
    device = pixels.device.type
    full = alone = 0.0
    for view in views:
        full += seconds(lambda image=view.image: encode(seen(image, pixels, "one") if image else pixels), device)
        alone += seconds(lambda: encode(pixels), device)
    return full, alone


def measure(name: str, kind: str, k: int, encode: Callable[[Tensor], Tensor], pixels: Tensor, rounds: int) -> Row:
    """Time one set on one tower."""
    views = list(registry().get("views", kind)(k=k).views().values())
    one_round(encode, pixels, views[:2])
    found = [one_round(encode, pixels, views) for _ in range(rounds)]
    fulls, alones = zip(*found, strict=True)
    return Row(name, kind, k, median(alones), median(fulls), tuple(full / alone for full, alone in found))


def main() -> int:
    """Print the table; exit code 1 where a set breaks the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--towers", nargs="+", choices=list(TOWERS), default=list(TOWERS))
    parser.add_argument("--sets", nargs="+", default=["gentle", "fourbasic", "composed"])
    parser.add_argument("--k", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--images", type=int, help="pictures in the batch, instead of 64 and 4")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{args.device}, 1 thread, median of {args.rounds} rounds.\n")
    print("| tower | views | K | views and passes | K + 1 passes alone |\n|---|---|---|---|---|")
    rows: list[Row] = []
    with torch.no_grad():  # as an extraction has it
        for name in args.towers:
            generator = torch.Generator().manual_seed(0)
            side, batch = TOWERS[name]
            pixels = torch.rand(args.images or batch, 3, side, side, generator=generator).to(args.device)
            encode = tower(name).to(args.device).encode_image
            for kind, k in product(args.sets, args.k):
                rows.append(measure(name, kind, k, encode, pixels, args.rounds))
                print(rows[-1], flush=True)
    return tell(
        [
            figure(f"{row.tower}, {row.views}, K = {row.k}: views and passes / K + 1 passes", *row.ratios, most=BOUND)
            for row in rows
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
