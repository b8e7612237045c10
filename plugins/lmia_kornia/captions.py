"""Views of the caption; the picture stays as it is and is not encoded again."""

from __future__ import annotations

from lmia import View, Views
from lmia.views import IDENTITY
from lmia_kornia.build import checked_k, checked_strength
from lmia_kornia.words import Lower, Shuffle, Truncate, Upper


class Captions(Views):
    """The caption in lower case, in upper case, cut to its first half, and with its words in other orders.

    CLIP's own tokenizer lowers the case of everything, so the first two show it the same tokens as the identity does;
    SigLIP's and some others tell them apart. Words are what white space parts: a text without it is one word.

    A caption's truth: case changes nothing; the first half leaves things out; another order may say the opposite
    ("dog above cat").

    Args:
        k: how many views besides the identity: lower case, upper case, first half, then one shuffle after the other.
        strength: 0 (no change) to 1: a half is cut off and all words move; between them, less of both. Case is not
            scaled.
        seed: of the word orders.

    Raises:
        LmiaError: k is below 1, or strength outside 0 to 1.

    Example:
        >>> for name, view in list(Captions().views().items())[1:]:
        ...     print(name, "|", view.caption("A dog above a cat"))
        lower | a dog above a cat
        upper | A DOG ABOVE A CAT
        truncated | A dog above
        shuffle-1 | a A cat above dog
    """

    def __init__(self, k: int = 4, strength: float = 1.0, seed: int = 0) -> None:
        self.k, self.strength, self.seed = checked_k(k), checked_strength(strength), seed

    def views(self) -> dict[str, View]:
        """Return the identity and k views of the caption."""
        views = {"lower": View(caption=Lower()), "upper": View(caption=Upper())}
        views["truncated"] = View(caption=Truncate(1 - self.strength / 2))
        for i in range(1, self.k - 2):
            views[f"shuffle-{i}"] = View(caption=Shuffle(self.strength, f"{self.seed}:shuffle-{i}"))
        kept = list(views)[: self.k]
        return {"identity": IDENTITY} | {name: views[name] if self.strength else IDENTITY for name in kept}
