"""What an audit's checks on itself cost on 100,000 + 100,000 pairs whose features and facts are there: seconds and memory.

    python -m benchmarks.validity            # asked: below 120 s and 4 GB on two cores
    python -m benchmarks.validity 10000      # pairs a side

Captions of 10,000 words, facts of files, pixels' statistics and urls are drawn by seed; every fiftieth pair is a copy of
the one before it, so that every check goes by group. Five attacks with scores drawn at random are judged, on a target and
on its twin, by the functions that an audit calls; these are timed where it finds them.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import torch

import lmia.baselines
import lmia.overlap.audited
import lmia.validity
from benchmarks.figures import figure, tell
from benchmarks.process import anonymous
from lmia import evidence, judging, roles, ruling
from lmia.blind import Ran
from lmia.controls import TWIN, Aside
from lmia.evidence.comparison import Comparison
from lmia.extract import FeatureExtractor
from lmia.looks import STATISTICS
from lmia.report import AttackResult

PAIRS, ATTACKS = 100_000, 5
SECONDS, BYTES = 120, 4e9
COPIES = 50
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "on", "is", "ul")]
WHERE = {
    "duplicates, by file, url, and near hashes of one caption": [(roles, "copies_of")],
    "what is there twice, part by part, near hashes included": [(lmia.overlap.audited, "copied")],
    "blind baselines, 20,000 a side": [(lmia.baselines, "traits_of"), (lmia.baselines, "blind_scores")],
    "strata and overlap": [(lmia.validity, "compare")],
    "adjusted AUC, and target minus twin": [(Comparison, "adjusted"), (Comparison, "above")],
    "max statistic, 2,000 permutations, target and twin": [(Comparison, "tested")],
    "DeLong, and paired differences": [(evidence, "auroc"), (evidence, "auroc_difference")],
    "bootstrap of TPR": [(evidence, "tpr_at_fpr")],
    "power": [(lmia.validity, "power")],
    "verdict": [(ruling, "verdict")],
}
"""Every check, and where an audit finds it; what one calls of another counts as its own."""


class Meter:
    """Seconds of every check by the clock and of the cores, and by how much anonymous memory rose in it, at most, in bytes."""

    def __init__(self) -> None:
        self.seconds, self.worked, self.risen = (
            dict.fromkeys(WHERE, 0.0),
            dict.fromkeys(WHERE, 0.0),
            dict.fromkeys(WHERE, 0),
        )
        self.most = self._since = anonymous()
        self._busy = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look at the memory two hundred times a second, and put a clock on every check."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.005):
                self._look()

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ExitStack() as stack:
            for check, places in WHERE.items():
                for place, name in places:
                    stack.enter_context(patch.object(place, name, self._clocked(check, getattr(place, name))))
            yield
        done.set()
        watcher.join()

    def _look(self) -> None:
        now = anonymous()
        self.most, self._since = max(self.most, now), max(self._since, now)

    def _clocked(self, check: str, function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def clocked(*args: object, **settings: object) -> object:
            if self._busy:
                return function(*args, **settings)
            self._busy, before = True, anonymous()
            self._since, start, worked = before, time.perf_counter(), time.process_time()
            found = function(*args, **settings)
            self.seconds[check] += time.perf_counter() - start
            self.worked[check] += time.process_time() - worked
            self._busy = False
            self._look()
            self.risen[check] = max(self.risen[check], self._since - before)
            return found

        return clocked


def captions(random: np.random.Generator, n: int) -> list[str]:
    """Captions of 3 to 28 words, some words far more frequent than others."""
    words = np.array([a + b + c for a in SYLLABLES[:20] for b in SYLLABLES[:25] for c in SYLLABLES[:20]])
    lengths = random.integers(3, 29, n)
    drawn = words[(random.random(lengths.sum()) ** 3 * len(words)).astype(np.int64)].tolist()
    ends = np.cumsum(lengths)
    return [" ".join(drawn[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def facts(n: int, seed: int = 0) -> pa.Table:
    """What an audit keeps of n pairs besides their features; every fiftieth is a copy of the one before it."""
    random = np.random.default_rng(seed)
    width, height = random.integers(200, 1600, (2, n))
    pixels = pa.array(random.normal(100, 30, n * STATISTICS).astype(np.float32))
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
            "pixels": pa.FixedSizeListArray.from_arrays(pixels, STATISTICS),
        }
    )


def ran(each: int, seed: int) -> dict[str, Ran]:
    """What became of the attacks on one model: scores of both sides, drawn by seed."""
    generator = torch.Generator().manual_seed(seed)

    def one(name: str) -> Ran:
        parts = {part: torch.randn(each, generator=generator).double() for part in ("members", "nonmembers")}
        parts["calibration"] = torch.randn(1000, generator=generator).double()
        return Ran(AttackResult(name, name, "ran"), judging.Scored(parts, {}, None, [parts["calibration"]]))

    return {name: one(name) for name in (f"attack {i}" for i in range(ATTACKS))}


def audit(each: int, rows: pa.Table, on_target: dict[str, Ran], on_twin: dict[str, Ran]) -> str:
    """Do what an audit does once the scores are there; return the verdict."""
    groups = roles.copies_of(rows).groups
    parts = {"members": np.arange(each), "nonmembers": np.arange(each, 2 * each)}
    parts["calibration"] = np.arange(2 * each, 2 * each + 1000)
    part = roles.Roles([], rows, parts, groups, [], [])
    lmia.overlap.audited.copied(part, cast(FeatureExtractor, None))  # no shards, so no model is asked
    plain = {name: torch.arange(len(at)).double() for name, at in parts.items()}
    judge = judging.Judge(part, rows["key"].to_pylist(), judging.DEFAULT_FPRS, False, 0, 0.95, plain)
    with tempfile.TemporaryDirectory() as cache:
        doubt = lmia.validity.Doubt.of(judge, rows.take(judge.side_rows), Path(cache))
    asides = [Aside(TWIN, "twin", name, one) for name, one in on_twin.items()]
    found = lmia.validity.validity(doubt, dict.fromkeys(on_target, False), on_target, asides, 0.51)
    for one in on_target.values():
        judge.judge(one.result, one.scored)
    return ruling.verdict(found, "leakage", "post hoc", 0.51).word


def main() -> int:
    """Print the table; exit code 1 where the whole costs more than is asked."""
    each = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    given = SimpleNamespace(rows=facts(2 * each + 1000), target=ran(each, 0), twin=ran(each, 1))
    meter = Meter()
    with meter.running():
        start, worked = time.perf_counter(), time.process_time()
        word = audit(each, given.rows, given.target, given.twin)
        total, worked = time.perf_counter() - start, time.process_time() - worked
    print(f"{each:,} + {each:,} pairs, {ATTACKS} attacks, {torch.get_num_threads()} threads, verdict: {word}\n")
    print("| check | seconds | of the cores | rise of anonymous memory, MB |\n|---|---|---|---|")
    for check, took in meter.seconds.items():
        print(f"| {check} | {took:.2f} | {meter.worked[check]:.2f} | {meter.risen[check] / 1e6:.0f} |")
    rest = total - sum(meter.seconds.values()), worked - sum(meter.worked.values())
    print(f"| what else an audit does with scores | {rest[0]:.2f} | {rest[1]:.2f} | |")
    what = f"all checks on {each:,} + {each:,} pairs"
    return tell(
        [
            figure(f"{what}, seconds", total, most=SECONDS),
            figure(f"{what}, seconds of the cores", worked),
            figure(f"{what}, GB at its peak", meter.most / 1e9, most=BYTES / 1e9),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
