import numpy as np
import pyarrow as pa
import pytest

import lmia
from lmia import record
from lmia.clusters import clustered
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia_csa import CSA
from memory import at_most
from worlds import Matrices, Noise

TABLE = pa.table({
    "key": ["a", "b", "c", "d", "e"],
    "url": ["http://www.x.org/1", "https://x.org:443/2", "", "", "http://["],
})  # fmt: skip


def test_hosts_need_no_file_and_pairs_of_none_stand_alone():
    assert clustered(np.arange(5), TABLE, "host", None).tolist() == [0, 0, 1, 2, 3]


def test_a_long_host_takes_its_own_room_alone():
    hosts = [f"http://{'x' * 100_000}.org/", *(f"http://{i}.org/" for i in range(299))]
    table = pa.table({"key": [str(i) for i in range(300)], "url": hosts})
    with at_most(10 << 20):  # as an array, 120 MB
        assert clustered(np.arange(300), table, "host", None).tolist() == list(range(300))


def test_copies_join_clusters(tmp_path):
    file = tmp_path / "shoots.csv"
    file.write_text("key,shoot\na,1\nb,2\nc,1\nd,3\ne,4\n")
    assert clustered(np.array([0, 1, 2, 3, 1]), TABLE, "shoot", file).tolist() == [0, 1, 0, 2, 1]


def test_without_a_column_nothing_changes():
    same = np.array([0, 1, 1, 2, 3])
    assert clustered(same, TABLE, None, None) is same


def test_a_column_that_is_nowhere_is_a_sentence(tmp_path):
    with pytest.raises(LmiaError, match="'shoot' to cluster by is in no file"):
        clustered(np.arange(5), TABLE, "shoot", None)
    file = tmp_path / "shoots.csv"
    file.write_text("key,shoot\na,1\n")
    with pytest.raises(LmiaError, match="4 of 5 pairs of the audit have no 'shoot', such as 'b'"):
        clustered(np.arange(5), TABLE, "shoot", file)


def test_an_audit_cuts_and_widens_by_cluster(tmp_path):
    """Shoots of ten: none lies in two parts, and intervals are clustered."""
    file = tmp_path / "shoots.csv"
    file.write_text("key,shoot\n" + "".join(f"noise/{i},{i // 10}\n" for i in range(1300)))
    roles = {"members": Noise(0, 200), "nonmembers": Noise(400, 900)}
    model = FeatureExtractor(Matrices("0:200", leak=0.7), None, tmp_path / "cache")
    trainer = record.trainer(accelerator="cpu")
    data = AuditData(**roles, cluster_by="shoot", columns=file)
    report = lmia.run_audit(model, data, [CSA()], out=tmp_path / "out", trainer=trainer)
    assert report.attacks[0].auc.method.endswith("clustered by duplicate group")
    assert all(part % 10 == 0 for role in report.roles for part in role.scored.values())
    assert report.config["data"]["cluster_by"] == "shoot"
