import pickle
import shutil
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

import lmia
import players
from lmia import record, shell
from lmia.data import AuditData, shards_of
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.listed import Listed
from lmia.membership import Membership, write
from lmia.outlook import outlook
from lmia.recompute import verify
from lmia.report.archive import read_report, write_report
from lmia.report.run import read_run
from lmia.report.scores import write_scores
from lmia.source import Sample, drawn, expected, reader_of
from worlds import Counted, Matrices, Noise

SIDES = (("members", "in"), ("nonmembers", "out"))


def manifest(path, inside, outside=(), repeats=None):
    """Write a manifest of these keys."""
    keys = [*inside, *outside]
    times = [repeats[key] if repeats else 1 for key in inside] + [0] * len(outside)
    return write(path, Membership(keys, np.arange(len(keys)) < len(inside), np.array(times, np.int32)))


def names(indices):
    return [f"noise/{i}" for i in indices]


@pytest.fixture
def listed(tmp_path):
    path = manifest(tmp_path / "m.parquet", names([1, 3, 5]), names([0, 2]), {f"noise/{i}": i for i in (1, 3, 5)})
    return [Listed(Noise(0, 8), path, side) for side in ("in", "out")]


def test_each_side_takes_its_own_and_neither_what_is_not_listed(listed):
    keys = names(range(8))
    assert [one.draw(keys) for one in listed] == [[1, 3, 5], [0, 2]]
    assert listed[0].said(keys).tolist() == [0, 1, 0, 1, -1, 1, -1, -1]
    assert listed[0].repeats(keys).tolist() == [0, 1, 0, 3, 0, 5, 0, 0]
    assert listed[1].draw(keys[::-1]) == [5, 7]
    assert listed[0].draw([]) == listed[0].missing(keys) == []
    assert listed[0].missing(keys[:2]) == names([3, 5, 2])


@given(st.data())
def test_it_says_what_a_dictionary_would(tmp_path_factory, data):
    known = data.draw(st.dictionaries(st.text(max_size=3), st.integers(0, 5), min_size=2))
    ins, outs = ([key for key, n in known.items() if (n > 0) == side] for side in (True, False))
    if not ins or not outs:
        return
    source = Noise(0, 8)
    path = manifest(tmp_path_factory.mktemp("m") / "m.parquet", ins, outs, known)
    keys = data.draw(st.lists(st.sampled_from([*known, "x0", "y1"]), max_size=9))
    assert Listed(source, path, "in").draw(keys) == [i for i, key in enumerate(keys) if known.get(key, 0) > 0]
    assert Listed(source, path, "out").draw(keys) == [i for i, key in enumerate(keys) if known.get(key, 1) == 0]
    assert Listed(source, path, "in").repeats(keys).tolist() == [known.get(key, 0) for key in keys]


def test_both_sides_share_their_shards(listed):
    one, other = (shards_of(side) for side in listed)
    assert (
        [shard.key for shard in one]
        == [shard.key for shard in other]
        == [shard.key for shard in shards_of(Noise(0, 8))]
    )
    assert [side.read("0") is not None and side.fingerprint("0") == Noise(0, 8).fingerprint("0") for side in listed]


def test_parts_of_parts(listed, tmp_path):
    whole = Noise(0, 8)
    path, keys = listed[0].manifest, names(range(8))
    few = Listed(Sample(whole, 4, seed=1), path, "in")
    taken = Sample(whole, 4, seed=1).draw(keys)
    assert few.draw(keys) == [i for i in (1, 3, 5) if i in taken]
    again = Sample(Listed(whole, path, "in"), 2)
    assert len(again.draw(keys)) == 2
    assert set(again.draw(keys)) < {1, 3, 5}
    assert reader_of(few) is reader_of(whole) is whole
    assert list(drawn(whole, keys)) == list(range(8))
    assert [shard.key for shard in shards_of(few)] == [shard.key for shard in shards_of(whole)]
    assert expected(few, 1000) == round(4 * 3 / 5)
    assert expected(listed[1], 1000) == 2


def test_making_it_reads_nothing_and_its_shards_are_named_once_the_manifest_is_one(tmp_path):
    source = Listed(Noise(0, 8), tmp_path / "nowhere.csv", "in")
    assert pickle.loads(pickle.dumps(source)).settings["side"] == "in"
    with pytest.raises(LmiaError, match="cannot be read: No such file or directory"):
        source.shards()


@pytest.mark.parametrize(("inside", "outside", "said"), [(3, 0, "is out"), (0, 3, "is in"), (0, 0, "is in")])
def test_a_manifest_of_one_side_is_no_audit(tmp_path, inside, outside, said):
    path = manifest(tmp_path / "m.parquet", names(range(inside)), names(range(inside, inside + outside)))
    with pytest.raises(LmiaError, match=f"No pair of the manifest '.*' {said}"):
        Listed(Noise(0, 8), path, "in").shards()


def test_the_outlook_counts_each_side(tmp_path):
    path = manifest(tmp_path / "m.parquet", names(range(60)), names(range(60, 100)))
    roles = {role: Listed(Counted(0, 100), path, side) for role, side in SIDES}
    assert outlook(AuditData(**roles), 0.6).startswith("Before anything is read: with 48 + 22 pairs")
    few = {role: Listed(Sample(Counted(0, 100), 50), path, one.side) for role, one in roles.items()}
    assert outlook(AuditData(**few), 0.6).startswith("Before anything is read: with 24 + 11 pairs")


def test_an_audit_of_a_manifest_and_of_its_own_config_give_one_digest(monkeypatch, tmp_path, capsys):
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    rows = [f"noise/{i},{int(i < 150)},{1 + (i % 3) * 4 if i < 150 else 0}" for i in range(300)]
    (tmp_path / "m.csv").write_text("\n".join(["key,in,repeats", *rows]))
    words = ["--model", "toy:0:150", "--plugin", "plain", "--trainer.accelerator", "cpu"]
    assert shell.run(["audit", *words, "--truth", "m.csv", "--source", "noise:0:312", "--out", "one"]) == 0
    assert shell.run(["audit", "--config", "one/config.yaml", "--out", "two"]) == 0
    one, two = (read_report(tmp_path / name / "report.json") for name in ("one", "two"))
    assert one.scores_sha256 == two.scores_sha256
    assert {role.role: role.records for role in one.roles} == {"members": 150, "nonmembers": 150, "unlisted": 12}
    assert one.extraction["images_encoded"] == 312, "each picture once, whichever side it is on"
    assert one.verdict.regime == two.verdict.regime == "one-run"
    assert "drawn by lot before one training" in capsys.readouterr().out


def by_lot(index):
    return bool(sha256(f"lot {index}".encode()).digest()[-1] & 1)


def shown(index):
    """How often the training showed a pair: one in five of those that are in, eight times."""
    return (8 if index % 5 == 0 else 1) if by_lot(index) else 0


class Lot(Matrices):
    """A model that remembers what it was shown at least so often.

    Args:
        least: how often.
    """

    def __init__(self, least: int = 1) -> None:
        super().__init__("0:0")
        self.least = least

    def _text(self, index: int):
        self.start, self.stop = (index, index + 1) if shown(index) >= self.least else (0, 0)
        return super()._text(index)

    def fingerprint(self) -> str:
        return f"lot {self.least}"


def audited(tmp_path, least, *, out="out", listed=True, **columns):
    """Audit a model on 400 pairs drawn by lot."""
    lines = [f"noise/{i},{int(by_lot(i))},{shown(i)}" for i in range(400)]
    (tmp_path / "m.csv").write_text("\n".join(["key,in,repeats", *lines]))
    sides = {role: Listed(Noise(0, 400), str(tmp_path / "m.csv"), side) for role, side in SIDES}
    if not listed:
        sides = {role: Some(*(i for i in range(400) if by_lot(i) == (side == "in"))) for role, side in SIDES}
    data = AuditData(**sides, **columns)
    model = FeatureExtractor(Lot(least), None, tmp_path / "cache")
    trainer = record.trainer(accelerator="cpu")
    return lmia.run_audit(model, data, ["csa"], out=tmp_path / out, trainer=trainer, regime="one-run")


class Some(Noise):
    """These of the pairs of noise."""

    def __init__(self, *indices: int) -> None:
        super().__init__(0, 400)
        self.indices = indices

    def read(self, shard):
        return (pair for pair in super().read(shard) if int(pair.key.partition("/")[2]) in self.indices)

    def fingerprint(self, shard):
        return f"{shard} {self.indices}"


@pytest.fixture(scope="module")
def sharp(tmp_path_factory):
    """An audit of a model that remembers what it was shown eight times, and that alone."""
    folder = tmp_path_factory.mktemp("sharp")
    audited(folder, 8)
    return folder / "out"


@pytest.mark.parametrize("known", ["manifest", "column"])
def test_members_shown_again_and_again_are_the_positive_control(tmp_path, sharp, known):
    run = sharp
    if known == "column":
        audited(tmp_path, 8, listed=False, columns=tmp_path / "m.csv", repeated="repeats")
        run = tmp_path / "out"
    found = read_report(run / "report.json").validity.positives
    table = pq.read_table(run / "scores.parquet").to_pylist()
    rows = [row for row in table if row["model"] == "target" and row["attack"] == "csa"]
    for row in rows:
        assert row["repeats"] == (shown(int(row["key"][6:])) if row["role"] == "members" else None)
    many, few, out = (
        [row["score"] for row in rows if row["role"] == role and fits(row["repeats"])]
        for role, fits in (("members", lambda n: n > 1), ("members", lambda n: n == 1), ("nonmembers", lambda n: True))
    )
    (one,) = found.attacks
    for estimate, mine in ((one.repeated, many), (one.rest, few)):
        truth = [1] * len(mine) + [0] * len(out)
        assert estimate.value == pytest.approx(roc_auc_score(truth, mine + out), abs=1e-12)
    assert (found.members, found.rest, found.times, found.seen) == (len(many), len(few), 8, True)
    assert len(many) > 15
    assert verify(read_run(run)).differences == []
    for name in ("report.md", "report.html"):
        assert f"AUC of {len(many)} shown several times (median 8)" in (run / name).read_text()


def test_a_verdict_that_found_nothing_says_whether_it_would_have(tmp_path, sharp):
    blind = audited(tmp_path, 99)
    assert blind.verdict.word == "underpowered"
    assert not blind.validity.positives.seen
    assert blind.verdict.reasons[-1].startswith("csa did not find even the ")
    assert blind.verdict.reasons[-1].endswith("that nothing was found says little.")
    for name in ("report.md", "report.html"):
        assert "that nothing was found says little." in (tmp_path / "out" / name).read_text()
    assert verify(read_run(tmp_path / "out")).differences == []
    quiet = read_report(sharp / "report.json").verdict
    assert quiet.word == "underpowered"
    assert quiet.reasons[-1].startswith("This audit would have seen pairs shown so often: csa finds the ")
    found = audited(tmp_path, 1, out="found")
    assert found.verdict.word == "evidence"
    assert found.validity.positives.seen
    assert not any("shown so often" in reason for reason in found.verdict.reasons)


def test_a_count_that_was_changed_afterwards_is_found(tmp_path, sharp):
    run = shutil.copytree(sharp, tmp_path / "run")
    report, path = read_report(run / "report.json"), run / "scores.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    next(row for row in rows if (row["repeats"] or 0) > 1)["repeats"] = 1
    digest = write_scores(pa.Table.from_pylist(rows, schema=table.schema), path)
    write_report(replace(report, scores_sha256=digest), run)
    found = {one.where for one in verify(read_run(run)).differences}
    assert {"validity.positives.members", "validity.positives.rest"} <= found
    assert all(where.startswith(("validity.positives", "verdict.reasons")) for where in found)


@pytest.fixture
def _toys(monkeypatch, tmp_path):
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_toys")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--truth", "m.csv", "--source", "noise:0:300", "--repeated", "repeats", "--columns", "m.csv"], "said twice"),
        (["--members", "noise:0:150", "--nonmembers", "noise:150:300", "--repeated", "repeats"], "in no file"),
        (["--suspects", "noise:0:150", "--known-nonmembers", "noise:150:300", "--repeated", "repeats", "--columns", "m.csv"],
         "There are no members"),
    ],
)  # fmt: skip
def test_repeats_that_nobody_can_have_are_refused(tmp_path, capsys, words, said):
    rows = [f"noise/{i},{int(i < 150)},{int(i < 150)}" for i in range(300)]
    (tmp_path / "m.csv").write_text("\n".join(["key,in,repeats", *rows]))
    assert shell.run(["audit", "--model", "toy:0:9", "--plugin", "plain", *words]) == 2
    assert said in capsys.readouterr().err.splitlines()[0]
