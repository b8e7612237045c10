"""What an audit's checks on itself cost on 100,000 + 100,000 pairs whose features and facts are there: seconds and memory.

    python -m benchmarks.validity            # asked: below 120 s and 4 GB on two cores
    python -m benchmarks.validity 10000      # pairs a side

Captions of 20,000 words, facts of files, pixels' statistics and urls are drawn by seed; one pair in fifty is a copy of
another one of its side, so that every check goes by group. Five attacks are judged, on the target and on a twin.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from benchmarks.memory import anonymous
from lmia import evidence
from lmia.evidence.duplicates import as_hashes
from lmia.evidence.judged import Beside, Facts, Judged
from lmia.evidence.power import spoken
from lmia.looks import STATISTICS
from lmia.roles import duplicate_groups

PAIRS, ATTACKS, PERMUTATIONS = 100_000, 5, 2000
SECONDS, BYTES = 120, 4e9
COPIES = 50
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "on", "is", "ul")]


@dataclass
class Peak:
    """Anonymous memory, in bytes: where it began, and the most there was."""

    start: int
    most: int


@contextmanager
def watched() -> Iterator[Peak]:
    """Watch this process's anonymous memory, two hundred times a second."""
    peak, done = Peak(anonymous(), anonymous()), threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak.most = max(peak.most, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak.most = max(peak.most, anonymous())


def captions(random: np.random.Generator, n: int) -> list[str]:
    """Captions of 3 to 28 words, some words far more frequent than others."""
    words = np.array([a + b + c for a in SYLLABLES[:20] for b in SYLLABLES[:32] for c in SYLLABLES[:32]])
    lengths = random.integers(3, 29, n)
    drawn = words[(random.random(lengths.sum()) ** 3 * len(words)).astype(np.int64)].tolist()
    ends = np.cumsum(lengths)
    return [" ".join(drawn[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def facts(n: int, seed: int = 0) -> pa.Table:
    """What an audit keeps of n pairs besides their features; every fiftieth is a copy of the one before it."""
    random = np.random.default_rng(seed)
    width, height = random.integers(200, 1600, (2, n))
    pixels = random.normal(100, 30, (n, STATISTICS)).astype(np.float32)
    prints = random.integers(0, 2**63, n, dtype=np.uint64)
    names = np.arange(n) - (np.arange(n) % COPIES == COPIES - 1)
    return pa.table(
        {
            "key": [f"pair-{i}" for i in range(n)],
            "caption": captions(random, n),
            "sha256": [f"{i:064x}" for i in names.tolist()],
            "phash": [f"{one:016x}" for one in prints[names].tolist()],
            "width": width,
            "height": height,
            "bytes": random.integers(10_000, 900_000, n),
            "format": random.choice(["JPEG", "PNG", "WEBP"], n),
            "tables": random.choice([f"{i:016x}" for i in range(40)], n),
            "url": [f"https://h{i}.example.org/{j}.jpg" for j, i in enumerate(random.integers(0, 5000, n).tolist())],
            "pixels": pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), STATISTICS).cast(
                pa.list_(pa.float32(), STATISTICS)
            ),
        }
    )


class Checks:
    """The checks in the order of an audit; each keeps what the next ones need.

    Args:
        each: pairs a side.
    """

    def __init__(self, each: int) -> None:
        random = np.random.default_rng(1)
        self.each, self.rows = each, facts(2 * each)
        self.labels = np.arange(2 * each) < each
        self.truth = torch.from_numpy(self.labels)
        self.target, self.twin = (torch.from_numpy(random.normal(size=(ATTACKS, 2 * each))) for _ in range(2))
        self.groups: NDArray[np.int64] = np.arange(2 * each)

    def duplicates(self) -> None:
        """Groups of copies, and pictures of one side that look like one of the other."""
        self.groups = duplicate_groups(self.rows)
        self.clusters = torch.from_numpy(self.groups)
        hashes = as_hashes(self.rows["phash"].to_pylist())
        evidence.near_hashes(hashes[self.labels], hashes[~self.labels])

    def baselines(self) -> None:
        """Five blind baselines of 20,000 a side."""
        self.blind = evidence.blind_scores(evidence.traits_of(self.rows), self.labels, self.groups)

    def adjusted(self) -> None:
        """Strata of the joined blind score, their overlap, every attack within them, and target minus twin."""
        score = torch.from_numpy(self.blind.baselines[-1].cross_fitted)
        self.strata = evidence.strata(score, self.truth)
        self.overlap = evidence.overlap(self.strata, self.truth)
        where = self.truth, self.strata, self.clusters
        self.within = [evidence.adjusted_auroc(one, *where) for one in self.target]
        self.above = [
            evidence.adjusted_difference(one, other, *where) for one, other in zip(self.target, self.twin, strict=True)
        ]

    def permuted(self) -> None:
        """The best of all attacks on the target, and either direction on the twin."""
        of = {"groups": self.clusters, "permutations": PERMUTATIONS, "strata": self.strata}
        self.p = evidence.max_statistic(self.target, self.truth, **of).best
        self.p_twin = evidence.max_statistic(self.twin, self.truth, two_sided=True, **of).alone

    def delong(self) -> None:
        """Every attack's AUC on target and twin, and its paired difference."""
        of = self.truth, self.clusters
        self.raw, self.beside = ([evidence.auroc(one, *of) for one in scores] for scores in (self.target, self.twin))
        for one, other in zip(self.target, self.twin, strict=True):
            evidence.auroc_difference(one, other, *of)

    def bootstrap(self) -> None:
        """Every attack's TPR at an FPR of 1 % and of 0.1 %."""
        for one in self.target:
            for fpr in (0.01, 0.001):
                evidence.tpr_at_fpr(one, self.truth, fpr, self.clusters)

    def power(self) -> None:
        """What so many pairs can show."""
        spoken(self.each, self.each)
        self.detectable = evidence.detectable(self.each, self.each, alpha=0.01 / ATTACKS)

    def verdict(self) -> None:
        """The rule."""
        judged = [
            Judged(f"attack {i}", False, self.raw[i], self.within[i], float(self.p[i]),
                   Beside("twin", self.beside[i], float(self.p_twin[i]), self.above[i]))
            for i in range(ATTACKS)
        ]  # fmt: skip
        self.word = evidence.decide(Facts("leakage", "post hoc", self.overlap, tuple(judged), self.detectable)).word


def main() -> int:
    """Print the table; exit code 1 where the whole costs more than is asked."""
    checks = Checks(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
    steps: dict[str, Callable[[], None]] = {
        "duplicates and near hashes": checks.duplicates,
        "blind baselines, 20,000 a side": checks.baselines,
        "adjusted AUC and overlap": checks.adjusted,
        f"max statistic, {PERMUTATIONS:,} permutations, target and twin": checks.permuted,
        "DeLong, target and twin": checks.delong,
        "bootstrap of TPR at two FPRs": checks.bootstrap,
        "power": checks.power,
        "verdict": checks.verdict,
    }
    print(f"{checks.each:,} + {checks.each:,} pairs, {ATTACKS} attacks, {torch.get_num_threads()} threads.\n")
    print("| check | seconds | peak anonymous memory beyond what was there, MB |\n|---|---|---|")
    total, most = 0.0, 0
    for name, step in steps.items():
        with watched() as peak:
            start = time.perf_counter()
            step()
            took = time.perf_counter() - start
        total, most = total + took, max(most, peak.most)
        print(f"| {name} | {took:.2f} | {(peak.most - peak.start) / 1e6:.0f} |", flush=True)
    print(f"| all, and the peak of the whole process | {total:.1f} | {most / 1e6:.0f} |")
    print(f"\nAsked: {SECONDS} s and {BYTES / 1e6:,.0f} MB. The verdict: {checks.word}.")
    return int(total > SECONDS or most > BYTES)


if __name__ == "__main__":
    raise SystemExit(main())
