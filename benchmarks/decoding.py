"""Ways from a JPEG to a model's pixels: how long each takes on one thread, and how far it moves the demo's cosines.

    python -m benchmarks.decoding             # half a minute; ways whose package or GPU is not there are left out

The pictures are scenes of the demo at 512 px. The reference is open_clip's own way: Pillow decodes, Pillow resizes. A way
may be an audit's default only where no cosine moves by more than 1e-3.
"""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

import lmia_demo
from benchmarks.figures import figure, tell
from lmia_openclip import OpenCLIP

PICTURES, ROUNDS, MOST = 256, 5, 1e-3
Way = Callable[[list[bytes]], list[Tensor]]


def scenes() -> tuple[list[bytes], list[str]]:
    """Draw scenes, and keep them as JPEGs."""
    source = lmia_demo.Emoji(f"0:{PICTURES}", size=512, jpeg=90)
    files, captions = [], []
    for shard in source.shards():
        for pair in source.read(shard):
            files.append(pair.image)
            captions.append(pair.caption)
    return files, captions


def pillow(target: OpenCLIP, files: list[bytes], draft: int = 0) -> list[Tensor]:
    """Decode with Pillow, perhaps no finer than `draft` wants, and resize as the target does."""
    found = []
    for data in files:
        image = Image.open(io.BytesIO(data))
        if draft:
            image.draft("RGB", (draft, draft))
        found.append(target.preprocess(image.convert("RGB")))
    return found


def planes(decode: Callable[[bytes], Tensor], side: int, files: list[bytes]) -> list[Tensor]:
    """Decode into `(3, h, w)` bytes, and resize with torch."""
    return [interpolate(decode(data)[None], (side, side), mode="bicubic", antialias=True)[0] for data in files]


def on_gpu(decode: Callable[..., list[Tensor]], side: int, files: list[bytes]) -> list[Tensor]:
    """Decode and resize on the GPU."""
    raw = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]
    found = [
        interpolate(one[None].float(), (side, side), mode="bicubic", antialias=True).round().clamp(0, 255).byte()[0]
        for one in decode(raw, device="cuda")
    ]
    torch.cuda.synchronize()
    return found


def ways(side: int) -> dict[str, Way]:
    """List the ways that can be gone here."""
    demo = f"local-dir:{lmia_demo.MODEL}"
    fast, exact = OpenCLIP(demo), OpenCLIP(demo, resizing="pillow")
    found: dict[str, Way] = {
        "Pillow, resized by Pillow (open_clip's)": partial(pillow, exact),
        "Pillow, resized by torch (ours)": partial(pillow, fast),
        "Pillow's draft mode, resized by torch": partial(pillow, fast, draft=side),
        "draft mode at twice the size, by torch": partial(pillow, fast, draft=2 * side),
    }
    if simplejpeg := _there("simplejpeg"):
        found["simplejpeg, resized by torch"] = partial(
            planes, lambda data: torch.from_numpy(simplejpeg.decode_jpeg(data)).permute(2, 0, 1), side
        )
    if io_ := _there("torchvision.io"):
        whole = lambda data: io_.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))  # noqa: E731
        found["torchvision, resized by torch"] = partial(planes, whole, side)
        if torch.cuda.is_available():
            found["nvJPEG, resized on the GPU"] = partial(on_gpu, io_.decode_jpeg, side)
    return found


def _there(name: str):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def main() -> int:
    """Print the table; exit code 1 where our way moves a cosine too far."""
    torch.set_num_threads(1)
    files, captions = scenes()
    target = OpenCLIP(f"local-dir:{lmia_demo.MODEL}")
    side = target.model.visual.image_size[0]
    with torch.no_grad():
        text = target.encode_text(target.tokenize(captions))
    took: dict[str, list[float]] = {}
    cosines: dict[str, Tensor] = {}
    for _ in range(ROUNDS):
        for name, way in ways(side).items():
            start = time.perf_counter()
            pixels = way(files)
            took.setdefault(name, []).append((time.perf_counter() - start) / len(files) * 1e3)
            with torch.no_grad():
                cosines[name] = target.cosine(target.encode_image(torch.stack(pixels).cpu() / 255), text)
    first = next(iter(took))
    print(f"{PICTURES} JPEGs of 512 px to {side} px, one thread, median of {ROUNDS} rounds\n")
    print("| way | ms a picture | times as fast | largest difference of a cosine | mean |\n|---|---|---|---|---|")
    for name, each in took.items():
        far = (cosines[name] - cosines[first]).abs()
        speed = median(a / b for a, b in zip(took[first], each, strict=True))
        print(f"| {name} | {median(each):.2f} | {speed:.2f} | {far.max():.1e} | {far.mean():.1e} |")
    ours = list(took)[1]
    moved = float((cosines[ours] - cosines[first]).abs().max())
    sooner = [a / b for a, b in zip(took[first], took[ours], strict=True)]
    return tell(
        [
            figure("our way moves a cosine by at most", moved, most=MOST),
            figure("decoding: open_clip's seconds / ours", *sooner),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
