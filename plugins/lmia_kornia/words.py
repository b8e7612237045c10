"""What can be done to a caption: frozen, picklable functions of a string. Words are what white space parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Lower:
    """Lower case. CLIP's own tokenizer does that anyway, so its features stay as they are.

    Example:
        >>> Lower()("A Dog")
        'a dog'
    """

    def __call__(self, caption: str) -> str:
        """Lower the caption's case."""
        return caption.lower()


@dataclass(frozen=True)
class Upper:
    """Upper case; undone by CLIP's own tokenizer.

    Example:
        >>> Upper()("A Dog")
        'A DOG'
    """

    def __call__(self, caption: str) -> str:
        """Raise the caption's case."""
        return caption.upper()


@dataclass(frozen=True)
class Truncate:
    """Keep the first words, one at least.

    Args:
        share: how much of the words to keep, rounded up.

    Example:
        >>> Truncate(0.5)("a dog on the beach")
        'a dog on'
    """

    share: float

    def __call__(self, caption: str) -> str:
        """Cut the caption."""
        words = caption.split()
        # Rounded before the ceiling: 0.55 * 20 is 11.000000000000002.
        return " ".join(words[: math.ceil(round(self.share * len(words), 6))])


@dataclass(frozen=True)
class Shuffle:
    """Move words to each other's places: some places are drawn, and each of their words goes to the next of them.

    So every chosen word moves (a plain shuffle leaves half of all two-word captions as they were). The places depend on
    the seed and the number of words alone, not on the words.

    Args:
        share: how much of the words to move, two at least; a single word stays.
        seed: of the drawing.

    Example:
        >>> Shuffle(1.0, "0:shuffle-1")("red candy above blue camera")
        'blue red camera above candy'
    """

    share: float
    seed: str

    def __call__(self, caption: str) -> str:
        """Reorder the caption's words; white space becomes single spaces."""
        words = caption.split()
        draw = Random(f"{self.seed}:{len(words)}")
        keys = [draw.random() for _ in words]
        chosen = sorted(range(len(words)), key=keys.__getitem__)[: max(2, round(self.share * len(words)))]
        moved = list(words)
        for here, there in zip(chosen, chosen[1:] + chosen[:1], strict=True):
            moved[there] = words[here]
        return " ".join(moved)
