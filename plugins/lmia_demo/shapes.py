"""`shapes:START:STOP`: geometric figures and their captions, a corpus of pairs that is nothing like emoji scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from random import Random

from PIL import Image, ImageDraw

from lmia.errors import LmiaError
from lmia.source import Pair, Rejected, Source
from lmia_demo.indices import bounds, shard_indices, shard_names

SKETCHING = 1
"""The version of the drawing rules; raise it when figures would look or read differently."""

KINDS = ("disc", "square", "triangle", "cross", "ring")
INKS = {
    "red": (220, 50, 40),
    "orange": (240, 150, 30),
    "lime": (150, 220, 40),
    "cyan": (40, 200, 220),
    "violet": (150, 90, 230),
    "ivory": (240, 235, 215),
}
_PAPER = (18, 22, 46)
_ORDER = ("First", "Then", "Last")


@dataclass(frozen=True)
class Figure:
    """One figure; lengths are shares of the picture's side.

    Args:
        kind: of `KINDS`.
        ink: a key of `INKS`.
        x: of its centre.
        y: of its centre.
        radius: from the centre outwards.
    """

    kind: str
    ink: str
    x: float
    y: float
    radius: float


def figures(index: int) -> tuple[Figure, ...]:
    """Draw lots for the three figures of that index: the same on every machine, independent of all others.

    Example:
        >>> len(figures(7)), figures(7) == figures(7)
        (3, True)
    """
    lots = Random(f"shapes {index}")

    def one() -> Figure:
        kind, ink = lots.choice(KINDS), lots.choice(tuple(INKS))
        return Figure(kind, ink, lots.uniform(0.2, 0.8), lots.uniform(0.2, 0.8), lots.uniform(0.08, 0.2))

    return one(), one(), one()


def told(some: Sequence[Figure]) -> str:
    """Say which figures were drawn, in their order.

    Example:
        >>> told([Figure("ring", "red", 0.5, 0.5, 0.1), Figure("cross", "cyan", 0.2, 0.2, 0.1)])
        'First a ring in red. Then a cross in cyan.'
    """
    return " ".join(f"{order} a {one.kind} in {one.ink}." for order, one in zip(_ORDER, some, strict=False))


def sketch(some: Sequence[Figure], size: int = 128) -> Image.Image:
    """Draw figures one over the other on dark paper, `size` x `size` RGB.

    Example:
        >>> sketch(figures(7), 32).size
        (32, 32)
    """
    picture = Image.new("RGB", (size, size), _PAPER)
    pen = ImageDraw.Draw(picture)
    for one in some:
        _draw(pen, one, size)
    return picture


def _draw(pen: ImageDraw.ImageDraw, one: Figure, size: int) -> None:
    x, y, r, ink = one.x * size, one.y * size, one.radius * size, INKS[one.ink]
    box, thick = (x - r, y - r, x + r, y + r), max(1, round(r / 3))
    if one.kind == "disc":
        pen.ellipse(box, fill=ink)
    elif one.kind == "ring":
        pen.ellipse(box, outline=ink, width=thick)
    elif one.kind == "square":
        pen.rectangle(box, fill=ink)
    elif one.kind == "triangle":
        pen.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], fill=ink)
    else:
        pen.line((x - r, y, x + r, y), fill=ink, width=thick)
        pen.line((x, y - r, x, y + r), fill=ink, width=thick)


class Shapes(Source):
    """Geometric figures with captions, drawn from their index: any number of them, no file on disk.

    Neither pictures nor words are those of emoji scenes: beside them, they are the other corpus of a comparison that
    cannot tell memory from origin.

    Args:
        indices: which, as `START:STOP`, the stop excluded.
        size: width and height in pixels.

    Example:
        >>> pair = next(Shapes("7:8").read("shapes-7-8"))
        >>> pair.key, pair.caption
        ('shape-7', 'First a disc in lime. Then a ring in ivory. Last a disc in cyan.')
    """

    def __init__(self, indices: str = "0:1000", size: int = 128) -> None:
        self.start, self.stop = bounds(indices, "shapes", "Write shapes:START:STOP with START below STOP.")
        if size < 16:
            raise LmiaError(f"Shapes of {size} pixels show nothing.", "Give a size of 16 or more.")
        self.size = size

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        """Claim whatever begins with `shapes:`.

        Example:
            >>> Shapes.claims("shapes:0:40"), Shapes.claims("shapes.csv") is None
            ({'indices': '0:40'}, True)
        """
        kind, colon, indices = spec.partition(":")
        return {"indices": indices} if kind == "shapes" and colon else None

    def shards(self) -> Sequence[str]:
        """Name the shards, 1,000 indices each: `shapes-0-1000` and so on."""
        return shard_names("shapes", self.start, self.stop)

    def read(self, shard: str) -> Iterator[Pair | Rejected]:
        """Draw a shard's figures in the order of their indices; keys are `shape-INDEX`."""
        for index in shard_indices(shard, self.shards()):
            some = figures(index)
            yield Pair(f"shape-{index}", told(some), sketch(some, self.size))

    def count(self, shard: str) -> int:
        """Count a shard's pairs without drawing them."""
        return len(shard_indices(shard, self.shards()))

    def fingerprint(self, shard: str) -> str:
        """Digest what the shard's pairs depend on: indices, size, drawing rules and Pillow's version."""
        parts = [shard, str(self.size), str(SKETCHING), version("pillow")]
        return sha256("\n".join(parts).encode()).hexdigest()
