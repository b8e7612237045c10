"""The plumbing holds for a real architecture: ViT-B-32 from random weights, trained until it knows its pairs by heart.

`OMP_NUM_THREADS=2 pytest -m slow -s tests/training/test_vit.py` prints epochs, steps and minutes: 46 on two
cores, fewer than two on a GPU where there is one.
"""

import time

import pytest

from lmia.membership import read
from lmia.report.archive import read_report
from lmia.shell import run
from lmia.specs import source, target
from lmia.training import FitData, Learner, Plan, run_fit
from training.worlds import trainer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

PAIRS = "emoji:0:128"
"""Half of them, 64 or so, are trained on."""
BATCH = 16
"""All of them at once are one step an epoch: after 23 such the loss had hardly moved."""


def test_a_vit_that_knows_its_pairs_by_heart_gives_them_away(tmp_path, capsys):
    out, began = tmp_path / "vit", time.perf_counter()
    plan = Plan(epochs=64, lr=1e-4, watched=64, stop_recall=0.9, warmup=0.05)
    learner = Learner(target("ViT-B-32", "random"), plan)
    done = run_fit(
        learner, FitData(source(PAIRS), batch=BATCH), out, 0, trainer(gradient_clip_val=1.0, accelerator="auto")
    )
    minutes = (time.perf_counter() - began) / 60
    members = int(read(out / "membership.parquet").inside.sum())
    with capsys.disabled():
        steps = done.epochs * -(-members // BATCH)
        print(f"\n{members} pairs, {done.epochs} epochs, {steps} steps, {minutes:.1f} minutes: {dict(done.last)}")
    assert done.last["recall in"] >= 0.9
    roles = ["--known-nonmembers", "emoji:1000:1060", "--pool", "emoji:2000:2010"]
    truth = ["--truth", str(out / "membership.parquet"), "--source", PAIRS]
    words = ["--plugin", "csa", "--model", f"local-dir:{out}", *truth, *roles, "--out", str(tmp_path / "o")]
    assert run(["audit", *words]) == 0
    with capsys.disabled():
        print(capsys.readouterr().out)
    assert read_report(tmp_path / "o" / "report.json").attacks[0].auc.value > 0.95
