"""`lmia dataset`, as typed, on a small world with a leak of known size."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import lmia
import players
import worlds
from lmia import specs
from lmia.collection import pairs
from lmia.collection.asked import Asked
from lmia.collection.judgement import judged
from lmia.collection.pairs import Side
from lmia.commands.dataset import main
from lmia.errors import LmiaError


class Learner(lmia.Attack):
    """Learns something."""

    def fit(self, known):
        self.mean = float(known.nonmembers.cosine.mean())

    def score(self, samples):
        return samples.cosine[:, 0] - self.mean


@pytest.fixture(autouse=True)
def _world(monkeypatch, tmp_path):
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)


def run(*words, mine="noise:0:150", heldout="noise:200:350", model="toy:0:150"):
    return main(["--mine", mine, "--heldout", heldout, "--model", model, "--score", "plain", *words])


def told(folder="lmia-dataset"):
    return json.loads(Path(folder, "dataset.json").read_text())


def table(tmp_path, rows, header):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "columns.csv").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "columns.csv")


def cosines(start, stop, target):
    """The target's cosines without any of lmia's machinery."""
    found = []
    for index in range(start, stop):
        pixels = target.preprocess(worlds.picture(index))[None].float() / 255
        image = target.encode_image(pixels)[0].detach().double().numpy()
        text = target.encode_text(target.tokenize([f"pair {index}"]))[0].detach().double().numpy()
        found.append(image @ text / np.linalg.norm(image) / np.linalg.norm(text))
    return np.array(found)


def test_a_used_collection_is_found_and_every_number_is_the_targets(capsys):
    assert run() == 0
    said = capsys.readouterr().out
    assert said.startswith("Difference found, cause not established (p = 0.0001;")
    assert "Compared: 150 pairs of mine in 150 groups with 150 pairs of held-out in 150 groups" in said
    assert "checks the arithmetic, not the data" in said
    assert "a lower limit, not an estimate" in said
    found = told()
    target = players.Toy("0:150")
    outside = stats.ttest_ind(cosines(0, 150, target), cosines(200, 350, target), equal_var=False)
    difference = found["found"]["difference"]
    interval = outside.confidence_interval(0.95)
    assert (difference["low"], difference["high"]) == pytest.approx((interval.low, interval.high), abs=1e-6)
    assert found["asked"]["score"] == "plain"
    assert found["growth"][-1]["used"] == [150, 150]
    assert 0 < found["share"]["low"] <= 1
    assert found["control"]["control"]
    assert found["sentences"] == said.splitlines()[:-1]


def test_an_unused_collection_is_not_and_a_second_run_agrees(capsys):
    assert run("--out", "one", model="toy:900:950") == 0
    said = capsys.readouterr().out
    assert said.startswith("No difference found")
    assert "no share of the collection can be shown" in said
    assert run("--out", "two", model="toy:900:950") == 0
    one, two = told("one"), told("two")
    assert {**one, "asked": None} == {**two, "asked": None}


def test_without_heldout_nothing_is_tested_and_it_says_what_is_missing(capsys, tmp_path):
    assert main(["--mine", "noise:0:10"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Not tested.")
    assert "lmia canary make --source noise:0:10 --out canaries" in said
    assert "lmia audit" not in said
    words = ["--known-nonmembers", "noise:20:30", "--model", "toy:0:10", "--score", "plain"]
    assert main(["--mine", "noise:0:10\x1b[31m", *words]) == 0
    said = capsys.readouterr().out
    assert (
        "lmia audit --plugin plain --model toy:0:10 --suspects 'noise:0:10\\x1b[31m' --known-nonmembers noise:20:30"
        in said
    )
    assert "lmia dataset --mine 'noise:0:10\\x1b[31m' --heldout noise:20:30 --model toy:0:10" in said
    assert list(tmp_path.iterdir()) == []


def test_a_held_out_set_that_overlaps_is_refused_before_the_model_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "extract", None)
    with pytest.raises(LmiaError) as error:
        run(heldout="noise:140:200")
    assert str(error.value).startswith("10 of 150 pairs of --mine are also in --heldout, such as 'noise/140'.")
    assert list(tmp_path.glob("lmia-dataset*")) == []


def test_clusters_by_column(tmp_path, capsys):
    rows = [(f"noise/{i}", f"{'a' if i < 150 else 'b'}{i // 10}") for i in [*range(150), *range(200, 350)]]
    file = table(tmp_path, rows, "key,shoot")
    assert run("--columns", file, "--cluster-by", "shoot") == 0
    assert (
        "150 pairs of mine in 15 groups with 150 pairs of held-out in 15 groups (by 'shoot')" in capsys.readouterr().out
    )
    assert told()["found"]["clusters"] == [15, 15]
    assert told()["share"]["grouped"]
    same = table(tmp_path, [(key, shoot[1:2]) for key, shoot in rows], "key,shoot")
    with pytest.raises(LmiaError, match="lies on both sides") as error:
        run("--columns", same, "--cluster-by", "shoot")
    assert "--pair-by" in str(error.value)


def test_pairs_by_column(tmp_path, capsys):
    rows = [(f"noise/{i}", i % 50) for i in [*range(150), *range(200, 350)]]
    assert run("--columns", table(tmp_path, rows, "key,shoot"), "--pair-by", "shoot") == 0
    assert capsys.readouterr().out.startswith("Difference found, cause not established")
    found = told()
    assert found["found"]["clusters"] == [50, 50]
    assert "share" not in found
    target = players.Toy("0:150")
    means = [cosines(at, at + 150, target).reshape(3, 50).mean(0) for at in (0, 200)]
    assert found["found"]["difference"]["value"] == pytest.approx(float((means[0] - means[1]).mean()), abs=1e-6)


def test_units_are_counted_once(tmp_path, capsys):
    rows = [(f"noise/{i}", f"{'m' if i < 150 else 'h'}{i // 3}") for i in [*range(150), *range(200, 350)]]
    file = table(tmp_path, rows, "key,photo")
    assert run("--columns", file, "--unit", "photo") == 0
    assert "150 pairs of mine as 50 of 'photo' in 50 groups" in capsys.readouterr().out
    assert told()["found"]["used"][0] == 50


def test_a_photo_in_two_shoots_and_duplicates_across_shoots():
    columns = {
        "photo": {"a": "1", "b": "1", "c": "2", "x": "8", "y": "9"},
        "shoot": {"a": "s", "b": "t", "c": "u", "x": "v", "y": "w"},
    }
    mine = Side("mine", ["a", "b", "c"], np.arange(3.0), np.arange(3))
    theirs = Side("held-out", ["x", "y"], np.arange(2.0), np.arange(2))
    with pytest.raises(LmiaError, match="The photo '1' lies in the shoot 's' and in 't'"):
        judged((mine, theirs), columns, Asked(cluster_by="shoot", unit="photo"))
    copies = Side("mine", ["a", "b", "c"], np.arange(3.0), np.array([0, 0, 1]))
    found, _ = judged((copies, theirs), columns, Asked(cluster_by="shoot"))
    assert found["found"]["clusters"] == (2, 2)
    with pytest.raises(LmiaError, match="1 keys name pairs on both sides, such as 'a'"):
        judged((mine, Side("held-out", ["a", "z"], np.arange(2.0), np.arange(2))), columns, Asked(cluster_by="shoot"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cluster-by", "shoot"], "Pairs carry no column 'shoot' of their own"),
        (["--columns", "columns.csv"], "none of them named"),
        (["--columns", "columns.csv", "--cluster-by", "shot"], "has no one column 'shot'"),
        (["--columns", "columns.csv", "--cluster-by", "shoot"], "149 of 150 pairs of mine have no 'shoot'"),
        (["--columns", "absent.csv", "--cluster-by", "shoot"], "cannot be read"),
        (["--columns", "twice.csv", "--cluster-by", "shoot"], "holds the key 'a' twice"),
        (["--columns", "columns.csv", "--cluster-by", "shoot", "--pair-by", "shoot"], "both given"),
        (["--permutations", "9"], "are too few"),
        (["--seed", "-1"], "is no seed"),
        (["--score", "learner"], "learns from other pairs"),
        (["--score", "both"], "stands for 2 attacks"),
        (["--plugin", "anchor"], "--plugin anchor is given without --learn"),
        (["--learn"], "nothing to learn with"),
        (["--learn", "--plugin", "compares"], "'compares' measures gradients or compares views"),
        (["--member-effect", "0"], "--member-effect 0 is no gain"),
        (["--member-effect", "nan"], "--member-effect nan is no gain"),
        (["--placebo", "toy:0:150"], "The placebo matrices is the target itself"),
        (["--known-nonmembers", "noise:400:410"], "are both given"),
        (["--score", "nothing-like-it"], "nothing-like-it"),
    ],
)
def test_what_cannot_be_asked_is_said(tmp_path, monkeypatch, words, said):
    (tmp_path / "columns.csv").write_text("key,shoot\nnoise/0,a\n")
    (tmp_path / "twice.csv").write_text("key,shoot\na,1\na,2\n")
    found = specs.attacks
    monkeypatch.setattr(specs, "attacks", lambda names: [Learner()] if names == ["learner"] else found(names))
    with pytest.raises(LmiaError, match=said):
        run(*words)
    assert not (tmp_path / "lmia-dataset").exists()


def test_a_model_is_asked_for():
    with pytest.raises(LmiaError, match="No model is given"):
        main(["--mine", "noise:0:10", "--heldout", "noise:20:30"])


def test_a_placebo_beside_it(capsys):
    """The target has seen them; one placebo has seen nothing, another the same pairs."""
    assert run("--placebo", "toy:900:950") == 0
    said = capsys.readouterr().out
    assert said.startswith("Difference found that the placebo does not show: supports use (p = 0.0001;")
    assert "The placebo matrices does not tell the two collections apart" in said
    assert "the target tells them apart by more than the placebo (p = 0.0001;" in said
    found = told()
    assert found["cause"] == "placebo"
    assert [one["model"] for one in found["placebos"]] == ["matrices"]
    outside = stats.ttest_ind(
        cosines(0, 150, players.Toy("900:950")), cosines(200, 350, players.Toy("900:950")), equal_var=False
    )
    interval = outside.confidence_interval(0.95)
    assert found["placebos"][0]["found"]["difference"]["low"] == pytest.approx(interval.low, abs=1e-6)
    assert found["placebo_models"][0]["fingerprint"] == players.Toy("900:950").fingerprint()
    few = ["--permutations", "999"]
    assert run("--placebo", "toy:900:950", "--placebo", "toy:0:140", *few) == 0
    said = capsys.readouterr().out
    assert said.startswith("Difference found, cause not established")
    assert "The placebo matrices#2 tells the two collections apart" in said
    assert run("--placebo", "toy:0:140", "--randomised", *few) == 0
    said = capsys.readouterr().out
    assert said.startswith("Difference found, cause not established")
    assert "A lot would not have made that difference" in said


def test_a_lot_is_believed_on_the_users_word(capsys):
    assert run("--randomised", "--permutations", "999") == 0
    said = capsys.readouterr().out
    assert said.startswith("Difference found, and chance alone chose the sides: yours were used")
    assert "This rests on your word (--randomised)" in said
    assert told()["cause"] == "lot"


def test_several_scores_are_combined_where_it_is_asked_for(capsys):
    many = {"mine": "noise:0:240", "heldout": "noise:300:540", "model": "toy:0:240"}
    assert run("--learn", "--plugin", "plain", "--plugin", "anchor", "--plugin", "wsa", **many) == 0
    said = capsys.readouterr().out
    assert said.startswith("Difference found, cause not established (p = 0.0001;")
    assert "Learned, as you chose with --learn: plain, anchor, wsa combined by a logistic regression" in said
    assert "beside that of plain alone, p = 0.0001, which was named first" in said
    found = told()["learned"]
    assert found["names"] == ["plain", "anchor", "wsa"]
    assert found["p"] <= 0.01
    assert found["p"] == pytest.approx(2 * min(half["found"]["p"] for half in found["halves"]))
    assert sum(half["found"]["used"][0] for half in found["halves"]) == 240
    assert set(found["halves"][0]["weights"]) <= set(found["names"])
    assert run("--out", "plain", **many) == 0
    alone = told("plain")
    assert "learned" not in alone
    assert alone["found"] == told()["found"]
    assert "Learned" not in capsys.readouterr().out
    with pytest.raises(
        LmiaError, match="--learn taught 'wsa' with 38 and 38 of the two collections' units: WSA needs 50"
    ):
        run("--learn", "--plugin", "wsa")


def test_a_share_only_from_a_measured_effect(capsys):
    assert run() == 0
    assert "as you measured" not in capsys.readouterr().out
    assert "share_by_effect" not in told()
    gap = told()["found"]["difference"]["value"]
    assert run("--member-effect", str(2 * gap)) == 0
    said = capsys.readouterr().out
    assert "as you measured, about 50.0 % of the collection was used" in said
    assert told()["share_by_effect"]["share"]["value"] == pytest.approx(0.5)
    assert "This is a lower limit, not an estimate" in said
