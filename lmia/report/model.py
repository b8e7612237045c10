"""What an audit found: plain frozen data, the same as `report.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lmia.evidence.copied import Copied, Shared
from lmia.evidence.estimate import Estimate
from lmia.evidence.repeated import Positive, Positives
from lmia.evidence.results import TPR, Curve, Histogram, Threshold
from lmia.evidence.sliced import Slice, Slices
from lmia.evidence.word import Verdict
from lmia.provenance import Provenance

__all__ = [
    "FORMAT",
    "TPR",
    "Adjusted",
    "AttackResult",
    "AuditReport",
    "Baseline",
    "Beside",
    "Check",
    "Copied",
    "Curve",
    "Histogram",
    "Positive",
    "Positives",
    "Provenance",
    "RoleCount",
    "Shared",
    "Slice",
    "Slices",
    "Status",
    "SuspectSummary",
    "Threshold",
    "Validity",
    "Verdict",
]

FORMAT = 1
"""Version of `report.json`; raised when a field changes its meaning or goes away."""

Status = Literal["ran", "nothing to learn", "did not run"]


@dataclass(frozen=True)
class RoleCount:
    """One role of the data: in = scored + rejected + left out, none dropped silently.

    Args:
        role: `members`, `nonmembers`, `suspects`, `known_nonmembers`, `known_members` or `pool`; or `unlisted`, for records behind a manifest
            (`--truth`) that are in none of these.
        source: what the user called it.
        records: how many records were read.
        rejected: how many of them could not be used, by reason.
        scored: how many took part, by part: `audited`; or `fit` and `calibration`; or `pool`.
        note: how the role was made where it was not given as it is (a cut by seed, a sample).
        content: a digest of the audited pairs' keys, captions and pictures; empty where none is audited.
    """

    role: str
    source: str
    records: int
    rejected: Mapping[str, int]
    scored: Mapping[str, int]
    note: str = ""
    content: str = ""


@dataclass(frozen=True)
class SuspectSummary:
    """What the suspects' conformal p-values say together.

    Args:
        n: how many suspects.
        smallest_p: the smallest p-value that the calibration set allows, 1/(m + 1).
        discoveries: how many suspects have q at most each level, by level as text, such as `0.05`.
        named: how many have q at most .05 over the number of attacks: so many may the attack that names the most name.
        note: a caution in plain words, such as that no discovery is possible with so small a calibration set.
    """

    n: int
    smallest_p: float
    discoveries: Mapping[str, int]
    named: int = 0
    note: str = ""


@dataclass(frozen=True)
class AttackResult:
    """One attack's part of the report. Every attack asked for appears, with its status.

    Args:
        name: as in flags, such as `wsa:bench`.
        title: the first line of its docstring.
        status: whether it ran.
        reason: why not, or empty.
        settings: its init arguments as used.
        access: what it needed of the target (`needs`).
        requires: what it needed of the user (`requires`).
        seconds: fit and score.
        auc: AUROC; None without truth.
        versus_cosine: AUROC minus the plain cosine's (CSA's), paired; None without truth.
        tprs: TPR at each FPR; empty without truth.
        balanced_accuracy_best: the best over all thresholds, picked on the audit set (optimistic); None without truth.
        thresholds: deployable thresholds, one an FPR.
        suspects: where there are suspects.
        curve: for drawing; None without truth.
        histogram: for drawing.
        findings: what the attack's fit found (`Attack.findings`), JSON-able; a list of dicts is a table.
    """

    name: str
    title: str
    status: Status
    reason: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    access: Sequence[str] = ()
    requires: Sequence[str] = ()
    seconds: float = 0.0
    auc: Estimate | None = None
    versus_cosine: Estimate | None = None
    tprs: Sequence[TPR] = ()
    balanced_accuracy_best: Estimate | None = None
    thresholds: Sequence[Threshold] = ()
    suspects: SuspectSummary | None = None
    curve: Curve | None = None
    histogram: Histogram | None = None
    findings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """What tells the two sides apart without the model: trained on half of the duplicate groups, judged on the other.

    Args:
        kind: what it looks at: `captions`, `files`, `pixels`, `metadata`, or `all` of them.
        auc: AUROC on the half that it was not trained on; None where it could not be had.
        reason: why not, or empty.
    """

    kind: str
    auc: Estimate | None = None
    reason: str = ""


@dataclass(frozen=True)
class Adjusted:
    """An attack on the target, once like is compared with like: pairs that look alike to the blind baselines.

    Args:
        attack: its name in the report.
        trained: whether its `fit` learned from data, so that it may have learned how the two sides differ.
        raw: AUROC over all pairs: of members against non-members, or of suspects against calibration pairs.
        adjusted: AUROC within strata of the blind score; None where no stratum holds both sides.
        p: one-sided, of `adjusted` being at most 0.5, by dealing labels anew within strata; corrected for the best of all
            attacks. None where it could not be had.
        versus_blind: AUROC minus the strongest blind baseline's, paired, on pairs no baseline was trained on; never sufficient.
    """

    attack: str
    trained: bool
    raw: Estimate
    adjusted: Estimate | None = None
    p: float | None = None
    versus_blind: Estimate | None = None


@dataclass(frozen=True)
class Beside:
    """An attack on a model that cannot remember the data: what it finds there is in the data, not in anyone's training.

    Args:
        model: the model's name.
        kind: `twin`, the target's architecture untrained; or `placebo`, a real model that cannot have seen the data.
        attack: its name in the report.
        status: whether it ran there.
        reason: why not, or empty.
        auc: AUROC on that model: of members against non-members, or of suspects against calibration pairs.
        above: AUROC on the target minus AUROC there, paired by row; None where either is missing.
        adjusted: AUROC there within strata of the blind score.
        p: two-sided, of `adjusted` being 0.5, by dealing labels anew within strata; not corrected.
        above_adjusted: adjusted AUROC on the target minus that there, paired by row.
    """

    model: str
    kind: Literal["twin", "placebo"]
    attack: str
    status: Status
    reason: str = ""
    auc: Estimate | None = None
    above: Estimate | None = None
    adjusted: Estimate | None = None
    p: float | None = None
    above_adjusted: Estimate | None = None


@dataclass(frozen=True)
class Check:
    """A comparison in which no attack can be right: it checks the arithmetic, not the data.

    Args:
        kind: `shuffled labels`, the audited pairs under labels dealt anew; or `halves`, two halves of the non-members.
        attack: its name in the report.
        auc: AUROC there, 0.5 but for chance; None where there are too few pairs.
        reason: why there is none, or empty.
    """

    kind: Literal["shuffled labels", "halves"]
    attack: str
    auc: Estimate | None = None
    reason: str = ""


@dataclass(frozen=True)
class Validity:
    """What the audit did to doubt itself.

    Args:
        power: what so many audited pairs can show, in one plain sentence, known before any scoring.
        baselines: what tells the two sides apart without the model.
        besides: every attack on every model that cannot remember.
        notes: which checks were not made and why, in plain sentences.
        overlap: how much of either side has a counterpart that looks alike to the blind baselines, 0 to 1; None where
            there were no blind scores.
        strata_of: the baseline whose score the strata are of; empty where there was none.
        adjusted: every attack that ran, among pairs that look alike.
        checks: comparisons in which no attack can be right.
        sliced: the attack whose scores `slices` are of, named before any score; empty where there are none.
        slices: its AUC in slices of the pairs (caption length, host ...); None without truth.
        positives: every attack on members known to have been shown again and again; None where none are known.
        copied: what of the pairs is there twice, within the parts and across them; None in reports of before it was looked for.
    """

    power: str = ""
    baselines: Sequence[Baseline] = ()
    besides: Sequence[Beside] = ()
    notes: Sequence[str] = ()
    overlap: float | None = None
    strata_of: str = ""
    adjusted: Sequence[Adjusted] = ()
    checks: Sequence[Check] = ()
    sliced: str = ""
    slices: Slices | None = None
    positives: Positives | None = None
    copied: Copied | None = None


@dataclass(frozen=True)
class AuditReport:
    """The whole audit, as written to `report.json`.

    Args:
        question: `leakage` (truth known) or `use` (suspects).
        demo: whether the data are the embedded demo's, not the user's.
        created: when, ISO 8601 in UTC.
        lmia: version of lmia.
        target: name and details of the target, its weights digest among them.
        views: the augmentation set and its view names.
        roles: the counts of every role.
        attacks: one result for every attack asked for, in that order.
        validity: what the audit did to doubt itself.
        verdict: the audit's last word, by a rule fixed before scoring; None where no attack was judged.
        provenance: whether it was sealed before scoring, and what went before it on the same data.
        warnings: what a reader must know before trusting a number, in plain sentences.
        limits: what this audit does not show, in plain sentences.
        extraction: how the features were made: pairs read and cached, forward passes, pairs per second, devices.
        config: the exact configuration; `lmia audit --config` replays it.
        environment: versions of Python and of the packages that matter.
        seed: of everything random.
        confidence: of every interval.
        seconds: wall time of the audit.
        scores_sha256: digest of scores.parquet.
        format: version of this format.
    """

    question: Literal["leakage", "use"]
    demo: bool
    created: str
    lmia: str
    target: Mapping[str, object]
    views: Mapping[str, object]
    roles: Sequence[RoleCount]
    attacks: Sequence[AttackResult]
    validity: Validity
    warnings: Sequence[str]
    limits: Sequence[str]
    extraction: Mapping[str, object]
    config: Mapping[str, object]
    environment: Mapping[str, str]
    seed: int
    confidence: float
    seconds: float
    scores_sha256: str
    verdict: Verdict | None = None
    provenance: Provenance = field(default_factory=Provenance)
    format: int = FORMAT
