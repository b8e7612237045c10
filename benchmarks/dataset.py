"""Time and memory of the test behind `lmia dataset`: 100,000 pairs against 100,000, with 10,000 permutations.

python -m benchmarks.dataset

The whole of it, from scores to sentences: p, its growth, the bound on the share used, and the held-out control; on single
pairs, with a thousand of them in two copies (groups then differ in size, and five sums are taken in place of two), on
shoots of ten and in pairs by shoot, and with a placebo beside it. Each runs in a process of its own, and
is measured against 30 s and 2 GB. The rival draws arrangements as plain numpy would, sorting a random number for each
pair, on a hundredth of the permutations.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from benchmarks.figures import figure, tell
from benchmarks.process import most_resident

PAIRS, PERMUTATIONS = 100_000, 10_000
SECONDS, BYTES = 30.0, 2e9
CASES = ("each pair on its own", "some in two copies", "shoots of ten", "pairs by shoot", "beside a placebo")


def sides(generator: np.random.Generator, names: tuple[str, str], copies: int = 0):
    from lmia.collection.pairs import Side

    groups = np.r_[np.arange(copies), np.arange(PAIRS - copies)]
    for name, mean in zip(names, (0.01, 0.0), strict=True):
        keys = [f"{name}/{i}" for i in range(PAIRS)]
        yield Side(name, keys, generator.normal(mean, 1, PAIRS), groups)


def case(name: str) -> None:
    """Run one case and print seconds, seconds of a core, and bytes."""
    from lmia.collection.asked import Asked
    from lmia.collection.judgement import judged

    generator = np.random.default_rng(0)
    both = tuple(sides(generator, ("mine", "held-out"), 1000 if "copies" in name else 0))
    columns, asked = {}, Asked(permutations=PERMUTATIONS)
    if "shoot" in name:
        whole = "pairs" in name
        words = {key: f"{'' if whole else side.name}{i // 10}" for side in both for i, key in enumerate(side.keys)}
        asked = Asked(
            pair_by="shoot" if whole else None, cluster_by=None if whole else "shoot", permutations=PERMUTATIONS
        )
        columns = {"shoot": words}
    placebos = {"other": tuple(sides(generator, ("mine", "held-out")))} if "placebo" in name else None
    began = time.perf_counter(), time.process_time()
    judged(both, columns, asked, placebos)
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    print(*took, most_resident())


def rival() -> float:
    """Seconds of a core that one p-value would take if every arrangement were a sort of random numbers."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=2 * PAIRS)
    began = time.process_time()
    for _ in range(PERMUTATIONS // 100):
        chosen = np.argpartition(generator.random(2 * PAIRS), PAIRS)[:PAIRS]
        scores[chosen].sum(), (scores[chosen] ** 2).sum()
    return 100 * (time.process_time() - began)


def single() -> float:
    """Seconds of a core for one p-value as it is made."""
    from lmia.evidence import permutation_p

    generator = np.random.default_rng(0)
    began = time.process_time()
    permutation_p(generator.normal(size=PAIRS), generator.normal(size=PAIRS), permutations=PERMUTATIONS)
    return time.process_time() - began


def main() -> int:
    """Measure every case and print the rows; exit code 1 where one takes more than is asked."""
    print(f"{PAIRS:,} + {PAIRS:,} pairs, {PERMUTATIONS:,} permutations\n")
    found = []
    for name in CASES:
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.dataset", name], capture_output=True, text=True, check=True
        )
        seconds, core, peak = map(float, run.stdout.split()[-3:])
        print(f"{name}: {seconds:.1f} s, {core:.1f} s of a core, {peak / 1e6:.0f} MB", flush=True)
        found += [
            figure(f"data-set inference, {name}, seconds", seconds, most=SECONDS),
            figure(f"data-set inference, {name}, GB at its peak", peak / 1e9, most=BYTES / 1e9),
        ]
    return tell([*found, figure("one p-value: seconds of a core / those of sorting", single() / rival())])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        case(sys.argv[1])
    else:
        raise SystemExit(main())
