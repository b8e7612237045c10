"""Sets of one kind of change each, to see which of them a model remembers through.

Strength 0 is the identity, strength 1 what a set's docstring says.
"""

from __future__ import annotations

from lmia import LmiaError, View, Views
from lmia.views import IDENTITY
from lmia_kornia import draw
from lmia_kornia.build import Kinds, checked_k, checked_strength, drawn, listed
from lmia_kornia.chain import Chain
from lmia_kornia.geometry import Affine, Flip
from lmia_kornia.jpeg import Jpeg
from lmia_kornia.optics import Blurring


class Rotations(Views):
    """Rotations about the centre by evenly spaced angles up to 45 degrees, either way; corners turn black.

    A caption's truth: bends "left of" and "above"; at 45 degrees they are undecided.

    Args:
        k: how many views besides the identity: 4 is +22.5, -22.5, +45 and -45 degrees (positive is counter-clockwise).
        strength: 0 (no change) to 1 (as above).

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> Rotations(k=2).views()["rotate-2"].image
        Chain(steps=(Affine(angle=-45.0, right=0.0, down=0.0, scale=1.0),))
    """

    def __init__(self, k: int = 4, strength: float = 1.0) -> None:
        self.k, self.strength = checked_k(k), checked_strength(strength)

    def views(self) -> dict[str, View]:
        """Return the identity and k rotations."""
        pairs = (self.k + 1) // 2
        angles = [45 * self.strength * (i // 2 + 1) / pairs * (1 - 2 * (i % 2)) for i in range(self.k)]
        return listed("rotate", [Affine(angle) for angle in angles], self.strength)


class Crops(Views):
    """Resized crops: 8 to 100 % of the area, aspect 3/4 to 4/3, anywhere, enlarged to the full size.

    A caption's truth: what a small crop leaves out is gone; what is left keeps its order.

    Args:
        k: how many views besides the identity.
        strength: 0 (no change) to 1 (as above); the ranges shrink with it.
        seed: of all that is drawn.

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> list(Crops(k=2).views())
        ['identity', 'crop-1', 'crop-2']
    """

    def __init__(self, k: int = 4, strength: float = 1.0, seed: int = 0) -> None:
        self.k, self.strength, self.seed = checked_k(k), checked_strength(strength), seed

    def views(self) -> dict[str, View]:
        """Return the identity and k crops."""
        kinds: Kinds = {"crop": lambda rng: (draw.crop(rng, self.strength, 0.08, 4 / 3),)}
        return drawn(kinds, self.k, self.strength, self.seed)


class Flips(Views):
    """Mirror images: left and right swapped, top and bottom swapped, both. There is no strength: a flip is one or not.

    A caption's truth: the first falsifies "left of" and "right of" and reverses writing, the second "above" and
    "below", the third all four.

    Args:
        k: how many of the three, in this order.

    Raises:
        LmiaError: k is not 1, 2 or 3.

    Example:
        >>> list(Flips(k=3).views())
        ['identity', 'flip-horizontal', 'flip-vertical', 'flip-both']
    """

    def __init__(self, k: int = 1) -> None:
        self.k = checked_k(k)
        if k > 3:
            raise LmiaError(f"k is {k}, but there are three flips.", "Give a k from 1 to 3.")

    def views(self) -> dict[str, View]:
        """Return the identity and k flips."""
        flips = {
            "flip-horizontal": Flip(horizontal=True),
            "flip-vertical": Flip(vertical=True),
            "flip-both": Flip(horizontal=True, vertical=True),
        }
        return {"identity": IDENTITY} | {name: View(Chain((flips[name],))) for name in list(flips)[: self.k]}


class Blur(Views):
    """Gaussian blurs in even steps up to a sigma of 1/56 of the shorter side (4 pixels of 224).

    A caption's truth: kept, except of small things and writing.

    Args:
        k: how many views besides the identity, the last the strongest.
        strength: 0 (no change) to 1 (as above).

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> list(Blur(k=2).views())
        ['identity', 'blur-1', 'blur-2']
    """

    def __init__(self, k: int = 4, strength: float = 1.0) -> None:
        self.k, self.strength = checked_k(k), checked_strength(strength)

    def views(self) -> dict[str, View]:
        """Return the identity and k blurs."""
        steps = [Blurring(self.strength * (i + 1) / self.k / 56) for i in range(self.k)]
        return listed("blur", steps, self.strength)


class Colour(Views):
    """Colour jitter: brightness, contrast and saturation by up to 50 %, hue by up to half a turn, in drawn order.

    A caption's truth: place and shape are kept, colours that it names may become false.

    Args:
        k: how many views besides the identity.
        strength: 0 (no change) to 1 (as above); the ranges shrink with it.
        seed: of all that is drawn.

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> list(Colour(k=2).views())
        ['identity', 'colour-1', 'colour-2']
    """

    def __init__(self, k: int = 4, strength: float = 1.0, seed: int = 0) -> None:
        self.k, self.strength, self.seed = checked_k(k), checked_strength(strength), seed

    def views(self) -> dict[str, View]:
        """Return the identity and k recoloured views."""
        kinds: Kinds = {"colour": lambda rng: (draw.jitter(rng, self.strength, 0.5, 0.5),)}
        return drawn(kinds, self.k, self.strength, self.seed)


class JPEG(Views):
    """JPEG compression in even steps from quality 100 (left out) down to quality 10.

    A caption's truth: kept, except of small things and writing.

    Args:
        k: how many views besides the identity, the last the strongest; 4 is quality 78, 55, 32 and 10.
        strength: 0 (no change) to 1 (as above).

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> JPEG(k=1, strength=0.5).views()["jpeg-1"].image
        Chain(steps=(Jpeg(quality=55),))
    """

    def __init__(self, k: int = 4, strength: float = 1.0) -> None:
        self.k, self.strength = checked_k(k), checked_strength(strength)

    def views(self) -> dict[str, View]:
        """Return the identity and k compressed views."""
        steps = [Jpeg(round(100 - 90 * self.strength * (i + 1) / self.k)) for i in range(self.k)]
        return listed("jpeg", steps, self.strength)
