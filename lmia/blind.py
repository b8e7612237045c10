"""The label-free half of an audit: anonymous, shuffled samples, and attacks run on them; scores go back by position."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lmia import evidence, judging, record, roles, scoring
from lmia.attack import Attack
from lmia.errors import LmiaError, NothingToLearn
from lmia.gather import gather
from lmia.keys import unique_keys
from lmia.measurement import Measurement
from lmia.report import AttackResult
from lmia.roles import Roles, Rows
from lmia.samples import Known, Samples
from lmia.setup import Setup


@dataclass(frozen=True)
class Ran:
    """What became of an attack.

    Args:
        result: its part of the report, not judged yet.
        scored: its scores; None where it found nothing to learn.
    """

    result: AttackResult
    scored: judging.Scored | None


@dataclass(frozen=True)
class Blind:
    """The label-free side of the audit: shuffled, anonymous samples, and which of their rows play which part.

    Args:
        setup: what was asked for.
        roles: who is who; read only to put scores back in their places.
        judged: audited and calibration rows together, shuffled.
        at: positions in `judged` of each part's rows.
        fit: known non-members an attack may learn from.
        pool: unlabelled pairs, if there are any.
        members: known members, if there are any.
        measured: the array that holds what an attack measured, by the attack's id.
        control: whether the model is one that cannot remember; there an attack that cannot be fitted found nothing to
            learn, and the audit goes on.
    """

    setup: Setup
    roles: Roles
    judged: Samples
    at: Mapping[str, Rows]
    fit: Samples
    pool: Samples | None
    members: Samples | None
    measured: Mapping[int, str]
    control: bool = False

    @staticmethod
    def make(setup: Setup, part: Roles, measurements: Sequence[Measurement], control: bool = False) -> Blind:
        """Gather the samples of every part from the store, each array once."""
        random = np.random.default_rng(setup.seed)
        ids = random.permutation(len(part.rows)).astype(np.int64)
        judged = [name for name in (*roles.AUDITED, "calibration") if name in part.parts]
        rows = np.concatenate([part.parts[name] for name in judged])
        shuffled = random.permutation(len(rows))
        back = np.argsort(shuffled)
        cuts = np.cumsum([0, *(len(part.parts[name]) for name in judged)])
        at = {name: back[cuts[i] : cuts[i + 1]] for i, name in enumerate(judged)}

        def of(some: Rows) -> Samples:
            model = setup.model
            return gather(model, part.shards, part.rows, some, ids, setup.needs, setup.views, measurements)

        pool, members = (of(part.parts[name]) if name in part.parts else None for name in ("pool", "known_members"))
        measured = {id(m.attack): m.array for m in measurements}
        return Blind(setup, part, of(rows[shuffled]), at, of(part.parts["fit"]), pool, members, measured, control)

    def judge(self, confidence: float) -> judging.Judge:
        """Return the judge of this audit's attacks."""
        plain = {name: self.judged.cosine[at, 0] for name, at in self.at.items()}
        keys = unique_keys(self.roles.rows["key"].to_pylist())
        setup = self.setup
        return judging.Judge(
            self.roles, keys, setup.fprs, setup.asked, setup.seed, confidence, plain, len(setup.attacks)
        )

    def run(self, attack: Attack, name: str) -> Ran:
        """Fit an attack and score every part with it."""
        started = time.perf_counter()
        result = record.attack(attack, name)
        try:
            fitted, scored = self._scored(attack, name)
        except NothingToLearn as nothing:
            reason = f"{nothing.problem} {nothing.remedy}"
            return Ran(record.ended(result, "nothing to learn", reason, nothing.findings, started), None)
        return Ran(record.ended(result, "ran", "", fitted.findings(), started), scored)

    def _scored(self, attack: Attack, name: str) -> tuple[Attack, judging.Scored]:
        if attack.transductive and self.pool is None:
            return self._cross_fitted(attack, name)
        fitted = self._fitted(attack, self.pool)
        scores = scoring.score(fitted, name, self._only(self.judged, attack), self.setup.seed)
        parts = {part: scores[at] for part, at in self.at.items()}
        audited = [part for part in parts if part != "calibration"]
        calibrating = parts["calibration"][self.roles.calibrating]
        p = {part: evidence.conformal_p(parts[part], calibrating) for part in audited}
        return fitted, judging.Scored(parts, p, None, [parts["calibration"]])

    def _cross_fitted(self, attack: Attack, name: str) -> tuple[Attack, judging.Scored]:
        """Let each half of the suspects be the pool of the other, so that no pair is scored by a fit that saw it.

        The two fits' scores are put on one scale, in standard deviations of the calibration scores from their mean;
        each p-value compares a suspect with the calibration scores of its own fold's fit.
        """
        half = scoring.folds(self.roles.groups[self.roles.parts["suspects"]], self.setup.seed)
        at, calibration_at = self.at["suspects"], self.at["calibration"]
        scores = torch.empty(len(at), dtype=torch.float64)
        p = torch.empty_like(scores)
        calibrations = []
        for fold in (0, 1):
            inside = torch.from_numpy(half == fold)
            pool = self.judged.select(torch.from_numpy(at)[~inside])
            fitted = self._fitted(attack, pool)
            rows = torch.from_numpy(np.concatenate([at[half == fold], calibration_at]))
            found = scoring.score(fitted, name, self._only(self.judged.select(rows), attack), self.setup.seed)
            own, calibration = found[: int(inside.sum())], found[int(inside.sum()) :]
            center, spread = calibration.mean(), calibration.std().clamp_min(1e-12)
            scores[inside] = (own - center) / spread
            p[inside] = evidence.conformal_p(own, calibration[self.roles.calibrating])
            calibrations.append((calibration - center) / spread)
        parts = {"suspects": scores, "calibration": torch.cat(calibrations)}
        return fitted, judging.Scored(parts, {"suspects": p}, half, calibrations)

    def _fitted(self, attack: Attack, pool: Samples | None) -> Attack:
        try:
            return scoring.fitted(attack, self._known(attack, pool))
        except LmiaError as error:
            if not self.control or isinstance(error, NothingToLearn):
                raise
            raise NothingToLearn(error.problem, error.remedy, {}) from error

    def _known(self, attack: Attack, pool: Samples | None) -> Known:
        some, members = (None if one is None else self._only(one, attack) for one in (pool, self.members))
        if "known_members" not in attack.requires:
            members = None  # what it does not ask for, it is not shown
        return Known(self._only(self.fit, attack), some, self.setup.facts, self.setup.seed, members)

    def _only(self, samples: Samples, attack: Attack) -> Samples:
        return scoring.only(samples, attack, self.measured.get(id(attack)))
