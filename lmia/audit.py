"""The audit: the one path behind flags, configs and Python, and the only place that knows who is a member."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.distributed
from lightning.pytorch import Trainer

import lmia
from lmia import evidence, judging, record, roles, scoring, specs
from lmia.attack import Attack
from lmia.data import AuditData, Shard
from lmia.errors import LmiaError, NothingToLearn
from lmia.extract import FeatureExtractor, Measurement, extract
from lmia.gather import gather
from lmia.registry import registry
from lmia.report import AttackResult, AuditReport
from lmia.report.archive import write_report
from lmia.report.pairs import write_pairs
from lmia.report.scores import RoleScores, score_table, write_scores
from lmia.report.sentences import standard_limits
from lmia.roles import Roles, Rows
from lmia.samples import Known, Samples
from lmia.showing import shown_pairs


def run_audit(
    model: FeatureExtractor,
    data: AuditData,
    plugin: Sequence[Attack | str],
    *,
    out: Path | str = "lmia-audit",
    fpr: Sequence[float] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    show_pairs: bool = False,
    demo: bool = False,
    trainer: Trainer | None = None,
    trainer_config: Mapping[str, object] | None = None,
) -> AuditReport:
    """Audit a model: extract what the attacks need, fit and score them blindly, judge the scores, write the report.

    Args:
        model: the target, its views, and where features are kept.
        data: the roles.
        plugin: attacks, made or by name as in `--plugin`.
        out: folder of the report; made if missing, files in it are replaced.
        fpr: false positive rates to report; by default 0.01 and 0.001, as far as the data carries them. Rates that are
            asked for and cannot be carried are an error.
        seed: of every cut, fit, shuffle and bootstrap.
        confidence: of every interval.
        show_pairs: also write pairs.html, which holds pictures and captions of the audited data.
        demo: whether the data is the embedded demo.
        trainer: runs the extraction; one device of the machine's best kind unless told.
        trainer_config: how the trainer was configured, for the replayable config.

    Raises:
        LmiaError: something is wrong that the user can mend.

    Example:
        >>> run_audit(FeatureExtractor(specs.target("x")), AuditData(), ["csa"])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: ...
    """
    started = time.perf_counter()
    if not 0 < confidence < 1:
        raise LmiaError(f"The confidence {confidence} is no share.", "Give one between 0 and 1, such as 0.95.")
    made = [one for item in plugin for one in (specs.attacks([item]) if isinstance(item, str) else [item])]
    setup = Setup(
        model, data, made, specs.attack_names(made), tuple(fpr or judging.DEFAULT_FPRS), fpr is not None, seed
    )
    setup.check()
    config = record.config(model, data, made, out, fpr, seed, confidence, show_pairs, demo, trainer_config)
    folder = record.prepare(Path(out), config)
    trainer = trainer or record.trainer()
    plan, extraction, measurements = setup.extract(trainer)
    leave_the_others(trainer)
    part = roles.assign(data, plan, model.store, seed)
    blind = Blind.make(setup, part, measurements)
    judge = blind.judge(confidence)
    results, rows = zip(
        *(blind.audit(attack, name, judge) for attack, name in zip(made, setup.names, strict=True)), strict=True
    )
    digest = write_scores(score_table([row for some in rows for row in some]), folder / "scores.parquet")
    question: Literal["leakage", "use"] = "use" if "suspects" in part.parts else "leakage"
    report = AuditReport(
        question=question,
        demo=demo,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        lmia=lmia.__version__,
        target=record.target(model),
        views=record.views(model, setup.views),
        roles=part.counts,
        attacks=results,
        warnings=part.warnings,
        limits=standard_limits(question),
        extraction=extraction,
        config=config,
        environment=record.environment(),
        seed=seed,
        confidence=confidence,
        seconds=round(time.perf_counter() - started, 2),
        scores_sha256=digest,
    )
    write_report(report, folder)
    if show_pairs:
        write_pairs(shown_pairs(part, judge.keys, [row for some in rows for row in some]), folder, demo)
    registry().manager.hook.lmia_audit_finished(report=report, out=folder)
    return report


def leave_the_others(trainer: Trainer) -> None:
    """After extraction on several devices, let rank zero go on alone; the other ranks are done."""
    if trainer.world_size == 1:
        return
    trainer.strategy.barrier("extraction")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if trainer.global_rank > 0:
        sys.exit(0)


@dataclass(frozen=True)
class Setup:
    """What was asked for, checked before the model is run.

    Args:
        model: the target and its views.
        data: the roles.
        attacks: as asked for.
        names: of the attacks, as in the report.
        fprs: false positive rates.
        asked: whether the user asked for these.
        seed: of everything.
    """

    model: FeatureExtractor
    data: AuditData
    attacks: Sequence[Attack]
    names: Sequence[str]
    fprs: Sequence[float]
    asked: bool
    seed: int

    @property
    def views(self) -> bool:
        """Whether some attack compares views."""
        return any("views" in attack.requires for attack in self.attacks)

    @property
    def needs(self) -> frozenset[str]:
        """What all attacks together need."""
        anchors = any("anchors" in attack.requires for attack in self.attacks)
        return frozenset({"cosine"} | ({"embeddings"} if anchors else set())).union(*(a.needs for a in self.attacks))

    def check(self) -> None:
        """Check the attacks' needs and requires, the roles and the rates.

        Raises:
            LmiaError: something cannot work.
        """
        if not self.attacks:
            raise LmiaError(
                "No attack is asked for.", f"Give --plugin NAME, of {', '.join(registry().names('attack'))}."
            )
        given = self.data.given()
        roles.check_given(given)
        for attack, name in zip(self.attacks, self.names, strict=True):
            if missing := attack.needs - self.model.target.answers:
                raise LmiaError(
                    f"The attack '{name}' needs {', '.join(sorted(missing))}, which the target does not answer.",
                    f"It answers {', '.join(sorted(self.model.target.answers))}; choose an attack that needs no more.",
                )
            if "views" in attack.requires and len(self.model.views) < 2:
                raise LmiaError(
                    f"The attack '{name}' compares views, and there is only the identity.",
                    f"Give --views NAME, of {', '.join(registry().names('views'))}.",
                )
            if "pool" in attack.requires and "suspects" in given and "pool" not in given and not attack.transductive:
                raise LmiaError(f"The attack '{name}' learns from a pool, and none is given.", "Give --pool SPEC.")
        if "nonmembers" in given and self.asked:
            source = given["nonmembers"]
            share = 1.0 if "known_nonmembers" in given else 1 - roles.KNOWN_SHARE
            share *= 1.0 if "pool" in given else 1 - roles.POOL_SHARE
            at_most = min(sum(map(source.count, source.shards())), getattr(source, "n", sys.maxsize))
            evidence.check_fprs(self.fprs, round(at_most * share), asked=True)

    def extract(self, trainer: Trainer) -> tuple[dict[str, list[Shard]], dict[str, object], list[Measurement]]:
        """Extract what the attacks need; measurements against anchors take a second pass, when their features exist."""
        plan = roles.plan(self.data)
        shards = [shard for role in plan.values() for shard in role]
        arrays = self.model.arrays(self.needs, self.views)
        measuring = [attack for attack in self.attacks if type(attack).measure is not Attack.measure]
        anchored = [attack for attack in measuring if "anchors" in attack.requires]
        measurements = [Measurement(attack) for attack in measuring if attack not in anchored]
        told = extract(trainer, self.model, self.data, shards, arrays, measurements)
        if anchored:
            part = roles.assign(self.data, plan, self.model.store, self.seed)
            bank = gather(
                self.model, part.shards, part.rows, part.parts["fit"], np.arange(len(part.rows)), {"embeddings"}, False
            )
            second = [Measurement(attack, bank) for attack in anchored]
            extract(trainer, self.model, self.data, shards, [], second)
            measurements += second
        return plan, told, measurements


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
        measured: the array that holds what an attack measured, by the attack's id.
    """

    setup: Setup
    roles: Roles
    judged: Samples
    at: Mapping[str, Rows]
    fit: Samples
    pool: Samples | None
    measured: Mapping[int, str]

    @staticmethod
    def make(setup: Setup, part: Roles, measurements: Sequence[Measurement]) -> Blind:
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

        pool = of(part.parts["pool"]) if "pool" in part.parts else None
        measured = {id(m.attack): m.array for m in measurements}
        return Blind(setup, part, of(rows[shuffled]), at, of(part.parts["fit"]), pool, measured)

    def judge(self, confidence: float) -> judging.Judge:
        """Return the judge of this audit's attacks."""
        plain = {name: self.judged.cosine[at, 0] for name, at in self.at.items()}
        keys = judging.unique_keys(self.roles.rows["key"].to_pylist())
        setup = self.setup
        return judging.Judge(self.roles, keys, setup.fprs, setup.asked, setup.seed, confidence, plain)

    def audit(self, attack: Attack, name: str, judge: judging.Judge) -> tuple[AttackResult, list[RoleScores]]:
        """Fit, score and judge one attack."""
        started = time.perf_counter()
        result = record.attack(attack, name)
        try:
            fitted, scored = self._scored(attack, name)
        except NothingToLearn as nothing:
            reason = f"{nothing.problem} {nothing.remedy}"
            return record.ended(result, "nothing to learn", reason, nothing.findings, started), []
        result = record.ended(result, "ran", "", fitted.findings(), started)
        return judge.judge(result, scored), judge.rows(name, scored)

    def _scored(self, attack: Attack, name: str) -> tuple[Attack, judging.Scored]:
        if attack.transductive and self.pool is None:
            return self._cross_fitted(attack, name)
        fitted = scoring.fitted(attack, self._known(attack, self.pool))
        scores = scoring.score(fitted, name, self._only(self.judged, attack), self.setup.seed)
        parts = {part: scores[at] for part, at in self.at.items()}
        audited = [part for part in parts if part != "calibration"]
        p = {part: evidence.conformal_p(parts[part], parts["calibration"]) for part in audited}
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
            fitted = scoring.fitted(attack, self._known(attack, pool))
            rows = torch.from_numpy(np.concatenate([at[half == fold], calibration_at]))
            found = scoring.score(fitted, name, self._only(self.judged.select(rows), attack), self.setup.seed)
            own, calibration = found[: int(inside.sum())], found[int(inside.sum()) :]
            center, spread = calibration.mean(), calibration.std().clamp_min(1e-12)
            scores[inside] = (own - center) / spread
            p[inside] = evidence.conformal_p(own, calibration)
            calibrations.append((calibration - center) / spread)
        parts = {"suspects": scores, "calibration": torch.cat(calibrations)}
        return fitted, judging.Scored(parts, {"suspects": p}, half, calibrations)

    def _known(self, attack: Attack, pool: Samples | None) -> Known:
        some = self._only(pool, attack) if pool is not None else None
        return Known(self._only(self.fit, attack), some, self.setup.model.target.facts(), self.setup.seed)

    def _only(self, samples: Samples, attack: Attack) -> Samples:
        return scoring.only(samples, attack, self.measured.get(id(attack)))
