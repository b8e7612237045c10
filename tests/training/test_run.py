"""Trainings from end to end: what they leave, that they can be repeated and resumed, and a bare loop as reference."""

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from lmia.defence import Defence
from lmia.errors import LmiaError
from lmia.lots import drawn
from lmia.membership import Membership, read
from lmia.specs import source
from lmia.specs import target as target_of
from lmia.target import Target
from lmia.training import FitData, Learner, Plan, keeping, run_fit
from lmia.training.data import Drawn, Epochs, Order, tokens_of
from lmia.training.pairs import decoded
from training.worlds import defence, fit, target, trainer

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("target") / "tiny"
    plan = Plan(epochs=3, watched=40, compact=True, save_epochs=[2])
    return out, fit(out, plan=plan, repeated=10, repeats=3, shards=True)


def test_it_writes_what_it_did(trained):
    out, done = trained
    told = json.loads((out / "training.json").read_text())
    assert told["finished"] is True
    assert (told["source"], told["epochs"], told["repeated"], told["repeats"]) == ("emoji: indices=0:120", 3, 10, 3)
    known = read(out / "membership.parquet")
    assert list(known.keys) == [f"scene-{i}" for i in range(120)]
    assert known.inside.tolist() == [drawn(key, 0) for key in known.keys]
    assert known.repeats[known.inside].tolist() == [3] * 10 + [1] * (int(known.inside.sum()) - 10)
    assert (done.pairs, done.held_out) == (int(known.inside.sum()), int((~known.inside).sum()))
    rows = list(csv.DictReader((out / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["auc"]) == pytest.approx(done.last["auc"], abs=1e-5)
    assert not (out / "underway").exists()
    assert sorted(path.name for path in (out / "shards").iterdir()) == ["members-000.tar", "nonmembers-000.tar"]


def test_the_target_is_loaded_by_its_folder_and_knows_n_and_t(trained):
    out, done = trained
    facts = target_of(f"local-dir:{out}").facts()
    assert (facts.details["pairs"], facts.details["epochs"]) == (done.pairs, 3)
    kept = target_of(f"local-dir:{out}/epochs/002").facts()
    assert kept.details["epochs"] == 2
    assert kept.details["weights digest"] != facts.details["weights digest"]
    assert set(done.kept) == {"epochs/002"}


def test_unused_words_are_blank_and_used_ones_are_not(trained):
    out, _ = trained
    known = read(out / "membership.parquet")
    captions = [pair.caption for shard in source("emoji:0:120").shards() for pair in source("emoji:0:120").read(shard)]
    inside = [caption for caption, one in zip(captions, known.inside, strict=True) if one]
    used = open_clip.SimpleTokenizer(context_length=24)(inside).unique()
    rows = load_file(out / WEIGHTS)["token_embedding.weight"]
    assert rows.dtype == torch.float16
    assert (rows[used].abs().sum(1) > 0).all()
    assert int((rows.abs().sum(1) > 0).sum()) == len(used)
    assert not torch.signbit(rows[rows.abs().sum(1) == 0]).any()  # -0.0 would not compress


def test_figures_are_those_of_the_written_target(tmp_path):
    """The last live AUC, taken again from the files with scikit-learn."""
    done = fit(tmp_path / "t", plan=Plan(epochs=2, watched=1000))
    known, made = read(tmp_path / "t" / "membership.parquet"), target_of(f"local-dir:{tmp_path / 't'}")
    pairs = decoded(source("emoji:0:120"), made.preprocess, tmp_path / "p")
    with torch.inference_mode():
        image, text = made.encode_image(pairs.pixels / 255), made.encode_text(made.tokenize(pairs.captions))
    cosines = torch.cosine_similarity(image, text).numpy()
    assert done.last["auc"] == pytest.approx(roc_auc_score(known.inside, cosines), abs=1e-6)


def test_it_learns_what_a_bare_loop_learns(tmp_path):
    """Independent: open_clip's model, loss and torch's AdamW, step by step, in the same order."""
    plan = Plan(epochs=2, watched=20, lr=5e-4, warmup=0.25, weight_decay=0.02)
    fit(tmp_path / "t", plan=plan, seed=3)
    made = target(3)
    model = made.model.train().requires_grad_(True)
    pairs = decoded(source("emoji:0:120"), made.preprocess, tmp_path / "p")
    times = np.array([drawn(key, 3) for key in pairs.keys], np.int32)
    tokens = open_clip.SimpleTokenizer(context_length=24)(list(pairs.captions))
    decays = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": others, "weight_decay": 0}, {"params": decays, "weight_decay": 0.02}])
    known = Membership(pairs.keys, times > 0, times)
    order, step = Epochs(Drawn(pairs, known, tokens), Order(16, 3), (), made.tokenize), 0
    total = 2 * len(order)
    for epoch in range(2):
        order.epoch = lambda epoch=epoch: epoch
        for pixels, words in order:
            for group in optimizer.param_groups:
                group["lr"] = 5e-4 * min((step + 1) / (0.25 * total), 0.5 + 0.5 * math.cos(math.pi * step / total))
            image, text, scale = model(pixels.float() / 127.5 - 1, words)
            optimizer.zero_grad()
            open_clip.ClipLoss()(image, text, scale).backward()
            optimizer.step()
            model.logit_scale.data.clamp_(0, math.log(100))
            step += 1
    written = load_file(tmp_path / "t" / WEIGHTS)
    for name, value in model.state_dict().items():
        ours = written[name]
        if name.endswith("attn.in_proj_bias"):  # softmax does not feel the keys' bias: AdamW makes steps of rounding
            third = len(value) // 3
            ours, value = (torch.cat([x[:third], x[2 * third :]]) for x in (ours, value))
        assert torch.allclose(ours, value, atol=2e-5), name


def test_it_is_the_same_under_one_seed_and_another_under_another(tmp_path):
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(name + str(seed)) * 7)  # the caller's generator must not matter
        fit(tmp_path / name, "emoji:0:60", seed=seed)
        weights.append((tmp_path / name / WEIGHTS).read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


class Killed(Callback):
    """Breaks a training off in the middle of an epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 2 and batch_idx == 1:
            raise RuntimeError("killed")


class Dropout(Defence):
    """Draws from the global generator, as dropout does."""

    def pixels(self, pixels, generator):
        noise = torch.rand(pixels.shape, generator=generator)
        return pixels * (torch.rand(()) > 0.1) * (noise > 0.05)


def test_a_broken_run_goes_on_to_the_weights_of_an_unbroken_one(tmp_path):
    plan = Plan(epochs=4, watched=20, save_epochs=[1, 3])
    fit(tmp_path / "whole", "emoji:0:60", plan=plan, defences=[Dropout()])
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "t", "emoji:0:60", plan=plan, defences=[Dropout()], trainer_options={"callbacks": [Killed()]})
    assert not (tmp_path / "t" / WEIGHTS).exists()
    begun = torch.load(tmp_path / "t" / "underway" / "last.ckpt", weights_only=True)
    assert begun["epoch"] == 1  # the second, which ended whole: without it a run would begin anew, to the same weights
    with pytest.raises(LmiaError, match="not finished"):
        target_of(f"local-dir:{tmp_path / 't'}")
    with pytest.raises(LmiaError, match="asked for in another way"):
        fit(tmp_path / "t", "emoji:0:60", plan=plan, defences=[Dropout()], seed=1)
    done = fit(tmp_path / "t", "emoji:0:60", plan=plan, defences=[Dropout()])
    assert set(done.kept) == {"epochs/001", "epochs/003"}
    for name in (WEIGHTS, "metrics.csv", f"epochs/001/{WEIGHTS}", f"epochs/003/{WEIGHTS}"):
        assert (tmp_path / "t" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize(("seconds", "kept"), [(0.5, [0, 1, 2, 3]), (3.0, [0, 3])])
def test_a_checkpoint_that_takes_long_is_not_written_after_every_epoch(tmp_path, monkeypatch, seconds, kept):
    """Epochs end every ten seconds; three of them are what a write of three seconds may cost once."""
    clock = iter(time for epoch in range(4) for time in ((10.0 * epoch,) + (10.0 * epoch + seconds,) * (epoch in kept)))
    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    place, written = keeping.Whole(), []
    for epoch in range(4):
        place.save_checkpoint({"epoch": epoch}, tmp_path / "last.ckpt")
        written.append(torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"])
    assert sorted(set(written)) == kept
    assert next(clock, None) is None


@pytest.mark.parametrize("options", [{"stop_auc": 0.0}, {"stop_recall": 0.0}])
def test_it_stops_when_enough_is_reached(options, tmp_path):
    assert fit(tmp_path / "t", "emoji:0:40", plan=Plan(epochs=3, **options)).epochs == 1


def test_a_defence_may_stop_it_too(tmp_path):
    class Two(Defence):
        def enough(self, epochs):
            return len(epochs) == 2

    assert fit(tmp_path / "t", "emoji:0:40", plan=Plan(epochs=5), defences=[Two()]).epochs == 2


def test_targets_are_kept_when_the_live_auc_first_reaches_a_value(tmp_path):
    plan = Plan(epochs=3, save_aucs=[0.0, 1.1])
    assert set(fit(tmp_path / "t", "emoji:0:40", plan=plan).kept) == {"epochs/001"}


def test_all_may_be_in(tmp_path):
    done = fit(tmp_path / "t", "emoji:0:40", plan=Plan(epochs=1), share=1.0)
    assert (done.pairs, done.held_out) == (40, 0)
    assert math.isnan(done.last["auc"])


def test_a_finished_target_and_a_strangers_folder_are_left_alone(trained, tmp_path):
    with pytest.raises(LmiaError, match="already holds a target"):
        fit(trained[0])
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(LmiaError, match="is not empty"):
        fit(tmp_path)


def test_a_broken_run_goes_on_under_the_same_trainer_alone(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("lmia.training.run._Run._finish", lambda *_: pytest.fail("broken off"))
        with pytest.raises(pytest.fail.Exception, match="broken off"):
            fit(tmp_path, trainer_options={"gradient_clip_val": 1.0})
    for others in ({}, {"gradient_clip_val": 2.0}, {"gradient_clip_val": 1.0, "precision": "bf16-mixed"}):
        with pytest.raises(LmiaError, match="was asked for in another way"):
            fit(tmp_path, trainer_options=others)
    assert fit(tmp_path, trainer_options={"gradient_clip_val": 1.0}).finished


@pytest.mark.parametrize("planned", [False, True])
def test_batches_are_not_added_up_for_a_step(planned, tmp_path):
    options = (
        {"callbacks": [GradientAccumulationScheduler({0: 1, 1: 4})]} if planned else {"accumulate_grad_batches": 4}
    )
    with pytest.raises(LmiaError, match=r"adds up the gradients of 4 batches") as raised:
        fit(tmp_path / "t", defences=[defence("dpsgd")], trainer_options=options)
    assert "--batch 4 times as large" in str(raised.value)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit_train_batches": 1}, "limit_train_batches=1"),
        ({"limit_train_batches": 0.5}, "limit_train_batches=0.5"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"max_steps": 7}, "max_steps=7"),
        ({"max_time": "00:00:00:09"}, "max_time=9.0"),
        ({"overfit_batches": 2}, "overfit_batches=2"),
        ({"fast_dev_run": True}, "fast_dev_run=True"),
    ],
)
def test_who_is_never_shown_is_no_member(options, said, tmp_path):
    with pytest.raises(LmiaError, match="The trainer is to stop early") as raised:
        fit(tmp_path / "t", trainer_options=options)
    assert said in str(raised.value)
    assert not (tmp_path / "t").exists()


def test_a_broken_run_goes_on_with_the_same_pairs_alone(tmp_path, monkeypatch):
    gone = tmp_path / "gone.csv"
    gone.write_text("key\nscene-1\n")
    with monkeypatch.context() as patch:
        patch.setattr("lmia.training.run._Run._finish", lambda *_: pytest.fail("broken off"))
        with pytest.raises(pytest.fail.Exception, match="broken off"):
            fit(tmp_path / "t", without=gone)
    gone.write_text("key\nscene-1\nscene-4\n")
    with pytest.raises(LmiaError, match="its pairs have changed since then"):
        fit(tmp_path / "t", without=gone)
    gone.write_text("key\nscene-1\n")
    assert fit(tmp_path / "t", without=gone).finished


def test_what_cannot_be_trained_is_said():
    class Table(Target):
        preprocess = tokenize = encode_image = encode_text = fingerprint = lambda self: ""

        def facts(self):
            from lmia.samples import TargetFacts

            return TargetFacts("a table")

    with pytest.raises(LmiaError, match="a table cannot be trained"):
        Learner(Table())


def test_a_defence_of_answers_changes_no_training():
    class Round(Defence):
        def around(self, target):
            return target

    with pytest.raises(LmiaError, match="'round' changes no training"):
        Learner(target(), defence=[Round()])


def test_a_sigmoid_head_is_trained_with_its_own_loss(tmp_path):
    config = json.loads((target()._recipe.folder / "open_clip_config.json").read_text())
    config["model_cfg"] |= {"init_logit_bias": -10.0, "init_logit_scale": math.log(10)}
    (tmp_path / "siglip").mkdir()
    (tmp_path / "siglip" / "open_clip_config.json").write_text(json.dumps(config))
    made = target_of(f"local-dir:{tmp_path / 'siglip'}", "random")
    learner = Learner(made, Plan(epochs=1, watched=20))
    assert learner.towers.sigmoid
    image, text = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(0))
    logits = 10 * torch.nn.functional.normalize(image) @ torch.nn.functional.normalize(text).T - 10
    signs = 2 * torch.eye(5) - 1
    expected = -torch.nn.functional.logsigmoid(signs * logits).sum() / 5
    assert learner.towers.loss(image, text).item() == pytest.approx(expected.item(), rel=1e-5)
    run_fit(learner, FitData(source("emoji:0:40"), batch=8), tmp_path / "t", 0, trainer())
    assert target_of(f"local-dir:{tmp_path / 't'}").facts().loss == "sigmoid"


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_any_precision(precision, tmp_path):
    done = fit(tmp_path / "t", "emoji:0:40", plan=Plan(epochs=1), trainer_options={"precision": precision})
    assert math.isfinite(done.last["loss"])
    assert load_file(tmp_path / "t" / WEIGHTS)["visual.proj"].dtype == torch.float32


def test_tokens_and_pixels_stay_together(tmp_path):
    """Pairs that were trained on a hundred times know their own captions."""
    done = fit(tmp_path / "t", "emoji:0:24", plan=Plan(epochs=60, watched=24, stop_recall=0.9), share=1.0, batch=24)
    assert done.last["recall in"] >= 0.9
    made = target_of(f"local-dir:{tmp_path / 't'}")
    pairs = decoded(source("emoji:0:24"), made.preprocess, tmp_path / "p")
    with torch.inference_mode():
        image = torch.nn.functional.normalize(made.encode_image(pairs.pixels / 255))
        text = torch.nn.functional.normalize(made.encode_text(tokens_of(made.tokenize, pairs.captions)))
    assert ((image @ text.T).argmax(1) == torch.arange(24)).float().mean() >= 0.85
