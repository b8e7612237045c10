"""Two-sided equivalence of an AUC with chance, or with a clean model's: has a model forgotten what it was told to?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lmia.evidence.auc import auroc, auroc_difference
from lmia.evidence.estimate import Estimate

Outcome = Literal["indistinguishable", "still detectable", "over-forgotten", "cannot tell"]
Fate = Literal["kept", "lost", "cannot tell"]

_REASONS = {
    "indistinguishable": "the forget set lies within the margin on both sides, and was told apart before",
    "still detectable": "the forget set still scores above the held-out pairs",
    "over-forgotten": "the forget set scores below the held-out pairs by more than the margin, which also gives it away",
    "cannot tell": "the interval reaches beyond the margin; more pairs would narrow it",
}
_FATES = {
    "kept": "what the attack sees of these pairs has not shrunk by as much as the margin",
    "lost": "the attack sees less of these pairs than before",
    "cannot tell": "the interval reaches from no change to beyond the margin; more pairs would narrow it",
}
_NEVER_SEEN = "the attack did not clearly see these pairs before, so it cannot show what became of them"
_UNSEEN = (
    "the forget set lies within the margin, but this attack did not clearly tell it apart before either, so its silence "
    "shows nothing; a stronger attack or a smaller margin is needed"
)


@dataclass(frozen=True)
class Forgetting:
    """What an attack says of a forget set before and after unlearning.

    Args:
        outcome: the answer in a word or two.
        reason: why, in plain words.
        before: AUC of the forget set against held-out pairs, minus chance or the clean model's, before unlearning.
        after: the same after it. Both with the interval that the test reads, of confidence 1 - 2 alpha.
        margin: how far from no difference still counts as none.
    """

    outcome: Outcome
    reason: str
    before: Estimate
    after: Estimate
    margin: float


def excess(
    scores: Tensor, labels: Tensor, clean: Tensor | None = None, groups: Tensor | None = None, confidence: float = 0.9
) -> Estimate:
    """Estimate how far an AUC lies above chance, or above a clean model's AUC on the same samples.

    Args:
        scores: (n,), any real dtype; higher means more likely a member.
        labels: (n,) bool or 0 and 1; 1 is in the forget set, 0 is held out.
        clean: (n,) scores of the same samples by a model that never saw the forget set; None to compare with 0.5.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        confidence: nominal coverage.

    Returns:
        AUC - 0.5, or the paired difference of the two AUCs.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: not both sides are there.

    Example:
        >>> import torch
        >>> scores, labels = torch.arange(400.0), torch.arange(400) % 4 > 1
        >>> print(excess(scores, labels))
        0.005 [-0.043, 0.052]
        >>> print(excess(scores, labels, clean=scores))
        0.000 [0.000, 0.000]
    """
    if clean is not None:
        return auroc_difference(scores, clean, labels, groups, confidence)
    area = auroc(scores, labels, groups, confidence)
    return Estimate(area.value - 0.5, area.low - 0.5, area.high - 0.5, confidence, area.method, area.n)


def equivalence(difference: Estimate, margin: float = 0.05) -> Outcome:
    """Decide from an interval whether a difference of AUCs is none, above none, clearly below it, or unknown.

    Two one-sided tests at level alpha (TOST: Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987) by their interval of
    confidence 1 - 2 alpha: none where all of it lies within the margin. Each wrong answer has a chance of about alpha:
    `indistinguishable` at a true difference of the margin, `still detectable` at none, `over-forgotten` at minus the
    margin. A small difference that is surely within the margin counts as none, even where it is surely above 0.

    Args:
        difference: with an interval of confidence 1 - 2 alpha, such as `excess` gives.
        margin: above 0, below 0.5.

    Returns:
        the outcome.

    Raises:
        ValueError: the margin is not between 0 and 0.5.

    Example:
        >>> equivalence(Estimate(0.01, -0.02, 0.04, 0.9, "DeLong", 2000))
        'indistinguishable'
        >>> equivalence(Estimate(0.01, -0.02, 0.04, 0.9, "DeLong", 2000), margin=0.03)
        'cannot tell'
    """
    _check_margin(margin)
    if -margin < difference.low and difference.high < margin:
        return "indistinguishable"
    if difference.low > 0:
        return "still detectable"
    return "over-forgotten" if difference.high < -margin else "cannot tell"


def forgetting(
    before: Tensor,
    after: Tensor,
    labels: Tensor,
    clean: Tensor | None = None,
    groups: Tensor | None = None,
    margin: float = 0.05,
    alpha: float = 0.05,
) -> Forgetting:
    """Test whether unlearning has made a forget set indistinguishable from held-out pairs, to one attack.

    `indistinguishable` needs two things: the difference after unlearning lies within the margin, and the attack told
    the forget set apart before it. Without the second, an attack that sees nothing would call everything forgotten.

    Args:
        before: (n,) scores by the model before unlearning; higher means more likely a member.
        after: (n,) scores of the same samples by the model after it.
        labels: (n,) bool or 0 and 1; 1 is in the forget set, 0 is held out.
        clean: (n,) scores by a model that never saw the forget set: the standard to be met instead of an AUC of 0.5.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        margin: how far from no difference still counts as none, in AUC.
        alpha: chance of each wrong answer; the intervals have confidence 1 - 2 alpha.

    Returns:
        the outcome, and the differences it rests on.

    Raises:
        ValueError: a score is NaN or infinite, the shapes do not match, or the margin or alpha is out of range.
        LmiaError: not both sides are there.

    Example:
        >>> import torch
        >>> labels = torch.arange(4000) % 4 > 1
        >>> nothing, memory = torch.arange(4000) % 997, torch.arange(4000) % 997 + 400 * labels
        >>> forgetting(memory, nothing, labels).outcome, forgetting(memory, memory, labels).outcome
        ('indistinguishable', 'still detectable')
        >>> forgetting(nothing, nothing, labels).outcome
        'cannot tell'
    """
    _check_alpha(alpha)
    confidence = 1 - 2 * alpha
    first = excess(before, labels, clean, groups, confidence)
    then = excess(after, labels, clean, groups, confidence)
    outcome = equivalence(then, margin)
    if outcome == "indistinguishable" and equivalence(first, margin) != "still detectable":
        return Forgetting("cannot tell", _UNSEEN, first, then, margin)
    return Forgetting(outcome, _REASONS[outcome], first, then, margin)


@dataclass(frozen=True)
class Keeping:
    """What an attack says of pairs that unlearning was to leave alone.

    Args:
        outcome: `kept`, `lost` (at least in part) or `cannot tell`.
        reason: why, in plain words.
        before: AUC of these pairs against held-out pairs before unlearning.
        after: the same after it.
        change: after - before, paired. All three with intervals of confidence 1 - 2 alpha.
        margin: a loss smaller than this counts as none.
    """

    outcome: Fate
    reason: str
    before: Estimate
    after: Estimate
    change: Estimate
    margin: float


def keeping(
    before: Tensor,
    after: Tensor,
    labels: Tensor,
    groups: Tensor | None = None,
    margin: float = 0.05,
    alpha: float = 0.05,
) -> Keeping:
    """Test whether a model still remembers the pairs that it was not told to forget, to one attack.

    `kept` needs two things: the loss of AUC is surely smaller than the margin, and the attack told these pairs apart
    before. `lost` is said where the AUC has surely fallen and the loss may be as large as the margin. Each of the two is
    wrong with a chance of about alpha: `kept` at a loss of the margin, `lost` at none.

    Args:
        before: (n,) scores by the model before unlearning; higher means more likely a member.
        after: (n,) scores of the same samples by the model after it.
        labels: (n,) bool or 0 and 1; 1 was to be kept, 0 is held out.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        margin: how much AUC may be lost and still counts as nothing.
        alpha: chance of each wrong answer; the intervals have confidence 1 - 2 alpha.

    Returns:
        the outcome, and what it rests on.

    Raises:
        ValueError: a score is NaN or infinite, the shapes do not match, or the margin or alpha is out of range.
        LmiaError: not both sides are there.

    Example:
        >>> import torch
        >>> labels = torch.arange(4000) % 4 > 1
        >>> nothing, memory = torch.arange(4000) % 997, torch.arange(4000) % 997 + 400 * labels
        >>> keeping(memory, memory, labels).outcome, keeping(memory, nothing, labels).outcome
        ('kept', 'lost')
        >>> keeping(nothing, nothing, labels).reason
        'the attack did not clearly see these pairs before, so it cannot show what became of them'
    """
    _check_alpha(alpha)
    _check_margin(margin)
    confidence = 1 - 2 * alpha
    first, then = (auroc(scores, labels, groups, confidence) for scores in (before, after))
    change = auroc_difference(after, before, labels, groups, confidence)
    if first.low <= 0.5:
        return Keeping("cannot tell", _NEVER_SEEN, first, then, change, margin)
    outcome: Fate = "kept" if change.low > -margin else "lost" if change.high < 0 else "cannot tell"
    return Keeping(outcome, _FATES[outcome], first, then, change, margin)


def _check_margin(margin: float) -> None:
    if not 0 < margin < 0.5:
        raise ValueError(f"the margin must lie between 0 and 0.5, but is {margin}")


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, but is {alpha}")
