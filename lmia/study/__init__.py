"""Studies: a grid of trainings and audits from one file, and what they say together."""

from __future__ import annotations

from lmia.study.grid import Cell, Training, grid
from lmia.study.law import Law, power_law
from lmia.study.plan import Study, read_study
from lmia.study.run import Made, run_study

__all__ = ["Cell", "Law", "Made", "Study", "Training", "grid", "power_law", "read_study", "run_study"]
