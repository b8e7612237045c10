"""`lmia data check` on planted duplicates."""

import csv
import io
import json
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import lmia
from lmia import overlap, specs
from lmia.commands.data import ABOUT, main
from lmia.errors import LmiaError
from lmia.evidence.links import Links
from lmia.overlap import embeddings
from lmia.overlap.check import check
from lmia.overlap.clean import write_clean
from lmia.overlap.ties import Tie, partners
from lmia.picture import Facts
from lmia.source import Pair, Sample, Source


def encoded(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def noise(seed):
    return encoded(
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)), format="PNG"
    )


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
            (f"d{i:02d}.jpg", encoded(pair.image, format="JPEG", quality=60), "something else entirely"),
        ][i // 5]
        write(root / "out", name, data, caption)
    return root


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def args(world, *more):
    return ["check", "--members", str(world / "in"), "--nonmembers", str(world / "out"), *map(str, more)]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_planted_copies_are_found_and_false_alarms_counted(world):
    roles = {role: overlap.read(specs.source(str(world / role)), role) for role in ("in", "out")}
    found = check(roles)
    inside = {g for g, r in zip(found.group, found.role, strict=True) if r == 0}
    of_out = dict(zip(roles["out"].keys, found.group[found.role == 1], strict=True))
    kinds = {kind: [key for key in of_out if key.rpartition("/")[2].startswith(kind)] for kind in "abcd"}
    recall = {kind: sum(of_out[key] in inside for key in keys) / len(keys) for kind, keys in kinds.items()}
    strangers = [key for key in of_out if key.rpartition("/")[2].startswith("new")]
    alarms = sum(of_out[key] in inside for key in strangers)
    print(f"recall {recall}, false alarms {alarms} of {len(strangers)}")
    assert recall == {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}
    assert len(strangers) == 20
    assert alarms <= 1
    assert found.across["in in out"]["sha256"] == found.across["out in in"]["sha256"] == 5
    assert found.across["in in out"]["any"] == found.across["out in in"]["any"] == 20 + alarms
    assert found.across["in in out"]["caption"] >= 15


def test_every_copy_is_listed_with_its_rule_and_what_it_is_a_copy_of(world, tmp_path, capsys):
    assert main(args(world)) == 0
    out = capsys.readouterr().out
    assert "members: 40 records = 40 pairs + 0 rejected." in out
    assert "Of members also in nonmembers: 20 of 40 (same file 5, look alike" in out
    listed = {row["key"].rpartition("/")[2]: row for row in rows(tmp_path / "lmia-check" / "copies.csv")}
    for i in range(20):
        kind = "abcd"[i // 5]
        row = listed[f"{kind}{i:02d}.{'jpg' if kind in 'bd' else 'png'}"]
        assert (row["role"], row["why"]) == ("nonmembers", "in several roles")
        assert (row["of_role"], row["of_key"].rpartition("/")[2]) == ("members", f"{i:02d}.png")
        assert row["rule"] == ("sha256" if kind == "a" else "looks")
        assert (row["detail"] == "") == (kind == "a")
        other = listed[f"{i:02d}.png"]
        assert (other["of_role"], other["of_key"], other["rule"]) == ("nonmembers", row["key"], row["rule"])
    assert json.loads((tmp_path / "lmia-check" / "check.json").read_text())["copies"] == len(listed)


def test_what_is_left_is_read_again_shares_nothing_and_nothing_vanished(world, tmp_path, capsys):
    assert main(args(world, "--out", tmp_path, "--write-clean", tmp_path / "clean")) == 0
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["roles"]["members"] == {"pairs": 40, "rejected": {}, "not_drawn": 0}
    clean = {r: specs.source(str(tmp_path / "clean" / f"{r}.parquet")) for r in ("members", "nonmembers")}
    roles = {r: overlap.read(source, r) for r, source in clean.items()}
    again = check(roles)
    assert again.copies == []
    removed = rows(tmp_path / "clean" / "removed.csv")
    assert {row["why"] for row in removed} == {"in several roles"}
    assert (tmp_path / "clean" / "removed.csv").read_bytes() == (tmp_path / "copies.csv").read_bytes()
    out = capsys.readouterr().out
    for role, kept in roles.items():
        gone = sum(row["role"] == role for row in removed)
        assert len(kept) + gone == 40
        assert f"{role}.parquet: 40 records = {len(kept)} kept + {gone} removed + 0 rejected." in out
    assert len(roles["members"]) <= 20


class Keys(Source):
    """A picture of noise for each pair; two shards, by turns; b"" does not decode."""

    def __init__(self, *pairs):
        self.pairs = pairs

    def shards(self):
        return ["0", "1"]

    def read(self, shard):
        for key, sigma, *more in self.pairs[int(shard) :: 2]:
            image = sigma if isinstance(sigma, bytes) else noise(sigma)
            yield Pair(key, *(more or [f"all {sigma}"]), image) if len(more) < 2 else Pair(key, more[0], image, more[1])

    def fingerprint(self, shard):
        return shard


def test_keys_that_come_twice_are_numbered_and_what_is_no_text_is_spelt_out(tmp_path):
    """Places decide, not keys: the same key names other pictures in another shard."""
    source = Keys(
        ("a", 10),
        ("a", 60),
        ("=b", 110),
        ("odd\udc80", 160),
        ("url", 90, "a caption", "http://x.org/ä"),
        ("lone", 30, "a \udfff caption"),
        ("broken", b"no picture", "a caption"),
    )
    read = overlap.read(source, "mine")
    assert len(read) == 5
    assert read.rejected == {"caption is not Unicode": 1, "image does not decode": 1}
    found = check({"mine": read}, radius=0)
    left = write_clean({"mine": source}, {"mine": read}, found, tmp_path / "clean")["mine"]
    assert (left.records, left.kept, left.removed, left.rejected, left.renamed) == (7, 5, 0, 2, 1)
    table = pq.read_table(tmp_path / "clean" / "mine.parquet").to_pylist()
    assert [row["key"] for row in table] == ["a", "=b", "url", "a#2", "odd\\udc80"]
    assert [row["key_in_source"] for row in table] == ["a", "=b", "url", "a", "odd\\udc80"]
    assert table[2]["url"] == "http://x.org/ä"
    assert len({row["image"] for row in table}) == 5
    again = overlap.read(specs.source(str(tmp_path / "clean" / "mine.parquet")), "mine")
    assert again.rejected == {}
    assert [fact.sha256 for fact in again.facts] == [fact.sha256 for fact in read.facts]


def test_repeats_within_a_role_keep_the_first_and_name_it(tmp_path):
    pairs = list(specs.source("emoji:0:3").read("scenes-0-3"))

    class Twice(Keys):
        def read(self, shard):
            for pair in pairs:
                yield Pair(f'{shard} "{pair.key}"', pair.caption, pair.image)

    source = Twice()
    read = overlap.read(source, "mine")
    left = write_clean({"mine": source}, {"mine": read}, check({"mine": read}), tmp_path / "clean")
    assert (left["mine"].kept, left["mine"].removed) == (3, 3)
    listed = rows(tmp_path / "clean" / "removed.csv")
    assert [(row["key"], row["record"], row["why"], row["rule"]) for row in listed] == [
        (f'1 "{pair.key}"', str(3 + i), "repeated", "sha256") for i, pair in enumerate(pairs)
    ]
    assert [(row["of_key"], row["of_record"]) for row in listed] == [
        (f'0 "{p.key}"', str(i)) for i, p in enumerate(pairs)
    ]


def test_an_address_is_a_rule_of_its_own(tmp_path):
    source = Keys(("a", 10, "one", "http://www.x.org/1"), ("b", 120, "two", "https://x.org/1#top"))
    found = check({"mine": overlap.read(source, "mine")}, radius=0)
    assert [(copy.row, copy.rule, copy.of) for copy in found.copies] == [(1, "url", 0)]


def test_a_copy_of_a_copy_in_another_role_goes_too_and_names_what_it_is_tied_to():
    """a and b of `one` share an address, b and c of `two` a file: a is in both roles only by way of b."""
    same = noise(50)
    one = Keys(("a", 10, "one", "x.org/1"), ("b", same, "two", "x.org/1"))
    two = Keys(("c", same, "three", "x.org/2"), ("d", 200, "four"))
    roles = {"one": overlap.read(one, "one"), "two": overlap.read(two, "two")}
    found = check(roles, radius=0)
    names = [key for role in roles.values() for key in role.keys]
    told = {names[copy.row]: (copy.why, copy.rule, names[copy.of]) for copy in found.copies}
    assert told == {
        "a": ("in several roles", "url", "b"),
        "b": ("in several roles", "sha256", "c"),
        "c": ("in several roles", "sha256", "b"),
    }


def test_a_sample_says_what_it_did_not_draw(tmp_path, capsys):
    inside = Keys(*((str(i), 10 * i) for i in range(1, 11)), ("broken", b"", "x"))
    read = overlap.read(Sample(inside, 8), "mine")
    assert (read.records, len(read), read.left_out, read.rejected) == (11, 8, 2, {"image does not decode": 1})
    left = write_clean({"mine": Sample(inside, 8)}, {"mine": read}, check({"mine": read}, 0), tmp_path / "clean")[
        "mine"
    ]
    assert left.records == left.kept + left.removed + left.rejected + left.left_out == 11


def test_pictures_that_change_while_they_are_read_are_refused_and_leave_nothing(tmp_path):
    source = Keys(("a", 10), ("b", 60))
    read = overlap.read(source, "mine")
    for change in (source.pairs[:1], (source.pairs[0], ("b", 61))):
        source.pairs = change
        with pytest.raises(LmiaError, match="changed while they were read: 1 of 2"):
            write_clean({"mine": source}, {"mine": read}, check({"mine": read}, 0), tmp_path / "clean")
        assert list((tmp_path / "clean").iterdir()) == []


def test_placeholders_are_named(tmp_path, capsys):
    for i in range(4):
        write(tmp_path / "mine", f"{i}.png", encoded(Image.new("RGB", (20, 20), "red"), format="PNG"), f"text {i}")
    mine = overlap.read(specs.source(str(tmp_path / "mine")), "mine")
    found = check({"mine": mine})
    assert found.placeholders == {mine.facts[0].phash: (4, 4)}
    assert found.within["mine"]["sha256"] == found.within["mine"]["any"] == 3
    assert main(["check", "--mine", str(tmp_path / "mine")]) == 0
    out = capsys.readouterr().out
    assert f"One look (phash {mine.facts[0].phash}) stands under 4 different captions, in 4 pairs" in out
    assert "Repeated within mine: 3 of 4 (same file 3, look alike 3)." in out


def test_nothing_found_is_said_with_its_limit(tmp_path, capsys):
    write(tmp_path / "mine", "a.png", noise(50), "text")
    assert main(["check", "--mine", str(tmp_path / "mine")]) == 0
    assert "No picture was found twice. Crops and strong edits" in capsys.readouterr().out


def test_all_in_both_roles_leaves_nothing_and_writes_nothing(world, tmp_path):
    both = ["check", "--members", str(world / "in"), "--nonmembers", str(world / "in"), "--out", str(tmp_path)]
    with pytest.raises(LmiaError, match="Nothing is left of members"):
        main([*both, "--write-clean", str(tmp_path / "clean")])
    assert not (tmp_path / "clean").exists()


class Eye(lmia.Target):
    """Sees the mean colour of each quarter, and nothing else."""

    seen = 0

    def preprocess(self, image):
        return torch.from_numpy(np.asarray(image.resize((2, 2), Image.Resampling.BOX)).copy()).permute(2, 0, 1)

    def tokenize(self, captions):
        return torch.zeros((len(captions), 1), dtype=torch.int64)

    def encode_image(self, pixels):
        Eye.seen += len(pixels)
        return pixels.flatten(1) - 0.5

    def encode_text(self, tokens):
        return torch.ones((len(tokens), 12))

    def facts(self):
        return lmia.TargetFacts("eye")

    def fingerprint(self):
        return "eye"


class Blind(Eye):
    """Answers cosines alone."""

    answers = frozenset({"cosine"})


def grained(colours, seed):
    """Four quarters of colour under grain without a mean: another grain changes the looks, and not what `Eye` sees."""
    grain = np.random.default_rng(seed).integers(-60, 61, (2, 32, 2, 32, 3))
    grain = np.rint(grain - grain.mean(axis=(1, 3), keepdims=True))
    pixels = np.reshape(colours, (2, 1, 2, 1, 3)) + grain
    return Image.fromarray(pixels.reshape(64, 64, 3).astype(np.uint8))


@pytest.fixture
def edited(tmp_path):
    """8 pictures a role; the first 3 of the second are edits of the first 3 of the first, which looks do not find."""
    colours = np.random.default_rng(7).integers(64, 192, (16, 4, 3))
    for i in range(8):
        theirs = colours[i] if i < 3 else colours[8 + i]
        write(tmp_path / "in", f"{i}.png", encoded(grained(colours[i], i), format="PNG"), f"picture {i}")
        write(tmp_path / "out", f"{i}.png", encoded(grained(theirs, 100 + i), format="PNG"), f"other {i}")
    return tmp_path


@pytest.fixture
def _eye(monkeypatch):
    monkeypatch.setattr(specs, "target", lambda spec, pretrained: {"eye": Eye, "blind": Blind}[spec]())


@pytest.mark.usefixtures("_eye")
def test_embeddings_find_what_looks_do_not(edited, capsys):
    command = args(edited, "--radius", 0, "--embeddings", "eye", "--threshold", 0.97)
    assert main([*command, "--cache", str(edited / "cache"), "--write-clean", str(edited / "clean")]) == 0
    out = capsys.readouterr().out
    assert "Of members also in nonmembers: 3 of 8 (near by embedding 3)" in out
    removed = rows(edited / "clean" / "removed.csv")
    assert [(row["role"], row["key"], row["rule"]) for row in removed] == [
        (role, f"{i}.png", "embedding") for role in ("members", "nonmembers") for i in range(3)
    ]
    assert [row["of_key"] for row in removed] == [row["key"] for row in removed]
    assert all(float(row["detail"].removeprefix("cosine ")) >= 0.97 for row in removed)
    report = json.loads((edited / "lmia-check" / "check.json").read_text())
    assert (report["threshold"], report["target"]["name"]) == (0.97, "eye")


@pytest.mark.usefixtures("_eye")
def test_features_that_the_store_has_are_not_made_again(edited, capsys):
    command = args(edited, "--radius", 0, "--embeddings", "eye", "--cache", edited / "cache")
    main(command)
    first, Eye.seen = capsys.readouterr().out, 0
    main(command)
    assert Eye.seen == 0
    assert capsys.readouterr().out == first


@pytest.mark.usefixtures("_eye")
def test_a_sample_of_a_role_is_compared_by_its_own_features(edited, capsys):
    sample = ["check", "--members", f"{edited / 'in'}?n=5", "--nonmembers", str(edited / "out")]
    main([*sample, "--radius", "0", "--embeddings", "eye", "--threshold", "0.97"])
    drawn = overlap.read(specs.source(sample[2]), "members").keys
    expected = sum(key in drawn for key in ("0.png", "1.png", "2.png"))
    assert len(drawn) == 5
    assert f"Of members also in nonmembers: {expected} of 5" in capsys.readouterr().out or not expected


@pytest.mark.usefixtures("_eye")
def test_false_friends_are_seconded_by_the_model(world, capsys):
    main(args(world, "--embeddings", "eye", "--threshold", 0.999))
    assert "The model finds " in capsys.readouterr().out


@pytest.mark.usefixtures("_eye")
@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--embeddings", "blind"], "answers no embeddings"),
        (["--embeddings", "eye", "--threshold", "1.5"], "A cosine of 1.5"),
        (["--embeddings", "eye", "--batch", "0"], "Batches of 0"),
        (["--threshold", "0.9"], "--threshold is given, but no model"),
        (["--approximate"], "--approximate is given, but no model"),
        (["--pretrained", "x"], "--pretrained is given, but no model"),
    ],
)
def test_embeddings_that_cannot_be_compared_are_refused(edited, more, problem):
    with pytest.raises(LmiaError, match=problem):
        main(args(edited, *more))


@pytest.mark.usefixtures("_eye")
def test_too_many_pictures_for_all_pairs_are_refused_in_plain_words(edited, monkeypatch):
    monkeypatch.setattr(embeddings, "EXACT", 10)
    with pytest.raises(LmiaError, match="16 different pictures are too many to compare each with each") as caught:
        main(args(edited, "--embeddings", "eye"))
    assert "--approximate" in caught.value.remedy


@pytest.mark.usefixtures("_eye")
def test_an_index_finds_the_same(edited, monkeypatch, capsys):
    pytest.importorskip("faiss", reason="the extra `neighbours` (faiss-cpu) is not installed")
    monkeypatch.setattr(embeddings, "EXACT", 10)
    main(args(edited, "--radius", 0, "--embeddings", "eye", "--threshold", 0.97, "--approximate"))
    assert "Of members also in nonmembers: 3 of 8 (near by embedding 3)" in capsys.readouterr().out


def test_one_file_is_compared_once_and_stands_for_its_copies():
    """10 copies of one file are one picture to the model: no pair of them is sought."""
    same = noise(50)
    read = overlap.read(Keys(*((str(i), same) for i in range(10)), ("other", 200)), "mine")
    links = embeddings.near(np.eye(11, 4, dtype=np.float32) + 1, {"mine": read}, 0.1)
    assert len(links.left) == 1
    found = check({"mine": read}, 0, links)
    assert len(np.unique(found.group)) == 1
    assert {copy.rule for copy in found.copies} == {"sha256", "embedding"}


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    out = capsys.readouterr().out
    for rule in ("sha256", "url", "looks", "embedding"):
        assert f"\n  {rule}" in out
    for word in ("--write-clean", "--radius", "--embeddings", "--threshold", "--approximate", "Why:"):
        assert word in out
    assert max(map(len, ABOUT.splitlines())) <= 100


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


@pytest.mark.parametrize("seed", range(20))
def test_every_row_is_told_a_row_that_it_is_tied_to(seed):
    """Random words and near words: the partner is tied, in another role where one is, and the nearest of them."""
    rng = np.random.default_rng(seed)
    role, words = rng.integers(0, 3, 14), rng.integers(0, 8, 14)
    near = {(a, b): float(rng.integers(1, 9)) for a in range(8) for b in range(a + 1, 8) if rng.random() < 0.3}
    first = np.array([int(np.flatnonzero(words == w)[0]) for w in words])
    there = {p: d for p, d in near.items() if (words == p[0]).any() and (words == p[1]).any()}
    ordered = sorted(there, key=there.get)
    at = [[int(np.flatnonzero(words == p[k])[0]) for p in ordered] for k in (0, 1)]
    links = Links(np.array(at[0], np.int64), np.array(at[1], np.int64), np.array([there[p] for p in ordered]))
    of, _, value = partners(role, [Tie(first, links)])

    def distance(i, j):
        if words[i] == words[j]:
            return 0.0
        return there.get((min(words[i], words[j]), max(words[i], words[j])), np.inf)

    for i in range(14):
        apart = {j: distance(i, j) for j in range(14) if j != i and distance(i, j) < np.inf}
        elsewhere = {j: d for j, d in apart.items() if role[j] != role[i]}
        assert (of[i] < 0) == (not apart)
        if elsewhere:
            assert elsewhere[of[i]] == min(elsewhere.values()) == value[i]
        elif apart:
            assert apart[of[i]] == value[i]


def seconds(n):
    """Check two roles of n pictures each, of which a tenth is in both; return what it cost this process."""
    rng = np.random.default_rng(0)
    roles = {}
    hashes = rng.integers(0, 2**63, 2 * n, dtype=np.uint64)
    hashes[n : n + n // 10] = hashes[: n // 10] ^ np.uint64(0b101)
    for name, start in (("members", 0), ("nonmembers", n)):
        names = [f"{name} {i}" for i in range(n)]
        looks = [f"{int(one):016x}" for one in hashes[start : start + n]]
        facts = [Facts(sha, phash, 1, 1, 1, "PNG", "", "", ()) for sha, phash in zip(names, looks, strict=True)]
        roles[name] = overlap.Pictures(range(n), names, names, facts, {})
    start = time.process_time()
    found = check(roles)
    taken = time.process_time() - start
    assert found.across["members in nonmembers"]["looks"] >= n // 10
    return taken


@pytest.mark.slow
def test_the_cost_grows_much_less_than_the_pairs_do():
    small, large = seconds(6_250), seconds(100_000)
    print(f"check: {small:.2f} s for 12,500 pictures, {large:.2f} s for 200,000")
    assert large < 80 * small  # 16 times the pictures; all pairs would be 256 times
