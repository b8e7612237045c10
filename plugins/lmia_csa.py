"""CSA: the plain cosine of an image and its caption, the yardstick of every other attack."""

from __future__ import annotations

from torch import Tensor

import lmia


class CSA(lmia.Attack):
    """Cosine similarity of the image and its own caption.

    A model trained to bring matching pairs together brings those it has seen closer. The cosine similarity attack of
    Ko et al., "Practical Membership Inference Attacks Against Large-Scale Multi-Modal Models: A Pilot Study", ICCV
    2023 (arXiv 2310.00108). It has no settings: nothing is learnt, and a threshold is the audit's to calibrate.

    Example:
        >>> import torch
        >>> few = lmia.Samples(torch.arange(2), ["a", "b"], ("identity",), {"cosine": torch.tensor([[0.25], [0.5]])})
        >>> CSA().score(few).tolist()
        [0.25, 0.5]
    """

    def score(self, samples: lmia.Samples) -> Tensor:
        """Return the cosines of the identity view, `(n,)`."""
        return samples.cosine[:, 0].clone()


@lmia.hookimpl
def lmia_attacks() -> list[type[lmia.Attack]]:
    """Bring CSA."""
    return [CSA]
