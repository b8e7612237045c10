"""Sets of mixed views: several kinds of change in turn, or one after the other.

Strength 0 is the identity, strength 1 what a set's docstring says. Views are named `crop-1`, `crop-2` ...; the first of
a kind is the same however many there are.
"""

from __future__ import annotations

from lmia import View, Views
from lmia_kornia import draw
from lmia_kornia.build import Kinds, checked_k, checked_strength, drawn


class Gentle(Views):
    """Small crops, colour changes, blur and JPEG that leave a caption true; the set to begin with.

    Nothing is mirrored or turned, no hue changes, and no more than a tenth of the height and width is cut off, so
    "left of", "red" and objects that are not at the very edge stay as the caption says.

    In turn: a crop of at least 81 % of the area, its aspect kept; brightness, contrast and saturation by up to 20 %;
    blur with a sigma of up to 1/112 of the shorter side (2 pixels of 224); JPEG of quality 60 or better.

    Args:
        k: how many views besides the identity.
        strength: 0 (no change) to 1 (as above).
        seed: of all that is drawn.

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> list(Gentle().views())
        ['identity', 'crop-1', 'colour-1', 'blur-1', 'jpeg-1']
    """

    def __init__(self, k: int = 4, strength: float = 1.0, seed: int = 0) -> None:
        self.k, self.strength, self.seed = checked_k(k), checked_strength(strength), seed

    def views(self) -> dict[str, View]:
        """Return the identity and k views: crop, colour, blur, JPEG, crop ..."""
        s = self.strength
        kinds: Kinds = {
            "crop": lambda rng: (draw.crop(rng, s, 0.81, 1.0),),
            "colour": lambda rng: (draw.jitter(rng, s, 0.2, 0.0),),
            "blur": lambda rng: (draw.blur(rng, s),),
            "jpeg": lambda rng: (draw.jpeg(rng, s, 60),),
        }
        return drawn(kinds, self.k, s, self.seed)


class FourBasic(Views):
    """Resized crop, rotation, affine map and colour jitter in turn, k draws in all.

    RandomResizedCrop (8 to 100 % of the area, aspect 3/4 to 4/3), RandomRotation(45), RandomAffine(30 degrees,
    translate 0.1, scale 0.75 to 1.25) and ColorJitter(0.5, 0.5, 0.5, 0.5). This is our parameterisation; what the
    paper of the augmentation-enhanced attack used is unverified. Applied to the model's picture, not to the file's.

    A caption's truth: small crops lose objects, rotations bend "left of" and "above" (up to 45 degrees), the jitter
    reaches every hue, so colours named in the caption may become false.

    Args:
        k: how many views besides the identity: 4 is one of each, 8 two of each.
        strength: 0 (no change) to 1 (as above); all ranges shrink with it.
        seed: of all that is drawn.

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> list(FourBasic().views())
        ['identity', 'crop-1', 'rotate-1', 'affine-1', 'colour-1']
    """

    def __init__(self, k: int = 4, strength: float = 1.0, seed: int = 0) -> None:
        self.k, self.strength, self.seed = checked_k(k), checked_strength(strength), seed

    def views(self) -> dict[str, View]:
        """Return the identity and k views: crop, rotation, affine map, colour, crop ..."""
        s = self.strength
        kinds: Kinds = {
            "crop": lambda rng: (draw.crop(rng, s, 0.08, 4 / 3),),
            "rotate": lambda rng: (draw.rotation(rng, s, 45),),
            "affine": lambda rng: (draw.affine(rng, s, 30, 0.1, 0.25),),
            "colour": lambda rng: (draw.jitter(rng, s, 0.5, 0.5),),
        }
        return drawn(kinds, self.k, s, self.seed)


class Composed(Views):
    """Crop, colour jitter and blur one after the other in every view.

    Each view crops to 50 to 100 % of the area (aspect 3/4 to 4/3), changes brightness, contrast and saturation by up to
    50 % and hue by up to a tenth of a turn, and blurs with a sigma of up to 1/112 of the shorter side (2 pixels of 224).

    A caption's truth: objects near the edge may be lost and red may turn orange; places are kept.

    Args:
        k: how many views besides the identity.
        strength: 0 (no change) to 1 (as above); all ranges shrink with it.
        seed: of all that is drawn.

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> list(Composed(k=2).views())
        ['identity', 'composed-1', 'composed-2']
    """

    def __init__(self, k: int = 4, strength: float = 1.0, seed: int = 0) -> None:
        self.k, self.strength, self.seed = checked_k(k), checked_strength(strength), seed

    def views(self) -> dict[str, View]:
        """Return the identity and k composed views."""
        s = self.strength
        kinds: Kinds = {
            "composed": lambda rng: (draw.crop(rng, s, 0.5, 4 / 3), draw.jitter(rng, s, 0.5, 0.1), draw.blur(rng, s)),
        }
        return drawn(kinds, self.k, s, self.seed)
