"""The audits that `lmia unlearned` makes itself: every model on the pairs to be forgotten, and on those to be kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from lmia import overlap, record, specs
from lmia.attack import Attack
from lmia.audit import run_audit
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.evidence.duplicates import copies
from lmia.extract import FeatureExtractor
from lmia.judging import DEFAULT_FPRS
from lmia.quiet import quiet
from lmia.report.visible import visible
from lmia.request import VIEWS
from lmia.setup import Setup
from lmia.source import Source
from lmia.target import Target

KEPT = ("before", "after")
"""The models that are also asked about the pairs to be kept."""


@dataclass(frozen=True)
class Series:
    """Audits that are yet to be made.

    Args:
        targets: `before`, `after`, and `clean` where there is one.
        sources: `forget` and `heldout`, and `retain` where it is given.
        attacks: their names, as `lmia audit --plugin` takes them.
        out: where each audit gets a folder.
        cache: where features are kept; the user's cache folder where that is None.
    """

    targets: Mapping[str, Target]
    sources: Mapping[str, Source]
    attacks: Sequence[str]
    out: Path
    cache: Path | None = None

    @property
    def audits(self) -> dict[str, tuple[str, str]]:
        """The model and the members of each audit, by its folder in `out`.

        Example:
            >>> Series({"before": None, "after": None}, {"retain": None}, ["csa"], Path("x")).audits  # type: ignore
            {'before': ('before', 'forget'), 'after': ('after', 'forget'), 'before-retain': ('before', 'retain'), ...}
        """
        kept = KEPT if "retain" in self.sources else ()
        first = {word: (word, "forget") for word in self.targets}
        return first | {f"{word}-retain": (word, "retain") for word in kept}

    @property
    def names(self) -> list[str]:
        """What the attacks are called in the reports."""
        return specs.attack_names(self._made())

    def check(self) -> None:
        """Check what can be known before a model runs: attacks, what they need, shared pairs, folders.

        Raises:
            LmiaError: something cannot work.
        """
        names, made = self.names, self._made()
        for attack, name in zip(made, names, strict=True):
            if "known_members" in attack.requires:
                raise LmiaError(
                    f"The attack '{name}' learns from known members, which are not given here.",
                    "Audit with `lmia audit --known-members SPEC`, and give the folders, without --forget.",
                )
        for word, members in self.audits.values():
            Setup(self._model(word), self._data(members), made, names, DEFAULT_FPRS, False, 0).check()
        _apart(self.sources)
        for folder in self.audits:
            record.prepare(self.out / folder)

    def run(self) -> None:
        """Make the audits, one after the other; features are kept, so that one that is made again costs little.

        Raises:
            LmiaError: an audit cannot be made.
        """
        for i, (folder, (word, members)) in enumerate(self.audits.items(), start=1):
            if sys.stderr.isatty():
                print(visible(f"Audit {i} of {len(self.audits)}: {self.out / folder}"), file=sys.stderr)
            one = {"devices": 1}  # other ranks would leave with the first audit
            with quiet():
                run_audit(
                    self._model(word),
                    self._data(members),
                    self.attacks,
                    out=self.out / folder,
                    trainer=record.trainer(**one),
                    trainer_config=one,
                )

    def _made(self) -> list[Attack]:
        return specs.attacks(self.attacks)

    def _model(self, word: str) -> FeatureExtractor:
        compared = any("views" in attack.requires for attack in self._made())
        return FeatureExtractor(self.targets[word], specs.views(VIEWS) if compared else None, self.cache)

    def _data(self, members: str) -> AuditData:
        return AuditData(members=self.sources[members], nonmembers=self.sources["heldout"])


def _apart(sources: Mapping[str, Source]) -> None:
    """Refuse sets that share pairs, by the rule of an audit: same file, same url, or same caption on like looks."""
    read = {word: overlap.read(source, word) for word, source in sources.items()}
    every = list(read.values())
    facts = [fact for one in every for fact in one.facts]
    same = copies(
        [fact.sha256 for fact in facts],
        [fact.url for fact in facts],
        [fact.phash for fact in facts],
        [caption for one in every for caption in one.captions],
    )
    groups = dict(zip(read, np.split(same.groups, np.cumsum([len(one) for one in every])[:-1]), strict=True))
    for one, other in combinations(read, 2):
        shared = np.isin(groups[one], groups[other])
        if shared.any():
            raise LmiaError(
                f"{shared.sum():,} of {len(shared):,} pairs of --{one} are also in --{other}, such as "
                f"'{read[one].keys[int(np.argmax(shared))]}'.",
                "Take them out of one of the two; `lmia data check` lists copies.",
            )
