"""Evidence at scale: AUC with its interval and TPR at 1 %, 0.1 % and 0.01 % with theirs, for 10 million scores a side.

    python -m benchmarks.evidence               # asked: at most 40 s and 3 GB
    python -m benchmarks.evidence 1000000

Scores are float32, as attacks give them, a tenth of them tied. All is done twice: once as if pairs were independent, and once
where a fiftieth of them are copies of others, as an audit that found any copy has it. The rival is scikit-learn's AUC alone,
without an interval.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

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


def copied(pairs: int) -> torch.Tensor:
    """Number pairs by group: of each fifty one is a copy of another, of whichever side."""
    generator = np.random.default_rng(1)
    groups = np.arange(pairs)
    groups[::50] = generator.integers(0, pairs, len(groups[::50]))
    return torch.from_numpy(groups)


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
    print(f"{each:,} + {each:,} scores, {torch.get_num_threads()} threads\n")
    print("| what | value | seconds | peak of the process, MB |\n|---|---|---|---|")
    spent, peak = {"": 0.0, ", with copies": 0.0}, 0.0
    for how in spent:
        groups = copied(2 * each) if how else None
        jobs: dict[str, Callable[[], object]] = {"AUC": lambda groups=groups: evidence.auroc(values, labels, groups)}
        for fpr in FPRS:
            jobs[f"TPR at {fpr:.2%}"] = partial(
                lambda *given: evidence.tpr_at_fpr(*given).estimate, values, labels, fpr, groups
            )
        for name, job in jobs.items():
            value, took, peak = timed(job)
            spent[how] += took
            print(f"| {name}{how} | {value} | {took:.1f} | {peak / 1e6:.0f} |", flush=True)
    area, rival, _ = timed(lambda: roc_auc_score(labels.numpy(), values.numpy()))
    print(f"| scikit-learn's AUC alone | {area:.6f} | {rival:.1f} | |")
    what = f"evidence for {each:,} + {each:,} scores"
    return tell(
        [
            *(figure(f"{what}{how}, seconds", took, most=SECONDS) for how, took in spent.items()),
            figure(f"{what}, GB at its peak", peak / 1e9, most=BYTES / 1e9),
            figure(f"{what} / scikit-learn's AUC alone, seconds", spent[""] / rival),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
