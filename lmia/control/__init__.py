"""The control of an audit: how often must the same data be shown to this model before these attacks find it?"""

from __future__ import annotations

from lmia.control.levels import Level, judged
from lmia.control.outcome import Outcome, smallest
from lmia.control.plan import Control, study

__all__ = ["Control", "Level", "Outcome", "judged", "smallest", "study"]
