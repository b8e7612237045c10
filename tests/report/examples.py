"""Synthetic reports: none of their numbers was measured."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

from lmia.evidence.copied import Copied, Shared
from lmia.evidence.estimate import Estimate
from lmia.report.model import (
    TPR,
    Adjusted,
    AttackResult,
    AuditReport,
    Baseline,
    Beside,
    Check,
    Curve,
    Histogram,
    Positive,
    Positives,
    RoleCount,
    Slice,
    Slices,
    SuspectSummary,
    Threshold,
    Validity,
    Verdict,
)
from lmia.report.sentences import standard_limits

HOSTILE = (
    "<script>alert(1)</script> ]]> \x1b[31mred \u202efdp.exe | `x` ${a} & \"q\" 'p' {{ 7*7 }} [bold]b[/bold]\udc80"
)


def estimate(value, half, method="DeLong, logit scale", n=800):
    return Estimate(value, max(value - half, -1.0), min(value + half, 1.0), 0.95, method, n)


def bell(centre, edges):
    weights = [math.exp(-(((a + b) / 2 - centre) ** 2) / 0.02) for a, b in pairwise(edges)]
    return tuple(round(400 * weight / sum(weights)) for weight in weights)


EDGES = tuple(round(i / 30, 6) for i in range(31))


def attack(name, auc=None, gain=0.0, groups=("members", "nonmembers", "calibration"), **changes):
    power = (1 - auc) / auc if auc else 1.0
    fprs = tuple(i / 400 for i in range(401))
    made = AttackResult(
        name=name,
        title=f"What {name} does, in one line.",
        status="ran",
        settings={"temperature": 20.0, "anchors": "both"},
        access=("cosine",),
        requires=("known_nonmembers",),
        seconds=1.25,
        auc=estimate(auc, 0.02) if auc else None,
        versus_cosine=estimate(gain, 0.015) if auc else None,
        tprs=(
            TPR(0.01, estimate(0.48, 0.12, "joint stratified bootstrap"), 0.0125),
            TPR(0.001, None, None, "not estimable: needs 10,000 non-members, has 400"),
        )
        if auc
        else (),
        balanced_accuracy_best=estimate(0.87, 0.02) if auc else None,
        thresholds=(
            Threshold(
                0.01,
                0.71,
                133,
                estimate(0.0075, 0.0075, "Clopper-Pearson", 400),
                estimate(0.44, 0.05, "Clopper-Pearson", 400),
                estimate(0.716, 0.03),
            ),
            Threshold(0.001, None, 133, note="It needs 999 known non-members to calibrate on, and has 133."),
        ),
        curve=Curve(fprs, tuple(fpr**power for fpr in fprs)) if auc else None,
        histogram=Histogram(
            EDGES,
            {g: bell(0.6 if g in ("members", "suspects") else 0.45, EDGES) for g in groups},
        ),
    )
    return replace(made, **changes)


LAMBDAS = [
    {"lam": lam, "pseudo_members": n, "bound": bound, "chosen": lam == 0.5}
    for lam, n, bound in ((0.3, 4100, 0.71), (0.5, 2655, 0.554), (1.0, 109, 0.4), (1.5, 0, None))
]


def leakage(**changes):
    made = AuditReport(
        question="leakage",
        demo=True,
        created="2026-01-02T03:04:05Z",
        lmia="0.1.0",
        target={
            "name": "demo-clip",
            "details": {"architecture": "demo", "weights_sha256": "ab" * 32, "precision": "fp32"},
        },
        views={"name": "four-basic", "views": ["identity", "flip"], "k": 4},
        roles=(
            RoleCount(
                "members", "emoji:?split=members", 412, {"no caption": 7, "does not decode": 5}, {"audited": 400}
            ),
            RoleCount("nonmembers", "emoji:?split=nonmembers", 400, {}, {"audited": 400}),
            RoleCount("known_nonmembers", "emoji:?split=known", 400, {}, {"fit": 267, "calibration": 133}),
            RoleCount("pool", "emoji:?split=pool", 3000, {}, {"pool": 2900}, "A sample of 2,900, seed 0."),
        ),
        attacks=(
            attack("csa", 0.894),
            attack("aea", 0.889, -0.005),
            attack("anchor", 0.939, 0.045),
            attack(
                "wsa",
                status="nothing to learn",
                reason="The pool looks like the known non-members at every lambda (bound >= 0.95).",
                histogram=None,
                thresholds=(),
                findings={"chosen": None, "lambdas": LAMBDAS},
            ),
        ),
        validity=Validity(
            "With 400 + 400 pairs an AUC of 0.574 or more is found in 90 % of audits like this one.",
            (Baseline("captions", estimate(0.62, 0.05)), Baseline("metadata", None, "no url in any row")),
            (
                Beside(
                    "untrained twin",
                    "twin",
                    "csa",
                    "ran",
                    "",
                    estimate(0.512, 0.02),
                    estimate(0.382, 0.02),
                    estimate(0.509, 0.02),
                    0.37,
                    estimate(0.372, 0.02),
                ),
                Beside(
                    "untrained twin", "twin", "wsa", "nothing to learn", "The pool looks like the known non-members."
                ),
            ),
            ("A check that was not made.",),
            0.94,
            "captions",
            (
                Adjusted(
                    "csa",
                    False,
                    estimate(0.894, 0.02),
                    estimate(0.881, 0.02),
                    0.0005,
                    estimate(0.27, 0.05, "paired DeLong"),
                ),
                Adjusted("anchor", True, estimate(0.939, 0.02), None),
            ),
            (Check("shuffled labels", "csa", estimate(0.495, 0.03)), Check("halves", "csa", None, "too few pairs")),
            "csa",
            Slices(
                (
                    Slice(
                        "format",
                        "PNG",
                        300,
                        310,
                        estimate(0.9, 0.02),
                        estimate(0.8, 0.03),
                        estimate(0.1, 0.04),
                        0.001,
                        0.004,
                    ),
                    Slice("format", "JPEG", 3, 9, reason="too few: 3 members, 30 are needed"),
                ),
                1,
                0.95,
                1999,
            ),
            Positives(
                60,
                340,
                8.0,
                (
                    Positive("csa", estimate(0.961, 0.02), estimate(0.882, 0.02)),
                    Positive("anchor", estimate(0.972, 0.015), None),
                ),
                True,
            ),
            Copied(
                (
                    Shared(
                        "members", "members", 400, {"sha256": 3, "url": 0, "looks": 1, "any": 4, "key": 0, "caption": 9}
                    ),
                    Shared(
                        "members", "pool", 400, {"sha256": 0, "url": 0, "looks": 0, "any": 0, "key": 0, "caption": 0}
                    ),
                ),
                2,
                1,
            ),
        ),
        verdict=Verdict(
            "evidence",
            "leakage",
            "post hoc",
            ("csa, comparing like with like, has AUC 0.881 [0.861, 0.901] (raw 0.894 [0.874, 0.914]).",),
            "Supports a leak, but is no proof",
            ("This is no proof of training: who is on which side was not drawn by lot.",),
            0.574,
            0.51,
        ),
        warnings=("Known non-members and pool were cut from the nonmembers by seed 0.",),
        limits=standard_limits("leakage"),
        extraction={
            "pairs_read": 4212,
            "cached": 0,
            "forward_passes": 33,
            "pairs_per_second": 212.5,
            "devices": ["cpu"],
        },
        config={"plugin": ["csa", "aea"], "model": {"target": "local-dir:demo"}, "fprs": [0.01, 0.001], "seed": 0},
        environment={"python": "3.11.2", "torch": "2.14.0"},
        seed=0,
        confidence=0.95,
        seconds=61.5,
        scores_sha256="cd" * 32,
    )
    return replace(made, **changes)


def suspects(found=(37, 12), **changes):
    attacks = tuple(
        attack(
            name,
            groups=("suspects", "calibration"),
            thresholds=(Threshold(0.01, 0.71, 133),),
            suspects=SuspectSummary(
                500, 1 / 134, {"0.01": max(n - 9, 0), "0.05": n, "0.1": n + 3}, max(n - 2, 0), "A note on suspects."
            ),
        )
        for name, n in zip(("csa", "wsa"), found, strict=False)
    )
    roles = (
        RoleCount("suspects", "mine.csv", 503, {"no caption": 3}, {"audited": 500}),
        RoleCount("known_nonmembers", "new/{000..002}.tar", 400, {}, {"fit": 267, "calibration": 133}),
    )
    limits = standard_limits("use")
    return leakage(**{"question": "use", "demo": False, "roles": roles, "attacks": attacks, "limits": limits} | changes)


def none_ran(**changes):
    failed = attack("aea", status="did not run", reason="It needs views.", histogram=None, thresholds=())
    return leakage(**{"attacks": (failed, leakage().attacks[3])} | changes)


def hostile():
    """A report in which every text from the data is an attack on its reader."""
    bad = attack(
        HOSTILE, 0.7, title=HOSTILE, settings={HOSTILE: HOSTILE}, findings={HOSTILE: [{HOSTILE: HOSTILE}], "x": HOSTILE}
    )
    bad = replace(
        bad,
        tprs=(TPR(0.01, None, None, HOSTILE),),
        thresholds=(Threshold(0.01, None, 9, note=HOSTILE),),
        histogram=Histogram((0.0, 0.5, 1.0), {"members": (1, 2), HOSTILE: (2, 1)}),
    )
    broken = attack(
        "broken", status="did not run", reason=HOSTILE, histogram=None, access=(HOSTILE,), requires=(HOSTILE,)
    )
    return leakage(
        target={"name": HOSTILE, HOSTILE: HOSTILE},
        views={"name": HOSTILE},
        roles=(RoleCount("members", HOSTILE, 3, {HOSTILE: 1}, {HOSTILE: 2}, HOSTILE),),
        attacks=(bad, broken),
        warnings=(HOSTILE,),
        limits=(HOSTILE,),
        extraction={HOSTILE: HOSTILE},
        config={HOSTILE: [HOSTILE, {"```": "```yaml"}]},
        environment={HOSTILE: HOSTILE},
        created=HOSTILE,
        lmia=HOSTILE,
        scores_sha256=HOSTILE,
    )
