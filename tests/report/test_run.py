"""Reading a run: the rows come back as they were written, in one order; what no audit writes is refused in two lines."""

import hashlib
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmia.errors import LmiaError
from lmia.report.archive import write_report
from lmia.report.run import read_run
from lmia.report.scores import RoleScores, score_table, write_scores
from report.examples import leakage

PARTS = [
    RoleScores("csa", "nonmembers", ["x", "y"], np.array([0.1, 0.2]), np.array([0.9, 0.5])),
    RoleScores("csa", "members", ["b", "a"], np.array([0.3, 0.4]), np.array([0.2, 0.1])),
    RoleScores("wsa", "calibration", ["c"], np.array([0.5]), fold=np.array([1], np.int8)),
    RoleScores("wsa", "calibration", ["c"], np.array([0.7]), fold=np.array([0], np.int8)),
]


@pytest.fixture
def folder(tmp_path):
    write_report(leakage(), tmp_path)
    write_scores(score_table(PARTS), tmp_path / "scores.parquet")
    return tmp_path


def test_rows_come_back_by_attack_role_and_key(folder):
    run = read_run(folder)
    assert list(run.attacks) == ["csa", "wsa"]
    rows = run.attacks["csa"]
    assert rows.names(rows.score > 0) == ("members a", "members b", "nonmembers x", "nonmembers y")
    assert rows.score.tolist() == [0.4, 0.3, 0.1, 0.2]
    assert rows.rank.tolist() == [1, 2, 4, 3]
    assert np.isnan(rows.q).all()
    assert run.attacks["wsa"].fold.tolist() == [0, 1]
    assert run.attacks["wsa"].score.tolist() == [0.7, 0.5]
    assert run.sha256 == hashlib.sha256((folder / "scores.parquet").read_bytes()).hexdigest()
    assert run.report == read_run(folder).report


def test_repeats_come_back_and_an_older_file_has_none(folder):
    path = folder / "scores.parquet"
    parts = [
        RoleScores("csa", "members", ["b", "a"], np.array([0.3, 0.4]), repeats=np.array([8, 1], np.int32)),
        PARTS[0],
    ]
    write_scores(score_table(parts), path)
    assert read_run(folder).attacks["csa"].repeats[:2].tolist() == [1, 8]
    assert np.isnan(read_run(folder).attacks["csa"].repeats[2:]).all()
    pq.write_table(pq.read_table(path).drop_columns(["repeats", "cosine"]), path)
    older = read_run(folder).attacks["csa"]
    assert np.isnan(older.repeats).all()
    assert np.isnan(older.cosine).all()


def test_no_rows_at_all_are_read(folder):
    write_scores(score_table([]), folder / "scores.parquet")
    assert read_run(folder).attacks == {}


def with_fold(table, fold):
    return table.set_column(table.column_names.index("fold"), "fold", pa.array([fold] * len(table)))


def test_folds_that_an_audit_can_have_are_read(folder):
    path = folder / "scores.parquet"
    for fold in (0.0, 127.0, float("nan")):
        pq.write_table(with_fold(pq.read_table(path), fold), path)
        assert np.array_equal(read_run(folder).attacks["csa"].fold, np.full(4, fold), equal_nan=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["rank"]),
        lambda table: table.set_column(3, "score", pa.array(["high"] * len(table))),
        lambda table: table.set_column(1, "role", pa.array([None] * len(table), pa.string())),
        lambda table: table.set_column(4, "rank", pa.array([[1]] * len(table))),
        *(partial(with_fold, fold=fold) for fold in (-1.0, 0.5, 128.0, float("inf"))),
    ],
)
def test_another_table_is_refused(folder, change):
    path = folder / "scores.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(LmiaError, match="cannot be read"):
        read_run(folder)


def test_bytes_that_are_no_table_are_refused(folder):
    (folder / "scores.parquet").write_bytes(b"PAR1 not a table PAR1")
    with pytest.raises(LmiaError, match=r"scores\.parquet' cannot be read"):
        read_run(folder)


@pytest.mark.parametrize("name", ["report.json", "scores.parquet"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(LmiaError, match=name):
        read_run(folder)
