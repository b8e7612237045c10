"""What came of the positive control: of members shown again and again, which an attack must find unless it is blind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmia.evidence.estimate import Estimate


@dataclass(frozen=True)
class Positive:
    """What an attack makes of members that were shown more than once, and of the others.

    Args:
        attack: its name in the report.
        repeated: AUROC of members shown more than once against the non-members that it is judged on; None where there
            are none.
        rest: AUROC of the other members against the same non-members; None where there are none.
    """

    attack: str
    repeated: Estimate | None = None
    rest: Estimate | None = None


@dataclass(frozen=True)
class Positives:
    """The positive control of an audit, attack by attack: a control, and no evidence.

    Args:
        members: how many of the judged members were shown more than once.
        rest: how many were not.
        times: the median of how often the former were shown; None where there are none.
        attacks: every attack that ran.
        seen: whether the interval of the attack that finds the former best lies above 0.5, corrected for having picked it
            (Bonferroni).
    """

    members: int
    rest: int
    times: float | None
    attacks: Sequence[Positive]
    seen: bool

    def best(self) -> Positive | None:
        """Return the attack that finds the repeated members best; None where there are none."""
        found = [one for one in self.attacks if one.repeated is not None]
        return max(found, key=lambda one: one.repeated.value if one.repeated else 0.0, default=None)

    def sentence(self) -> str:
        """Say what the control found.

        Example:
            >>> auc = Estimate(0.9, 0.85, 0.95, 0.95, "DeLong", 300)
            >>> Positives(0, 9, None, [Positive("csa")], False).sentence()
            'No judged member is known to have been shown more than once, so there is no positive control.'
            >>> print(Positives(50, 250, 8.0, [Positive("csa", auc)], True).sentence())
            Positive control: 50 members were shown several times (median 8); csa ranks them above non-members with AUC 0.900 [0.850, 0.950].
        """
        best = self.best()
        if best is None:
            return "No judged member is known to have been shown more than once, so there is no positive control."
        other = f", the other {self.rest:,} with AUC {best.rest}" if best.rest else ""
        return (
            f"Positive control: {_told(self, 'was', 'were')}; {best.attack} ranks {'it' if self.members == 1 else 'them'} "
            f"above non-members with AUC {best.repeated}{other}."
        )

    def silence(self, by_lot: bool) -> str:
        """Say what the control makes of a verdict that found nothing; empty where there is no control.

        Args:
            by_lot: whether chance alone decided who was trained on.

        Example:
            >>> auc = Estimate(0.52, 0.45, 0.59, 0.95, "DeLong", 300)
            >>> print(Positives(50, 250, 8.0, [Positive("csa", auc)], False).silence(True))
            csa did not find even the 50 members that were shown several times (median 8), AUC 0.520 [0.450, 0.590]: that nothing was found says little.
        """
        best = self.best()
        if best is None:
            return ""
        many = f"{_these(self)} shown several times (median {self.times:g})"
        if not self.seen:
            who = (
                f"{best.attack} did"
                if len(self.attacks) == 1
                else f"The best of {len(self.attacks)} attacks, {best.attack}, did"
            )
            return f"{who} not find even {many}, AUC {best.repeated}: that nothing was found says little."
        but = "" if by_lot else ", as far as these differ from the non-members in nothing else"
        return f"This audit would have seen pairs shown so often: {best.attack} finds {many}, AUC {best.repeated}{but}."


def _told(found: Positives, one: str, many: str) -> str:
    how = f"shown several times (median {found.times:g})"
    return f"1 member {one} {how}" if found.members == 1 else f"{found.members:,} members {many} {how}"


def _these(found: Positives) -> str:
    return "the 1 member that was" if found.members == 1 else f"the {found.members:,} members that were"
