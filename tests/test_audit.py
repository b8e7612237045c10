import base64
import hashlib
import html
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from scipy import stats
from sklearn.metrics import roc_auc_score

import lmia
from lmia import record
from lmia.data import AuditData
from lmia.extract import FeatureExtractor
from lmia.report import figures
from lmia.report.archive import read_report
from lmia.source import Sample
from lmia_csa import CSA
from worlds import Loss, Matrices, Noise, Plain, Reflections, picture, png

LEAK = Matrices("0:400", leak=0.7)


def audit(tmp_path, plugin, *, target=LEAK, views=None, out="out", roles=None, batch=64, workers=None, **options):
    roles = roles or {"members": Noise(0, 400), "nonmembers": Noise(400, 800), "known_nonmembers": Noise(800, 1200),
                      "pool": Sample(Noise(1200, 1600), 300)}  # fmt: skip
    model = FeatureExtractor(target, views, tmp_path / "cache")
    data = AuditData(**roles, batch=batch, workers=workers)
    trainer = record.trainer(accelerator="cpu")
    return lmia.run_audit(model, data, plugin, out=tmp_path / out, trainer=trainer, **options)


def scores(tmp_path, out="out"):
    """The attacks' rows; without those of blind baselines, which stand beside them."""
    return pq.read_table(tmp_path / out / "scores.parquet", filters=[("model", "!=", "no model")])


def digest(tmp_path, out="out"):
    return hashlib.sha256((tmp_path / out / "scores.parquet").read_bytes()).hexdigest()


def column(table, attack, role, name="score"):
    rows = [row for row in table.to_pylist() if row["attack"] == attack and row["role"] == role]
    return np.array([row[name] for row in rows])


def test_a_leak_is_found_and_every_number_stands_in_the_files(tmp_path):
    report = audit(tmp_path, [Plain()])
    (result,) = report.attacks
    assert result.auc.low > 0.5
    table = scores(tmp_path)
    members, nonmembers = column(table, "plain", "members"), column(table, "plain", "nonmembers")
    truth = np.r_[np.ones(len(members)), np.zeros(len(nonmembers))]
    assert result.auc.value == pytest.approx(roc_auc_score(truth, np.r_[members, nonmembers]), abs=1e-6)
    assert (len(members), len(nonmembers)) == (400, 400)
    assert (result.versus_cosine.low, result.versus_cosine.high) == (0, 0)
    assert report.scores_sha256 == digest(tmp_path)
    assert read_report(tmp_path / "out" / "report.json") == json_again(report)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "config.yaml", "report.html", "report.json", "report.md", "scores.parquet"}  # fmt: skip


def json_again(report):
    from lmia.report.archive import from_json, to_json

    return from_json(to_json(report))


def test_scores_are_the_targets_cosines(tmp_path):
    audit(tmp_path, [Plain()])
    from worlds import picture

    rows = [row for row in scores(tmp_path).to_pylist() if row["role"] == "members"][:20]
    for row in rows:
        index = int(row["key"].removeprefix("noise/"))
        pixels = LEAK.preprocess(picture(index))[None].float() / 255
        image = LEAK.encode_image(pixels)[0].detach().double().numpy()
        text = LEAK.encode_text(LEAK.tokenize([f"pair {index}"]))[0].detach().double().numpy()
        expected = image @ text / np.linalg.norm(image) / np.linalg.norm(text)
        assert row["score"] == pytest.approx(expected, abs=1e-6)


def test_p_and_thresholds_come_from_calibration_alone(tmp_path):
    report = audit(tmp_path, [Plain()])
    table = scores(tmp_path)
    calibration = column(table, "plain", "calibration")
    assert len(calibration) == 133  # a third of 400
    for role in ("members", "nonmembers"):
        expected = [(1 + (calibration >= s).sum()) / (len(calibration) + 1) for s in column(table, "plain", role)]
        np.testing.assert_allclose(column(table, "plain", role, "p"), expected)
    threshold = report.attacks[0].thresholds[0]
    k = int(np.ceil((len(calibration) + 1) * 0.99))
    assert threshold.value == pytest.approx(np.sort(calibration)[k - 1])
    assert threshold.achieved_fpr.value == pytest.approx(
        (column(table, "plain", "nonmembers") > threshold.value).mean()
    )


def test_an_attack_sees_no_labels_and_only_what_it_declared(tmp_path):
    seen = {}

    class Spy(lmia.Attack):
        """Looks around."""

        requires = frozenset({"known_nonmembers", "pool"})

        def fit(self, known):
            seen["fit"] = known

        def score(self, samples):
            seen["samples"] = samples
            return samples.cosine[:, 0]

    audit(tmp_path, [Spy(), Loss()], views=Reflections())
    samples, known = seen["samples"], seen["fit"]
    assert set(samples.arrays) == {"cosine"}
    assert samples.view_names == ("identity",)
    assert not samples.measured
    assert len(samples) == 800 + 133
    assert len(known.nonmembers) == 267
    assert len(known.pool) == 300
    indices = np.array([int(caption.split()[1]) for caption in samples.captions])
    member = indices < 400
    order = np.arange(len(samples))
    assert stats.mannwhitneyu(order[member], order[~member]).pvalue > 0.001
    assert stats.mannwhitneyu(samples.ids.numpy()[member], samples.ids.numpy()[~member]).pvalue > 0.001
    fitted = {int(caption.split()[1]) for caption in known.nonmembers.captions}
    assert not fitted & set(indices.tolist())
    with pytest.raises(lmia.LmiaError, match="needs = frozenset"):
        samples.image  # noqa: B018


def test_an_attack_that_memorises_its_fit_set_is_not_rewarded(tmp_path):
    class Memory(lmia.Attack):
        """Gives its fit rows the lowest scores there are."""

        requires = frozenset({"known_nonmembers"})

        def fit(self, known):
            self.seen = set(known.nonmembers.captions)

        def score(self, samples):
            return torch.tensor([-10.0 if c in self.seen else 0.0 for c in samples.captions]) + samples.cosine[:, 0]

    report = audit(tmp_path, [Memory()], target=Matrices())
    threshold = next(t for t in report.attacks[0].thresholds if t.fpr == 0.01)
    assert threshold.achieved_fpr.low <= 0.01 <= threshold.achieved_fpr.high


def test_counts_add_up(tmp_path):
    report = audit(
        tmp_path, [Plain()], roles={"members": Noise(0, 300, broken=7), "nonmembers": Noise(400, 700, broken=6)}
    )
    for count in report.roles:
        assert count.records == 300 == sum(count.rejected.values()) + sum(count.scored.values())
    assert report.roles[0].rejected == {"image does not decode": 43}


def test_views_reach_the_attacks_that_ask(tmp_path):
    class Drop(lmia.Attack):
        """Minus the mean cosine of the views."""

        requires = frozenset({"views"})

        def score(self, samples):
            assert samples.view_names == ("identity", "down", "mirror", "loud")
            return -samples.cosine[:, 1:].mean(dim=1)

    report = audit(tmp_path, [Drop(), Plain()], views=Reflections())
    assert [result.status for result in report.attacks] == ["ran", "ran"]
    assert report.views["used"] == ["identity", "down", "mirror", "loud"]


def test_a_white_box_attack_runs(tmp_path):
    report = audit(tmp_path, [Loss()], roles={"members": Noise(0, 400), "nonmembers": Noise(400, 800)})
    assert report.attacks[0].status == "ran"
    assert report.attacks[0].access == ["cosine", "gradients"]


def test_anchors_are_known_nonmembers_and_come_in_a_second_pass(tmp_path):
    class Near(Loss):
        """Cosine to the nearest anchor's text, negated."""

        requires = frozenset({"anchors"})

        def measure(self, target, batch, anchors):
            assert {caption.split()[0] for caption in anchors.captions} == {"pair"}
            image = torch.nn.functional.normalize(target.encode_image(batch.pixels), dim=-1)
            text = torch.nn.functional.normalize(anchors.text, dim=-1)
            return {"norm": (image @ text.T).max(dim=1).values}

    report = audit(tmp_path, [Near(), Loss()])
    assert [result.status for result in report.attacks] == ["ran", "ran"]
    near, loss = column(scores(tmp_path), "near", "members"), column(scores(tmp_path), "loss", "members")
    assert not np.allclose(near, loss)
    other = {"members": Noise(0, 400), "nonmembers": Noise(400, 800), "known_nonmembers": Noise(3000, 3400),
             "pool": Sample(Noise(1200, 1600), 300)}  # fmt: skip
    audit(tmp_path, [Near()], roles=other)  # as many other anchors, in the same cache
    again = column(scores(tmp_path), "near", "members")
    audit(tmp_path / "alone", [Near()], roles=other)
    assert np.array_equal(again, column(scores(tmp_path / "alone"), "near", "members"))
    assert not np.allclose(again, near)


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (lambda samples: samples.cosine[:, 0] * float("nan"), r"'bad' returned 933 scores of 933 that are NaN"),
        (lambda samples: samples.cosine, r"'bad' returned \(933, 1\) float32 for 933 samples"),
        (lambda samples: samples.cosine[:5, 0], r"'bad' returned \(5,\)"),
        (lambda samples: [0.0] * len(samples), r"'bad' returned list"),
    ],
)
def test_a_bad_score_is_named_and_nothing_is_half_written(tmp_path, score, said):
    class Bad(lmia.Attack):
        """Returns what it should not."""

        def score(self, samples):
            return score(samples)

    with pytest.raises(lmia.LmiaError, match=said):
        audit(tmp_path, [Plain(), Bad()])
    assert list((tmp_path / "out").iterdir()) == []
    audit(tmp_path, [Plain()])
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(lmia.LmiaError, match=said):
        audit(tmp_path, [Plain(), Bad()])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_nothing_to_learn_is_a_result(tmp_path):
    class Idle(lmia.Attack):
        """Finds nothing."""

        def fit(self, known):
            raise lmia.NothingToLearn("All alike.", "Take another pool.", {"lambdas": [{"lambda": 0.5, "count": 3}]})

        def score(self, samples):
            raise AssertionError("must not be asked")

    report = audit(tmp_path, [Idle(), Plain()])
    idle, plain = report.attacks
    assert (idle.status, plain.status) == ("nothing to learn", "ran")
    assert idle.findings == {"lambdas": [{"lambda": 0.5, "count": 3}]}
    assert set(scores(tmp_path)["attack"].to_pylist()) == {"plain"}


def test_the_order_of_attacks_and_their_company_change_nothing(tmp_path):
    class Dice(lmia.Attack):
        """Adds noise from the global generator in fit and score."""

        requires = frozenset({"known_nonmembers"})

        def fit(self, known):
            self.offset = torch.rand(1)

        def score(self, samples):
            return samples.cosine[:, 0] + self.offset

    audit(tmp_path, [Dice(), Plain()], out="one")
    torch.manual_seed(99)
    audit(tmp_path, [Plain(), Loss(), Dice()], out="two")
    one, two = scores(tmp_path, "one"), scores(tmp_path, "two")
    for attack in ("dice", "plain"):
        np.testing.assert_array_equal(column(one, attack, "members"), column(two, attack, "members"))


def test_two_piles_are_cut_into_the_same_roles_whichever_attacks_ride_along(tmp_path):
    class Pooled(Plain):
        """The cosine less the pool's mean."""

        requires = frozenset({"known_nonmembers", "pool"})

        def fit(self, known):
            self.mean = known.pool.cosine.mean()

        def score(self, samples):
            return super().score(samples) - self.mean

    def by_role(out):
        found = {}
        for row in scores(tmp_path, out).to_pylist():
            found.setdefault(row["attack"], {}).setdefault(row["role"], set()).add(row["key"])
        return found

    piles = {"members": Noise(0, 200), "nonmembers": Noise(400, 600)}
    audit(tmp_path, [CSA()], roles=piles, out="alone")
    audit(tmp_path, [Pooled(), CSA()], roles=piles, out="together")
    (alone,) = by_role("alone").values()
    assert {role: len(keys) for role, keys in alone.items()} == {"members": 160, "nonmembers": 112, "calibration": 20}
    assert by_role("together") == {"pooled": alone, "csa": alone}


def test_the_global_random_state_is_left_alone(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    audit(tmp_path, [Plain()])
    assert torch.equal(before, torch.get_rng_state())


def test_scores_are_byte_identical_from_the_cache_and_with_workers(tmp_path):
    audit(tmp_path, [Plain()], out="one")
    audit(tmp_path, [Plain()], out="cached")
    (tmp_path / "cache").rename(tmp_path / "old")
    audit(tmp_path, [Plain()], out="workers", workers=2)
    assert digest(tmp_path, "one") == digest(tmp_path, "cached") == digest(tmp_path, "workers")


def test_suspects_alone_are_a_full_use(tmp_path):
    roles = {"suspects": Noise(300, 500), "known_nonmembers": Noise(800, 1400)}
    report = audit(tmp_path, [Plain()], roles=roles, target=Matrices("0:400", leak=3.0))
    (result,) = report.attacks
    assert report.question == "use"
    assert (result.auc, result.tprs, result.curve) == (None, (), None) or result.tprs == []
    table = scores(tmp_path)
    p, q = column(table, "plain", "suspects", "p"), column(table, "plain", "suspects", "q")
    np.testing.assert_allclose(q, stats.false_discovery_control(p))
    assert result.suspects.smallest_p == pytest.approx(1 / 201)
    found = [row["key"] for row in table.to_pylist() if row["role"] == "suspects" and row["q"] <= 0.05]
    assert len(found) >= 50
    assert np.mean([int(key.removeprefix("noise/")) < 400 for key in found]) > 0.85


def test_cross_fitting_never_scores_a_pair_by_a_fit_that_saw_it(tmp_path):
    pools, scored = [], []

    class Cross(lmia.Attack):
        """Notes what it saw."""

        requires = frozenset({"known_nonmembers", "pool"})
        transductive = True

        def fit(self, known):
            self.pool = set(known.pool.captions)
            pools.append(self.pool)

        def score(self, samples):
            scored.append(set(samples.captions))
            return samples.cosine[:, 0]

    roles = {"suspects": Noise(0, 301), "known_nonmembers": Noise(800, 1100)}
    report = audit(tmp_path, [Cross()], roles=roles)
    suspects = {f"pair {i}" for i in range(301)}
    assert len(pools) == 2
    assert pools[0] | pools[1] == suspects
    assert not pools[0] & pools[1]
    for pool, seen in zip(pools, scored, strict=True):
        assert not pool & seen
    rows = [row for row in scores(tmp_path).to_pylist() if row["role"] == "suspects"]
    assert (
        sorted(row["fold"] for row in rows) == [0] * 151 + [1] * 150
        or sorted(row["fold"] for row in rows) == [0] * 150 + [1] * 151
    )
    assert report.attacks[0].status == "ran"


def test_without_memory_the_interval_covers_a_half_and_p_is_uniform(tmp_path):
    covered, p = 0, []
    for seed in range(20):
        audit_report = audit(tmp_path, [Plain()], target=Matrices(seed=seed))
        estimate = audit_report.attacks[0].auc
        covered += estimate.low <= 0.5 <= estimate.high
        p.append(column(scores(tmp_path), "plain", "nonmembers", "p")[0])
    assert covered >= 16
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_an_fpr_that_the_data_cannot_carry_is_refused_before_the_model_runs(tmp_path):
    target = Matrices()
    with pytest.raises(lmia.LmiaError, match=r"0\.001"):
        audit(tmp_path, [Plain()], target=target, fpr=[0.001])
    assert target.calls["image"] == 0
    report = audit(tmp_path, [Plain()], target=target)
    assert report.attacks[0].tprs[1].estimate is None
    assert "needs 10,000" in report.attacks[0].tprs[1].note or "10000" in report.attacks[0].tprs[1].note


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"plugin": []}, "No attack is asked for"),
        ({"plugin": [Plain(), Plain()]}, "asked for twice"),
        ({"plugin": ["nobody"]}, "No attack is called 'nobody'"),
    ],
)
def test_mistakes_are_said_before_the_model_runs(tmp_path, options, said):
    target = Matrices()
    with pytest.raises(lmia.LmiaError, match=said):
        audit(tmp_path, target=target, **options)
    assert target.calls["image"] == 0


def test_needs_are_checked_against_what_the_target_answers(tmp_path):
    class Closed(Matrices):
        answers = frozenset({"cosine"})

    with pytest.raises(lmia.LmiaError, match="needs gradients, which the target does not answer"):
        audit(tmp_path, [Loss()], target=Closed())


def test_views_must_be_there_for_those_who_compare_them(tmp_path):
    class Compare(Plain):
        requires = frozenset({"views"})

    with pytest.raises(lmia.LmiaError, match="compares views, and there is only the identity"):
        audit(tmp_path, [Compare()])


def test_a_folder_that_cannot_be_written_is_said_before_the_model_runs(tmp_path):
    (tmp_path / "out").write_text("in the way")
    target = Matrices()
    with pytest.raises(lmia.LmiaError, match="cannot be written"):
        audit(tmp_path, [Plain()], target=target)
    assert target.calls["image"] == 0


def test_pairs_are_shown_only_on_request(tmp_path):
    audit(tmp_path, [Plain()])
    assert not (tmp_path / "out" / "pairs.html").exists()
    audit(tmp_path, [Plain()], show_pairs=True)
    page = (tmp_path / "out" / "pairs.html").read_text()
    best = min(
        (row for row in scores(tmp_path).to_pylist() if row["role"] in ("members", "nonmembers")),
        key=lambda r: r["rank"],
    )
    assert best["key"] in page
    assert "data:image/" in page
    assert best["key"] not in (tmp_path / "out" / "report.html").read_text()


def test_a_report_holds_no_caption_no_key_and_no_picture(tmp_path):
    class Secret(Noise):
        """Keys and captions that stand nowhere else."""

        def read(self, shard):
            for pair in super().read(shard):
                yield lmia.Pair(f"zz{pair.key}", f"qq{pair.caption}", pair.image)

    roles = {"members": Secret(0, 100), "nonmembers": Secret(400, 500), "known_nonmembers": Secret(800, 900)}
    report = audit(tmp_path, [CSA(), Loss()], roles=roles | {"pool": Secret(1200, 1250)})
    pictures = [png(picture(i)) for i in (0, 99, 400, 499)]
    texts = {name: (tmp_path / "out" / name).read_text() for name in ("report.html", "report.md", "report.json")}
    for name, text in texts.items():
        for word in ("zznoise", "qqpair", "data:image", "<img"):
            assert word not in text, (name, word)
        for data in pictures:
            for start in range(60, 63):  # wherever base64 may have begun
                assert base64.b64encode(data[start : start + 15]).decode() not in text, name
            assert data[60:70].hex() not in text, name
            assert hashlib.sha256(data).hexdigest() not in text, name
    assert "zznoise/0" in column(scores(tmp_path), "csa", "members", "key")
    page = texts["report.html"]
    assert [result.name for result in report.attacks if result.histogram] == ["csa", "loss"]
    for result in report.attacks:
        assert figures.histogram(result.name, result.histogram) in page
        assert f"<figcaption><strong>{result.name}.</strong>" in page
    shown = html.unescape(re.search(r"<h3>Configuration</h3>\s*<pre>(.*?)</pre>", page, re.S)[1])
    assert yaml.safe_load(shown) == yaml.safe_load((tmp_path / "out" / "config.yaml").read_text()) == report.config


def test_duplicates_widen_the_interval(tmp_path):
    class Four(Noise):
        def read(self, shard):
            for pair in super().read(shard):
                yield pair
                for copy in range(3):
                    yield lmia.Pair(f"{pair.key}-{copy}", pair.caption, pair.image)

    roles = {
        "members": Four(0, 100),
        "nonmembers": Four(400, 500),
        "known_nonmembers": Noise(800, 900),
        "pool": Noise(900, 990),
    }
    report = audit(tmp_path, [Plain()], roles=roles)
    single = audit(tmp_path, [Plain()], roles=roles | {"members": Noise(0, 100), "nonmembers": Noise(400, 500)})
    wide, narrow = report.attacks[0].auc, single.attacks[0].auc
    assert wide.value == pytest.approx(narrow.value, abs=1e-9)
    assert wide.high - wide.low == pytest.approx(narrow.high - narrow.low, rel=0.05)
    assert report.attacks[0].auc.n == 800
    assert json.loads((tmp_path / "out" / "report.json").read_text())["format"] == 1
