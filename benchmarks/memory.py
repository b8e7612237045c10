"""Peak anonymous memory of a whole audit against the arrays its attack asked for, from 4,000 pairs at 512-d to 40,000.

    python -m benchmarks.memory
    python -m benchmarks.memory --curve        # and to 400,000 (ten minutes)

Each size runs in a process of its own, over pictures of 8 x 8 and a target of two matrices, so that what grows is what
an audit keeps and not what a model needs. Memory maps of the store are file pages and do not count as anonymous, nor do
the reading processes, which every size has.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import lmia
from benchmarks.figures import figure, tell
from benchmarks.process import anonymous

WIDTH, PIECE, SHARD, SIZES, CURVE = 512, 1_000, 1_000, (4_000, 40_000), (4_000, 40_000, 120_000, 400_000)


class Dots(lmia.Source):
    """Pictures of noise, `indices` START:STOP."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    def shards(self):
        return [str(at) for at in range(self.start, self.stop, SHARD)]

    def read(self, shard):
        for index in range(int(shard), min(int(shard) + SHARD, self.stop)):
            pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            yield lmia.Pair(f"dots/{index}", f"a picture of dots with the number {index}", Image.fromarray(pixels))

    def fingerprint(self, shard):
        return f"{shard}:{self.stop}"


class Wide(lmia.Target):
    """Two matrices of width 512."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.image = torch.nn.Linear(192, WIDTH)
        self.text = torch.nn.Embedding(1000, WIDTH)
        self.image.weight.data = torch.randn(WIDTH, 192, generator=generator)
        self.text.weight.data = torch.randn(1000, WIDTH, generator=generator)
        self.eval()

    def preprocess(self, image):
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)

    def tokenize(self, captions):
        return torch.tensor([[int(caption.split()[-1]) % 1000] for caption in captions])

    def encode_image(self, pixels):
        return self.image(pixels.flatten(1))

    def encode_text(self, tokens):
        return self.text(tokens[:, 0])

    def facts(self):
        return lmia.TargetFacts("two matrices")

    def fingerprint(self):
        return "two matrices"


class Both(lmia.Attack):
    """The cosine, taken from the features piece by piece: torch makes copies of what it is given whole."""

    needs = frozenset({"embeddings"})

    def score(self, samples):
        pieces = zip(samples.image.split(PIECE), samples.text.split(PIECE), strict=True)
        return torch.cat([torch.nn.functional.cosine_similarity(image, text) for image, text in pieces])


def audit(pairs: int) -> None:
    """Run an audit of `pairs` pairs and print the peak."""
    from lmia import record
    from lmia.data import AuditData
    from lmia.extract import FeatureExtractor

    peak, done = [anonymous()], threading.Event()

    def watch():
        while not done.is_set():
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        data = AuditData(Dots(0, pairs // 2), Dots(pairs // 2, pairs))
        trainer = record.trainer(accelerator="cpu", enable_progress_bar=False, callbacks=[])
        model = FeatureExtractor(Wide(), None, Path(folder) / "cache")
        lmia.run_audit(model, data, [Both()], out=Path(folder) / "out", trainer=trainer)
    done.set()
    watcher.join()
    print(peak[0])


def measured(pairs: int) -> int:
    """Measure one size in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", str(pairs)], capture_output=True, text=True, check=True
    )
    return int(run.stdout.split()[-1])


def main(sizes: Sequence[int]) -> int:
    """Measure every size and print the rows; exit code 1 where it grows by more than is asked."""
    print("| pairs | peak anonymous memory, MB | arrays asked for, MB |\n|---|---|---|")
    peaks, arrays = {}, {pairs: pairs * (2 * WIDTH + 1) * 4 for pairs in sizes}
    for pairs in sizes:
        peaks[pairs] = measured(pairs)
        print(f"| {pairs:,} | {peaks[pairs] / 1e6:.0f} | {arrays[pairs] / 1e6:.0f} |", flush=True)
    first, *others = sizes
    return tell(
        [
            figure(f"memory grown from {first:,} to {pairs:,} pairs / {name}", grown / allowed, most=most)
            for pairs in others
            for grown, asked in [(peaks[pairs] - peaks[first], arrays[pairs] - arrays[first])]
            for name, allowed, most in [
                ("(1.1 x arrays asked for + 64 MB)", 1.1 * asked + 64e6, 1),
                ("arrays asked for", asked, 1.1 if pairs == CURVE[-1] else None),
            ]
        ]
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case [pairs] if pairs.isdigit():
            audit(int(pairs))
        case given:
            raise SystemExit(main(CURVE if given == ["--curve"] else SIZES))
