"""Extraction against its ceiling and against a plain loop: medians of five rounds, each with its own ceiling.

python -m benchmarks.extraction [demo|vit|long] [PAIRS]

The ceiling is the best of all splits of the cores between a bare decode loop (read the shards, decode, the model's
resize and crop) and a bare forward loop (pixels and tokens in memory, trimmed as ours, in batches as ours or larger): k
cores decode while the others encode, until both are done; or all cores decode everything, then all encode everything,
which leaves none idle. It is measured with pictures resized by torch, as we do it, and by Pillow, as open_clip does it.

Both sides are of one model; an audit has its untrained twin encode the same decoded pictures as well.

The plain loop is what one writes without thinking: webdataset, open_clip's preprocessing, `encode_image`,
`encode_text`, batches of 64. Ratios are taken within a round, seconds apart, because a shared machine's speed moves by a
quarter from minute to minute; beside each median stand the worst and the best round.

`long` is the demo's model once more, on 8,000 pairs and against the ceiling alone: of a pass of 2,000 a tenth is start and
end, and an audit of hundreds of shards has one of each.
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
PAIRS = {"demo": 2000, "vit": 256, "long": 8000}
CORES = len(os.sched_getaffinity(0))


def target(kind, **options):
    from lmia_openclip import OpenCLIP

    if kind != "vit":
        import lmia_demo

        return OpenCLIP(f"local-dir:{lmia_demo.MODEL}", **options)
    return OpenCLIP("ViT-B-32", "random", **options)


def pairs_of(paths):
    return list(webdataset.WebDataset([str(path) for path in paths], shardshuffle=False).to_tuple("jpg", "txt"))


def _decode(paths, preprocess, taken):
    torch.set_num_threads(1)  # its pool of threads does not outlive a fork: a large copy would wait for it for ever
    while True:
        with taken.get_lock():
            mine = paths[taken.value : taken.value + 1]
            taken.value += 1
        if not mine:
            return
        for image, _ in pairs_of(mine):
            preprocess(Image.open(io.BytesIO(image)).convert("RGB"))


def decoders(paths, model, processes):
    """Forked processes, started, that take shard after shard, decode, resize, and do nothing else."""
    fork = multiprocessing.get_context("fork")
    taken = fork.Value("l", 0)
    started = [fork.Process(target=_decode, args=(paths, model.preprocess, taken)) for _ in range(processes)]
    [process.start() for process in started]
    return started


def bare_decode(paths, count, model, processes):
    """Pairs a second of `processes` processes that decode."""
    start = time.perf_counter()
    [process.join() for process in decoders(paths, model, processes)]
    return count / (time.perf_counter() - start)


def tokens_of(pairs, model):
    """The captions' tokens, trimmed and batched as ours."""
    captions = sorted({text.decode() for _, text in pairs}, key=len)
    size = chunk_of(len(captions), torch.device("cpu"))
    return [model.tokenize(captions[i : i + size]) for i in range(0, len(captions), size)]


def bare_forward(pixels, tokens, model, threads, streams):
    """Pairs a second of a model that is handed everything: `streams` of one thread each, or one of `threads`."""
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
        list(pool.map(text, tokens))
    took = time.perf_counter() - start
    torch.set_num_threads(CORES)
    return len(pixels) / took


def side_by_side(paths, pixels, tokens, model, processes):
    """Pairs a second of `processes` that decode while the other cores run a bare forward pass, until both are done."""
    start = time.perf_counter()
    started = decoders(paths, model, processes)
    bare_forward(pixels, tokens, model, 1, CORES - processes)
    [process.join() for process in started]
    return len(pixels) / (time.perf_counter() - start)


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


def shard_size(count):
    """Pairs of a shard: at least four shards, and two a core."""
    return min(500, count // max(4, 2 * CORES))


def measure(kind, count):
    model = target(kind)
    each = shard_size(count)
    with tempfile.TemporaryDirectory() as folder:
        paths = worlds.shards(Path(folder) / "short", count, each=each)
        pairs = pairs_of(paths)
        tokens = tokens_of(pairs, model)
        lengths = sorted(int((row != 0).sum()) for chunk in tokens for row in chunk)
        pixels = torch.stack([model.preprocess(Image.open(io.BytesIO(image)).convert("RGB")) for image, _ in pairs])
        jobs, ways = {"ours": lambda: ours(paths, model)}, {"": model}
        if kind != "long":
            exact = target(kind, resizing="pillow")
            long = worlds.shards(Path(folder) / "long", count, each=each, words=90)
            ways[", by Pillow"] = exact
            jobs |= {
                "ours, by Pillow": lambda: ours(paths, exact),
                "plain": lambda: plain(paths, model),
                "ours, full captions": lambda: ours(long, model),
                "plain, full captions": lambda: plain(long, model),
            }
        jobs |= {
            "forward, one pass on all cores": lambda: bare_forward(pixels, tokens, model, CORES, 1),
            "forward, a pass on each core": lambda: bare_forward(pixels, tokens, model, 1, CORES),
        }
        for by, how in ways.items():
            jobs[f"decode{by}"] = lambda how=how: bare_decode(paths, count, how, CORES)
            for k in range(1, CORES):
                jobs[f"{k} decode{by}, {CORES - k} encode"] = lambda k=k, how=how: side_by_side(
                    paths, pixels, tokens, how, k
                )
        return [{name: job() for name, job in jobs.items()} for _ in range(ROUNDS)], lengths


def split(rates, by):
    """The best split of the cores: k of them decode while the others encode; of one core there is none."""
    return max((rates[f"{k} decode{by}, {CORES - k} encode"] for k in range(1, CORES)), default=0.0)


def turns(rates, by):
    """All cores decode everything, then all cores encode everything: no two kinds of work share a cache."""
    forward = max(rates["forward, one pass on all cores"], rates["forward, a pass on each core"])
    return 1 / (1 / rates[f"decode{by}"] + 1 / forward)


def ceiling(rates, by):
    """The better of the two."""
    return max(split(rates, by), turns(rates, by))


def main(argv):
    kind = argv[0] if argv else "demo"
    count = int(argv[1]) if len(argv) > 1 else PAIRS[kind]
    rounds, lengths = measure(kind, count)
    shards, middle = -(-count // shard_size(count)), lengths[len(lengths) // 2]
    print(f"\n{kind}: {count} JPEGs of 512 px in {shards} tar shards, captions of {lengths[0]} to {lengths[-1]} tokens "
          f"(median {middle}), {CORES} cores, {ROUNDS} rounds\n")  # fmt: skip
    print("| pairs/s | median | rounds |\n|---|---|---|")
    for name in rounds[0]:
        rates = [rates[name] for rates in rounds]
        print(f"| {name} | {statistics.median(rates):.1f} | {min(rates):.1f} to {max(rates):.1f} |")

    def ratios(ours, rival):
        return [rates[ours] / rival(rates) for rates in rounds]

    rivals = [("ceiling", ceiling), ("k cores decoding beside the others, alone", split)][: 1 if CORES == 1 else 2]
    alike = [("ours", ""), ("ours", ", by Pillow"), ("ours, by Pillow", ", by Pillow")]
    figures = [
        figure(
            f"{kind}: {mine} / {name}{by}",
            *ratios(mine, lambda rates, rival=rival, by=by: rival(rates, by)),
            least=0.9 if rival is ceiling else None,
        )
        for name, rival in rivals
        for mine, by in (alike[:1] if kind == "long" else alike)
    ]
    if kind != "long":
        figures += [
            figure(f"{kind}: ours / plain loop", *ratios("ours", lambda r: r["plain"]), least=1.5),
            figure(
                f"{kind}: ours / plain loop, captions as long as the model reads",
                *ratios("ours, full captions", lambda r: r["plain, full captions"]),
            ),
        ]
    return tell(figures)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
