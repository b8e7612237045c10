"""Extraction against its ceiling and against a plain loop: medians of five rounds, each with its own ceiling.

python -m benchmarks.extraction [demo|vit] [PAIRS]

The ceiling is the best of all splits of the cores between bare decoding (read, decode, the model's resize and crop)
and a bare forward pass (the same pixels and tokens, trimmed and batched as ours): k cores decode while the others
encode, or all cores take turns. It stands there twice: with pictures resized as we do it, by torch, and by Pillow, as
open_clip does it; to the second one ours is held with either. The plain loop is what one writes without thinking: webdataset, open_clip's
preprocessing, `encode_image`, `encode_text`, batches of 64. Ratios are taken within a round, seconds apart, because a
shared machine's speed moves by a quarter from minute to minute; beside each median stand the worst and the best round.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import open_clip
import torch
import webdataset
from PIL import Image

from benchmarks import worlds
from benchmarks.figures import figure, tell
from lmia import record, specs
from lmia.data import AuditData, shards_of
from lmia.encoding import chunk_of, piece_of
from lmia.extract import FeatureExtractor, extract

ROUNDS, BATCH = 5, 64
CORES = len(os.sched_getaffinity(0))


def target(kind, **options):
    from lmia_openclip import OpenCLIP

    if kind == "demo":
        import lmia_demo

        return OpenCLIP(f"local-dir:{lmia_demo.MODEL}", **options)
    return OpenCLIP("ViT-B-32", "random", **options)


def pairs_of(paths):
    return list(webdataset.WebDataset([str(path) for path in paths], shardshuffle=False).to_tuple("jpg", "txt"))


def _decode(job):
    files, preprocess = job
    torch.set_num_threads(1)  # its pool of threads does not outlive a fork: a large copy would wait for it for ever
    for data in files:
        preprocess(Image.open(io.BytesIO(data)).convert("RGB"))


def bare_decode(pairs, model, processes):
    """Pairs a second of `processes` forked processes that decode and do nothing else."""
    files = [image for image, _ in pairs]
    jobs = [(files[i::processes], model.preprocess) for i in range(processes)]
    start = time.perf_counter()
    if processes == 1:
        _decode(jobs[0])
        torch.set_num_threads(CORES)
    else:
        workers = [multiprocessing.get_context("fork").Process(target=_decode, args=(job,)) for job in jobs]
        [worker.start() for worker in workers]
        [worker.join() for worker in workers]
    return len(files) / (time.perf_counter() - start)


def bare_forward(pairs, pixels, model, threads, streams):
    """Pairs a second of a model that is handed everything: `streams` of one thread each, or one of `threads`."""
    captions = sorted({text.decode() for _, text in pairs}, key=len)
    size = chunk_of(len(captions), torch.device("cpu"))
    chunks = [model.tokenize(captions[i : i + size]) for i in range(0, len(captions), size)]
    torch.set_num_threads(threads)

    def image(batch):
        with torch.no_grad():
            model.encode_image(batch.float().div(255))

    def text(tokens):
        with torch.no_grad():
            model.encode_text(tokens)

    start = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(image, pixels.split(piece_of(pixels[:BATCH]))))
        list(pool.map(text, chunks))
    took = time.perf_counter() - start
    torch.set_num_threads(CORES)
    return len(pairs) / took


def ours(paths, model):
    source = specs.source("::".join(map(str, paths)))
    data = AuditData(members=source, batch=BATCH)
    with tempfile.TemporaryDirectory() as cache:
        extractor = FeatureExtractor(model, None, Path(cache))
        shards = shards_of(source)
        trainer = record.trainer(accelerator="cpu", enable_progress_bar=False, callbacks=[])
        start = time.perf_counter()
        extract(trainer, extractor, data, shards, extractor.arrays({"embeddings"}, views=False))
        took = time.perf_counter() - start
        return sum(len(extractor.store.pairs(shard.key)[0]) for shard in shards) / took


def plain(paths, model):
    """A straightforward loop over the same shards and model."""
    net, tokenizer = model.model, open_clip.SimpleTokenizer(context_length=getattr(model.model, "context_length", 77))
    size = net.visual.image_size
    transform = open_clip.image_transform(size if isinstance(size, int) else tuple(size), is_train=False)
    loader = (
        webdataset.WebDataset([str(path) for path in paths], shardshuffle=False)
        .decode("pil")
        .to_tuple("jpg", "txt")
        .map_tuple(transform, lambda text: text)
        .batched(BATCH)
    )
    done, start = 0, time.perf_counter()
    with torch.no_grad():
        for images, texts in loader:
            image = net.encode_image(torch.as_tensor(images) if torch.is_tensor(images) else torch.stack(images))
            text = net.encode_text(tokenizer(list(texts)))
            torch.nn.functional.cosine_similarity(image, text)
            done += len(texts)
    return done / (time.perf_counter() - start)


def measure(kind, count):
    model, exact = target(kind), target(kind, resizing="pillow")
    with tempfile.TemporaryDirectory() as folder:
        paths = worlds.shards(Path(folder) / "short", count, each=max(32, count // 4))
        long = worlds.shards(Path(folder) / "long", count, each=max(32, count // 4), words=90)
        pairs = pairs_of(paths)
        lengths = sorted(int((row != 0).sum()) for row in model.tokenize([text.decode() for _, text in pairs]))
        pixels = torch.stack([model.preprocess(Image.open(io.BytesIO(image)).convert("RGB")) for image, _ in pairs])
        jobs = {
            **{f"decode {k}": (lambda k=k: bare_decode(pairs, model, k)) for k in range(1, CORES + 1)},
            **{f"decode {k}, by Pillow": (lambda k=k: bare_decode(pairs, exact, k)) for k in range(1, CORES + 1)},
            **{f"forward {k}": (lambda k=k: bare_forward(pairs, pixels, model, k, 1)) for k in range(1, CORES + 1)},
            **{f"streams {k}": (lambda k=k: bare_forward(pairs, pixels, model, 1, k)) for k in range(2, CORES + 1)},
            "ours": lambda: ours(paths, model),
            "ours, by Pillow": lambda: ours(paths, exact),
            "plain": lambda: plain(paths, model),
            "ours, full captions": lambda: ours(long, model),
            "plain, full captions": lambda: plain(long, model),
        }
        return [{name: job() for name, job in jobs.items()} for _ in range(ROUNDS)], lengths


def ceiling(rates, by=""):
    """The best of all splits, and its name."""
    forward = {k: max(rates[f"forward {k}"], rates.get(f"streams {k}", 0)) for k in range(1, CORES + 1)}
    splits = {
        f"{k} decoding, {CORES - k} encoding": min(rates[f"decode {k}{by}"], forward[CORES - k])
        for k in range(1, CORES)
    }
    splits["all cores in turns"] = 1 / (1 / rates[f"decode {CORES}{by}"] + 1 / forward[CORES])
    best = max(splits, key=splits.get)
    return best, splits[best]


def main(argv):
    kind = argv[0] if argv else "demo"
    count = int(argv[1]) if len(argv) > 1 else {"demo": 2000, "vit": 256}[kind]
    rounds, lengths = measure(kind, count)
    middle = lengths[len(lengths) // 2]
    print(f"\n{kind}: {count} JPEGs of 512 px in 4 tar shards, captions of {lengths[0]} to {lengths[-1]} tokens "
          f"(median {middle}), {CORES} cores, {ROUNDS} rounds\n")  # fmt: skip
    print("| pairs/s | median | rounds |\n|---|---|---|")
    for name in rounds[0]:
        rates = [rates[name] for rates in rounds]
        print(f"| {name} | {statistics.median(rates):.1f} | {min(rates):.1f} to {max(rates):.1f} |")
    splits = " or ".join(sorted({ceiling(rates)[0] for rates in rounds}))

    def ratios(ours, rival):
        return [rates[ours] / rival(rates) for rates in rounds]

    def by_pillow(rates):
        return ceiling(rates, ", by Pillow")[1]

    return tell(
        [
            figure(
                f"{kind}: ours / ceiling, bare decoding as open_clip does it", *ratios("ours", by_pillow), least=0.85
            ),
            figure(f"{kind}: ours / ceiling, decoding as ours ({splits})", *ratios("ours", lambda r: ceiling(r)[1])),
            figure(f"{kind}: ours, resizing by Pillow / the first ceiling", *ratios("ours, by Pillow", by_pillow)),
            figure(f"{kind}: ours / plain loop", *ratios("ours", lambda r: r["plain"]), least=1.5),
            figure(
                f"{kind}: ours / plain loop, captions of 77 tokens",
                *ratios("ours, full captions", lambda r: r["plain, full captions"]),
            ),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
