"""The sides of an audit, streamed: what the whole file holds, and the report's own figures of it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia import evidence
from lmia.errors import LmiaError
from lmia.report import sides
from lmia.report.archive import read_report
from lmia.report.run import read_run
from lmia.report.scores import RoleScores, score_table, write_scores
from lmia.report.sides import read_sides
from test_audit import audit
from worlds import Noise, Plain


def written(path, members, nonmembers, names=None, **more):
    """Scores of an attack, a better one of another, and both on a twin."""
    roles = (("members", members, "m"), ("nonmembers", nonmembers, "n"))
    parts = [
        RoleScores(attack, role, [f"{letter}{i:05d}" for i in range(len(values))], np.array(values, float) + shift,
                   model=model, group=names and names[role])
        for model, shift in (("target", 0.0), ("twin", 9.0))
        for attack in ("csa", "anchor")
        for role, values, letter in roles
    ]  # fmt: skip
    write_scores(score_table(parts), path)
    return path


SCORES = st.lists(st.floats(-5, 5), min_size=1, max_size=9)
GROUPS = st.none() | st.sampled_from(["one", "two", "three"])


@given(st.data(), SCORES, SCORES)
@settings(max_examples=40)
def test_they_are_the_files_batch_by_batch(tmp_path_factory, data, members, nonmembers):
    sizes = {"members": len(members), "nonmembers": len(nonmembers)}
    names = {role: data.draw(st.lists(GROUPS, min_size=size, max_size=size)) for role, size in sizes.items()}
    path = written(tmp_path_factory.mktemp("sides") / "scores.parquet", members, nonmembers, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides, "_TOGETHER", data.draw(st.integers(1, 20)))
        found = read_sides(path, "csa")
    assert found.scores.tolist() == [*members, *nonmembers]
    assert found.labels.tolist() == [True] * len(members) + [False] * len(nonmembers)
    every = [*names["members"], *names["nonmembers"]]
    if not any(every):
        assert found.groups is None
        return
    same = [[(a == b and a is not None) or i == j for j, b in enumerate(every)] for i, a in enumerate(every)]
    assert (found.groups[:, None] == found.groups).tolist() == same


def test_another_model_is_named(tmp_path):
    path = written(tmp_path / "scores.parquet", [1.0, 2.0], [0.0])
    assert read_sides(path, "anchor", "twin").scores.tolist() == [10.0, 11.0, 9.0]


class Twice(Noise):
    """A tenth of the pairs are there twice, so that a report's intervals are clustered."""

    def read(self, shard):
        for record in super().read(shard):
            yield record
            if int(record.key.split("/")[1]) % 10 == 0:
                yield type(record)(f"{record.key}/again", record.caption, record.image)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished audit."""
    folder = tmp_path_factory.mktemp("finished")
    roles = {"members": Noise(0, 200), "nonmembers": Twice(400, 600), "known_nonmembers": Noise(700, 800)}
    audit(folder, [Plain(), "csa"], roles=roles | {"pool": Noise(800, 900)})
    return folder / "out"


def test_evidence_of_them_is_the_reports(finished):
    for one in read_report(finished / "report.json").attacks:
        found = read_sides(finished / "scores.parquet", one.name)
        assert found.groups is not None
        assert evidence.auroc(found.scores, found.labels, found.groups) == one.auc
        rows = read_run(finished).attacks[one.name]
        both = np.isin(rows.role, ["members", "nonmembers"])
        assert sorted(found.scores.tolist()) == sorted(rows.score[both].tolist())


@pytest.mark.parametrize(("attack", "model"), [("wsa", "target"), ("csa", "nobody")])
def test_what_is_not_there_is_said(tmp_path, attack, model):
    path = written(tmp_path / "scores.parquet", [1.0], [0.0])
    with pytest.raises(LmiaError, match=f"no members and nonmembers of the attack '{attack}' on '{model}'"):
        read_sides(path, attack, model)


def test_what_is_no_such_file_is_said(tmp_path):
    (tmp_path / "scores.parquet").write_bytes(b"PAR1")
    with pytest.raises(LmiaError, match="cannot be read"):
        read_sides(tmp_path / "scores.parquet", "csa")


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None])
def test_a_score_that_is_no_number_is_said(tmp_path, score):
    path = written(tmp_path / "scores.parquet", [1.0, 2.0], [0.0])
    table = pq.read_table(path)
    scores = pa.array([score, *table["score"].to_pylist()[1:]], pa.float64())
    pq.write_table(table.set_column(table.column_names.index("score"), "score", scores), path)
    with pytest.raises(LmiaError, match="cannot be read: 1 scores are no finite numbers"):
        read_sides(path, "csa")


def test_types(tmp_path):
    found = read_sides(written(tmp_path / "scores.parquet", [1.0], [0.0]), "csa")
    assert (found.scores.dtype, found.labels.dtype) == (torch.float64, torch.bool)
