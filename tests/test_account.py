from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from lmia.account import Records, content_of, counted, parted, unlisted
from lmia.errors import LmiaError
from lmia.listed import Listed
from lmia.membership import Membership, write
from lmia.source import Rejected, Sample
from worlds import Noise


def manifest(path, inside, outside):
    keys = [*inside, *outside]
    within = np.arange(len(keys)) < len(inside)
    return write(path, Membership(keys, within, within.astype(np.int32)))


def read(usable, bad=(), shards=("0",)):
    return Records(shards, list(usable), [Rejected(key, reason) for key, reason in bad])


def sides(path, source=None):
    whole = source or Noise(0, 9)
    return {role: Listed(whole, path, side) for role, side in (("members", "in"), ("nonmembers", "out"))}


def test_every_record_is_counted_once(tmp_path):
    given = sides(manifest(tmp_path / "m.parquet", "abcx", "defy"))
    records = read("abcdefgh", [("x", "no caption"), ("y", "broken"), ("z", "broken"), ("w", "no caption")])
    found = [counted(role, one, records, len(one.draw(records.keys))) for role, one in given.items()]
    found += unlisted(given, dict.fromkeys(given, records))
    assert [(one.role, one.records, dict(one.rejected)) for one in found] == [
        ("members", 4, {"no caption": 1}), ("nonmembers", 4, {"broken": 1}), ("unlisted", 4, {"broken": 1, "no caption": 1})]  # fmt: skip
    assert sum(one.records for one in found) == len(records.keys) + len(records.rejected)
    assert [one.note for one in found] == ["", "", f"4 not in the manifest '{tmp_path / 'm.parquet'}'"]


def test_a_side_that_plays_no_part_is_counted_too(tmp_path):
    given = {"members": sides(manifest(tmp_path / "m.parquet", "abc", "de"))["members"], "nonmembers": Noise(9, 12)}
    (left,) = unlisted(given, {"members": read("abcdef"), "nonmembers": read("xyz", shards=("9",))})
    assert (left.role, left.records) == ("unlisted", 3)
    assert left.note.endswith("; 2 on a side of it that plays no part")


def test_where_all_is_listed_nothing_is_left(tmp_path):
    given = sides(manifest(tmp_path / "m.parquet", "abc", "de"))
    assert unlisted(given, dict.fromkeys(given, read("abcde"))) == []
    assert unlisted({"members": Noise(0, 9)}, {"members": read("abc")}) == []


def test_two_manifests_are_two_counts(tmp_path):
    one = sides(manifest(tmp_path / "one.parquet", "ab", "c"))["members"]
    two = sides(manifest(tmp_path / "two.parquet", "d", "ef"))["nonmembers"]
    found = unlisted({"members": one, "nonmembers": two}, {"members": read("abc"), "nonmembers": read("defg")})
    assert [count.records for count in found] == [1, 2]


def test_a_manifest_of_other_pairs_is_refused_and_its_keys_named(tmp_path):
    given = sides(manifest(tmp_path / "m.parquet", "abc", "defg"))
    with pytest.raises(LmiaError) as caught:
        unlisted(given, dict.fromkeys(given, read("abxyz", [("c", "broken")])))
    assert "4 of 7 keys of the manifest" in caught.value.problem
    assert caught.value.problem.endswith("such as 'd', 'e', 'f'.")
    assert "SPEC?n=1000&seed=0" in caught.value.remedy


def test_behind_a_sample_keys_may_be_missing(tmp_path):
    path = manifest(tmp_path / "m.parquet", "abc", "defg")
    given = sides(path, Sample(Noise(0, 9), 3))
    records = read("abdx")
    assert [one.records for one in unlisted(given, dict.fromkeys(given, records))] == [1]
    taken = len(given["members"].draw(records.keys))
    count = counted("members", given["members"], records, taken)
    assert count.records == 2
    assert count.note == ("" if taken == 2 else f"{2 - taken} usable pairs outside the sample")


def test_two_pairs_of_one_key_are_refused(tmp_path):
    given = sides(manifest(tmp_path / "m.parquet", "ab", "c"))
    with pytest.raises(LmiaError, match="several pairs of one key for 1 keys of the manifest, such as 'a'"):
        unlisted(given, dict.fromkeys(given, read("abca")))
    assert (
        unlisted(given, dict.fromkeys(given, read("abczz")))[0].records == 2
    )  # which of these is meant matters to nobody


@pytest.mark.parametrize(
    ("taken", "note"), [(3, ""), (2, "2 of the 3 asked for: the shards drawn hold no more usable pairs")]
)
def test_a_sample_is_counted_as_it_is_drawn(taken, note):
    found = counted("pool", Sample(Noise(0, 9), 3), read("abc"[:taken], [("z", "broken")]), taken)
    assert (found.records, dict(found.rejected), found.note) == (taken + 1, {"broken": 1}, note)
    assert counted("pool", Sample(Noise(0, 9), 2), read("abcde"), 2).note == "3 usable pairs outside the sample"


PAIRS = pa.table({"key": list("abcdef"), "caption": ["x"] * 6, "sha256": list("012345")})


@pytest.mark.parametrize("column", ["key", "caption", "sha256"])
def test_a_digest_of_pairs_changes_with_every_part_of_them(column):
    at = PAIRS.column_names.index(column)
    other = PAIRS.set_column(at, column, pa.array([*PAIRS[column].to_pylist()[:-1], "new"]))
    every = np.arange(6)
    assert content_of(other, every) != content_of(PAIRS, every)
    assert content_of(other, every[:5]) == content_of(PAIRS, every[:5])


def test_parts_are_counted_where_rows_went():
    counts = {"nonmembers": counted("nonmembers", Noise(0, 9), read("abcdef"), 6)}
    parts = {"nonmembers": np.array([0, 1, 2]), "fit": np.array([3, 4]), "pool": np.array([5, 77])}
    (found,) = parted(counts, {"nonmembers": np.arange(6)}, parts, {"nonmembers": ["cut"]}, ["nonmembers"], PAIRS)
    assert Counter(found.scored) == {"audited": 3, "fit": 2, "pool": 1}
    assert found.content == content_of(PAIRS, np.array([2, 1, 0])) != content_of(PAIRS, np.array([0, 1]))
    assert found.note == "cut"
