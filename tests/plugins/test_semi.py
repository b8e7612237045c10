"""The semi-supervised attack: what it learns from known members, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lmia.errors import LmiaError
from lmia.shell import run
from lmia.testing import make_known, make_samples, make_world
from lmia_semi import SemiSupervised


def auc(attack, world):
    return roc_auc_score(world.labels, attack.score(world.samples))


def features(samples):
    parts = [
        samples.image / samples.image.norm(dim=1, keepdim=True),
        samples.text / samples.text.norm(dim=1, keepdim=True),
    ]
    return torch.cat([*parts, samples.cosine[:, :1]], dim=1).numpy()


@pytest.mark.parametrize("network", ["linear", "mlp"])
def test_known_members_teach_it(network):
    world = make_world(400, signal=1.0)
    attack = SemiSupervised(rounds=0, network=network, lr=1e-2 if network == "linear" else 1e-3)
    attack.fit(world.known)
    assert auc(attack, world) > 0.85


def test_supervised_alone_orders_pairs_as_logistic_regression_does():
    """Independent: scikit-learn on the same rows; early stopping and decay leave room, so ranks are compared."""
    world = make_world(600, signal=1.0)
    attack = SemiSupervised(rounds=0)
    attack.fit(world.known)
    inside, outside = features(world.known.members), features(world.known.nonmembers)
    rows = torch.from_numpy(inside).tolist() * 2 + torch.from_numpy(outside).tolist()
    theirs = LogisticRegression(max_iter=2000).fit(rows, [1] * len(inside) * 2 + [0] * len(outside))
    other = roc_auc_score(world.labels, theirs.decision_function(features(world.samples)))
    assert abs(auc(attack, world) - other) < 0.03


def test_without_memory_it_finds_nothing():
    found = []
    for seed in range(8):
        world = make_world(400, seed=seed, signal=0.0)
        attack = SemiSupervised()
        attack.fit(world.known)
        found.append(auc(attack, world))
    assert 0.45 < sum(found) / 8 < 0.55


def test_pool_pairs_that_join_are_counted_and_few_where_none_are_members():
    known = make_known(400, signal=1.0)
    attack = SemiSupervised(rounds=2, alpha=0.05)
    attack.fit(known)
    assert len(attack.findings()["joined"]) == 2
    assert 100 < attack.findings()["joined"][0] < 260  # 200 of the pool are members
    attack.fit(replace(known, pool=make_samples(400, 77, 0.0)))
    assert attack.findings()["joined"][0] < 60


def test_without_a_pool_it_is_supervised():
    known = make_known(200)
    one, other = SemiSupervised(rounds=3), SemiSupervised(rounds=0)
    one.fit(replace(known, pool=None))
    other.fit(known)
    samples = make_samples(50, 5)
    assert torch.equal(one.score(samples), other.score(samples))
    assert one.findings()["joined"] == []


@pytest.mark.parametrize("members", [None, 9])
def test_too_few_known_members_are_said(members):
    known = make_known(100)
    some = None if members is None else known.members.select(torch.arange(members))
    with pytest.raises(LmiaError, match=f"has {members or 0} known members"):
        SemiSupervised().fit(replace(known, members=some))


@pytest.mark.parametrize(
    "options",
    [{"rounds": -1}, {"alpha": 0.0}, {"alpha": 1.0}, {"epochs": 0}, {"lr": float("nan")}, {"weight_decay": -1.0}],
)
def test_options_out_of_range_are_said(options):
    with pytest.raises(LmiaError, match="SemiSupervised's"):
        SemiSupervised(**options)


def test_it_scores_only_what_it_was_taught_for():
    with pytest.raises(RuntimeError, match="comes after"):
        SemiSupervised().score(make_samples(3))


def test_an_audit_without_known_members_says_what_to_give(capsys):
    assert run(["audit", "--plugin", "semi-supervised"]) == 2
    said = capsys.readouterr().err
    assert "learns from known members, and none are given" in said
    assert "--known-share" in said


def test_an_audit_cuts_known_members_off_by_lot(tmp_path, capsys):
    sides = ["--members", "emoji:in:0:900", "--nonmembers", "emoji:out:0:900", "--model", "demo"]
    words = ["--plugin", "semi-supervised", "--known-share", "0.3", "--out", str(tmp_path / "o")]
    assert run(["audit", *sides, *words, "--trainer.enable_progress_bar", "false"]) == 0
    report = (tmp_path / "o" / "report.md").read_text()
    assert "30% cut off by seed as known members" in report.replace("\\", "")
    assert "semisupervised" in capsys.readouterr().out


def test_known_members_that_are_audited_are_refused(capsys):
    sides = ["--members", "emoji:in:0:900", "--nonmembers", "emoji:out:0:900", "--model", "demo"]
    assert run(["audit", *sides, "--plugin", "csa", "--known-members", "emoji:in:800:1000"]) == 2
    assert "members are also in known_members" in capsys.readouterr().err
