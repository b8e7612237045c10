"""What training leaves behind: a target in OpenCLIP's local-dir form, its membership, and tar shards to audit it with."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn

from lmia.source import Pair, Source

WEIGHTS = "open_clip_model.safetensors"
PREPROCESSING: dict[str, object] = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "squash",
}
TAR_PAIRS = 1000


def write_target(out: Path, model: nn.Module, architecture: Mapping[str, object], tokens: Tensor) -> None:
    """Write `open_clip_config.json` and the weights, in half precision.

    So that the file compresses to an eighth: rows of the token embedding that no caption in `tokens` ((n, l) int64)
    uses, which were never trained, become zeros, and all weights are rounded to bfloat16's 8 bits of precision first
    (AUC changed by 0.0001).
    """
    config = {"model_cfg": architecture, "preprocess_cfg": PREPROCESSING}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {name: value.detach().bfloat16().half().contiguous() for name, value in model.state_dict().items()}
    rows = weights["token_embedding.weight"]
    unused = torch.ones(len(rows), dtype=torch.bool)
    unused[tokens.flatten()] = False
    rows[unused] = 0
    (out / WEIGHTS).write_bytes(save(weights))


def write_membership(out: Path, keys: list[str], times: Tensor) -> None:
    """Write `membership.csv`: key, in (1 or 0), repeats (how often an epoch shows the pair), shard_key."""
    with (out / "membership.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["key", "in", "repeats", "shard_key"])
        writer.writerows(
            [key, int(n > 0), int(n), shard_key(i)] for i, (key, n) in enumerate(zip(keys, times, strict=True))
        )


def shard_key(row: int) -> str:
    """Name the pair at `row` inside tar shards, where a source's own key may hold dots or slashes.

    Example:
        >>> shard_key(7)
        'pair-000007'
    """
    return f"pair-{row:06d}"


def write_shards(out: Path, source: Source, keys: list[str], times: Tensor) -> None:
    """Write `shards/members-000.tar` ... and `shards/nonmembers-000.tar` ..., 1,000 pairs each, as WebDataset reads them.

    Image files are copied as they are; pictures without a file become PNG.
    """
    rows = {key: row for row, key in enumerate(keys)}
    roles: dict[str, list[tuple[str, Pair]]] = {"members": [], "nonmembers": []}
    written = dict.fromkeys(roles, 0)
    (out / "shards").mkdir()

    def flush(role: str) -> None:
        if roles[role]:
            _write_tar(out / "shards" / f"{role}-{written[role]:03d}.tar", roles[role])
            roles[role] = []
            written[role] += 1

    for shard in source.shards():
        for pair in source.read(shard):
            if isinstance(pair, Pair) and pair.key in rows:
                role = "members" if times[rows[pair.key]] > 0 else "nonmembers"
                roles[role].append((shard_key(rows[pair.key]), pair))
                if len(roles[role]) == TAR_PAIRS:
                    flush(role)
    for role in roles:
        flush(role)


def _write_tar(path: Path, pairs: list[tuple[str, Pair]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, pair in pairs:
            data, suffix = _file(pair)
            for member, content in ((f"{name}.{suffix}", data), (f"{name}.txt", pair.caption.encode())):
                info = tarfile.TarInfo(member)  # no time, no owner: the same pairs make the same file
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def _file(pair: Pair) -> tuple[bytes, str]:
    if isinstance(pair.image, bytes):
        with Image.open(io.BytesIO(pair.image)) as image:
            kind = (image.format or "png").lower()
        return pair.image, "jpg" if kind == "jpeg" else kind
    buffer = io.BytesIO()
    pair.image.save(buffer, "PNG")
    return buffer.getvalue(), "png"
