"""Run every benchmark, one after the other: `python -m benchmarks` (about half an hour on two quiet cores)."""

from __future__ import annotations

import subprocess
import sys

ALL = (
    ("extraction, the demo's model", "benchmarks.extraction", "demo"),
    ("extraction, ViT-B-32 with random weights", "benchmarks.extraction", "vit"),
    ("ways to decode", "benchmarks.decoding"),
    ("views", "benchmarks.views"),
    ("a second attack, and start-up", "benchmarks.again"),
    ("memory", "benchmarks.memory"),
    ("training a target against a bare loop", "benchmarks.fit"),
    ("what an audit spends on doubting itself", "benchmarks.doubt"),
    ("evidence for 10,000,000 + 10,000,000 scores", "benchmarks.evidence"),
    ("all checks on 100,000 + 100,000 pairs", "benchmarks.validity"),
    ("data-set inference", "benchmarks.dataset"),
    ("WSA's classifier against a bare loop", "benchmarks.classifier", "4"),
)

for title, *words in ALL:
    print(f"\n## {title}\n", flush=True)
    subprocess.run([sys.executable, "-m", *words], check=False)
