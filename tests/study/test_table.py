"""Rows become a summary over seeds, and files that are the same bytes for the same rows."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from lmia.study.table import as_csv, as_parquet, summary
from study.studies import study

AUCS = {"2": [0.6, 0.7], "4": [0.8, 0.85]}


def rows(**more):
    return [
        {
            "repeats": level,
            "seed": seed,
            "attack": "csa",
            "status": "ran",
            "auc": auc,
            "verdict": word,
            "failed": "",
            **more,
        }
        for level, aucs in AUCS.items()
        for seed, auc, word in zip((1, 2), aucs, ("none", "evidence"), strict=True)
    ]


def test_mean_sample_deviation_and_ends():
    for line, (level, aucs) in zip(summary(study(), rows()), AUCS.items(), strict=True):
        assert (line["repeats"], line["attack"], line["seeds"]) == (level, "csa", 2)
        assert line["auc mean"] == pytest.approx(np.mean(aucs))
        assert line["auc sd"] == pytest.approx(np.std(aucs, ddof=1))
        assert (line["auc min"], line["auc max"], line["auc n"]) == (min(aucs), max(aucs), 2)
        assert line["verdict"] == "evidence 1, none 1"
        assert line["gap n"] == 0


def test_one_seed_has_no_spread():
    assert summary(study(), rows()[:1])[0]["auc sd"] is None


def test_a_cell_that_failed_is_a_line_of_its_own():
    bad = {**rows()[0], "attack": "", "status": "failed", "auc": None, "verdict": None, "failed": "no"}
    lines = summary(study(), [bad, *rows()[1:]])
    assert [(line["attack"], line["seeds"], line.get("auc n")) for line in lines][:2] == [("", 1, 0), ("csa", 1, 1)]


def test_levels_are_compared_seed_by_seed():
    one = study(against={"factor": "repeats", "level": 2})
    first, second = summary(one, rows())
    assert first["auc minus 2"] is None
    assert second["auc minus 2"] == pytest.approx(((0.8 - 0.6) + (0.85 - 0.7)) / 2)
    assert (second["auc minus 2 min"], second["auc minus 2 max"]) == (pytest.approx(0.15), pytest.approx(0.2))
    assert second["auc over 2"] == pytest.approx(1.65 / 1.3)
    lone = summary(one, [row for row in rows() if (row["repeats"], row["seed"]) != ("2", 1)])
    assert lone[1]["auc minus 2"] == pytest.approx(0.15)  # seed 2 alone has a partner


def test_another_attack_is_compared_where_there_is_only_one():
    one = study(against={"factor": "repeats", "level": 2})
    other = [{**row, "attack": "wsa"} if row["repeats"] == "4" else row for row in rows()]
    assert summary(one, other)[1]["auc minus 2"] == pytest.approx(0.175)
    two = [*other, *({**row, "attack": "anchor"} for row in other if row["repeats"] == "2")]
    wsa = next(line for line in summary(one, two) if line["attack"] == "wsa")
    assert wsa.get("auc minus 2") is None


def test_files_are_the_same_bytes_and_hold_the_rows():
    assert as_csv(rows()) == as_csv(rows())
    assert as_csv(rows()).decode().splitlines()[1] == "2,1,csa,ran,0.6,none,"
    assert as_csv([]) == b"\n"
    assert as_parquet(rows()) == as_parquet(rows())
    assert pq.read_table(io.BytesIO(as_parquet(rows()))).to_pylist() == rows()
