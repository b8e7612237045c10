"""WSA against a hand-written one, its choice of lambda, its errors, and what it says where there is nothing."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import normalize

import lmia.classifier
from lmia import Known, LmiaError, NothingToLearn, Samples, TargetFacts
from lmia_wsa import WSA, lmia_attacks
from lmia_wsa.cut import LAMBDAS, Cut, cut, enough, smallest_bound

SEVEN = [-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5]


def samples(image, text, cosine=None):
    cos = (normalize(image, dim=1) * normalize(text, dim=1)).sum(dim=1) if cosine is None else cosine
    arrays = {"cosine": cos.float()[:, None], "image": image, "text": text}
    return Samples(torch.arange(len(image)), [""] * len(image), ("identity",), arrays)


def pairs(n, seed, trace=0.0, d=16):
    """Image and text share some of a direction each; a member's also share `trace` of one fixed direction."""
    g = torch.Generator().manual_seed(seed)
    image = torch.randn(n, d, generator=g)
    text = 0.5 * image + torch.randn(n, d, generator=g)
    image[:, 0] += trace
    text[:, 0] += trace
    return image, text


def mixed(n, seed, trace):
    """Half members, half non-members."""
    return samples(*(torch.cat(both) for both in zip(pairs(n // 2, seed, trace), pairs(n // 2, seed + 1), strict=True)))


def knowledge(trace=1.5, n=600, seed=0, pool=None):
    return Known(samples(*pairs(n, 10 + seed)), pool or mixed(2 * n, 20 + seed, trace), TargetFacts("none"), seed)


def audited(trace=1.5, n=800, seed=40):
    return mixed(n, seed, trace), np.repeat([1, 0], n // 2)


def by_cosine(known, pool, **arrays):
    """Knowledge whose cosines are as told; the features say nothing."""
    ones = {
        name: torch.randn(len(c), 4, generator=torch.Generator().manual_seed(1))
        for name, c in [("k", known), ("p", pool)]
    }
    known, pool = torch.as_tensor(known, dtype=torch.float32), torch.as_tensor(pool, dtype=torch.float32)
    return Known(samples(ones["k"], ones["k"], known), samples(ones["p"], ones["p"], pool), TargetFacts("none"), 0)


# ---- the cut


def test_cut_by_hand():
    # mean 3, variance (4 + 1 + 0 + 1 + 4)/5 = 2; tau = 3 + .5 sqrt(2) = 3.707
    one = cut(torch.tensor([1.0, 2, 3, 4, 5]), torch.tensor([3.0, 3.7, 3.71, 9]), 0.5)
    assert one.threshold == pytest.approx(3 + 0.5 * math.sqrt(2))
    assert (one.known_share, one.pool_count, one.pool_share) == (0.4, 2, 0.5)
    assert one.bound == pytest.approx(0.8)


@settings(max_examples=60, deadline=None)
@given(
    known=st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=40),
    pool=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40),
    lam=st.floats(-3, 3),
)
def test_cut_is_numpys(known, pool, lam):
    k, p = np.array(known, np.float64), np.array(pool, np.float64)
    tau = k.mean() + lam * np.std(k)
    assume(np.abs(np.concatenate([k, p]) - tau).min() > 1e-12)  # rounding may turn either way on the edge itself
    one = cut(torch.tensor(known), torch.tensor(pool), lam)
    assert one.threshold == pytest.approx(tau, abs=1e-12)
    assert one.pool_count == (p >= tau).sum()
    assert one.known_share == pytest.approx((k >= tau).mean())
    if one.pool_count:
        assert one.bound == pytest.approx((k >= tau).mean() / (p >= tau).mean())


def test_nothing_above_tau_has_no_bound():
    one = cut(torch.tensor([0.0, 1.0]), torch.tensor([-1.0, -2.0]), 0.0)
    assert one.bound == math.inf
    assert one.row(False)["bound"] is None


def test_a_cosine_on_the_threshold_is_in_and_equal_cosines_are_all_in():
    one = cut(torch.full((7,), 0.1), torch.full((9,), 0.1), 2.5)
    assert (one.known_share, one.pool_count, one.bound) == (1.0, 9, 1.0)


@pytest.mark.parametrize(
    ("known", "pool", "most", "expected"),
    [
        (3000, 9000, 9000, 1000),
        (30000, 9000, 9000, 1000),
        (2000, 9000, 9000, 667),
        (60, 9000, 9000, 50),
        (3000, 600, 600, 200),  # no lambda can leave 1,000 of 600
        (3000, 90, 90, 50),
    ],
)
def test_enough(known, pool, most, expected):
    assert enough([Cut(0.0, 0.0, 1.0, most, 1.0), Cut(0.5, 0.0, 0.5, 1, 0.1)], known, pool) == expected


def test_smallest_bound_wants_enough_and_prefers_more_where_equal():
    cuts = [
        Cut(-0.5, 0, 0.9, 900, 0.9),
        Cut(0.0, 0, 0.2, 400, 0.4),
        Cut(0.5, 0, 0.1, 200, 0.2),
        Cut(1.5, 0, 0.0, 10, 0.01),
    ]
    assert smallest_bound(cuts, 100).lam == 0.0
    assert smallest_bound(cuts, 10).lam == 1.5
    assert smallest_bound(cuts, 500) is None
    assert smallest_bound([], 1) is None


# ---- the choice of lambda, end to end


def hand_choice(known, pool):
    """The rule of the docstring, in numpy."""
    rows = []
    for lam in SEVEN:
        tau = known.mean() + lam * known.std()
        rows.append((lam, (known >= tau).mean(), (pool >= tau).sum(), (pool >= tau).mean()))
    left = [row for row in rows if row[2] >= min(1000, math.ceil(len(known) / 3))]
    return min(left, key=lambda row: row[1] / row[3])[0], rows


@pytest.mark.parametrize("shift", [0.3, 0.8, 3.0])
def test_auto_takes_the_smallest_bound_that_leaves_enough(shift):
    rng = np.random.default_rng(int(shift * 10))
    known = rng.normal(size=900)
    pool = np.concatenate([rng.normal(size=600), rng.normal(shift, 1, size=600)])
    attack = WSA(network="linear", epochs=1)
    attack.fit(by_cosine(known, pool))
    found = attack.findings()
    expected, rows = hand_choice(known, pool)
    assert found["lambda"] == expected
    assert found["enough_pseudo_members"] == 300
    table = found["lambdas"]
    assert [row["lambda"] for row in table] == SEVEN
    assert [row["pool_count"] for row in table] == [row[2] for row in rows]
    assert [row["known_share"] for row in table] == pytest.approx([row[1] for row in rows])
    assert [row["bound"] for row in table if row["bound"]] == pytest.approx(
        [r[1] / r[3] for r in rows if r[1] and r[2]]
    )
    assert [row["lambda"] for row in table if row["chosen"]] == [expected]
    assert found["pseudo_members"] == next(row[2] for row in rows if row[0] == expected)
    json.dumps(found)


def test_the_choice_moves_with_the_pool():
    rng = np.random.default_rng(0)
    chosen = set()
    for shift in (0.5, 3.0):
        pool = np.concatenate([rng.normal(size=600), rng.normal(shift, 1, size=600)])
        attack = WSA(network="linear", epochs=1)
        attack.fit(by_cosine(rng.normal(size=900), pool))
        chosen.add(attack.findings()["lambda"])
    assert len(chosen) == 2


def test_a_number_is_taken_as_it_is_and_stands_in_the_table():
    attack = WSA(lam=0.25, network="linear", epochs=1)
    attack.fit(knowledge())
    found = attack.findings()
    assert found["lambda"] == 0.25
    assert [row["lambda"] for row in found["lambdas"]] == sorted([*SEVEN, 0.25])
    assert [row["lambda"] for row in found["lambdas"] if row["chosen"]] == [0.25]
    assert "enough_pseudo_members" not in found


def test_a_pool_like_the_known_is_nothing_to_learn_with_the_table():
    cosines = np.random.default_rng(0).normal(size=900)
    attack = WSA()
    with pytest.raises(NothingToLearn, match="leaves 300 pseudo-members") as caught:
        attack.fit(by_cosine(cosines, cosines))
    table = caught.value.findings["lambdas"]
    assert [row["lambda"] for row in table] == SEVEN
    assert [row["bound"] for row in table if row["pool_count"]] == pytest.approx([1.0] * 7)
    assert not any(row["chosen"] for row in table)
    json.dumps(caught.value.findings)
    with pytest.raises(RuntimeError, match=r"after WSA\.fit"):
        attack.score(audited()[0])


def test_a_pool_below_the_known_is_nothing_to_learn_not_a_division_by_zero():
    rng = np.random.default_rng(0)
    with pytest.raises(NothingToLearn) as caught:
        WSA().fit(by_cosine(rng.normal(size=300), rng.normal(-9, 1, size=300)))
    assert [row["bound"] for row in caught.value.findings["lambdas"]] == [None] * 7


def test_a_bound_just_under_the_limit_is_learnt_from_and_one_on_it_is_not():
    """Of 1,000 known so many reach the threshold, of the pool all, at each of four lambdas; at the others none do."""
    attack = WSA(network="linear", epochs=1)
    attack.fit(by_cosine([1.0] * 949 + [0.0] * 51, [1.0] * 400))
    found = attack.findings()
    assert (found["lambda"], found["pseudo_members"]) == (-2.5, 400)
    assert [row["bound"] for row in found["lambdas"]] == [0.949] * 4 + [None] * 3
    with pytest.raises(NothingToLearn, match=r"F_known / F_pool below 0\.95") as caught:
        attack.fit(by_cosine([1.0] * 950 + [0.0] * 50, [1.0] * 400))
    assert [row["bound"] for row in caught.value.findings["lambdas"]] == [0.95] * 4 + [None] * 3


def test_identical_features_are_nothing_to_learn():
    same = samples(torch.ones(100, 4), torch.ones(100, 4))
    with pytest.raises(NothingToLearn):
        WSA().fit(Known(same, same, TargetFacts("none")))


def test_a_pool_of_suspects_smaller_than_the_known_still_trains():
    attack = WSA()
    attack.fit(Known(samples(*pairs(3000, 1)), mixed(400, 2, trace=2.0), TargetFacts("none"), 0))
    assert attack.findings()["enough_pseudo_members"] == 134
    assert attack.findings()["pseudo_members"] >= 134


# ---- errors


def test_fewer_than_fifty_is_an_error_that_counts_all_seven():
    known = np.arange(100.0)  # mean 49.5, std 28.87: tau at 2.5 is 121.7, at 1.5 92.8
    pool = np.concatenate([np.arange(100.0), np.full(49, 200.0)])
    with pytest.raises(LmiaError) as caught:
        WSA(lam=2.5).fit(by_cosine(known, pool))
    assert not isinstance(caught.value, NothingToLearn)
    assert caught.value.problem == "WSA needs 50 pseudo-members, and lambda 2.5 leaves 49."
    for lam, count in zip(SEVEN, (149, 142, 113, 99, 85, 56, 49), strict=True):
        assert f" {lam:g} leaves {count}" in caught.value.remedy
    WSA(lam=2.5, network="linear", epochs=1).fit(by_cosine(known, np.append(pool, 200.0)))  # 50 are enough


def test_a_pool_of_forty_nine_is_an_error_under_auto():
    with pytest.raises(LmiaError, match="the whole pool is 49"):
        WSA().fit(knowledge(pool=mixed(48, 3, 1.0).select(torch.arange(49) % 48)))


@pytest.mark.parametrize("pool", [None, samples(torch.ones(0, 4), torch.ones(0, 4))])
def test_no_pool_is_an_error(pool):
    with pytest.raises(LmiaError, match="no pool"):
        WSA().fit(Known(samples(*pairs(100, 0)), pool, TargetFacts("none")))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_known_non_members_is_an_error(n):
    with pytest.raises(LmiaError, match=f"has {n} known non-members"):
        WSA().fit(Known(samples(*pairs(n, 0)), mixed(200, 1, 1.0), TargetFacts("none")))


@pytest.mark.parametrize(
    ("where", "words"), [("known", "1 of 600 known non-members"), ("pool", "1 of 1,200 pool pairs")]
)
def test_a_cosine_that_is_not_finite_is_an_error_that_says_whose(where, words):
    known = knowledge()
    (known.nonmembers if where == "known" else known.pool).arrays["cosine"][5] = float("nan")
    with pytest.raises(LmiaError, match=words):
        WSA().fit(known)


def test_a_feature_that_is_not_finite_is_an_error():
    known = knowledge()
    known.nonmembers.arrays["image"][:, 2] = float("nan")
    with pytest.raises(LmiaError, match="NaN or infinity"):
        WSA().fit(known)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lam": math.nan}, "lam is nan"),
        ({"batch": 0}, "batch is 0"),
        ({"epochs": -1}, "epochs is -1"),
        ({"patience": 0}, "patience is 0"),
        ({"lr": 0.0}, "lr is 0"),
        ({"max_per_class": 0}, "max_per_class is 0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"validation": 0.0}, "which epoch is best"),
    ],
)
def test_bad_options_are_refused_when_made(options, words):
    with pytest.raises(LmiaError, match=words):
        WSA(**options)


# ---- the trained attack


def hand_written(known, test, lam, seed):
    """WSA in numpy and bare PyTorch, by its own random draws."""
    feats = {}
    for name, part in (("no", known.nonmembers), ("pool", known.pool), ("test", test)):
        rows = [
            array.numpy() / np.linalg.norm(array.numpy(), axis=1, keepdims=True) for array in (part.image, part.text)
        ]
        feats[name] = np.concatenate(rows, axis=1), (rows[0] * rows[1]).sum(axis=1)
    cos = feats["no"][1]
    pseudo = feats["pool"][0][feats["pool"][1] >= cos.mean() + lam * np.std(cos)]
    rng = np.random.default_rng(seed)
    size = min(len(pseudo), len(cos))
    x = np.concatenate([a[rng.permutation(len(a))[:size]] for a in (feats["no"][0], pseudo)])
    x, y = torch.tensor(x), torch.tensor([0] * size + [1] * size)
    order = torch.tensor(rng.permutation(len(x)))
    held, rows = order[: len(x) // 10], order[len(x) // 10 :]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        d = x.shape[1]
        net = nn.Sequential(
            nn.Linear(d, 512),
            nn.ReLU(),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, 2),
        )
    adam, best, since, kept = torch.optim.Adam(net.parameters(), 1e-3), math.inf, 0, None
    for _ in range(15):
        for part in rows[torch.tensor(rng.permutation(len(rows)))].split(32):
            adam.zero_grad()
            nn.functional.cross_entropy(net(x[part]), y[part]).backward()
            adam.step()
        with torch.no_grad():
            loss = float(nn.functional.cross_entropy(net(x[held]), y[held]))
        since += 1
        if loss < best:
            best, since, kept = loss, 0, {k: v.clone() for k, v in net.state_dict().items()}
        if since >= 3:
            break
    net.load_state_dict(kept)
    with torch.no_grad():
        logits = net(torch.tensor(feats["test"][0])).numpy()
    return logits[:, 1] - logits[:, 0], len(pseudo), size


def test_scores_agree_with_a_hand_written_wsa():
    known, (test, truth) = knowledge(n=1500, trace=2.0), audited(trace=2.0)
    attack = WSA(lam=0.5)
    attack.fit(known)
    ours = attack.score(test).numpy()
    theirs, pseudo, size = hand_written(known, test, 0.5, seed=99)
    assert attack.findings()["pseudo_members"] == pseudo
    assert attack.findings()["trained_on"] == {"known_nonmembers": size, "pseudo_members": size}
    assert spearmanr(ours, theirs).statistic > 0.95
    assert roc_auc_score(truth, ours) == pytest.approx(roc_auc_score(truth, theirs), abs=0.02)


@pytest.mark.parametrize(
    ("options", "n"),
    [
        ({}, 600),
        ({"lam": 0.5, "keep": "last", "output": "sigmoid"}, 600),
        ({"network": "linear", "append_cosine": True, "lr": 0.01}, 600),
        (WSA.presets["bench"], 20000),  # five epochs of 1,024 rows a step: on less it stays where chance put it
    ],
)
def test_members_score_higher(options, n):
    attack = WSA(**options)
    attack.fit(knowledge(n=n))
    test, truth = audited()
    assert roc_auc_score(truth, attack.score(test)) > 0.75


def test_without_a_trace_scores_say_nothing():
    aucs = []
    for seed in range(6):
        attack = WSA(lam=0.5, epochs=2)  # a number: trained on noise, where auto would mostly find nothing to learn
        attack.fit(knowledge(trace=0.0, n=300, seed=100 * seed))
        test, truth = audited(trace=0.0, seed=100 * seed + 50)
        aucs.append(roc_auc_score(truth, attack.score(test)))
    assert abs(np.mean(aucs) - 0.5) < 4 * math.sqrt(801 / (12 * 400**2) / 6)  # the rank statistic's own deviation


def test_auto_mostly_finds_nothing_without_a_trace():
    nothing = 0
    for seed in range(6):
        try:
            WSA(network="linear", epochs=1).fit(knowledge(trace=0.0, n=1500, seed=100 * seed))
        except NothingToLearn:
            nothing += 1
    assert nothing >= 4


def scored(known=None, test=None, **options):
    attack = WSA(**({"epochs": 2} | options))
    attack.fit(known or knowledge())
    return attack.score(test or audited()[0])


def test_a_row_scores_the_same_alone_in_chunks_and_in_another_order():
    attack = WSA(epochs=2)
    attack.fit(knowledge())
    test = audited(n=2600)[0]  # more rows than are scored at once
    whole = attack.score(test)
    torch.testing.assert_close(torch.cat([attack.score(part) for part in test.chunks(7)]), whole, rtol=1e-9, atol=1e-12)
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attack.score(test.select(order)), whole[order], rtol=1e-9, atol=1e-12)
    assert bool(whole.isfinite().all())
    assert attack.score(test.select(torch.arange(0))).shape == (0,)


def test_a_seed_decides_all_and_the_global_generator_nothing():
    torch.manual_seed(1)
    first = scored()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(scored(), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(scored(seed=0), first)  # the audit's seed is 0 here
    assert not torch.equal(scored(seed=1), first)


def test_a_second_fit_forgets_the_first():
    attack = WSA(epochs=2)
    attack.fit(knowledge(seed=5))
    attack.fit(knowledge())
    assert torch.equal(attack.score(audited()[0]), scored())


def test_a_fit_that_fails_leaves_no_older_net_to_score_with():
    attack = WSA(epochs=1)
    attack.fit(knowledge())
    with pytest.raises(NothingToLearn):
        attack.fit(by_cosine(np.arange(99.0), np.arange(99.0)))
    assert attack.findings() == {}
    with pytest.raises(RuntimeError):
        attack.score(audited()[0])


def test_nothing_handed_in_is_changed():
    known, test = knowledge(), audited()[0]
    parts = known.nonmembers, known.pool, test
    kept = [{name: array.clone() for name, array in part.arrays.items()} for part in parts]
    scored(known, test)
    assert all(torch.equal(part.arrays[name], old[name]) for part, old in zip(parts, kept, strict=True) for name in old)


def test_the_norm_of_a_feature_does_not_matter():
    known, test = knowledge(), audited()[0]
    louder = Samples(
        test.ids, test.captions, test.view_names, {**test.arrays, "image": test.image * 8, "text": test.text * 3}
    )
    torch.testing.assert_close(scored(known, louder), scored(known, test), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_train_and_score(dtype):
    known = knowledge()
    halves = [
        Samples(
            p.ids, p.captions, p.view_names, {"cosine": p.cosine, "image": p.image.to(dtype), "text": p.text.to(dtype)}
        )
        for p in (known.nonmembers, known.pool, audited()[0])
    ]
    scores = scored(Known(halves[0], halves[1], known.target, 0), halves[2])
    assert scores.dtype == torch.float64
    assert spearmanr(scores, scored()).statistic > 0.95


@pytest.fixture
def trained_on(monkeypatch):
    """What `fit_classifier` is called with; the net that it returns gives out the first two features as logits."""
    calls = []

    class First(nn.Module):
        def forward(self, x):
            return x[:, :2]

    def record(features, labels, **options):
        calls.append((features, labels, options))
        return First()

    monkeypatch.setattr(lmia.classifier, "fit_classifier", record)
    return calls


def test_what_is_trained_on(trained_on):
    known = knowledge()
    attack = WSA(lam=-0.5, max_per_class=90)
    attack.fit(known)
    features, labels, _ = trained_on[0]
    assert features.shape == (180, 32)
    assert labels.tolist() == [0] * 90 + [1] * 90
    for part, rows in ((known.nonmembers, features[:90]), (known.pool, features[90:])):
        possible = torch.cat([normalize(part.image, dim=1), normalize(part.text, dim=1)], dim=1)
        distance, where = torch.cdist(rows.double(), possible.double()).min(dim=1)
        assert float(distance.max()) < 1e-6
        assert len(set(where.tolist())) == 90, "without replacement"
        if part is known.pool:
            assert float(part.cosine[where, 0].min()) >= attack.findings()["threshold"]


def test_bench_trains_on_everything_with_the_cosine(trained_on):
    known = knowledge()
    attack = WSA(**WSA.presets["bench"])
    attack.fit(known)
    features, labels, options = trained_on[0]
    assert features.shape == (600 + attack.findings()["pseudo_members"], 33)
    assert int((labels == 0).sum()) == 600
    rebuilt = (features[:, :16] * features[:, 16:32]).sum(dim=1)
    torch.testing.assert_close(features[:, 32], rebuilt, rtol=0, atol=1e-5)
    wanted = {"network": "linear", "batch": 1024, "epochs": 5, "lr": 1e-3, "weight_decay": 0.01, "validation": 0.0}
    assert options.items() >= wanted.items()


def test_official_is_the_published_form(trained_on):
    attack = WSA(**WSA.presets["official"])
    attack.fit(knowledge(trace=3.0))
    assert attack.findings()["lambda"] == 1.5
    wanted = {
        "network": "mlp",
        "batch": 32,
        "epochs": 15,
        "patience": 3,
        "lr": 1e-3,
        "weight_decay": 0.0,
        "keep": "last",
    }
    assert trained_on[0][2].items() >= wanted.items()
    test = audited()[0]
    logits = normalize(test.image.double(), dim=1)[:, :2]  # what the recorder's net gives out
    torch.testing.assert_close(attack.score(test), logits[:, 1].sigmoid())


def test_the_default_score_is_logit_one_minus_logit_zero(trained_on):
    attack = WSA()
    attack.fit(knowledge())
    test = audited()[0]
    logits = normalize(test.image.double(), dim=1)[:, :2]
    torch.testing.assert_close(attack.score(test), logits[:, 1] - logits[:, 0])
    assert trained_on[0][2]["keep"] == "best"


def test_far_sigmoids_do_not_tie():
    attack = WSA(output="sigmoid")
    attack._net = nn.Linear(8, 2).double().requires_grad_(False)
    attack._net.weight.zero_()
    attack._net.weight[1, 0] = 25.0
    image = torch.tensor([[1.0, 0, 0, 0], [1.0, 0.1, 0, 0]])
    scores = attack.score(samples(image, image))
    assert float(scores[0]) > float(scores[1])


def test_declares_what_it_needs():
    assert lmia_attacks() == [WSA]
    assert (WSA.needs, WSA.requires) == ({"cosine", "embeddings"}, {"known_nonmembers", "pool"})
    assert WSA.transductive
    assert list(LAMBDAS) == SEVEN
    for preset in WSA.presets.values():
        WSA(**preset)
