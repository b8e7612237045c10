"""The verdict itself: a word, why, and what must be read beside it. The rule that makes it is `lmia.evidence.verdict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lmia.evidence.judged import Question, Regime

Word = Literal["void", "evidence", "underpowered", "none"]

ALPHA = 0.01
"""Chance of a false alarm, of each test and of the whole."""


@dataclass(frozen=True)
class Verdict:
    """An audit's last word.

    Args:
        word: what the rule says.
        question: what was asked.
        regime: how the roles came about.
        reasons: why, in plain sentences.
        sentence: the headline, without jargon.
        cautions: what must be read beside it, in plain sentences.
        detectable: smallest adjusted AUC that would have been seen; None where none would.
        detect: the AUC looked for.
        alpha: the chance of a false alarm that the rule keeps to.
    """

    word: Word
    question: Question
    regime: Regime
    reasons: Sequence[str]
    sentence: str
    cautions: Sequence[str]
    detectable: float | None
    detect: float
    alpha: float = ALPHA
