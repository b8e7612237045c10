"""A run recomputed: untouched it holds, and every kind of edit is found and named."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lmia
from lmia import record
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.evidence.results import Histogram
from lmia.extract import FeatureExtractor
from lmia.recompute import verify
from lmia.report.archive import read_report, write_report
from lmia.report.run import read_run
from lmia.report.scores import write_scores
from lmia.source import Sample
from lmia_csa import CSA
from test_audit import audit
from test_controls import Twinned
from worlds import Noise


class Tail(lmia.Attack):
    """The cosine, rounded, so that many scores are tied."""

    def score(self, samples):
        return (samples.cosine[:, 0] * 20).round()


class Crossing(lmia.Attack):
    """The cosine beside the pool's mean: fitted on one half of the suspects for the other where there is no pool."""

    requires = frozenset({"pool"})
    transductive = True

    def fit(self, known):
        self.mean = known.pool.cosine[:, 0].mean()

    def score(self, samples):
        return samples.cosine[:, 0] - self.mean


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leakage")
    roles = {"members": Noise(0, 200), "nonmembers": Noise(400, 700), "known_nonmembers": Noise(800, 1000),
             "pool": Noise(1200, 1300)}  # fmt: skip
    audit(folder, [CSA(), Tail()], roles=roles, fpr=[0.1, 0.05], seed=3, confidence=0.9)
    return folder / "out"


@pytest.fixture(scope="module")
def made_use(tmp_path_factory):
    folder = tmp_path_factory.mktemp("use")
    roles = {"suspects": Noise(300, 500), "known_nonmembers": Noise(800, 1100)}
    audit(folder, [CSA(), Crossing()], roles=roles)
    return folder / "out"


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def use(made_use, tmp_path):
    return shutil.copytree(made_use, tmp_path / "use")


def edit(folder, change, digest=True):
    """Change rows of scores.parquet (dicts, in place), and let the report name the new file's digest if asked."""
    path = folder / "scores.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    write_scores(pa.Table.from_pylist(rows, schema=table.schema), path)
    if digest:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        write_report(replace(read_report(folder / "report.json"), scores_sha256=found), folder)


def one(rows, attack, role, place=0):
    """The row of a role that has this place among its scores, the highest first."""
    mine = sorted((r for r in rows if r["attack"] == attack and r["role"] == role), key=lambda r: -r["score"])
    return mine[place]


def told(folder):
    return {d.where: d for d in verify(read_run(folder)).differences}


def test_an_untouched_run_holds(run):
    found = verify(read_run(run))
    assert found.differences == []
    assert found.recomputed > 400
    assert not any("cosine" in line or "duplicate" in line for line in found.left_out)


def test_an_untouched_run_with_suspects_and_folds_holds(use):
    read = read_run(use)
    assert set(np.unique(read.attacks["crossing"].fold)) == {0, 1}
    found = verify(read)
    assert found.differences == []
    assert found.recomputed > 100


@pytest.mark.parametrize("attack", ["csa", "tail"])
@pytest.mark.parametrize("role", ["members", "nonmembers"])
def test_one_changed_score_is_named(run, attack, role):
    name = []

    def change(rows):
        row = one(rows, attack, role, 40)
        row["score"] = one(rows, attack, role, 0)["score"] + 0.5
        name.append(f"{role} {row['key']}")

    edit(run, change, digest=False)
    found = told(run)
    assert "sha256" in found["scores.parquet"].problem
    assert found[f"{attack}: rank"].rows == tuple(name)
    assert f"{attack}: auc.value" in found
    other = {"csa": "tail", "tail": "csa"}[attack]
    assert not any(where.startswith(f"{other}: rank") for where in found)


def test_the_changed_score_is_named_where_the_digest_was_mended_too(run):
    edit(run, lambda rows: one(rows, "csa", "members", 60).update(score=-0.9))
    found = told(run)
    assert "scores.parquet" not in found
    assert len(found["csa: rank"].rows) == 1
    assert any(where.startswith("csa: tprs") or where.startswith("csa: auc") for where in found)


def test_a_score_moved_past_one_other_names_both(run):
    names = []

    def change(rows):
        mine = sorted((r for r in rows if r["attack"] == "csa" and r["rank"] in (50, 51)), key=lambda r: r["rank"])
        mine[1]["score"] = mine[0]["score"] + 1e-9
        names.extend(f"{r['role']} {r['key']}" for r in mine)

    edit(run, change)
    assert sorted(told(run)["csa: rank"].rows) == sorted(names)


def test_a_score_that_passes_no_other_row_changes_only_the_digest(run):
    def change(rows):
        one(rows, "csa", "members", 0)["score"] += 1e-9

    edit(run, change, digest=False)
    found = told(run)
    assert "scores.parquet" in found
    assert not {"csa: rank", "csa: p"} & found.keys()


def test_a_calibration_score_that_was_raised_is_among_the_named(run):
    name = []

    def change(rows):
        row = one(rows, "csa", "calibration", 50)
        row["score"] = 0.99
        name.append(f"calibration {row['key']}")

    edit(run, change)
    found = told(run)
    assert name[0] in found["csa: calibration"].rows
    assert len(found["csa: calibration"].rows) <= 3
    assert len(found["csa: p"].rows) > 10
    assert any("thresholds" in where for where in found)


@pytest.mark.parametrize(("column", "value"), [("p", 0.123), ("rank", 7), ("p", None), ("rank", None)])
def test_a_changed_rank_or_p_is_named(run, column, value):
    name = []

    def change(rows):
        row = one(rows, "csa", "nonmembers", 100)
        row[column] = value
        name.append(f"nonmembers {row['key']}")

    edit(run, change)
    assert told(run)[f"csa: {column}"].rows == tuple(name)


def test_a_changed_q_is_named(use):
    name = []

    def change(rows):
        row = one(rows, "csa", "suspects", 5)
        row["q"] = 0.0001
        name.append(f"suspects {row['key']}")

    edit(use, change)
    found = told(use)
    assert found["csa: q"].rows == tuple(name)


def test_a_changed_suspect_of_one_fold_is_named(use):
    name = []

    def change(rows):
        row = one(rows, "crossing", "suspects", 90)
        row["score"] = 99.0
        name.append(f"suspects {row['key']}")

    edit(use, change)
    found = told(use)
    assert found["crossing: rank"].rows == tuple(name)
    assert any(where.startswith("crossing: suspects.discoveries") or "histogram" in where for where in found)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: replace(r, auc=replace(r.auc, value=0.99)), "csa: auc.value"),
        (lambda r: replace(r, auc=replace(r.auc, low=r.auc.low + 1e-6)), "csa: auc.low"),
        (lambda r: replace(r, auc=None), "csa: auc"),
        (lambda r: replace(r, tprs=r.tprs[:1]), "csa: tprs"),
        (lambda r: replace(r, tprs=(replace(r.tprs[0], fpr=0.2), r.tprs[1])), "csa: tprs[0].fpr"),
        (lambda r: replace(r, thresholds=(replace(r.thresholds[0], value=0.5), r.thresholds[1])), "csa: thresholds[0].value"),
        (lambda r: replace(r, versus_cosine=replace(r.versus_cosine, high=0.1)), "csa: versus_cosine.high"),
        (lambda r: replace(r, histogram=Histogram((0.0, 1.0), {"members": (3,)})), "csa: histogram"),
        (lambda r: replace(r, balanced_accuracy_best=replace(r.balanced_accuracy_best, value=0.5)),
         "csa: balanced_accuracy_best.value"),
    ],
)  # fmt: skip
def test_a_changed_number_of_the_report_is_named(run, change, where):
    report = read_report(run / "report.json")
    write_report(replace(report, attacks=(change(report.attacks[0]), *report.attacks[1:])), run)
    assert list(told(run)) == [where]


def test_a_changed_summary_of_suspects_is_named(use):
    report = read_report(use / "report.json")
    summary = replace(report.attacks[0].suspects, discoveries={"0.01": 150, "0.05": 150, "0.1": 150})
    write_report(replace(report, attacks=(replace(report.attacks[0], suspects=summary), report.attacks[1])), use)
    assert set(told(use)) == {f"csa: suspects.discoveries.{level}" for level in ("0.01", "0.05", "0.1")}


def test_rows_left_out_or_added_are_told(run):
    edit(run, lambda rows: rows.remove(one(rows, "csa", "members", 3)))
    found = told(run)
    assert "199 pairs" in found["csa: members"].problem
    assert "other pairs" in found["tail: key"].problem


def test_a_row_that_stands_there_twice_is_named(run):
    edit(run, lambda rows: rows.append(dict(one(rows, "tail", "members", 3))))
    assert len(told(run)["tail: key"].rows) == 1


def test_a_score_that_is_no_number_is_named(run):
    edit(run, lambda rows: one(rows, "tail", "members", 3).update(score=float("nan")))
    assert len(told(run)["tail: score"].rows) == 1


def test_an_attack_without_rows_and_rows_without_attack_are_told(run):
    def change(rows):
        for row in rows:
            row["attack"] = {"tail": "other"}.get(row["attack"], row["attack"])

    edit(run, change)
    found = told(run)
    assert "has no rows" in found["tail"].problem
    assert "no such attack" in found["other"].problem


def test_the_comparison_with_the_cosine_is_recomputed_without_csa_among_the_attacks(tmp_path):
    roles = {"members": Noise(0, 60), "nonmembers": Noise(400, 460), "known_nonmembers": Noise(800, 860),
             "pool": Noise(1200, 1230)}  # fmt: skip
    audit(tmp_path, [Tail()], roles=roles, fpr=[0.2])
    run = tmp_path / "out"
    found = verify(read_run(run))
    assert found.differences == []
    assert not any("cosine" in line for line in found.left_out)
    report = read_report(run / "report.json")
    (result,) = report.attacks
    moved = replace(result, versus_cosine=replace(result.versus_cosine, value=0.2))
    write_report(replace(report, attacks=(moved,)), run)
    assert set(told(run)) == {"tail: versus_cosine.value"}


def test_in_a_file_from_before_cosines_were_kept_the_comparison_is_left_out_and_said(run):
    path = run / "scores.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["cosine"]), path)
    found = verify(read_run(run))
    assert {one.where for one in found.differences} == {"scores.parquet"}  # its digest
    assert any("from before cosines were kept" in line for line in found.left_out)


def test_a_cosine_that_one_attack_has_otherwise_is_named(run):
    edit(run, lambda rows: one(rows, "tail", "members", 3).update(cosine=0.5))
    assert len(told(run)["tail: cosine"].rows) == 1


def test_a_score_of_csa_that_is_not_the_cosine_is_named(run):
    edit(run, lambda rows: one(rows, "csa", "members", 3).update(score=0.5))
    assert len(told(run)["csa: score"].rows) == 1


def test_intervals_by_duplicate_group_are_recomputed(tmp_path):
    class Twice(Noise):
        def read(self, shard):
            for pair in super().read(shard):
                yield pair
                yield lmia.Pair(pair.key + "+", pair.caption, pair.image)

    roles = {"members": Twice(0, 60), "nonmembers": Noise(400, 520), "known_nonmembers": Noise(800, 860),
             "pool": Sample(Noise(1200, 1230), 30)}  # fmt: skip
    audit(tmp_path, [CSA()], roles=roles, fpr=[0.1])
    run = tmp_path / "out"
    found = verify(read_run(run))
    assert found.differences == []
    report = read_report(run / "report.json")
    (result,) = report.attacks
    assert result.auc.method.endswith("clustered by duplicate group")
    write_report(replace(report, attacks=(replace(result, auc=replace(result.auc, low=0.4)),)), run)
    assert list(told(run)) == ["csa: auc.low"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda r: {**r, "confidence": 1.5}, "confidence is 1.5"),
        (lambda r: {**r, "seed": -1}, "seed is -1"),
        (lambda r: {**r, "config": {**r["config"], "fpr": ["x"]}}, "config.fpr"),
        (lambda r: {**r, "config": {**r["config"], "fpr": 3}}, "config.fpr"),
    ],
)
def test_what_no_audit_writes_is_refused(run, change, match):
    path = run / "report.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(LmiaError, match=match):
        verify(read_run(run))


def test_a_report_on_another_question_is_told(run):
    report = read_report(run / "report.json")
    write_report(replace(report, question="use"), run)
    assert "cannot be judged" in told(run)["csa: scores"].problem


@pytest.mark.parametrize("column", ["rank", "p"])
def test_numbers_that_no_audit_writes_are_named_not_stumbled_over(run, column):
    names = []

    def change(rows):
        for place, value in enumerate((1e300, -5.0, float("inf"))):
            row = one(rows, "csa", "nonmembers", 20 + place)
            row[column] = int(min(value, 1e15)) if column == "rank" else value
            names.append(f"nonmembers {row['key']}")

    edit(run, change)
    assert set(names) <= set(told(run)[f"csa: {column}"].rows)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: replace(r, verdict=replace(r.verdict, word="none")), "verdict.word"),
        (lambda r: replace(r, verdict=replace(r.verdict, detectable=0.501)), "verdict.detectable"),
        (lambda r: replace(r, validity=replace(r.validity, overlap=0.99)), "validity.overlap"),
        (lambda r: replace(r, validity=replace(r.validity, adjusted=(replace(r.validity.adjusted[0], p=0.25), *r.validity.adjusted[1:]))),
         "validity.adjusted[0].p"),
        (lambda r: replace(r, validity=replace(r.validity, power="much")), "validity.power"),
    ],
)  # fmt: skip
def test_a_changed_doubt_or_verdict_is_named(run, change, where):
    report = read_report(run / "report.json")
    write_report(change(report), run)
    assert list(told(run)) == [where]


def test_what_the_blind_baselines_found_is_recomputed_and_their_scores_are_watched(run):
    report = read_report(run / "report.json")
    place, pixels = next((i, b) for i, b in enumerate(report.validity.baselines) if b.kind == "pixels")
    before = verify(read_run(run))
    assert before.differences == []
    assert any("how the blind baselines were trained" in line for line in before.left_out)

    forged = replace(pixels, auc=replace(pixels.auc, high=0.999))
    baselines = (*report.validity.baselines[:place], forged, *report.validity.baselines[place + 1 :])
    write_report(replace(report, validity=replace(report.validity, baselines=baselines)), run)
    assert list(told(run)) == [f"validity.baselines[{place}].auc.high"]

    adjusted = replace(
        report.validity.adjusted[1], versus_blind=replace(report.validity.adjusted[1].versus_blind, value=0.3)
    )
    write_report(
        replace(report, validity=replace(report.validity, adjusted=(report.validity.adjusted[0], adjusted))), run
    )
    assert list(told(run)) == ["validity.adjusted[1].versus_blind.value"]

    write_report(report, run)
    edit(run, lambda rows: [row.update(score=-row["score"]) for row in rows if row["attack"] == "pixels"])
    assert f"validity.baselines[{place}].auc.value" in told(run)


def test_blind_baselines_of_unlike_pairs_cannot_be_computed_again(run):
    def change(rows):
        mine = [row for row in rows if row["attack"] == "pixels"]
        mine[0]["key"] = next(
            row["key"] for row in rows if row["role"] == mine[0]["role"] and row["key"] not in {r["key"] for r in mine}
        )

    edit(run, change)
    assert "other pairs" in told(run)["validity"].problem


def test_blind_baselines_whose_rows_are_gone_are_missed(run):
    """Else whoever forges what a baseline found would only have to take its rows away."""
    edit(run, lambda rows: rows.__setitem__(slice(None), [row for row in rows if row["attack"] != "pixels"]))
    assert "the blind baseline 'pixels' has no rows" in told(run)["validity"].problem


def test_the_twins_numbers_are_recomputed_and_its_scores_are_watched(tmp_path):
    roles = {"members": Noise(0, 60), "nonmembers": Noise(400, 460), "known_nonmembers": Noise(800, 860),
             "pool": Noise(1200, 1230)}  # fmt: skip
    model = FeatureExtractor(Twinned("0:60", leak=0.7), None, tmp_path / "cache")
    report = lmia.run_audit(
        model, AuditData(**roles), [CSA()], out=tmp_path / "out", trainer=record.trainer(accelerator="cpu")
    )
    assert verify(read_run(tmp_path / "out")).differences == []
    (beside,) = report.validity.besides
    forged = replace(beside, above=replace(beside.above, low=0.3))
    write_report(replace(report, validity=replace(report.validity, besides=(forged,))), tmp_path / "out")
    assert list(told(tmp_path / "out")) == ["validity.besides[0].above.low"]
    edit(tmp_path / "out", lambda rows: [row.update(score=-row["score"]) for row in rows if row["model"] != "target"])
    assert "validity.besides[0].auc.value" in told(tmp_path / "out")
