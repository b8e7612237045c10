"""A target behind a defence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Self

from PIL import Image
from torch import Tensor, nn

from lmia import Target, TargetFacts
from lmia.settings import class_path, digest, made_by
from lmia.target import Precision


class Defended(Target):
    """A target that stands before another: it prepares pairs as that one does, and answers as a subclass has it.

    Python hides nothing from code in the same process: whoever takes the other target out of this one goes round the
    defence. What it is about are the methods of a target, which is all that an attack is given to use.

    Args:
        target: the one behind.
    """

    leaves: ClassVar[frozenset[str]]
    """What the defence lets be answered, where the target behind answers it."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.behind = target
        self.eval()

    @property
    def answers(self) -> frozenset[str]:
        """What may still be asked."""
        return self.behind.answers & self.leaves

    @property
    def sealed(self) -> bool:
        """Whether features are closed, and good for `cosine` alone."""
        return isinstance(self.behind, Defended) and self.behind.sealed

    @property
    def precision(self) -> Precision:
        """That of the target behind."""
        return self.behind.precision

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        nn.Module.train(self, False)
        return self

    def preprocess(self, image: Image.Image) -> Tensor:
        """Prepare a picture as the target behind does."""
        return self.behind.preprocess(image)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Prepare captions as the target behind does."""
        return self.behind.tokenize(captions)

    def cosine(self, image: Tensor, text: Tensor) -> Tensor:
        """Compare pairs as the target behind does."""
        return self.behind.cosine(image, text)

    def untrained(self, seed: int) -> Target | None:
        """Return the untrained twin behind the same defence."""
        twin = self.behind.untrained(seed)
        return None if twin is None else type(self)(**{**self.settings, "target": twin})  # type: ignore[arg-type]

    def facts(self) -> TargetFacts:
        """Return what is known of the target behind, and by which defence."""
        facts = self.behind.facts()
        own = {name: value for name, value in self.settings.items() if name != "target"}
        told = " ".join([type(self).__name__.lower(), *(f"{name}={value}" for name, value in own.items())])
        before = [str(facts.details["defence"])] if "defence" in facts.details else []
        details = {**facts.details, "defence": ", ".join([*before, told])}
        return replace(facts, name=f"{facts.name}, {told}", details=details)

    def fingerprint(self) -> str:
        """Digest the defence, its options and version, and the target behind."""
        own = {name: value for name, value in self.settings.items() if name != "target"}
        return digest(class_path(type(self)), own, made_by(self), self.behind.fingerprint())
