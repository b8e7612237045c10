from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmia
from lmia import record
from lmia.clusters import copies_of
from lmia.data import AuditData
from lmia.extract import FeatureExtractor, extract
from lmia.gather import with_pixels
from lmia.looks import STATISTICS
from lmia.roles import Roles, assign, check_given, plan, split
from lmia.source import Sample
from worlds import Matrices, Noise, picture, png


def assigned(tmp_path, seed=0, **roles):
    data = AuditData(**roles)
    extractor = FeatureExtractor(Matrices(), None, tmp_path)
    planned = plan(data)
    shards = [shard for role in planned.values() for shard in role]
    extract(record.trainer(accelerator="cpu"), extractor, data, shards, ["cosine"])
    return assign(data, planned, extractor.store, seed)


def keys(roles, part):
    return roles.rows["key"].take(pa.array(roles.parts[part])).to_pylist()


def test_two_piles_are_cut_into_disjoint_parts(tmp_path):
    roles = assigned(tmp_path, members=Noise(0, 200), nonmembers=Noise(200, 400))
    every = [key for part in roles.parts for key in keys(roles, part)]
    assert sorted(every) == sorted(f"noise/{i}" for i in range(400))
    sizes = {part: len(rows) for part, rows in roles.parts.items()}
    assert sizes == {"members": 160, "pool": 40 + 28, "nonmembers": 112, "calibration": 20, "fit": 40}
    assert all(int(key[6:]) < 200 for key in keys(roles, "members"))
    assert all(int(key[6:]) >= 200 for part in ("nonmembers", "fit", "calibration") for key in keys(roles, part))
    assert "cut off by seed" in roles.counts[1].note


def test_the_cut_depends_on_the_seed_alone(tmp_path):
    one = assigned(tmp_path, 1, members=Noise(0, 100), nonmembers=Noise(100, 200))
    again = assigned(tmp_path, 1, members=Noise(0, 100), nonmembers=Noise(100, 200))
    other = assigned(tmp_path, 2, members=Noise(0, 100), nonmembers=Noise(100, 200))
    assert keys(one, "fit") == keys(again, "fit") != keys(other, "fit")


def test_pixels_are_held_of_no_row_but_those_asked_for(tmp_path):
    """Each row's own, whatever its shard and whatever was rejected before it; reference: the store's, key by key."""
    data = AuditData(members=Noise(0, 100, shard=30, broken=7), nonmembers=Noise(100, 200, shard=30, broken=11))
    extractor, planned = FeatureExtractor(Matrices(), None, tmp_path), plan(data)
    shards = [shard for role in planned.values() for shard in role]
    extract(record.trainer(accelerator="cpu"), extractor, data, shards, ["cosine"])
    roles = assign(data, planned, extractor.store, 0)
    assert "pixels" not in roles.rows.column_names
    kept = [row for shard in shards for row in extractor.store.pairs(shard.key)[0].to_pylist()]
    pixels = {row["key"]: row["pixels"] for row in kept}
    assert len(set(map(tuple, pixels.values()))) == len(roles.rows) > 150
    some = np.random.default_rng(0).permutation(len(roles.rows))[:99]
    found = with_pixels(extractor.store, roles.shards, roles.rows, some)
    assert found["key"].to_pylist() == roles.rows["key"].take(pa.array(some)).to_pylist()
    assert found["pixels"].to_pylist() == [pixels[key] for key in found["key"].to_pylist()]
    assert found.schema.field("pixels").type == pa.list_(pa.float32(), STATISTICS)
    assert len(with_pixels(extractor.store, roles.shards, roles.rows, some[:0])) == 0


def test_in_is_scored_plus_rejected_plus_left_out(tmp_path):
    roles = assigned(
        tmp_path,
        members=Noise(0, 100, broken=7),
        nonmembers=Sample(Noise(100, 300, shard=100, broken=5), 60),
        known_nonmembers=Noise(300, 360),
        pool=Noise(360, 400),
    )
    for count in roles.counts:
        outside = int(count.note.split()[0]) if "outside the sample" in count.note else 0
        assert count.records == sum(count.rejected.values()) + sum(count.scored.values()) + outside
    assert {count.role: count.scored for count in roles.counts} == {
        "members": {"audited": 85},
        "nonmembers": {"audited": 60},
        "known_nonmembers": {"calibration": 20, "fit": 40},
        "pool": {"pool": 40},
    }


def test_a_sample_is_the_same_whatever_the_shards(tmp_path):
    whole = Sample(Noise(0, 100, shard=100), 30, seed=3)
    again = Sample(Noise(0, 100, shard=100), 30, seed=3)
    other = Sample(Noise(0, 100, shard=100), 30, seed=4)
    drawn = [sample.draw([f"noise/{i}" for i in range(100)]) for sample in (whole, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 30
    whole = Noise(0, 100, shard=10)
    sample = Sample(whole, 25)
    assert len(sample.shards()) == 3
    assert sample.shards() == sample.shards()
    assert whole.reads == 3  # counted once, however often it is asked


def test_a_sample_that_falls_short_says_so(tmp_path):
    short = Sample(Noise(100, 200, shard=64, broken=2), 60)
    roles = assigned(tmp_path, members=Noise(0, 50), nonmembers=short, known_nonmembers=Noise(300, 360))
    assert roles.counts[1].note.startswith("32 of the 60 asked for") or roles.counts[1].note.startswith("18 of")


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (-3, 1)])
def test_an_empty_sample_is_refused(n, seed):
    with pytest.raises(lmia.LmiaError, match=f"n={n}"):
        Sample(Noise(0, 10), n, seed)


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"known_nonmembers": Noise(150, 250)}, "nonmembers are also in known_nonmembers"),
        ({"known_nonmembers": Noise(0, 50)}, "members are also in known_nonmembers"),
        ({"known_nonmembers": Noise(200, 300), "pool": Noise(90, 130)}, "also in pool"),
        ({"known_nonmembers": Noise(200, 300), "pool": Noise(250, 330)}, "known_nonmembers are also in pool"),
    ],
)
def test_overlap_is_an_error_that_names_keys(tmp_path, roles, said):
    with pytest.raises(lmia.LmiaError, match=said) as caught:
        assigned(tmp_path, members=Noise(0, 100), nonmembers=Noise(100, 200), **roles)
    assert "'noise/" in caught.value.problem


def test_only_overlap_with_the_pool_may_be_allowed(tmp_path):
    roles = assigned(
        tmp_path,
        members=Noise(0, 100),
        nonmembers=Noise(100, 200),
        known_nonmembers=Noise(200, 300),
        pool=Noise(250, 330),
        allow_overlap=True,
    )
    assert all("--allow-overlap" in warning for warning in roles.warnings)
    assert roles.warnings
    with pytest.raises(lmia.LmiaError, match="also in known_nonmembers"):
        assigned(
            tmp_path,
            members=Noise(0, 100),
            nonmembers=Noise(100, 200),
            known_nonmembers=Noise(150, 300),
            allow_overlap=True,
        )


def test_members_among_nonmembers_are_an_error(tmp_path):
    with pytest.raises(lmia.LmiaError, match="members are also in nonmembers"):
        assigned(tmp_path, members=Noise(0, 100), nonmembers=Noise(99, 200))


def test_the_same_picture_under_another_key_is_found(tmp_path):
    class Copies(Noise):
        def read(self, shard):
            for pair in super().read(shard):
                yield lmia.Pair(f"copy of {pair.key}", "another caption", pair.image)

    with pytest.raises(lmia.LmiaError, match="'noise/0'"):
        assigned(tmp_path, members=Noise(0, 100), nonmembers=Copies(0, 40))


def test_duplicates_stay_on_one_side_of_a_cut(tmp_path):
    class Twins(Noise):
        def read(self, shard):
            for pair in super().read(shard):
                index = int(pair.key[6:])
                yield lmia.Pair(pair.key, pair.caption, png(picture(index // 2)))

    roles = assigned(tmp_path, members=Noise(1000, 1100), nonmembers=Twins(0, 300))
    where = {row: part for part, rows in roles.parts.items() for row in rows}
    by_group = {}
    for row, part in where.items():
        by_group.setdefault(roles.groups[row], set()).add(part)
    assert max(len(parts) for parts in by_group.values()) == 1
    assert Counter(roles.groups.tolist()).most_common(1)[0][1] == 2


def test_a_role_without_a_usable_pair_is_an_error(tmp_path):
    with pytest.raises(lmia.LmiaError, match=r"No pair of members .*image does not decode"):
        assigned(tmp_path, members=Noise(0, 10, broken=1), nonmembers=Noise(100, 200))


@pytest.mark.parametrize(
    "given",
    [
        {"members"},
        {"nonmembers"},
        {"suspects"},
        {"pool"},
        {"suspects", "members", "known_nonmembers"},
        {"members", "suspects"},
        {"known_nonmembers", "pool"},
    ],
)
def test_roles_that_make_no_audit(given):
    with pytest.raises(lmia.LmiaError, match=r"given: .*\n.*--members SPEC and --nonmembers SPEC"):
        check_given(dict.fromkeys(given, Noise(0, 1)))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.floats(0, 1), st.integers(0, 9))
def test_split_is_a_partition_that_respects_groups(groups, share, seed):
    rows, groups = np.arange(len(groups)), np.array(groups)
    try:
        first, rest = split(rows, groups, share, seed)
    except lmia.LmiaError:  # no cut comes near, since a group is more than that
        assert np.bincount(groups).max() > share * len(rows)
        return
    assert sorted([*first, *rest]) == rows.tolist()
    assert not set(groups[first]) & set(groups[rest])


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "u", "v"]), st.sampled_from("xyz")), max_size=25)
)
def test_groups_are_the_connected_components(rows):
    names = list(range(len(rows)))
    changed = True
    while changed:  # brute force: merge until nothing changes
        changed = False
        for i, a in enumerate(rows):
            for j, b in enumerate(rows[:i]):
                same = a[0] == b[0] or (a[1] == b[1] != "") or a[2] == b[2]
                if same and names[i] != names[j]:
                    old, new = max(names[i], names[j]), min(names[i], names[j])
                    names = [new if name == old else name for name in names]
                    changed = True
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    table = pa.table(
        {
            name: pa.array(column, pa.string())
            for name, column in zip(("sha256", "url", "caption"), columns, strict=True)
        }
    ).append_column("phash", pa.array(["0"] * len(rows), pa.string()))
    found = copies_of(table).groups
    assert [[a == b for b in names] for a in names] == [[a == b for b in found] for a in found]


def test_a_group_that_is_most_of_a_side_is_not_cut_off_for_less():
    groups = np.concatenate([np.zeros(800, int), np.arange(1, 201)])
    for seed in range(20):
        first, _ = split(np.arange(1000), groups, 0.3, seed)
        assert len(first) == 200
    halves = np.repeat([0, 1], 15)
    assert len(split(np.arange(30), halves, 1 / 3, 0)[0]) == 15
    with pytest.raises(
        lmia.LmiaError, match=r"No 30% of 1,000 pairs can be cut off: .* 1 groups, the largest of 1,000"
    ):
        split(np.arange(1000), np.zeros(1000, int), 0.3, 0)


def test_p_values_rest_on_one_calibration_pair_of_a_group():
    groups = np.array([5, 9, 9, 9, 7, 5, 3])
    roles = Roles((), pa.table({}), {"calibration": np.array([1, 2, 4, 3, 6])}, groups, (), ())
    assert roles.calibrating.tolist() == [0, 2, 4]
