"""`lmia compare`, as typed: the same run twice, a run with a defence, and runs that cannot be compared."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lmia import evidence
from lmia.commands.compare import NO_SUCCESS, compare, main, read_intact, same_rows
from lmia.errors import LmiaError
from lmia_csa import CSA
from test_audit import audit, column
from twice import TWICE, plain
from worlds import Matrices, Noise, Plain

ROLES = {"members": Noise(0, 200), "nonmembers": Noise(400, 600), "known_nonmembers": Noise(800, 900),
         "pool": Noise(1200, 1230)}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One leak and three attacks; half the leak and one attack less; other rows; suspects."""
    folder = tmp_path_factory.mktemp("runs")
    audit(folder, [CSA(), Plain()], roles=ROLES, target=Matrices("0:200", leak=0.7), out="a", fpr=[0.1, 0.05])
    audit(folder, [CSA()], roles=ROLES, target=Matrices("0:200", leak=0.3), out="b", fpr=[0.1])
    audit(folder, [CSA()], roles={**ROLES, "members": Noise(1, 201)}, out="rows", fpr=[0.1])
    audit(folder, [Plain()], roles=ROLES, out="attacks", fpr=[0.1])
    audit(folder, [CSA()], roles={"suspects": Noise(0, 60), "known_nonmembers": Noise(800, 900)}, out="use")
    for out, leak in {"twice-a": 0.7, "twice-b": 0.3}.items():
        audit(folder, [CSA()], roles=TWICE, target=Matrices("0:200", leak=leak), out=out, fpr=[0.1])
    return folder


def words(out):
    return " ".join(out.split())


def test_a_run_against_itself_differs_by_exactly_nothing(runs, tmp_path, capsys):
    out = tmp_path / "compare.json"
    assert main([str(runs / "a"), str(runs / "a"), "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert [one["attack"] for one in found["attacks"]] == ["csa", "plain"]
    for one in found["attacks"]:
        assert (one["difference"]["value"], one["difference"]["low"], one["difference"]["high"]) == (0, 0, 0)
        assert one["a"] == one["b"]
        assert [tpr["a"] == tpr["b"] for tpr in one["tprs"]] == [True, True]
    shown = capsys.readouterr().out
    assert shown.count("[+0.000, +0.000]") == 2
    assert "are of the same model" in words(shown)
    assert NO_SUCCESS in words(shown)


def test_a_smaller_leak_has_a_lower_auc(runs, capsys):
    assert main([str(runs / "a"), str(runs / "b")]) == 0
    shown = words(capsys.readouterr().out)
    (found,) = compare(read_intact(runs / "a"), read_intact(runs / "b"))
    assert found.difference.high < 0
    truth = np.r_[np.ones(200), np.zeros(200)]
    areas = [
        roc_auc_score(truth, np.r_[column(table, "csa", "members"), column(table, "csa", "nonmembers")])
        for table in (pq.read_table(runs / name / "scores.parquet") for name in "ab")
    ]
    assert found.difference.value == pytest.approx(areas[1] - areas[0], abs=1e-12)
    assert (found.a.value, found.b.value) == pytest.approx(tuple(areas), abs=1e-12)
    assert [(fpr, a is not None, b is not None) for fpr, a, b in found.tprs] == [(0.1, True, True), (0.05, True, False)]
    assert "Not compared, because A alone has it: plain." in shown
    assert NO_SUCCESS in shown
    assert "same model" not in shown
    assert "TPR@10 %" in shown


def test_b_minus_a_turns_with_the_order(runs):
    (there,) = compare(read_intact(runs / "a"), read_intact(runs / "b"))
    (back,) = compare(read_intact(runs / "b"), read_intact(runs / "a"))
    assert there.difference.value == -back.difference.value
    assert (there.difference.low, there.difference.high) == pytest.approx((-back.difference.high, -back.difference.low))


def test_duplicates_count_as_one_in_the_interval_of_a_difference(runs, capsys):
    assert main([str(runs / "twice-a"), str(runs / "twice-b")]) == 0
    (found,) = compare(read_intact(runs / "twice-a"), read_intact(runs / "twice-b"))
    a, labels, groups = plain(runs / "twice-a")
    b = plain(runs / "twice-b")[0]
    together, alone = (evidence.auroc_difference(b, a, labels, some) for some in (groups, None))
    ours = found.difference
    assert (ours.value, ours.low, ours.high) == pytest.approx((together.value, together.low, together.high), abs=1e-12)
    assert ours.method == together.method
    assert "clustered by duplicate group" in ours.method
    assert ours.high - ours.low > 1.3 * (alone.high - alone.low)
    shown = words(capsys.readouterr().out)
    assert f"[{together.low:+.3f}, {together.high:+.3f}]" in shown
    assert "independent" not in shown


def test_rows_that_either_run_calls_duplicates_are_one_group(runs):
    """As where one of the audits has --cluster-by, and the other has not."""
    knows = read_intact(runs / "twice-a")
    rows = knows.attacks["csa"]
    ignores = replace(knows, attacks={"csa": replace(rows, group=np.full(len(rows), None, object))})
    half = replace(knows, attacks={"csa": replace(rows, group=np.where(rows.role == "members", rows.group, None))})
    *_, every = same_rows([knows], "csa")
    assert every.dtype == torch.int64
    assert len(every.unique()) == len(every) / 2
    for several in ([ignores, knows], [knows, ignores], [half, knows]):
        assert torch.equal(same_rows(several, "csa")[2], every)
    assert len(same_rows([half, ignores], "csa")[2].unique()) == 100 + 200
    assert same_rows([ignores, ignores], "csa")[2] is None


def test_nothing_is_written_unless_asked(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([str(runs / "a"), str(runs / "b")])
    assert list(tmp_path.iterdir()) == []


def test_other_names_for_the_data_are_told(runs, tmp_path, capsys):
    moved = shutil.copytree(runs / "b", tmp_path / "moved")
    report = json.loads((moved / "report.json").read_text())
    report["config"]["data"]["members"]["init_args"]["start"] = 7
    (moved / "report.json").write_text(json.dumps(report))
    main([str(runs / "a"), str(moved)])
    assert "name their data differently; pairs were matched by role, key and content" in words(capsys.readouterr().out)
    for count in report["roles"]:
        count["content"] = ""  # as an older report has it
    (moved / "report.json").write_text(json.dumps(report))
    main([str(runs / "a"), str(moved)])
    assert "pairs were matched by role and key alone" in words(capsys.readouterr().out)


class Renamed(Noise):
    """The same pictures and keys under other captions."""

    def read(self, shard):
        for pair in super().read(shard):
            yield replace(pair, caption=f"{pair.caption} again")


def test_other_data_under_the_same_keys_is_refused(runs, tmp_path):
    roles = {**ROLES, "nonmembers": Renamed(400, 600)}
    audit(tmp_path, [CSA()], roles=roles, target=Matrices("0:200", leak=0.3), out="other", fpr=[0.1])
    with pytest.raises(LmiaError, match="their nonmembers have other captions or pictures") as told:
        main([str(runs / "a"), str(tmp_path / "other")])
    assert str(told.value).count("\n") == 1


def test_runs_of_different_rows_are_refused(runs):
    with pytest.raises(LmiaError, match="different rows: 2 are in one of them only, such as 'members noise/0'") as told:
        main([str(runs / "a"), str(runs / "rows")])
    assert str(told.value).count("\n") == 1


def test_runs_without_a_common_attack_are_refused(runs):
    with pytest.raises(LmiaError, match="No attack ran in both audits: csa; plain"):
        main([str(runs / "b"), str(runs / "attacks")])


def test_a_run_without_truth_is_refused(runs):
    with pytest.raises(LmiaError, match="audited with suspects"):
        main([str(runs / "use"), str(runs / "use")])


def test_an_edited_run_is_refused(runs, tmp_path):
    edited = shutil.copytree(runs / "a", tmp_path / "edited")
    (edited / "scores.parquet").write_bytes((runs / "b" / "scores.parquet").read_bytes())
    with pytest.raises(LmiaError, match=r"not the file that its report was written with") as told:
        main([str(runs / "a"), str(edited)])
    assert "lmia verify" in told.value.remedy


@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_a_score_that_is_no_number_is_refused_though_its_report_vouches_for_it(runs, odd):
    run = read_intact(runs / "a")
    changed = replace(run.attacks["csa"], score=np.r_[odd, run.attacks["csa"].score[1:]])
    with pytest.raises(LmiaError, match=r"Scores of 'csa' in .* are no finite numbers: 1, that of "):
        same_rows([replace(run, attacks={"csa": changed})] * 2, "csa")


def test_rows_are_matched_by_role_and_key(runs):
    (scores,), labels, groups = same_rows([read_intact(runs / "a")], "csa")
    table = pq.read_table(runs / "a" / "scores.parquet")
    assert sorted(scores[labels].tolist()) == sorted(column(table, "csa", "members").tolist())
    assert labels.sum() == 200
    assert groups is None


def test_an_attack_that_is_not_there_is_told(runs):
    with pytest.raises(LmiaError, match="no attack 'wsa'"):
        same_rows([read_intact(runs / "a")], "wsa")


@pytest.mark.parametrize("given", [[], ["a"], ["a", "b", "c"], ["a", "b", "--ou", "x"]])
def test_wrong_words_are_told(given):
    with pytest.raises(LmiaError, match="lmia compare"):
        main(given)
