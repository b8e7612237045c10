"""An estimate: a number that never travels without its interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, how it was made, and from how many.

    Args:
        value: the point estimate.
        low: lower end of the interval.
        high: upper end of the interval.
        confidence: the interval's nominal coverage, such as 0.95.
        method: how the interval was made, such as `DeLong, logit scale`.
        n: how many samples it rests on.

    Example:
        >>> print(Estimate(0.75, 0.7, 0.8, 0.95, "DeLong", 100))
        0.750 [0.700, 0.800]
    """

    value: float
    low: float
    high: float
    confidence: float
    method: str
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
