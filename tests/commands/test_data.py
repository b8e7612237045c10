"""`lmia data check` on planted duplicates."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from PIL import Image

from lmia import overlap, specs
from lmia.commands.data import check, main, write_clean
from lmia.errors import LmiaError
from lmia.source import Pair, Source


def encoded(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def write(folder, name, data, caption):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    (folder / name).with_suffix(".txt").write_text(caption)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Members: 40 scenes. Non-members: 20 strangers, and of each kind 5 copies: bytes, q60, halved, recaptioned."""
    root = tmp_path_factory.mktemp("world")
    pairs = list(specs.source("emoji:0:40").read("scenes-0-40"))
    for i, pair in enumerate(pairs):
        write(root / "in", f"{i:02d}.png", encoded(pair.image, format="PNG"), pair.caption)
    for i, pair in enumerate(specs.source("emoji:5000:5020").read("scenes-5000-5020")):
        write(root / "out", f"new{i:02d}.png", encoded(pair.image, format="PNG"), pair.caption)
    for i, pair in enumerate(pairs[:20]):
        half = pair.image.resize((64, 64), Image.Resampling.LANCZOS)
        name, data, caption = [
            (f"a{i:02d}.png", encoded(pair.image, format="PNG"), pair.caption),
            (f"b{i:02d}.jpg", encoded(pair.image, format="JPEG", quality=60), pair.caption),
            (f"c{i:02d}.png", encoded(half, format="PNG"), pair.caption),
            (f"d{i:02d}.png", encoded(pair.image, format="PNG"), "something else entirely"),
        ][i // 5]
        write(root / "out", name, data, caption)
    return root


def args(world, *more):
    return ["check", "--members", str(world / "in"), "--nonmembers", str(world / "out"), *map(str, more)]


def test_planted_copies_are_found_and_false_alarms_counted(world):
    roles = {role: overlap.read(specs.source(str(world / role)), role) for role in ("in", "out")}
    found = check(roles)
    inside = {g for g, r in zip(found.group, found.role, strict=True) if r == 0}
    of_out = dict(zip(roles["out"].keys, found.group[found.role == 1], strict=True))
    copies = {key for key in of_out if not key.rpartition("/")[2].startswith("new")}
    assert len(copies) == 20
    assert all(of_out[key] in inside for key in copies)  # recall 1.0, also of the recaptioned
    assert sum(of_out[key] in inside for key in of_out.keys() - copies) <= 1  # false alarms of 20
    assert found.across["in in out"]["sha256"] == 10
    assert found.across["in in out"]["caption"] >= 15


def test_what_is_left_is_read_again_and_shares_nothing(world, tmp_path, capsys):
    assert main(args(world, "--out", tmp_path, "--write-clean", tmp_path / "clean")) == 0
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["roles"]["members"] == {"pairs": 40, "rejected": {}}
    assert "members in nonmembers: 10 by sha256" in capsys.readouterr().out
    roles = {
        r: overlap.read(specs.source(str(tmp_path / "clean" / f"{r}.parquet")), r) for r in ("members", "nonmembers")
    }
    again = check(roles)
    assert not any(again.across["members in nonmembers"][rule] for rule in ("sha256", "url", "looks"))
    removed = (tmp_path / "clean" / "removed.csv").read_text().splitlines()[1:]
    assert {line.rpartition(",")[2] for line in removed} == {"in several roles"}
    assert len(removed) + sum(map(len, roles.values())) == 80
    assert len(roles["members"]) <= 20


class Keys(Source):
    """A picture of each colour, whatever the keys."""

    def __init__(self, *pairs):
        self.pairs = pairs

    def shards(self):
        return ["0", "1"]

    def read(self, shard):
        for key, colour in self.pairs[int(shard) :: 2]:
            yield Pair(key, f"all {colour}", encoded(Image.effect_noise((40, 40), colour), format="PNG"))

    def fingerprint(self, shard):
        return shard


def test_keys_that_come_twice_or_are_no_text_are_kept_apart(tmp_path):
    """Places decide, not keys: the same key names other pictures in another shard."""
    source = Keys(("a", 10), ("a", 60), ("=b", 110), ("odd\udc80", 160))
    read = overlap.read(source, "mine")
    assert len(read) == 4
    found = check({"mine": read}, radius=0)
    assert write_clean({"mine": source}, {"mine": read}, found, tmp_path / "clean") == {"mine": 4}
    table = pq.read_table(tmp_path / "clean" / "mine.parquet").to_pylist()
    assert [row["key"] for row in table] == ["a", "=b", "a", "odd\\udc80"]
    assert len({row["image"] for row in table}) == 4


def test_repeats_within_a_role_keep_the_first_and_say_so(tmp_path):
    pairs = list(specs.source("emoji:0:3").read("scenes-0-3"))

    class Twice(Keys):
        def read(self, shard):
            for pair in pairs:
                yield Pair(f'{shard} "{pair.key}"', pair.caption, pair.image)

    source = Twice()
    read = overlap.read(source, "mine")
    assert write_clean({"mine": source}, {"mine": read}, check({"mine": read}), tmp_path / "clean") == {"mine": 3}
    with (tmp_path / "clean" / "removed.csv").open(newline="") as file:
        listed = list(csv.reader(file))
    assert listed[1:] == [["mine", f'1 "{pair.key}"', "repeated"] for pair in pairs]


def test_placeholders_are_named(tmp_path):
    for i in range(4):
        write(tmp_path / "mine", f"{i}.png", encoded(Image.new("RGB", (20, 20), "red"), format="PNG"), f"text {i}")
    mine = overlap.read(specs.source(str(tmp_path / "mine")), "mine")
    found = check({"mine": mine})
    assert found.placeholders == {mine.facts[0].phash: 4}
    assert found.within["mine"]["sha256"] == 3


def test_all_in_both_roles_leaves_nothing_and_writes_nothing(world, tmp_path):
    both = ["check", "--members", str(world / "in"), "--nonmembers", str(world / "in"), "--out", str(tmp_path)]
    with pytest.raises(LmiaError, match="Nothing is left of members"):
        main([*both, "--write-clean", str(tmp_path / "clean")])
    assert not (tmp_path / "clean").exists()


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["chekc"], "knows no 'chekc'"),
        (["check"], "No data is given"),
        (["check", "--mine", "emoji:0:1", "--radius", "99"], "99"),
    ],
)
def test_what_cannot_be_checked_is_refused(argv, problem):
    with pytest.raises(LmiaError, match=problem):
        main(argv)


def test_a_folder_that_holds_something_is_left_alone(world, tmp_path):
    (tmp_path / "old").write_text("x")
    with pytest.raises(LmiaError, match="not empty"):
        main(args(world, "--write-clean", tmp_path))
