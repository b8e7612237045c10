"""How close `lmia fit` comes to a bare open_clip loop: pairs a second, medians of five rounds, taken turn by turn.

The denominator trains the same model on the same pairs in memory, in the same batches, with open_clip's loss and fused
AdamW, and nothing else: as open_clip encodes captions (padded to the model's context length), and again with captions cut
where the longest of them ends, as `lmia fit` has them.

    python -m benchmarks.fit                  # the demo's architecture, 2,000 pairs (5 minutes on two cores)
    python -m benchmarks.fit --pairs 512 --rounds 3
    python -m benchmarks.fit --device cuda    # both on the GPU, pairs and tokens of the bare loop there beforehand
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import open_clip
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.figures import figure, tell
from lmia import specs
from lmia.training import FitData, Learner, Plan, decoded, run_fit
from lmia.training.run import TRAINER_DEFAULTS

BATCH, ROUNDS, LEAST = 128, 5, 0.9


class Clock(Callback):
    """Times an epoch from its first batch's making to its last step; figures and files are not training."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.seconds = -time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.is_last_batch:
            done(pl_module.device.type)
            self.seconds += time.perf_counter()


def done(device: str) -> None:
    """Wait for what was begun on a device."""
    if device == "cuda":
        torch.cuda.synchronize()


def ours(pairs: int, device: str) -> float:
    clock = Clock()
    target = specs.target("demo,random")
    trainer = Trainer(
        **{**TRAINER_DEFAULTS, "accelerator": device, "devices": 1, "enable_progress_bar": False, "callbacks": [clock]}
    )
    with tempfile.TemporaryDirectory() as folder:
        data = FitData(specs.source(f"emoji:0:{pairs}"), share=1.0, batch=BATCH)
        run_fit(Learner(target, Plan(epochs=1, watched=1)), data, Path(folder) / "t", 0, trainer)
    return clock.seconds


def bare(pixels: Tensor, tokens: Tensor, encode: Callable[[torch.nn.Module, Tensor], Tensor]) -> float:
    model = specs.target("demo,random").model.to(pixels.device).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    loss = open_clip.ClipLoss()
    done(pixels.device.type)
    start = time.perf_counter()
    for rows in torch.randperm(len(pixels), device=pixels.device).split(BATCH):
        image = model.encode_image(pixels[rows].float() / 127.5 - 1, normalize=True)
        text = normalize(encode(model, tokens[rows]), dim=-1)
        optimizer.zero_grad()
        loss(image, text, model.logit_scale.exp()).backward()
        optimizer.step()
    done(pixels.device.type)
    return time.perf_counter() - start


def main() -> int:
    """Print the table; exit code 1 where the ratio is below what is asked."""
    from lmia_openclip.text import encode as cut

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    target = specs.target("demo,random")
    with tempfile.TemporaryDirectory() as folder:
        kept = decoded(specs.source(f"emoji:0:{args.pairs}"), target.preprocess, Path(folder))
        pixels = kept.pixels.clone().to(args.device)
    short = target.tokenize(kept.captions).to(args.device)
    full = open_clip.SimpleTokenizer(context_length=24)(list(kept.captions)).to(args.device)
    ways = {
        "lmia fit": lambda: ours(args.pairs, args.device),
        "bare open_clip loop": lambda: bare(pixels, full, lambda model, words: model.encode_text(words)),
        "bare loop, captions cut": lambda: bare(pixels, short, cut),
    }
    ours(256, args.device)  # first-time imports
    rounds = [{way: run() for way, run in ways.items()} for _ in range(args.rounds)]
    print(
        f"{args.device}, {args.pairs} pairs, batch {BATCH}, {torch.get_num_threads()} threads, median of {args.rounds} rounds.\n"
    )
    print("| way | pairs/s |\n|---|---|")
    for way in ways:
        print(f"| {way} | {args.pairs / median(one[way] for one in rounds):.0f} |")
    rivals = [way for way in ways if way != "lmia fit"]
    return tell(
        [
            figure(f"lmia fit, pairs/s / {way}'s", *(one[way] / one["lmia fit"] for one in rounds), least=LEAST)
            for way in rivals
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
