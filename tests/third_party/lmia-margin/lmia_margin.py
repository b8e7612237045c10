"""Margin: a membership inference attack for lmia."""

from torch import Tensor
from torch.nn.functional import normalize

import lmia


class Margin(lmia.Attack):
    """Similarity to the own caption minus similarity to the closest known non-member captions.

    Args:
        k: how many hard negatives to average.
    """

    needs = frozenset({"embeddings"})
    requires = frozenset({"known_nonmembers"})

    def __init__(self, k: int = 5) -> None:
        self.k = k

    def fit(self, known: lmia.Known) -> None:
        self.negatives = normalize(known.nonmembers.text, dim=-1)  # (m, d)

    def score(self, samples: lmia.Samples) -> Tensor:
        image = normalize(samples.image, dim=-1)  # (n, d)
        return samples.cosine[:, 0] - (image @ self.negatives.T).topk(self.k, dim=1).values.mean(dim=1)


@lmia.hookimpl
def lmia_attacks() -> list[type[lmia.Attack]]:
    return [Margin]
