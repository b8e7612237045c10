"""The trained net against a loop written out in bare PyTorch, and the laws of `fit_classifier`."""

import random
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from lmia import LmiaError
from lmia.classifier import build_network, fit_classifier, one_thread


def noisy(n=240, d=6, seed=0, flip=0.25):
    """Rows whose first feature tells the label, a share of the labels flipped: a big net soon overfits them."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    return x, ((x[:, 0] > 0) ^ (torch.rand(n, generator=g) < flip)).long()


def paper_net(d):
    return nn.Sequential(
        nn.Linear(d, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 2)
    )


def bare_loop(x, y, *, epochs, batch, patience, lr, seed, share=0.1):
    """Return the last and the best net's weights and the validation losses, by PyTorch alone and its default Adam."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = paper_net(x.shape[1])
    g = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=g)
    held, rows = order[: int(share * len(x))], order[int(share * len(x)) :]
    adam, losses, best = torch.optim.Adam(net.parameters(), lr), [], None
    for _ in range(epochs):
        shuffled = rows[torch.randperm(len(rows), generator=g)]
        for start in range(0, len(rows), batch):
            part = shuffled[start : start + batch]
            adam.zero_grad()
            nn.CrossEntropyLoss()(net(x[part]), y[part]).backward()
            adam.step()
        with torch.no_grad():
            losses.append(float(nn.CrossEntropyLoss()(net(x[held]), y[held])))
        if losses[-1] == min(losses):
            best = {name: value.clone() for name, value in net.state_dict().items()}
        if len(losses) - 1 - int(np.argmin(losses)) >= patience:
            break
    return net.state_dict(), best, losses


def same(net, weights):
    return all(torch.allclose(value, weights[name], atol=2e-4) for name, value in net.state_dict().items())


@pytest.mark.parametrize("seed", [0, 1])
def test_mlp_is_a_bare_loop_with_early_stopping(seed):
    x, y = noisy(seed=seed)
    options = {"epochs": 15, "batch": 32, "patience": 3, "lr": 1e-3, "seed": seed}
    last, best, losses = bare_loop(x, y, **options)
    assert len(losses) < 15, "the reference must stop early, or this test shows little"
    assert losses[-1] > min(losses)
    assert same(fit_classifier(x, y, keep="last", accelerator="cpu", **options), last)
    assert same(fit_classifier(x, y, keep="best", accelerator="cpu", **options), best)
    assert not all(torch.allclose(last[name], best[name], atol=2e-4) for name in last)


def test_batches_are_the_bare_loops_whatever_lightning_is_handed_at_once():
    x, y = noisy(n=211)
    options = {
        "epochs": 2,
        "batch": 3,
        "patience": 9,
        "lr": 1e-3,
        "seed": 3,
    }  # 64 steps an epoch, two handfuls and a rest
    assert same(fit_classifier(x, y, keep="last", accelerator="cpu", **options), bare_loop(x, y, **options)[0])


def test_linear_is_logistic_regression_by_bare_adamw():
    x, y = noisy()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        layer = nn.Linear(6, 1)
    g = torch.Generator().manual_seed(5)
    order = torch.randperm(len(x), generator=g)
    adamw = torch.optim.AdamW(layer.parameters(), 1e-2, weight_decay=0.5)
    for _ in range(4):
        for part in order[torch.randperm(len(x), generator=g)].split(50):
            adamw.zero_grad()
            nn.BCEWithLogitsLoss()(layer(x[part])[:, 0], y[part].float()).backward()
            adamw.step()
    options = {"network": "linear", "epochs": 4, "batch": 50, "lr": 1e-2, "weight_decay": 0.5, "seed": 5}
    net = fit_classifier(x, y, validation=0.0, keep="last", accelerator="cpu", **options)
    logits = net(x)
    assert torch.equal(logits[:, 0], torch.zeros(len(x)))
    torch.testing.assert_close(logits[:, 1], layer(x)[:, 0].detach(), atol=1e-5, rtol=1e-5)


def test_paper_layers():
    shapes = [tuple(layer.weight.shape) for layer in build_network("mlp", 1024, seed=0) if isinstance(layer, nn.Linear)]
    assert shapes == [(512, 1024), (256, 512), (128, 256), (2, 128)]


def fitted_logits(x, y, **options):
    return fit_classifier(x, y, **({"epochs": 2, "seed": 0, "accelerator": "cpu"} | options))(x.float())


def test_global_generators_are_neither_read_nor_moved():
    x, y = noisy()
    torch.manual_seed(1)
    first = fitted_logits(x, y)
    torch.manual_seed(2), np.random.seed(2), random.seed(2)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(fitted_logits(x, y), first)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    assert not torch.equal(fitted_logits(x, y, seed=1), first)


def test_inputs_are_unchanged_and_threads_do_not_show():
    x, y = noisy(n=2000, d=64)
    kept = x.clone(), y.clone()
    threads = torch.get_num_threads()
    try:
        nets = []
        for count in (1, 2):
            torch.set_num_threads(count)
            nets.append(fit_classifier(x, y, epochs=1, batch=256, seed=0, accelerator="cpu"))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])


def test_one_thread_restores_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == before


def test_trains_where_the_caller_has_gradients_off():
    x, y = noisy()
    expected = fitted_logits(x, y)
    with torch.no_grad():
        assert torch.equal(fitted_logits(x, y), expected)
    with torch.inference_mode():
        x, y = noisy()  # made here, so that they are inference tensors
        assert x.is_inference()
        assert torch.equal(fitted_logits(x, y), expected)


def test_trains_on_rank_zero_of_an_audit_that_several_processes_began(monkeypatch):
    x, y = noisy()
    expected = fitted_logits(x, y)
    for name, value in {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "audit")
    assert torch.equal(fitted_logits(x, y), expected)
    assert not torch.distributed.is_initialized()


class Outer(LightningModule):
    def predict_step(self, rows):
        return fitted_logits(*noisy())


@pytest.mark.parametrize("inference_mode", [True, False])
def test_trains_inside_another_trainer(inference_mode):
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    outer = Trainer(accelerator="cpu", devices=1, inference_mode=inference_mode, **quiet)
    inside = outer.predict(Outer(), [torch.zeros(1)])
    assert torch.equal(inside[0], fitted_logits(*noisy()))


def test_says_nothing_writes_nothing_warns_of_nothing(tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.chdir(tmp_path)
    x, y = noisy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted_logits(x, y)
        fitted_logits(x, y, validation=0.0, keep="last")
    said = capfd.readouterr()
    assert (said.out, said.err, caplog.text) == ("", "", "")
    assert list(tmp_path.iterdir()) == []


def test_net_comes_back_ready_to_score():
    x, y = noisy()
    net = fit_classifier(x, y, epochs=1, seed=0, accelerator="cpu")
    assert not net.training
    assert {p.device.type for p in net.parameters()} == {"cpu"}
    assert not any(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_train_as_their_float32_values(dtype):
    x, y = noisy()
    x = x.to(dtype)
    assert torch.equal(fitted_logits(x, y), fitted_logits(x.float(), y))
    assert torch.equal(fitted_logits(x, y.int()), fitted_logits(x, y.bool()))


@settings(max_examples=8, deadline=None)
@given(n=st.integers(2, 40), batch=st.integers(1, 64), validation=st.floats(0.01, 0.5), seed=st.integers(0, 2**32))
def test_small_sets_train_to_finite_logits(n, batch, validation, seed):
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    logits = fitted_logits(x, torch.arange(n) % 2, batch=batch, validation=validation, seed=seed, network="linear")
    assert logits.shape == (n, 2)
    assert bool(logits.isfinite().all())


def test_identical_rows_get_identical_logits():
    logits = fitted_logits(torch.ones(40, 3), torch.arange(40) % 2)
    assert torch.equal(logits, logits[:1].expand(40, 2))


def test_not_finite_is_an_error_that_counts_rows():
    x, y = noisy()
    x[3, 1], x[5, 0] = float("nan"), float("inf")
    with pytest.raises(LmiaError, match="in 2 of 240 rows"):
        fitted_logits(x, y)


@pytest.mark.parametrize("options", [{}, {"validation": 0.0, "keep": "last"}])
def test_divergence_is_an_error(options):
    x, y = noisy()
    with pytest.raises(LmiaError, match=r"diverged at lr 1e\+38"):
        fitted_logits(x * 1e10, y, lr=1e38, **options)


@pytest.mark.parametrize(
    ("x", "y", "options", "words"),
    [
        (torch.ones(4, 2), torch.ones(4), {}, "both present"),
        (torch.ones(4, 2), torch.arange(4), {}, "labels 0 and 1"),
        (torch.ones(4, 2), torch.arange(3) % 2, {}, r"got \(4, 2\) and \(3,\)"),
        (torch.ones(1, 2), torch.zeros(1), {}, "n > 1"),
        (torch.ones(4), torch.arange(4) % 2, {}, r"\(n, d\)"),
        (torch.ones(4, 2), torch.arange(4) % 2, {"validation": 0.0}, "keep='best'"),
        (torch.ones(4, 2), torch.arange(4) % 2, {"validation": 1.0}, "below 1"),
    ],
)
def test_what_is_no_training_set_is_refused(x, y, options, words):
    with pytest.raises(ValueError, match=words):
        fitted_logits(x, y, **options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_learns_the_same_and_returns_to_the_cpu():
    x, y = noisy(n=2000, flip=0.05)
    before = torch.cuda.get_rng_state()
    gpu, cpu = (fit_classifier(x, y, epochs=3, seed=0, accelerator=where) for where in ("gpu", "cpu"))
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert {p.device.type for p in gpu.parameters()} == {"cpu"}
    agree = (gpu(x).argmax(dim=1) == cpu(x).argmax(dim=1)).float().mean()
    assert float(agree) > 0.95
