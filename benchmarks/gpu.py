"""Extraction on a GPU, against forward passes alone and decoding alone.

    python -m benchmarks.gpu                  # ViT-L-14 and ViT-B-32, random weights, bf16 (four minutes)
    python -m benchmarks.gpu --models ViT-B-32 --rounds 1

Forward alone has its pixels on the GPU and its captions tokenised, in batches as large as an audit's. Decoding alone is as
many processes as an audit starts, each decoding (read, decode, the model's resize and crop) and doing nothing else; beside
it stand one process more, on all cores, and the same as open_clip does it, with Pillow resizing. Start and end (processes, the
model's way to the GPU and back) are measured apart, of extraction and of decoding alike: a rate is that of what three shards a
process take more than one. Few distinct pictures stand behind many pairs, each of which is decoded.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from benchmarks import worlds
from benchmarks.extraction import CORES, bare_decode
from benchmarks.figures import figure, tell
from lmia import record, specs
from lmia.cores import batch_size, reading
from lmia.data import AuditData, shards_of
from lmia.extract import FeatureExtractor, extract
from lmia.target import Target

SIDE, DISTINCT, CHUNK, LEAST = 512, 512, 256, 0.9
BATCH = batch_size("cuda")
SHARD, FEW, MANY = 3 * BATCH, CORES - 1, 3 * (CORES - 1)
FORWARD = 10_000
AGAINST = {"ViT-L-14": "forward alone", "ViT-B-32": "decoding alone"}


def pictures() -> list[bytes]:
    """Make the distinct pictures, on all cores."""
    with get_context("fork").Pool(CORES) as pool:
        return pool.starmap(worlds.jpeg, [(index, SIDE) for index in range(DISTINCT)])


def shards(folder: Path, files: list[bytes]) -> list[Path]:
    """Write as many shards as every reading process takes three of."""
    paths = [folder / f"{shard:05d}.tar" for shard in range(MANY)]
    for shard, path in enumerate(paths):
        with tarfile.open(path, "w") as tar:
            for index in range(shard * SHARD, (shard + 1) * SHARD):
                parts = {"jpg": files[index % len(files)], "txt": worlds.caption(index).encode()}
                for ending, data in parts.items():
                    info = tarfile.TarInfo(f"{index:08d}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return paths


def seconds(paths: list[Path], model: Target) -> float:
    """Seconds of an extraction, from its start to the last shard committed."""
    source = specs.source("::".join(map(str, paths)))
    with tempfile.TemporaryDirectory() as cache:
        extractor = FeatureExtractor(model, None, Path(cache))
        found = shards_of(source)
        trainer = record.trainer(accelerator="gpu", devices=1, enable_progress_bar=False, callbacks=[])
        start = time.perf_counter()
        arrays = extractor.arrays({"embeddings"}, views=False)
        extract(trainer, extractor, AuditData(members=source), found, arrays)
        return time.perf_counter() - start


def extraction(paths: list[Path], model: Target) -> tuple[float, float]:
    """Pairs a second of an extraction under way, and the seconds of its start and end."""
    few, many = seconds(paths[:FEW], model), seconds(paths, model)
    rate = (MANY - FEW) * SHARD / (many - few)
    return rate, many - MANY * SHARD / rate


def forward(model: Target, pixels: torch.Tensor) -> float:
    """Pairs a second of a model that is handed everything on its device."""
    model.cuda()
    order = sorted((worlds.caption(index) for index in range(FORWARD)), key=len)
    tokens = [model.tokenize(order[i : i + CHUNK]).cuda() for i in range(0, FORWARD, CHUNK)]
    batch = pixels.cuda()
    torch.cuda.synchronize()
    start = time.perf_counter()
    with torch.no_grad():
        for _ in range(FORWARD // BATCH):
            model.encode_image(batch.float().div_(255))
        for chunk in tokens:
            model.encode_text(chunk)
    torch.cuda.synchronize()
    return FORWARD // BATCH * BATCH / (time.perf_counter() - start)


def decoding(paths: list[Path], model: Target, more: int = 0) -> float:
    """Pairs a second of the reading processes that an audit starts, and so many more, doing nothing but read and decode."""
    side = model.preprocess(Image.new("RGB", (SIDE, SIDE))).nbytes
    processes = reading(1, len(paths), None, "cuda", BATCH * side)[0] + more
    few, many = (
        len(some) * SHARD / bare_decode(some, len(some) * SHARD, model, processes) for some in (paths[:FEW], paths)
    )
    return (MANY - FEW) * SHARD / (many - few)


def target(name: str, **options: object) -> Target:
    """Build an architecture with random weights in bf16."""
    config = specs.target_config(name, "random")
    return specs.build("target", {**config, "init_args": {**config["init_args"], "precision": "bf16", **options}})


def measure(name: str, files: list[bytes], rounds: int) -> list[dict[str, float]]:
    """Measure one architecture, everything turn by turn."""
    model, exact = target(name), target(name, resizing="pillow")
    pixels = torch.stack([model.preprocess(Image.open(io.BytesIO(data)).convert("RGB")) for data in files[:BATCH]])
    with tempfile.TemporaryDirectory() as folder:
        paths = shards(Path(folder), files)
        seconds(paths[:2], model)  # first-time imports, the GPU's own start
        found = []
        for _ in range(rounds):
            rate, start = extraction(paths, model)
            others = {"forward alone": forward(model, pixels), "decoding alone": decoding(paths, model)}
            others |= {"on all cores": decoding(paths, model, 1), "by Pillow": decoding(paths, exact)}
            found.append({"extraction": rate, **others, "start, s": start})
        return found


def main() -> int:
    """Print the table; exit code 1 where a ratio is below what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(AGAINST), default=list(AGAINST))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    files = pictures()
    print(
        f"{torch.cuda.get_device_name()}, {CORES} cores; {MANY * SHARD:,} JPEGs of {SIDE} px, bf16, batches of {BATCH}"
    )
    print("\n| model | extraction, pairs/s | forward alone | decoding alone | on all cores | by Pillow | start, s |")
    print("|---|---|---|---|---|---|---|")
    found = []
    for name in args.models:
        rounds, rival = measure(name, files, args.rounds), AGAINST[name]
        ratios = [one["extraction"] / one[rival] for one in rounds]
        found.append(figure(f"{name} in bf16: extraction / {rival}", *ratios, least=LEAST))
        cells = [f"{median(one[what] for one in rounds):.4g}" for what in rounds[0]]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return tell(found)


if __name__ == "__main__":
    raise SystemExit(main())
