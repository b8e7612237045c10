"""`pairs.html`: pictures and captions of a few audited pairs, in a file of its own that says not to pass it on."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lmia.report import sentences
from lmia.report.aside import write_aside
from lmia.report.html import render

NAME = "pairs.html"
MARK = "This file holds pictures and captions of the audited data: do not pass it on."
SIDE = 160
"""Longest side of a thumbnail, in pixels."""


@dataclass(frozen=True)
class ShownPair:
    """One pair that the user asked to see.

    Args:
        key: its key in the source.
        caption: its caption.
        image: its decoded picture, of any mode and size.
        role: `members`, `nonmembers` or `suspects`.
        attack: whose score it is shown for.
        score: that score.
        rank: 1 = most likely a member, among the attack's audited pairs.
        p: the conformal p-value, where there is one.
    """

    key: str
    caption: str
    image: Image.Image
    role: str
    attack: str
    score: float
    rank: int
    p: float | None = None


@dataclass(frozen=True)
class _Card:
    pair: ShownPair
    jpeg: str


def write_pairs(pairs: Sequence[ShownPair], out: Path, demo: bool) -> Path:
    """Write `pairs.html` into the folder `out`: grouped by attack and role as given, by rank within.

    Args:
        pairs: what to show.
        out: the report's folder.
        demo: whether the pairs are the demo's.

    Returns:
        The file's path.

    Raises:
        LmiaError: the file cannot be written.
    """
    groups = []
    for attack, role in dict.fromkeys((pair.attack, pair.role) for pair in pairs):
        shown = [pair for pair in pairs if (pair.attack, pair.role) == (attack, role)]
        cards = [_Card(pair, thumbnail(pair.image)) for pair in sorted(shown, key=lambda pair: (pair.rank, pair.key))]
        groups.append((attack, role, cards))
    page = render("pairs.html.j2", groups=groups, demo=demo, demo_mark=sentences.DEMO, mark=MARK)
    return write_aside(out / NAME, page.encode("utf-8"))


def thumbnail(image: Image.Image) -> str:
    """Return a small JPEG of an image as base64, transparency on white, nothing of its metadata kept.

    Example:
        >>> small = Image.open(io.BytesIO(base64.b64decode(thumbnail(Image.new("RGBA", (640, 320))))))
        >>> small.size, small.getpixel((0, 0))
        ((160, 80), (255, 255, 255))
    """
    picture = image.convert("RGBA")
    picture.thumbnail((SIDE, SIDE))
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A"))
    buffer = io.BytesIO()
    flat.save(buffer, format="JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
