"""Evidence at scale: AUC with its interval and TPR at 1 %, 0.1 % and 0.01 % with theirs, for 10 million scores a side.

    python -m benchmarks.evidence               # asked: at most 40 s and 3 GB
    python -m benchmarks.evidence 1000000

Scores are float32, as attacks give them, a tenth of them tied. The rival is scikit-learn's AUC alone, without an interval.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.figures import figure, tell
from benchmarks.process import most_resident

EACH, SECONDS, BYTES = 10_000_000, 40.0, 3e9
FPRS = (1e-2, 1e-3, 1e-4)


def scores(each: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw scores and labels."""
    generator = np.random.default_rng(0)
    drawn = generator.normal(size=2 * each).astype(np.float32)
    drawn[:each] += 0.25
    drawn[::10] = np.round(drawn[::10], 2)
    return torch.from_numpy(drawn), torch.arange(2 * each) < each


def timed(call: Callable[[], object]) -> tuple[object, float, float]:
    """Return what a call makes, its seconds, and the process's peak so far in bytes."""
    start = time.perf_counter()
    made = call()
    return made, time.perf_counter() - start, float(most_resident())


def main() -> int:
    """Print the table; exit code 1 where it costs more than is asked."""
    from lmia import evidence

    each = int(sys.argv[1]) if len(sys.argv) > 1 else EACH
    values, labels = scores(each)
    jobs: dict[str, Callable[[], object]] = {"AUC": lambda: evidence.auroc(values, labels)}
    for fpr in FPRS:
        jobs[f"TPR at {fpr:.2%}"] = lambda fpr=fpr: evidence.tpr_at_fpr(values, labels, fpr).estimate
    print(f"{each:,} + {each:,} scores, {torch.get_num_threads()} threads\n")
    print("| what | value | seconds | peak of the process, MB |\n|---|---|---|---|")
    total = peak = 0.0
    for name, job in jobs.items():
        value, took, peak = timed(job)
        total += took
        print(f"| {name} | {value} | {took:.1f} | {peak / 1e6:.0f} |", flush=True)
    area, rival, _ = timed(lambda: roc_auc_score(labels.numpy(), values.numpy()))
    print(f"| scikit-learn's AUC alone | {area:.6f} | {rival:.1f} | |")
    what = f"evidence for {each:,} + {each:,} scores"
    return tell(
        [
            figure(f"{what}, seconds", total, most=SECONDS),
            figure(f"{what}, GB at its peak", peak / 1e9, most=BYTES / 1e9),
            figure(f"{what} / scikit-learn's AUC alone, seconds", total / rival),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
