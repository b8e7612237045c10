"""A broken law, as the conformance kit says it; and a target that breaks none."""

import pytest

from lmia.testing import ConformanceError
from worlds import Matrices


def refused(law, call):
    """Check that `call` breaks this very law, in one sentence."""
    with pytest.raises(ConformanceError) as broken:
        call()
    assert broken.value.law == law, str(broken.value)
    sentence = str(broken.value)
    assert "\n" not in sentence
    assert sentence.startswith(f"{law}: ")
    assert sentence.endswith(".")


class Eval(Matrices):
    """Matrices, in eval mode as they should be.

    Args:
        members: as there.
        leak: as there.
        seed: as there.
    """

    def __init__(self, members: str = "0:0", leak: float = 1.0, seed: int = 0) -> None:
        super().__init__(members, leak, seed)
        self.eval()

    def tokenize(self, captions):
        return super().tokenize([caption or "none" for caption in captions])
