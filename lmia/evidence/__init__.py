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
    from lmia.evidence.combining import Combination, any_dependence, combination
    from lmia.evidence.comparison import Comparison, compare
    from lmia.evidence.conformal import benjamini_hochberg, conformal_p, conformal_threshold, deploy
    from lmia.evidence.curve import roc, thin_curve
    from lmia.evidence.duplicates import Copies, copies, normal_caption, normal_url, placeholders, same
    from lmia.evidence.equivalence import Forgetting, Keeping, excess, forgetting, keeping
    from lmia.evidence.estimate import Estimate
    from lmia.evidence.extent import Needs, growth, owner_needs, power_at
    from lmia.evidence.hashes import near_hashes
    from lmia.evidence.inference import heldout_control, paired_p, per_unit, permutation_p
    from lmia.evidence.inferred import Inference
    from lmia.evidence.judged import Judged
    from lmia.evidence.multiplicity import Permuted, dealt, holm, max_statistic
    from lmia.evidence.neighbours import near_embeddings, near_embeddings_by_index, nearest_embeddings
    from lmia.evidence.order import out_of_order, surplus
    from lmia.evidence.positive import positives
    from lmia.evidence.power import Clusters, detectable, detectable_by, needed
    from lmia.evidence.ranks import as_ranks
    from lmia.evidence.repeated import Positive, Positives
    from lmia.evidence.results import TPR, Curve, Histogram, Threshold
    from lmia.evidence.share import Share, ShareByEffect, share_by_effect, share_lower_bound
    from lmia.evidence.sliced import Slice, Slices
    from lmia.evidence.slices import auroc_by_slice
    from lmia.evidence.slicing import slice_columns
    from lmia.evidence.tpr import TPRAtFPR, check_fprs, tpr_at_fpr
    from lmia.evidence.verdict import decide
    from lmia.evidence.word import Verdict

_HOMES = {
    "Clusters": "power",
    "Combination": "combining",
    "Copies": "duplicates",
    "Comparison": "comparison",
    "Curve": "results",
    "Estimate": "estimate",
    "Forgetting": "equivalence",
    "Histogram": "results",
    "Inference": "inferred",
    "Judged": "judged",
    "KINDS": "baselines",
    "Keeping": "equivalence",
    "Needs": "extent",
    "Permuted": "multiplicity",
    "Positive": "repeated",
    "Positives": "repeated",
    "Share": "share",
    "ShareByEffect": "share",
    "Slice": "sliced",
    "Slices": "sliced",
    "TPR": "results",
    "TPRAtFPR": "tpr",
    "Threshold": "results",
    "Traits": "baselines",
    "Verdict": "word",
    "adjusted_auroc": "adjusted",
    "adjusted_difference": "adjusted",
    "any_dependence": "combining",
    "as_ranks": "ranks",
    "auroc": "auc",
    "auroc_by_slice": "slices",
    "auroc_difference": "auc",
    "balanced_accuracy": "accuracy",
    "balanced_accuracy_best": "accuracy",
    "benjamini_hochberg": "conformal",
    "blind_scores": "baselines",
    "check_fprs": "tpr",
    "combination": "combining",
    "compare": "comparison",
    "conformal_p": "conformal",
    "conformal_threshold": "conformal",
    "copies": "duplicates",
    "critical_sum": "canary",
    "dealt": "multiplicity",
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
    "keeping": "equivalence",
    "max_statistic": "multiplicity",
    "near_embeddings": "neighbours",
    "near_embeddings_by_index": "neighbours",
    "near_hashes": "hashes",
    "nearest_embeddings": "neighbours",
    "needed": "power",
    "normal_caption": "duplicates",
    "normal_url": "duplicates",
    "out_of_order": "order",
    "overlap": "adjusted",
    "owner_needs": "extent",
    "paired_p": "inference",
    "per_unit": "inference",
    "permutation_p": "inference",
    "placeholders": "duplicates",
    "positives": "positive",
    "power_at": "extent",
    "published_ranks": "canary",
    "rank_probabilities": "canary",
    "rank_sum_null": "canary",
    "rank_sum_p": "canary",
    "rank_sum_power": "canary",
    "rate": "accuracy",
    "roc": "curve",
    "same": "duplicates",
    "share_by_effect": "share",
    "share_lower_bound": "share",
    "slice_columns": "slicing",
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
    "Combination",
    "Comparison",
    "Copies",
    "Curve",
    "Estimate",
    "Forgetting",
    "Histogram",
    "Inference",
    "Judged",
    "Keeping",
    "Needs",
    "Permuted",
    "Positive",
    "Positives",
    "Share",
    "ShareByEffect",
    "Slice",
    "Slices",
    "TPRAtFPR",
    "Threshold",
    "Traits",
    "Verdict",
    "adjusted_auroc",
    "adjusted_difference",
    "any_dependence",
    "as_ranks",
    "auroc",
    "auroc_by_slice",
    "auroc_difference",
    "balanced_accuracy",
    "balanced_accuracy_best",
    "benjamini_hochberg",
    "blind_scores",
    "check_fprs",
    "combination",
    "compare",
    "conformal_p",
    "conformal_threshold",
    "copies",
    "critical_sum",
    "dealt",
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
    "keeping",
    "max_statistic",
    "near_embeddings",
    "near_embeddings_by_index",
    "near_hashes",
    "nearest_embeddings",
    "needed",
    "normal_caption",
    "normal_url",
    "out_of_order",
    "overlap",
    "owner_needs",
    "paired_p",
    "per_unit",
    "permutation_p",
    "placeholders",
    "positives",
    "power_at",
    "published_ranks",
    "rank_probabilities",
    "rank_sum_null",
    "rank_sum_p",
    "rank_sum_power",
    "rate",
    "roc",
    "same",
    "share_by_effect",
    "share_lower_bound",
    "slice_columns",
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
