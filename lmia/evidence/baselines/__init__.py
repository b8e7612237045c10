"""Blind baselines: can members and nonmembers be told apart without the model?"""

from lmia.evidence.baselines.blind import Baseline, Blind, blind_scores
from lmia.evidence.baselines.traits import COLUMNS, KINDS, Traits, features_of, traits_of

__all__ = ["COLUMNS", "KINDS", "Baseline", "Blind", "Traits", "blind_scores", "features_of", "traits_of"]
