"""What the canary test says to people: its power before, its answer after, and what that does not show."""

from __future__ import annotations

from lmia.canary.key import Key
from lmia.canary.trial import Trial
from lmia.evidence.canary import critical_sum, rank_sum_power, smallest_shift, wins

POWER = 0.9
_SHIFTS = (0.25, 0.5, 1.0)
LIMITS = (
    "The p-value is exact whatever the model is, given that chance alone chose what was published, that the commitment "
    "was made known before, and that no unpublished variant has ever left the sealed folder.",
    "That chance alone chose, the commitment cannot show to others: an owner could choose variants that some model "
    "likes anyway. Have the choice made by, or in front of, someone whom all sides trust.",
    "It speaks of the published pictures and captions together, not of single ones; and not of how they came into the "
    "training set.",
    "Where several models are tested with one key, multiply each p-value by the number of models.",
)


def power_lines(items: int, variants: int, alpha: float) -> list[str]:
    """Say how small a memory the test can find, before anything is made or run.

    Args:
        items: m.
        variants: n of each.
        alpha: chance of a false alarm.

    Example:
        >>> power_lines(1, 8, 0.01)
        ['1 item with 8 variants each can never reach p = 0.01: the smallest p is 0.125. Take more items.']
        >>> power_lines(100, 8, 0.01)[0]
        '100 items with 8 variants each, false alarms at most 0.01:'
    """
    count = f"{items} item{'s' if items > 1 else ''}"
    if critical_sum(items, variants, alpha) is None:
        least = float(variants) ** -items
        return [
            f"{count} with {variants} variants each can never reach p = {alpha:g}: the smallest p is {least:.3g}. "
            "Take more items."
        ]
    lines = [f"{count} with {variants} variants each, false alarms at most {alpha:g}:"]
    least_shift = smallest_shift(items, variants, alpha, POWER)
    if least_shift is None:
        lines.append(f"  no memory, however strong, is found {POWER:.0%} of the time")
    else:
        lines.append(
            f"  found {POWER:.0%} of the time: a memory by which a published variant outscores another of its item "
            f"{wins(least_shift):.1%} of the time (by luck 50 %; shift {least_shift:.2f} standard deviations)"
        )
    for shift in _SHIFTS:
        power = rank_sum_power(items, variants, shift, alpha)
        lines.append(f"  at {wins(shift):.1%} (shift {shift:g}) it is found {power:.1%} of the time")
    return lines


def answer(trial: Trial, key: Key) -> list[str]:
    """Say what the test found, in plain lines.

    Args:
        trial: what it found.
        key: what was tested.
    """
    share, n = trial.share, key.variants
    first = (
        f"Found: the model prefers what was published (p = {trial.p:.3g}, at most {key.alpha:g} was asked for). A model "
        f"that was not trained on it would do so with a chance of at most {trial.p:.3g}."
        if trial.found
        else f"Not found: p = {trial.p:.3g}, above {key.alpha:g}. That is no proof that the pictures were not used: a "
        "small memory stays unseen, as said above."
    )
    lines = [
        first,
        f"A published variant outscores another one of its item {share.value:.1%} of the time "
        f"[{share.low:.1%}, {share.high:.1%}]; by luck 50 % or less. {share.n} items, {n} variants each.",
    ]
    if key.rehearsal:
        lines.append("This key was made from a seed: a rehearsal, which proves nothing.")
    if trial.tied:
        lines.append(f"In {trial.tied} items the published variant ties with another, which counted against the owner.")
    return lines
