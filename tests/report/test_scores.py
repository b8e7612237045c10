"""scores.parquet: tidy, deterministic, and enough to recompute the report."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia.errors import LmiaError
from lmia.report import scores
from lmia.report.scores import RoleScores, score_table, write_scores


def part(role="members", keys=("a", "b", "c"), values=(0.1, 0.3, 0.2), attack="csa", **more):
    return RoleScores(attack, role, list(keys), np.array(values, dtype=float), **more)


def suspects():
    n = 3
    return part("suspects", p=np.full(n, 0.5), q=np.full(n, 0.75), fold=np.arange(n, dtype=np.int8))


def test_columns_and_types():
    table = score_table([suspects(), part("calibration", ("z",), (0.5,))])
    assert tuple(table.column_names) == scores.COLUMNS
    assert [str(field.type) for field in table.schema] == [
        *(
            "string",
            "string",
            "string",
            "string",
            "double",
            "int64",
            "double",
            "double",
            "int8",
            "string",
            "int64",
            "int32",
            "double",
        )
    ]
    assert not [name for name in table.column_names if "prob" in name]


def test_rank_counts_audited_rows_of_the_attack_alone():
    table = score_table(
        [
            part("calibration", ("z",), (9.0,)),
            part("nonmembers", ("n",), (0.3,)),
            part(),
            part(attack="wsa", values=(1.0, 2.0, 3.0)),
        ]
    ).to_pylist()
    got = [(row["attack"], row["role"], row["key"], row["rank"]) for row in table]
    assert got == [
        ("csa", "members", "a", 4),
        ("csa", "members", "b", 1),
        ("csa", "members", "c", 3),
        ("csa", "nonmembers", "n", 1),
        ("csa", "calibration", "z", None),
        ("wsa", "members", "a", 3),
        ("wsa", "members", "b", 2),
        ("wsa", "members", "c", 1),
    ]


@settings(deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5000001, 7.0]), max_size=20))
def test_ranks_against_a_hand_count(values):
    expected = [1 + sum(other > value for other in values) for value in values]
    array = np.array(values, dtype=float)
    assert scores.ranks(array, array).tolist() == expected


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_reading_leaves_no_trace(order):
    keys, values, p = np.array(list("fedcba")), np.arange(6.0), np.linspace(0.1, 0.6, 6)
    plain = score_table([part(keys=keys.tolist(), values=values, p=p)])
    shuffled = score_table([part(keys=keys[order].tolist(), values=values[order], p=p[order])])
    assert shuffled.equals(plain)


def test_missing_columns_are_null_not_zero():
    table = score_table([part()])
    for name in ("p", "q", "fold", "repeats"):
        assert table[name].null_count == 3
    shown = score_table([part(keys=("c", "a", "b"), repeats=np.array([3, 1, 2], np.int32))])
    assert shown.select(["key", "repeats"]).to_pydict() == {"key": ["a", "b", "c"], "repeats": [1, 2, 3]}
    filled = score_table([part(), suspects()])
    assert filled["q"].to_pylist() == [None] * 3 + [0.75] * 3
    assert filled["fold"].to_pylist() == [None] * 3 + [0, 1, 2]


def test_bytes_are_the_same_and_the_digest_is_theirs(tmp_path):
    one = write_scores(score_table([part(), suspects()]), tmp_path / "one.parquet")
    chunked = pa.concat_tables(
        [score_table([part(), suspects()]).slice(0, 2), score_table([part(), suspects()]).slice(2)]
    )
    two = write_scores(chunked.replace_schema_metadata({"when": "now"}), tmp_path / "two.parquet")
    assert one == two == hashlib.sha256((tmp_path / "one.parquet").read_bytes()).hexdigest()
    assert write_scores(score_table([part(values=(0.1, 0.3, 0.21))]), tmp_path / "three.parquet") != one
    assert pq.read_table(tmp_path / "one.parquet").equals(score_table([part(), suspects()]))


def test_doubles_survive_to_the_last_bit(tmp_path):
    values = np.nextafter(np.float64(0.1), 1), 1e-308, -0.0
    write_scores(score_table([part(values=values)]), tmp_path / "s.parquet")
    back = pq.read_table(tmp_path / "s.parquet")["score"].to_numpy()
    assert back.tobytes() == np.array(values).tobytes()


def test_no_attack_makes_an_empty_table(tmp_path):
    write_scores(score_table([]), tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet")
    assert (table.num_rows, tuple(table.column_names)) == (0, scores.COLUMNS)


def test_a_key_that_is_no_utf8_is_written_out():
    assert score_table([part(keys=("a\udc80",), values=(1.0,))])["key"].to_pylist() == ["a\\udc80"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: part(values=(1.0, 2.0)),
        lambda: part(values=(1.0, np.nan, 2.0)),
        lambda: part(values=(1.0, np.inf, 2.0)),
        lambda: part(keys=("a", "a", "b")),
        lambda: part(q=np.zeros(3)),
        lambda: part(p=np.zeros(2)),
        lambda: part(role="pool"),
        lambda: part(repeats=np.ones(2, np.int32)),
        lambda: part(role="nonmembers", repeats=np.ones(3, np.int32)),
        lambda: score_table([part(), part()]),
    ],
)
def test_what_cannot_be_a_score_is_refused(make):
    with pytest.raises(ValueError, match=r"csa|once"):
        make()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(LmiaError, match="cannot be written"):
        write_scores(score_table([]), tmp_path / "no" / "s.parquet")
