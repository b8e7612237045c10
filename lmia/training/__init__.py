"""Worlds with known truth: train a target on a drawn half of some pairs, and write down which half."""

from __future__ import annotations

from lmia.training.data import FitData
from lmia.training.keeping import Record
from lmia.training.learner import Learner
from lmia.training.pairs import Pairs, decoded
from lmia.training.plan import Plan
from lmia.training.run import run_fit

__all__ = ["FitData", "Learner", "Pairs", "Plan", "Record", "decoded", "run_fit"]
