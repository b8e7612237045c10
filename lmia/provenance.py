"""Provenance: whether a report was sealed before scoring, and what went before it on the same data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lmia.ledger import Past, Scoring

SHOWN = 5
"""Sets of attacks that a sentence names one by one."""


@dataclass(frozen=True)
class Provenance:
    """How a report came about: whether it was sealed before scoring, and what went before it on the same data.

    Args:
        sealed: the digest of the seal that it was checked against; empty without one.
        sealed_at: when that was made, ISO 8601 in UTC, by the clock of whoever made it.
        run: which audit of these data it is that the cache knows of, from 1; 0 where they could not be counted.
        earlier: how many earlier audits there were, by their attacks: `csa, wsa`.
        same_target: how many of them were of the same model.
        repeats: how many of them had the same model, attacks and settings.
        before_seal: how many of them are older than the seal.
        notes: what is missing from the count, in plain sentences.
    """

    sealed: str = ""
    sealed_at: str = ""
    run: int = 0
    earlier: Mapping[str, int] = field(default_factory=dict)
    same_target: int = 0
    repeats: int = 0
    before_seal: int = 0
    notes: Sequence[str] = ()

    def sentences(self) -> list[str]:
        """Say it in plain sentences.

        Example:
            >>> made = Provenance(run=3, earlier={"csa": 1, "csa, wsa": 1}, same_target=2, repeats=1)
            >>> for sentence in made.sentences():
            ...     print(sentence)
            Not sealed: nothing here shows that data and settings were fixed before a score was seen.
            Run 3 on these data (2 earlier, with these attacks: csa; csa, wsa).
            The same run was made once before (model, attacks, settings, data). It is counted all the same.
        """
        return [*self._seal(), *self._count(), *self.notes]

    def _seal(self) -> list[str]:
        if not self.sealed:
            return ["Not sealed: nothing here shows that data and settings were fixed before a score was seen."]
        said = [
            f"Sealed at {self.sealed} before scoring (made {self.sealed_at} by its maker's clock; what counts is the "
            "day on which this digest was published)."
        ]
        if self.before_seal:
            who = "1 audit" if self.before_seal == 1 else f"{self.before_seal} audits"
            said.append(f"{who} of these data came before the seal: it may have been made with their scores in view.")
        return said

    def _count(self) -> list[str]:
        if not self.run:
            return []
        if self.run == 1:
            return ["Run 1 on these data: this cache knows of none before it."]
        sets = sorted(self.earlier.items(), key=lambda item: (-item[1], item[0]))
        names = [name if times == 1 else f"{name} ({times} times)" for name, times in sets[:SHOWN]]
        names += [f"{len(sets) - SHOWN} other sets of attacks"] if len(sets) > SHOWN else []
        tried = f", with these attacks: {'; '.join(names)}" if names else ""
        said = [f"Run {self.run} on these data ({self.run - 1} earlier{tried})."]
        if others := sum(self.earlier.values()) - self.same_target:
            said.append(f"Of the earlier ones, {self.same_target} audited this model and {others} another.")
        if self.repeats:
            times = "once" if self.repeats == 1 else f"{self.repeats} times"
            said.append(
                f"The same run was made {times} before (model, attacks, settings, data). It is counted all the same."
            )
        return said


def told(past: Past, scoring: Scoring, sealed: str = "", sealed_at: str = "") -> Provenance:
    """Say of a scoring what went before it.

    Args:
        past: as `append` returned it.
        scoring: what was added.
        sealed: digest of its seal, if it has one.
        sealed_at: when that was made.

    Example:
        >>> one = Scoring("2026-01-01T00:00:00+00:00", "a model", ["csa"], "1")
        >>> told(Past([one]), one).repeats
        1
    """
    notes = [past.problem] if past.problem else []
    if past.unread:
        notes.append(f"Lines of the ledger that cannot be read: {past.unread}; each is counted as an audit.")
    made = _moment(sealed_at)
    times = [_moment(one.time) for one in past.scorings]
    return Provenance(
        sealed=sealed,
        sealed_at=sealed_at,
        run=0 if past.problem and not past.count else past.count + 1,
        earlier=dict(Counter(", ".join(one.attacks) for one in past.scorings)),
        same_target=sum(one.target == scoring.target for one in past.scorings),
        repeats=sum(_what(one) == _what(scoring) for one in past.scorings),
        before_seal=sum(made is not None and time is not None and time < made for time in times),
        notes=tuple(notes),
    )


def _what(scoring: Scoring) -> tuple[object, ...]:
    return scoring.target, tuple(scoring.attacks), scoring.settings


def _moment(time: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(time)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
