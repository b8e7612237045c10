"""Evidence at scale: AUC with its interval and TPR at 1 %, 0.1 % and 0.01 % with theirs, for 10 million scores a side.

    python -m benchmarks.evidence               # asked: at most 40 s and 3 GB
    python -m benchmarks.evidence 1000000

Scores are float32, as attacks give them, a tenth of them tied. All is done twice: once as if pairs were independent, and once
where a fiftieth of them are copies of others, as an audit that found any copy has it. Those are streamed from a parquet file
as an audit writes it, which a process of its own has written. The rival is scikit-learn's AUC alone,
without an interval.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.figures import figure, tell
from benchmarks.process import most_resident
from lmia.report.sides import Sides, read_sides

EACH, PIECE, SECONDS, BYTES = 10_000_000, 1 << 18, 40.0, 3e9
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


def write(path: Path, each: int) -> None:
    """Write the scores and groups as an audit has them in scores.parquet, a piece at a time."""
    values, labels = scores(each)
    groups = copied(2 * each)
    _, where, counts = groups.unique(return_inverse=True, return_counts=True)
    several = counts[where] > 1
    keys = {name: pa.string() for name in ("key", "role", "model", "attack", "group")}
    schema = pa.schema([*keys.items(), ("score", pa.float64())])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["role", "model", "attack"]) as file:
        for start in range(0, 2 * each, PIECE):
            part = slice(start, min(start + PIECE, 2 * each))
            rows = range(part.start, part.stop)
            role = ["members" if one else "nonmembers" for one in labels[part].tolist()]
            named = zip(groups[part].tolist(), several[part].tolist(), strict=True)
            columns = [
                [f"pairs/{row}" for row in rows],
                role,
                ["target"] * len(rows),
                ["csa"] * len(rows),
                [f"pairs/{group}" if many else None for group, many in named],
                values[part].double().numpy(),
            ]
            file.write_table(pa.table(columns, schema=schema))


def timed(call: Callable[[], object]) -> tuple[object, float, float]:
    """Return what a call makes, its seconds, and the process's peak so far in bytes."""
    start = time.perf_counter()
    made = call()
    return made, time.perf_counter() - start, float(most_resident())


def main() -> int:
    """Print the table; exit code 1 where it costs more than is asked."""
    from lmia import evidence

    each = int(sys.argv[1]) if len(sys.argv) > 1 else EACH
    print(f"{each:,} + {each:,} scores, {torch.get_num_threads()} threads\n")
    print("| what | value | seconds | peak of the process, MB |\n|---|---|---|---|")
    spent, peak = {"": 0.0, ", with copies": 0.0}, 0.0

    def spend(how: str, name: str, call: Callable[[], object]) -> object:
        nonlocal peak
        value, took, peak = timed(call)
        spent[how] += took
        said = value if isinstance(value, evidence.Estimate) else ""
        print(f"| {name}{how} | {said} | {took:.1f} | {peak / 1e6:.0f} |", flush=True)
        return value

    def judge(how: str, values: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor | None = None) -> None:
        spend(how, "AUC", lambda: evidence.auroc(values, labels, groups))
        for fpr in FPRS:
            spend(how, f"TPR at {fpr:.2%}", lambda fpr=fpr: evidence.tpr_at_fpr(values, labels, fpr, groups).estimate)

    judge("", *scores(each))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, each))
        writer.start()
        writer.join()
        size = path.stat().st_size / 1e6
        sides = cast(
            Sides, spend(", with copies", f"reading {size:.0f} MB of parquet", lambda: read_sides(path, "csa"))
        )
    judge(", with copies", sides.scores, sides.labels, sides.groups)
    values, labels = scores(each)
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
