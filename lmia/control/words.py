"""What a control says to a person: its line, the sentence to stand beside a real audit, and what it does not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmia.control.outcome import Outcome, least_share
from lmia.control.plan import Control


@dataclass(frozen=True)
class Trained:
    """What the trainings of a control were.

    Args:
        source: the pairs.
        target: what they began from.
        pairs: trained on, by seed.
        held_out: usable and not trained on, by seed.
        epochs: that a training took, by seed.
        shown: level to how often an epoch showed a pair of it in the mean, over all trainings.
    """

    source: str
    target: str
    pairs: Mapping[int, int]
    held_out: Mapping[int, int]
    epochs: Mapping[int, int]
    shown: Mapping[int, float]


def headline(outcome: Outcome, attack: str | None = None) -> str:
    """Say in one line from where on data is found.

    Example:
        >>> headline(Outcome([], 0.9))
        'This audit would not have found repeated data at any level that was tried.'
    """
    k, levels = outcome.smallest(attack), outcome.repeats
    if k is None:
        if levels and (hits := outcome.hits(levels[-1], attack)):
            only = f"in {hits} of {_counted(len(outcome.seeds), 'training')} alone"
            return f"This audit cannot be relied on to find repeated data: data shown {_times(levels[-1])} was found {only}."
        most = f": not even data shown {_times(levels[-1])}" if levels else " at any level that was tried"
        return f"This audit would not have found repeated data{most}."
    if k == 1:
        return "This audit would have found data that is shown once an epoch, and all that is repeated."
    least = ", the least that was tried" if k == levels[0] else ""
    return f"This audit would have found data repeated at least {k} times{least}."


def sentence(outcome: Outcome, control: Control, trained: Trained) -> str:
    """Say it so that it can be copied into a report, with all that it rests on."""
    k, n = outcome.smallest(), len(outcome.seeds)
    level = _answer(outcome)
    above = _above(outcome, level)
    judged = [one for one in outcome.at(level) if one.auc is not None]
    hits = min(outcome.hits(one) for one in (level, *above))
    told = f"{_range([one.members for one in judged])} pairs that an epoch shows {_times(level)}"
    told += f", and those of every higher level tried ({_listed(list(map(str, above)))})," if above else ""
    told += ", the most that was tried," if k is None else ""
    held_out = _range([one.nonmembers for one in judged])
    tests = f"{_counted(len(outcome.repeats), 'level')} and {_counted(len(outcome.attacks), 'attack')}"
    return (
        f"{headline(outcome)} Control: {trained.target} was trained on {_range(list(trained.pairs.values()))} pairs drawn by lot from "
        f"{trained.source} for {_epochs(trained)}, and some of them, drawn by lot too, were shown "
        f"more often. An audit by {_listed(outcome.attacks)} told {told} from {held_out} held-out ones in {hits} of "
        f"{_counted(n, 'training')}{': too few' if k is None else ''} (one-sided level {control.alpha:g}, Bonferroni over "
        f"{tests}). This holds for this data, training and size alone."
    )


def limits(outcome: Outcome, trained: Trained) -> list[str]:
    """Say what the control does not show."""
    n, k = len(outcome.seeds), outcome.smallest()
    said = [
        "It holds for this data, this training recipe and this size. Another model, learning rate or batch, more pairs or fewer "
        "epochs change it, in either direction; a model that others trained is not this one.",
        f"It is about {_range([one.members for one in outcome.at(_answer(outcome)) if one.auc])} such pairs together, and not "
        "about one: fewer pairs have to be repeated more often to be found.",
        f"Repeats are those of an epoch: over {_epochs(trained)} a pair of level k is shown so many times k.",
    ]
    if k is not None:
        hits = min(outcome.hits(level) for level in (k, *_above(outcome, k)))
        share = 100 * least_share(hits, n)
        said.append(
            f"{_counted(n, 'training')} {'is' if n == 1 else 'are'} few: {hits} of {n} show, with 95 % confidence, a share of at least "
            f"{share:.0f} % of such trainings. And the level was chosen after seeing them: fresh --seeds show whether it holds."
        )
    fewer = [level for level, times in trained.shown.items() if times < 0.9 * level]
    if fewer:
        shown = ", ".join(f"{trained.shown[level]:.1f} times at level {level}" for level in fewer)
        said.append(
            f"Repeats that fall into one batch are shown once there: an epoch showed a pair {shown}, in the mean. A smaller "
            "--batch, or more pairs, shows more of them; what was found was found in spite of it."
        )
    return said + notes(outcome)


def notes(outcome: Outcome) -> list[str]:
    """Say what has no number, and what was found without counting."""
    said = []
    for attack in outcome.attacks:
        mine = [one for one in outcome.levels if one.attack == attack]
        if none := list(dict.fromkeys(one.seed for one in mine if one.auc is None)):
            where = _listed([str(seed) for seed in none])
            said.append(f"{attack} has no score at some level with seed {where}; this counts as not found.")
    k = outcome.smallest()
    if lone := [level for level in outcome.repeats if outcome.hits(level) and (k is None or level < k)]:
        which = f"Level {lone[0]} was" if len(lone) == 1 else f"Levels {_listed(list(map(str, lone)))} were"
        said.append(
            f"{which} found in some trainings, which does not count: a level and every higher level must be found in enough of them."
        )
    return said


def _answer(outcome: Outcome) -> int:
    """Return the level that is spoken of: the smallest one found, or the highest that was tried."""
    k = outcome.smallest()
    return outcome.repeats[-1] if k is None else k


def _above(outcome: Outcome, k: int) -> list[int]:
    return [level for level in outcome.repeats if level > k]


def _epochs(trained: Trained) -> str:
    took = list(trained.epochs.values())
    return f"{_range(took)} {'epoch' if max(took, default=0) == 1 else 'epochs'}"


def _times(level: int) -> str:
    return "once" if level == 1 else f"{level} times"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _range(values: Sequence[int]) -> str:
    """Write one number, or the smallest and the largest.

    Example:
        >>> _range([3, 3]), _range([1200, 3]), _range([])
        ('3', '3 to 1,200', 'no')
    """
    if not values:
        return "no"
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _listed(words: Sequence[str]) -> str:
    """Join words as in a sentence.

    Example:
        >>> _listed(["a"]), _listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
