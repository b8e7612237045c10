"""Numbers from scores and labels: metrics, intervals, thresholds. A higher score means more likely a member, always.

Everything public is here by name. A report is read without torch, so nothing heavy is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmia.evidence.accuracy import balanced_accuracy, balanced_accuracy_best, rate
    from lmia.evidence.adjusted import adjusted_auroc, adjusted_difference, overlap, strata
    from lmia.evidence.auc import auroc, auroc_difference
    from lmia.evidence.baselines import KINDS, Traits, blind_scores, features_of, traits_of
    from lmia.evidence.bins import histogram
    from lmia.evidence.canary import (
        critical_sum,
        published_ranks,
        rank_probabilities,
        rank_sum_null,
        rank_sum_p,
        rank_sum_power,
        smallest_shift,
        wins,
    )
    from lmia.evidence.conformal import benjamini_hochberg, conformal_p, conformal_threshold, deploy
    from lmia.evidence.curve import roc, thin_curve
    from lmia.evidence.duplicates import near_embeddings, near_hashes, normal_caption, normal_url, repeated, same
    from lmia.evidence.equivalence import Forgetting, excess, forgetting
    from lmia.evidence.estimate import Estimate
    from lmia.evidence.extent import Needs, Share, growth, owner_needs, power_at, share_lower_bound
    from lmia.evidence.inference import Inference, heldout_control, paired_p, per_unit, permutation_p
    from lmia.evidence.judged import Judged
    from lmia.evidence.multiplicity import holm, max_statistic
    from lmia.evidence.order import out_of_order, surplus
    from lmia.evidence.power import Clusters, detectable, detectable_by, needed
    from lmia.evidence.ranks import as_ranks
    from lmia.evidence.results import TPR, Curve, Histogram, Threshold
    from lmia.evidence.tpr import TPRAtFPR, check_fprs, tpr_at_fpr
    from lmia.evidence.verdict import Verdict, decide

_HOMES = {
    "Clusters": "power",
    "Curve": "results",
    "Estimate": "estimate",
    "Forgetting": "equivalence",
    "Histogram": "results",
    "Inference": "inference",
    "Judged": "judged",
    "KINDS": "baselines",
    "Needs": "extent",
    "Share": "extent",
    "TPR": "results",
    "TPRAtFPR": "tpr",
    "Threshold": "results",
    "Traits": "baselines",
    "Verdict": "verdict",
    "adjusted_auroc": "adjusted",
    "adjusted_difference": "adjusted",
    "as_ranks": "ranks",
    "auroc": "auc",
    "auroc_difference": "auc",
    "balanced_accuracy": "accuracy",
    "balanced_accuracy_best": "accuracy",
    "benjamini_hochberg": "conformal",
    "blind_scores": "baselines",
    "check_fprs": "tpr",
    "conformal_p": "conformal",
    "conformal_threshold": "conformal",
    "critical_sum": "canary",
    "decide": "verdict",
    "deploy": "conformal",
    "detectable": "power",
    "detectable_by": "power",
    "excess": "equivalence",
    "features_of": "baselines",
    "forgetting": "equivalence",
    "growth": "extent",
    "heldout_control": "inference",
    "histogram": "bins",
    "holm": "multiplicity",
    "max_statistic": "multiplicity",
    "near_embeddings": "duplicates",
    "near_hashes": "duplicates",
    "needed": "power",
    "normal_caption": "duplicates",
    "normal_url": "duplicates",
    "out_of_order": "order",
    "overlap": "adjusted",
    "owner_needs": "extent",
    "paired_p": "inference",
    "per_unit": "inference",
    "permutation_p": "inference",
    "power_at": "extent",
    "published_ranks": "canary",
    "rank_probabilities": "canary",
    "rank_sum_null": "canary",
    "rank_sum_p": "canary",
    "rank_sum_power": "canary",
    "rate": "accuracy",
    "repeated": "duplicates",
    "roc": "curve",
    "same": "duplicates",
    "share_lower_bound": "extent",
    "smallest_shift": "canary",
    "strata": "adjusted",
    "surplus": "order",
    "thin_curve": "curve",
    "tpr_at_fpr": "tpr",
    "traits_of": "baselines",
    "wins": "canary",
}

__all__ = [
    "KINDS",
    "TPR",
    "Clusters",
    "Curve",
    "Estimate",
    "Forgetting",
    "Histogram",
    "Inference",
    "Judged",
    "Needs",
    "Share",
    "TPRAtFPR",
    "Threshold",
    "Traits",
    "Verdict",
    "adjusted_auroc",
    "adjusted_difference",
    "as_ranks",
    "auroc",
    "auroc_difference",
    "balanced_accuracy",
    "balanced_accuracy_best",
    "benjamini_hochberg",
    "blind_scores",
    "check_fprs",
    "conformal_p",
    "conformal_threshold",
    "critical_sum",
    "decide",
    "deploy",
    "detectable",
    "detectable_by",
    "excess",
    "features_of",
    "forgetting",
    "growth",
    "heldout_control",
    "histogram",
    "holm",
    "max_statistic",
    "near_embeddings",
    "near_hashes",
    "needed",
    "normal_caption",
    "normal_url",
    "out_of_order",
    "overlap",
    "owner_needs",
    "paired_p",
    "per_unit",
    "permutation_p",
    "power_at",
    "published_ranks",
    "rank_probabilities",
    "rank_sum_null",
    "rank_sum_p",
    "rank_sum_power",
    "rate",
    "repeated",
    "roc",
    "same",
    "share_lower_bound",
    "smallest_shift",
    "strata",
    "surplus",
    "thin_curve",
    "tpr_at_fpr",
    "traits_of",
    "wins",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"lmia.evidence.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'lmia.evidence' has no attribute '{name}'")
