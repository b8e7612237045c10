import pyarrow as pa
import pytest

import lmia
from lmia import record
from lmia.columns import with_columns
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia_csa import CSA
from worlds import Matrices, Noise, Plain


def test_a_slice_that_remembers_more_stands_out_of_an_audit(tmp_path):
    """The users' column names the pairs that the model was trained on: half of the members; the others are unknown to it."""
    file = tmp_path / "columns.csv"
    file.write_text("key,kind\n" + "".join(f"noise/{i},{'old' if i % 2 else 'new'}\n" for i in range(2000)))
    model = FeatureExtractor(Half("0:600", leak=1.5), None, tmp_path / "cache")
    roles = {"members": Noise(0, 600), "nonmembers": Noise(600, 1200), "known_nonmembers": Noise(1200, 1400)}
    data = AuditData(**roles, pool=Noise(1400, 1450), columns=file, slice_by=["kind"])
    trainer = record.trainer(accelerator="cpu")
    report = lmia.run_audit(model, data, [Plain(), CSA()], out=tmp_path / "out", trainer=trainer)
    assert report.validity.sliced == "csa"
    first = report.validity.slices.standing_out()[0]
    assert (first.column, first.name) == ("kind", "old")
    assert first.p <= 0.05
    assert first.difference.value > 0
    assert {one.column for one in report.validity.slices.slices} >= {"kind", "words in the caption", "bytes"}


class Half(Matrices):
    """Remembers every other pair of its members alone."""

    def _text(self, index):
        held, self.leak = self.leak, self.leak if index % 2 else 0.0
        try:
            return super()._text(index)
        finally:
            self.leak = held


def test_columns_to_slice_by_need_a_file(tmp_path):
    table = pa.table({"key": ["a", "b"]})
    with pytest.raises(LmiaError, match="in no file: kind"):
        with_columns(table, ["kind"], None)
    file = tmp_path / "c.csv"
    file.write_text("key,kind\na,1\n")
    with pytest.raises(LmiaError, match="1 of 2 pairs of the audit have no 'kind', such as 'b'"):
        with_columns(table, ["kind"], file)
