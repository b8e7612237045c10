"""Numbers from scores and labels: metrics, intervals, thresholds."""

from lmia.evidence.estimate import Estimate

__all__ = ["Estimate"]
