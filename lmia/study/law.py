"""A power law through a study's figures: y = c * x^b, its exponent with an interval over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmia.evidence.estimate import Estimate

DRAWS = 2000


@dataclass(frozen=True)
class Law:
    """A fitted power law.

    Args:
        exponent: b, with its interval; None where fewer than two points could be used.
        constant: c.
        points: how many values of x it rests on.
        left_out: how many it does not, because their mean was not above 0 and has no logarithm.
        seeds: over how many seeds each point is a mean.
    """

    exponent: Estimate | None
    constant: float
    points: int
    left_out: int
    seeds: int


def power_law(x: ArrayLike, y: ArrayLike, confidence: float = 0.95, seed: int = 0, draws: int = DRAWS) -> Law:
    """Fit log y = log c + b log x by least squares through the means over seeds.

    The interval is the percentile bootstrap's over whole seeds: one seed's values hang together. With few seeds it is too
    narrow (five give 126 different resamples), and of one it is without end; a resample with fewer than two usable points counts for nothing.

    Args:
        x: `(k,)` above 0.
        y: `(seeds, k)`; NaN where a cell has no value.
        confidence: nominal coverage.
        seed: of the bootstrap.
        draws: how many resamples.

    Raises:
        ValueError: the shapes do not fit, or an x is not above 0.

    Example:
        >>> law = power_law([1, 10, 100], [[2.0, 20.0, 200.0]])
        >>> round(law.exponent.value, 6), round(law.constant, 6)
        (1.0, 2.0)
    """
    at, values = np.asarray(x, float), np.asarray(y, float)
    if values.ndim != 2 or values.shape[1:] != at.shape or not (at > 0).all():
        raise ValueError(f"A law needs (k,) positive x and (seeds, k) y, got {at.shape} and {values.shape}.")
    means = _means(values)
    usable = means > 0
    slope, height = _line(at, means)
    lots = np.random.default_rng(seed)
    again = [_line(at, _means(values[lots.integers(0, len(values), len(values))]))[0] for _ in range(draws)]
    kept = [one for one in again if np.isfinite(one)]
    left_out = int(len(at) - usable.sum())
    if not np.isfinite(slope) or not kept:
        return Law(None, float("nan"), int(usable.sum()), left_out, len(values))
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(kept, ends) if len(values) > 1 else (-np.inf, np.inf)  # one seed says nothing of others
    how = f"log-log least squares, bootstrap over {len(values)} seeds"
    exponent = Estimate(float(slope), float(low), float(high), confidence, how, int(usable.sum()))
    return Law(exponent, float(np.exp(height)), int(usable.sum()), left_out, len(values))


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over seeds, leaving out what is missing; NaN where nothing is there."""
    there = np.isfinite(values)
    total, n = np.where(there, values, 0.0).sum(0), there.sum(0)
    means: NDArray[np.float64] = np.divide(total, n, out=np.full(values.shape[1], np.nan), where=n > 0)
    return means


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a line through the logarithms of the points that have one: slope and height; NaN for fewer than two x."""
    usable = y > 0
    if len(np.unique(x[usable])) < 2:
        return float("nan"), float("nan")
    across, up = np.log(x[usable]), np.log(y[usable])
    slope = float(((across - across.mean()) * (up - up.mean())).sum() / ((across - across.mean()) ** 2).sum())
    return slope, float(up.mean() - slope * across.mean())
