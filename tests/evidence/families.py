"""Families of scores with a given AUC, whose TPR at an FPR is known in closed form: normal, skewed, and two full of ties.

All are made of standard normal numbers, one a score, so that scores of one family hang together as those numbers do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Normal:
    """Members from N(shift, 1), nonmembers from N(0, 1)."""

    auc: float

    def scores(self, normal: Floats, members: NDArray[np.bool_]) -> Floats:
        return normal + np.sqrt(2) * ndtri(self.auc) * members

    def tpr(self, fpr: float) -> float:
        return float(ndtr(np.sqrt(2) * ndtri(self.auc) + ndtri(fpr)))


@dataclass(frozen=True)
class Skewed:
    """Exponential: nonmembers' mean is 1, members' mean is AUC / (1 - AUC)."""

    auc: float

    @property
    def mean(self) -> float:
        return self.auc / (1 - self.auc)

    def scores(self, normal: Floats, members: NDArray[np.bool_]) -> Floats:
        return -log_ndtr(-normal) * np.where(members, self.mean, 1.0)

    def tpr(self, fpr: float) -> float:
        return float(fpr ** (1 / self.mean))


@dataclass(frozen=True)
class Tied:
    """Geometric: P(score >= j) is 1/2^j for nonmembers, half of whom score 0, and q^j for members.

    AUC = P(X > Y) + P(X = Y) / 2 = (1 - r)(1 + q) / (2 (1 - r q)) with r = 1/2, which is solved for q.
    """

    auc: float

    @property
    def q(self) -> float:
        return (2 * self.auc - 0.5) / (0.5 + self.auc)

    def scores(self, normal: Floats, members: NDArray[np.bool_]) -> Floats:
        return np.floor(-log_ndtr(-normal) / -np.log(np.where(members, self.q, 0.5)))

    def tpr(self, fpr: float) -> float:
        """Return the TPR at the lowest score that lets no more than `fpr` of the nonmembers pass."""
        return float(self.q ** np.ceil(np.log2(1 / fpr) - 1e-12))


@dataclass(frozen=True)
class Rounded:
    """Normal scores in steps, one of which begins where `passing` of the nonmembers lie above it."""

    auc: float
    step: float
    passing: float

    @property
    def start(self) -> float:
        return float(-ndtri(self.passing))

    def scores(self, normal: Floats, members: NDArray[np.bool_]) -> Floats:
        return np.floor((Normal(self.auc).scores(normal, members) - self.start) / self.step)

    def tpr(self, fpr: float) -> float:
        """Return the TPR at the lowest score that lets no more than `fpr` of the nonmembers pass."""
        first = np.ceil((-ndtri(fpr) - self.start) / self.step - 1e-9)
        return float(ndtr(np.sqrt(2) * ndtri(self.auc) - self.start - first * self.step))


FAMILIES = (Normal, Skewed, Tied)
