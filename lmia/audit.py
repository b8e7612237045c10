"""The audit: the one path behind flags, configs and Python, and the only place that knows who is a member."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch.distributed
from lightning.pytorch import Trainer

import lmia
from lmia import judging, record, roles, specs
from lmia.attack import Attack
from lmia.blind import Blind, Ran
from lmia.contained import contained
from lmia.controls import asides, controls
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.evidence.judged import Question, Regime
from lmia.extract import FeatureExtractor
from lmia.gather import with_pixels
from lmia.measurement import Measurement
from lmia.overlap.audited import copied
from lmia.registry import registry
from lmia.report import AuditReport
from lmia.report.archive import write_report
from lmia.report.aside import together
from lmia.report.pairs import write_pairs
from lmia.report.scores import score_table, write_scores
from lmia.report.sentences import standard_limits
from lmia.ruling import verdict
from lmia.seal import check, entered
from lmia.setup import Setup
from lmia.showing import shown_pairs
from lmia.stock import parts
from lmia.target import Target
from lmia.validity import Doubt, validity


def run_audit(
    model: FeatureExtractor,
    data: AuditData,
    plugin: Sequence[Attack | str],
    *,
    placebo: Sequence[Target] = (),
    out: Path | str = "lmia-audit",
    fpr: Sequence[float] | None = None,
    detect: float = 0.51,
    regime: Regime = "post hoc",
    seal: Path | str | None = None,
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
        placebo: real models that cannot have seen the data, such as those released before it: what an attack finds on
            them is no memory. Its untrained twin stands beside the target always.
        out: folder of the report; made if missing, files in it are replaced.
        fpr: false positive rates to report; by default 0.01 and 0.001, as far as the data carries them. Rates that are
            asked for and cannot be carried are an error.
        detect: the AUC that the audit is to be able to see; the report says how surely it would.
        regime: how the roles came about: `randomised`, drawn by lot before training, over several trainings; `one-run`,
            drawn by lot before a single training; `post hoc`, found afterwards in whatever way. No audit can check it, and
            post hoc no difference is proof.
        seal: the file that `lmia seal` wrote before scoring; the audit stops if it is another one.
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
    if not 0.5 < detect < 1:
        raise LmiaError(f"The AUC to detect cannot be {detect}.", "Give one between 0.5 and 1, such as 0.51.")
    made = [one for item in plugin for one in (specs.attacks([item]) if isinstance(item, str) else [item])]
    setup = Setup(
        model, data, made, specs.attack_names(made), tuple(fpr or judging.DEFAULT_FPRS), fpr is not None, seed
    )
    setup.check()
    config = record.config(
        model, data, made, placebo, out, fpr, detect, regime, seal, seed, confidence, show_pairs, demo, trainer_config
    )
    sealed = check(seal, parts(config, model, data, made, placebo)) if seal is not None else None
    folder = record.prepare(Path(out))
    trainer = trainer or record.trainer()
    beside = controls(setup, placebo)
    twins = [control.setup.model for control in beside if control.kind == "twin"]
    plan = roles.plan(data)
    extraction, measurements = setup.extract(trainer, plan, twins)
    beside = [control.extracted(trainer, plan) for control in beside]
    leave_the_others(trainer)
    part = roles.assign(data, plan, model.store, seed)
    judge, ran = _on_target(setup, part, measurements, confidence)
    doubt = Doubt.of(judge, with_pixels(model.store, part.shards, part.rows, judge.side_rows), model.store.root)
    beside_ran = asides(beside, judge)
    rows = [row for name, one in ran.items() if one.scored for row in judge.rows(name, one.scored, doubt.comparison)]
    there = [
        row
        for one in beside_ran
        if one.ran.scored
        for row in judge.rows(one.attack, one.ran.scored, doubt.comparison, one.model)
    ]
    question: Question = "use" if "suspects" in part.parts else "leakage"
    trained = {name: type(one).fit is not Attack.fit for name, one in zip(setup.names, made, strict=True)}
    doubts = replace(validity(doubt, trained, ran, beside_ran, detect), copied=copied(part, model))
    ruled = verdict(doubts, question, regime, detect)
    with together(folder) as place:
        digest = write_scores(score_table([*rows, *there, *judge.rows_of_blind(doubt.blind)]), place / "scores.parquet")
        record.write_config(config, place)
        report = AuditReport(
            question=question,
            demo=demo,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            lmia=lmia.__version__,
            target=record.target(model),
            views=record.views(model, setup.views),
            roles=part.counts,
            attacks=[judge.judge(one.result, one.scored) if one.scored else one.result for one in ran.values()],
            validity=doubts,
            warnings=part.warnings,
            limits=standard_limits(question),
            extraction=extraction,
            config=config,
            environment=record.environment(),
            seed=seed,
            confidence=confidence,
            seconds=round(time.perf_counter() - started, 2),
            scores_sha256=digest,
            verdict=ruled,
            provenance=entered(config, model, plan, setup.names, sealed, ruled.word if ruled else ""),
        )
        write_report(report, place)
        if show_pairs:
            write_pairs(shown_pairs(part, judge.keys, rows), place, demo)
        with contained("A plugin that heard of the finished audit"):
            registry().manager.hook.lmia_audit_finished(report=report, out=place)
    return report


def _on_target(
    setup: Setup, part: roles.Roles, measurements: Sequence[Measurement], confidence: float
) -> tuple[judging.Judge, dict[str, Ran]]:
    """Run every attack on the target; the arrays that they asked for are let go of before anything is judged."""
    blind = Blind.make(setup, part, measurements)
    ran = {name: blind.run(attack, name) for attack, name in zip(setup.attacks, setup.names, strict=True)}
    return blind.judge(confidence), ran


def leave_the_others(trainer: Trainer) -> None:
    """After extraction on several devices, let rank zero go on alone; the other ranks are done."""
    if trainer.world_size == 1:
        return
    trainer.strategy.barrier("extraction")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if trainer.global_rank > 0:
        sys.exit(0)
