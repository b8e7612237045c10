"""Numbers from scores and labels: metrics, intervals, thresholds. A higher score means more likely a member, always."""

from lmia.evidence.accuracy import balanced_accuracy, balanced_accuracy_best, rate
from lmia.evidence.auc import auroc, auroc_difference
from lmia.evidence.conformal import benjamini_hochberg, conformal_p, conformal_threshold, deploy
from lmia.evidence.estimate import Estimate
from lmia.evidence.histogram import histogram
from lmia.evidence.ranks import as_ranks
from lmia.evidence.results import TPR, Curve, Histogram, Threshold
from lmia.evidence.roc import roc, thin_curve
from lmia.evidence.tpr import TPRAtFPR, check_fprs, tpr_at_fpr

__all__ = [
    "TPR",
    "Curve",
    "Estimate",
    "Histogram",
    "TPRAtFPR",
    "Threshold",
    "as_ranks",
    "auroc",
    "auroc_difference",
    "balanced_accuracy",
    "balanced_accuracy_best",
    "benjamini_hochberg",
    "check_fprs",
    "conformal_p",
    "conformal_threshold",
    "deploy",
    "histogram",
    "rate",
    "roc",
    "thin_curve",
    "tpr_at_fpr",
]
