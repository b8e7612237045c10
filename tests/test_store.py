import io
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmia.errors import LmiaError
from lmia.looks import STATISTICS
from lmia.picture import Facts
from lmia.source import Rejected
from lmia.store import FORMAT, Store, default_cache

FACTS = Facts("aa", "bb", 3, 2, 10, "PNG", "", "", tuple(i / 2 for i in range(STATISTICS)))


def filled(tmp_path):
    store = Store(tmp_path, "target")
    arrays = {"cosine": np.array([0.5, 0.25], np.float32)}
    measured = {"measured@x": {"loss": np.array([1.0, 2.0])}}
    store.write("s", arrays, measured, [("a", "ä cat", FACTS), ("b", "a dog", FACTS)], [Rejected("c", "no caption")])
    return store


def test_what_is_written_is_read(tmp_path):
    store = filled(tmp_path)
    rows, rejected = store.pairs("s")
    assert store.array("cosine", "s").tolist() == [0.5, 0.25]
    assert store.measured("measured@x", "s")["loss"].tolist() == [1.0, 2.0]
    facts = FACTS._asdict() | {"pixels": list(FACTS.pixels)}
    assert rows.to_pylist()[0] == {"key": "a", "caption": "ä cat"} | facts
    assert rows.schema.field("pixels").type == pa.list_(pa.float32(), STATISTICS)
    assert rejected == [Rejected("c", "no caption")]
    assert isinstance(store.array("cosine", "s"), np.memmap)


def test_what_older_arrows_cannot_read_is_not_written(tmp_path):
    """Before 26 it said of a list of fixed size that is missing that it has the wrong size."""
    store = filled(tmp_path)
    (path,) = store.folder.glob("pairs/*.parquet")
    table = pq.read_table(path)
    assert table["reason"].null_count < len(table)
    assert table["pixels"].null_count == 0


def test_lacks_names_what_is_missing(tmp_path):
    store = filled(tmp_path)
    assert store.lacks("s", ["cosine", "image", "measured@x"]) == ["image"]
    assert store.lacks("t", ["cosine"]) == ["cosine", "pairs"]
    assert Store(tmp_path, "another").lacks("s", ["cosine"]) == ["cosine", "pairs"]


def test_rows_of_an_older_format_are_made_again_and_features_kept(tmp_path):
    store = filled(tmp_path)
    (store.folder / "pairs" / f"s.{FORMAT}.parquet").rename(store.folder / "pairs" / "s.parquet")
    assert store.lacks("s", ["cosine", "measured@x"]) == ["pairs"]


def test_a_broken_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(LmiaError, match="No space left on device"):
        filled(tmp_path)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


def test_a_kill_between_files_leaves_the_shard_to_do(tmp_path, monkeypatch):
    store = Store(tmp_path, "target")
    monkeypatch.setattr("lmia.store.pq.write_table", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.write("s", {"cosine": np.zeros(1)}, {}, [("a", "b", FACTS)], [])
    assert store.lacks("s", ["cosine"]) == ["pairs"]
    assert not list(tmp_path.rglob(".*"))


def test_a_kill_while_other_rows_come_leaves_no_old_ones_to_new_arrays(tmp_path, monkeypatch):
    store = filled(tmp_path)
    monkeypatch.setattr("lmia.store.pq.write_table", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.write("s", {"cosine": np.zeros(2, np.float32)}, {}, [("x", "b", FACTS), ("y", "b", FACTS)], [])
    assert store.lacks("s", ["cosine", "measured@x"]) == ["measured@x", "pairs"]


@pytest.mark.parametrize("name", ["cosine/s.npy", f"pairs/s.{FORMAT}.parquet", "measured@x/s.npz"])
def test_a_damaged_file_is_named(tmp_path, name):
    store = filled(tmp_path)
    (store.folder / name).write_bytes(b"nonsense")
    with pytest.raises(LmiaError, match="cannot be read"):
        store.array("cosine", "s"), store.pairs("s"), store.measured("measured@x", "s")


def test_pickles_are_refused(tmp_path):
    store = filled(tmp_path)
    np.save(store.folder / "cosine" / "s.npy", np.array([{"a": os.system}], dtype=object), allow_pickle=True)
    with pytest.raises(LmiaError, match="cannot be read"):
        store.array("cosine", "s")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(LmiaError, match="cannot write"):
        filled(tmp_path)


def test_a_file_in_the_folders_place_is_named(tmp_path):
    (tmp_path / "target").write_text("in the way")
    with pytest.raises(LmiaError, match="cannot write"):
        filled(tmp_path)


def test_the_cache_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("LMIA_CACHE", "/somewhere")
    assert str(default_cache()) == "/somewhere"
    monkeypatch.delenv("LMIA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/else")
    assert str(default_cache()) == "/else/lmia"


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _zip(array):
    file = io.BytesIO()
    np.savez(file, array=array)
    return file.getvalue()


DAMAGED = {
    "an empty file": ("cosine/s.npy", b""),
    "the beginning of a zip": ("cosine/s.npy", b"PK\x03\x04"),
    "a zip in an array's place": ("cosine/s.npy", _zip(np.zeros(3))),
    "a head of brackets": (
        "cosine/s.npy",
        _npy(np.zeros(3)).replace(b"'descr'", b"((((((("),
    ),
    "fewer rows than the file holds": ("cosine/s.npy", _npy(np.zeros(3)).replace(b"(3,)", b"(2,)")),
    "smaller numbers than the file holds": ("cosine/s.npy", _npy(np.zeros(3)).replace(b"<f8", b"<f4")),
    "a zip cut short": ("measured@x/s.npz", _zip(np.zeros(3))[:-30]),
    "a zip with what is no array in it": ("measured@x/s.npz", _zip(np.zeros(3)).replace(b"\x93NUMPY", b"\x92NUMPY")),
    "a zip with another's bytes": ("measured@x/s.npz", _zip(np.zeros(3)).replace(b"NUMPY", b"NIMPY")),
}


@pytest.mark.parametrize(("name", "content"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_array_is_named_however_numpy_fails(tmp_path, name, content):
    store = filled(tmp_path)
    (store.folder / name).write_bytes(content)
    with pytest.raises(LmiaError, match=r"The cached array .* cannot be read"):
        store.array("cosine", "s"), store.measured("measured@x", "s")


def test_rows_that_lost_a_column_or_their_text_are_named(tmp_path):
    store = filled(tmp_path)
    path = store.folder / "pairs" / f"s.{FORMAT}.parquet"
    table = pq.read_table(path)
    odd = pa.Array.from_buffers(pa.string(), len(table), pa.array([b"\xff"] * len(table)).buffers())
    for damaged in (table.drop_columns(["reason"]), table.set_column(0, table.schema.field("key"), odd)):
        pq.write_table(damaged, path)
        with pytest.raises(LmiaError, match=r"The cached table .* cannot be read"):
            store.pairs("s")
