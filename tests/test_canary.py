"""`lmia canary`: what is made, what would survive, what the key binds, and what the test says of models that recall."""

import io
import json
import re
from collections import Counter
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chisquare

import players
from lmia import shell, specs
from lmia.canary.design import Design, variants_of
from lmia.canary.key import canonical, choose, design_seed, read_key
from lmia.canary.making import make, plan
from lmia.canary.survival import degraded, near_copies, survival, told_apart
from lmia.canary.trial import Variants, judged
from lmia.commands.canary import main
from lmia.errors import LmiaError
from lmia.picture import open_pair
from lmia.source import Pair
from plugins.openclip_models import folder

ITEMS = 20


def photo(index, size=(96, 72)):
    """Smooth colours: as a photo, little of it is fine grain."""
    coarse = np.random.default_rng(index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(ITEMS):
        photo(i).save(folder / f"{i:02d}.png")
        (folder / f"{i:02d}.txt").write_text(f"a thing, number {i}")
    return folder


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("canaries") / "new"
    result = make(plan(specs.source(str(photos))), out, Design(), sha256(b"fixed").digest())
    return out, result


@pytest.fixture
def models(monkeypatch):
    players.install(monkeypatch, "canary_models")
    monkeypatch.setitem(shell.COMMANDS, "canary", "lmia.commands.canary:main")


def outcome(made, tmp_path, model, capsys, commitment=None):
    out, result = made
    words = ["--sealed", str(out / "sealed"), "--commitment", commitment or result.key.commitment]
    code = shell.run(["canary", "test", *words, "--model", f"{model}:{out / 'publish'}", "--out", str(tmp_path / "r")])
    return code, capsys.readouterr()


class TestMake:
    def test_what_is_published_is_one_sealed_variant_each(self, made):
        out, result = made
        assert len(result.key.items) == ITEMS
        assert {path.name for path in out.iterdir()} == {"publish", "sealed", "commitment.txt"}
        for item in result.key.items:
            files = [(out / "sealed" / "variants" / f"{item.name}-{i}.jpg").read_bytes() for i in range(8)]
            assert [sha256(file).hexdigest() for file in files] == list(item.pictures)
            assert len(set(files)) == len(set(item.captions)) == 8
            assert (out / "publish" / f"{item.name}.jpg").read_bytes() == files[item.choice]
            assert (out / "publish" / f"{item.name}.txt").read_text() == item.captions[item.choice] + "\n"
        assert len(list((out / "publish").iterdir())) == 2 * ITEMS
        assert len({item.choice for item in result.key.items}) > 1

    def test_the_commitment_is_of_the_canonical_key(self, made):
        out, result = made
        tree = json.loads((out / "sealed" / "key.json").read_text())
        text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
        assert sha256(text.encode()).hexdigest() == (out / "commitment.txt").read_text().strip()
        assert result.key.commitment == sha256(text.encode()).hexdigest()
        assert read_key(out / "sealed" / "key.json", result.key.commitment) == result.key

    def test_only_the_owner_reads_what_is_sealed(self, made):
        out, _ = made
        assert (out / "sealed").stat().st_mode & 0o077 == 0
        assert (out / "sealed" / "key.json").stat().st_mode & 0o077 == 0

    def test_power_comes_first_and_two_runs_choose_differently(self, photos, tmp_path, capsys):
        keys = []
        for name in "ab":
            assert main(["make", "--source", str(photos), "--out", str(tmp_path / name)]) == 0
            said = capsys.readouterr().out.splitlines()
            assert said[0] == f"{ITEMS} items with 8 variants each, false alarms at most 0.01:"
            assert "found 90% of the time" in said[1]
            assert "rehearsal" not in "".join(said)
            commitment = (tmp_path / name / "commitment.txt").read_text().strip()
            assert any(commitment in line for line in said)
            keys.append(read_key(tmp_path / name / "sealed" / "key.json", commitment))
        assert keys[0].secret != keys[1].secret
        assert [item.choice for item in keys[0].items] != [item.choice for item in keys[1].items]

    def test_a_seed_repeats_and_says_that_it_proves_nothing(self, photos, tmp_path, capsys):
        for name in "ab":
            main(["make", "--source", str(photos), "--out", str(tmp_path / name), "--seed", "4", "--change", "image"])
        assert "a rehearsal" in capsys.readouterr().out
        assert (tmp_path / "a" / "commitment.txt").read_text() == (tmp_path / "b" / "commitment.txt").read_text()
        assert json.loads((tmp_path / "a" / "sealed" / "key.json").read_text())["rehearsal"] is True

    def test_an_unreadable_item_is_rejected_and_counted(self, tmp_path, capsys):
        source = tmp_path / "in"
        source.mkdir()
        for i in range(4):
            photo(i).save(source / f"{i}.png")
            (source / f"{i}.txt").write_text("" if i == 1 else "a thing")
        (source / "2.png").write_bytes(b"not a picture")
        (source / "9.txt").write_text("no picture")
        assert main(["make", "--source", str(source), "--out", str(tmp_path / "out"), "--variants", "2"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("2 items with 2 variants each can never reach p = 0.01: the smallest p is 0.25.")
        assert "Items: 2; rejected: 1 " in said
        tree = json.loads((tmp_path / "out" / "sealed" / "key.json").read_text())
        assert [item["source"] for item in tree["items"]] == ["0.png", "3.png"]
        assert sum(tree["rejected"].values()) == 3
        assert tree["rejected"]["image does not decode"] == 1

    def test_a_sample_is_drawn(self, photos, tmp_path):
        source = specs.source(f"{photos}?n=5&seed=1")
        chosen = plan(source)
        assert (len(chosen.keys), chosen.left_out) == (5, ITEMS - 5)
        result = make(chosen, tmp_path / "out", Design(variants=2), b"secret")
        assert tuple(item.source for item in result.key.items) == chosen.keys

    def test_nothing_usable_is_an_error_and_writes_nothing(self, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.png").write_bytes(b"no")
        (tmp_path / "in" / "a.txt").write_text("a")
        with pytest.raises(LmiaError, match=r"no usable pair: 1 image does not decode"):
            main(["make", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out")])
        assert not (tmp_path / "out").exists()

    def test_a_sealed_key_is_never_overwritten(self, made, photos):
        out, result = made
        with pytest.raises(LmiaError, match="is not empty"):
            main(["make", "--source", str(photos), "--out", str(out)])
        assert read_key(out / "sealed" / "key.json", result.key.commitment)

    def test_a_failure_leaves_nothing(self, photos, tmp_path):
        chosen = plan(specs.source(str(photos)))
        gone = replace(chosen, keys=("another.png", *chosen.keys[1:]))
        with pytest.raises(LmiaError, match="changed while it was read"):
            make(gone, tmp_path / "out", Design(variants=2), b"secret")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "words",
        [
            ["--variants", "1"],
            ["--variants", "33"],
            ["--variants", "x"],
            ["--strength", "0"],
            ["--strength", "nan"],
            ["--change", "sound"],
            ["--side", "2"],
            ["--alpha", "0"],
            ["--alpha", "1"],
        ],
    )
    def test_what_cannot_be_is_refused(self, words, photos, tmp_path):
        with pytest.raises(LmiaError):
            main(["make", "--source", str(photos), "--out", str(tmp_path / "out"), *words])
        assert not (tmp_path / "out").exists()


class TestDesign:
    def test_choices_are_uniform(self):
        counts = Counter(choose(b"k" * 32, str(i), 7) for i in range(7000))
        assert chisquare([counts[i] for i in range(7)]).pvalue > 0.001

    def test_choices_do_not_follow_from_designs(self):
        """The choice is an index into variants whose own order is the same, whatever was chosen."""
        seed, other = design_seed(b"a" * 32, "00001"), design_seed(b"b" * 32, "00001")
        assert seed != other
        assert variants_of(photo(0), "a", Design(), seed) == variants_of(photo(0), "a", Design(), seed)
        assert variants_of(photo(0), "a", Design(), seed) != variants_of(photo(0), "a", Design(), other)

    def test_one_part_alone_changes_where_asked(self):
        image = variants_of(photo(0), "a dog", Design(change="image"), b"x")
        caption = variants_of(photo(0), "a dog", Design(change="caption"), b"x")
        assert ({one.caption for one in image}, len({one.image for one in image})) == ({"a dog"}, 8)
        assert (len({one.image for one in caption}), len({one.caption for one in caption})) == (1, 8)

    def test_variants_of_one_item_share_no_word_of_their_names(self):
        names = [one.caption.removesuffix(": a dog") for one in variants_of(photo(0), "a dog", Design(32), b"x")]
        assert len({word for name in names for word in name.split()}) == 64

    def test_a_large_picture_is_shrunk(self):
        (one, _) = variants_of(photo(0, (300, 90)), "a", Design(variants=2, side=100), b"x")
        assert Image.open(io.BytesIO(one.image)).size == (100, 30)

    def test_a_turned_picture_is_published_upright_without_its_metadata(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "Maker"
        (tmp_path / "in").mkdir()
        photo(0).save(tmp_path / "in" / "a.jpg", exif=exif)
        (tmp_path / "in" / "a.txt").write_text("a")
        make(plan(specs.source(str(tmp_path / "in"))), tmp_path / "out", Design(2), b"secret")
        with Image.open(tmp_path / "out" / "publish" / "00001.jpg") as image:
            assert image.size == (72, 96)
            assert not image.getexif()


class TestSurvival:
    @pytest.mark.parametrize(
        "image",
        [photo(0), photo(1, (400, 300)), *(Image.new("RGB", (64, 64), c) for c in ("white", "black", "red"))],
        ids=["photo", "large", "white", "black", "red"],
    )
    def test_variants_are_told_apart_after_halving_and_jpeg_50(self, image):
        files = [one.image for one in variants_of(image, "a", Design(variants=12), b"y")]
        assert told_apart(files) == 12

    def test_they_are_told_apart_by_plain_distance_too(self):
        """An independent reading: full-size distances in float64, after a harsher way: a quarter of the area, JPEG 30."""
        files = [one.image for one in variants_of(photo(3), "a", Design(), b"z")]
        clean = [np.asarray(Image.open(io.BytesIO(file)), np.float64) for file in files]
        for i, file in enumerate(files):
            rough = io.BytesIO()
            Image.open(io.BytesIO(file)).resize((48, 36), Image.Resampling.BILINEAR).save(rough, "JPEG", quality=30)
            seen = np.asarray(Image.open(rough).resize((96, 72), Image.Resampling.BILINEAR), np.float64)
            assert np.argmin([((seen - one) ** 2).mean() for one in clean]) == i

    def test_they_stay_close_to_the_original(self):
        for index in range(5):
            original = photo(index)
            _, facts = open_pair(Pair("o", "o", original))
            made = variants_of(original, "a", Design(), bytes([index]))
            looks = [open_pair(Pair("v", "v", one.image))[1].phash for one in made]
            found = survival(original, (facts.phash, looks), [one.image for one in made])
            assert found.moved < 255 * 0.08
            assert found.bits <= 16  # two pictures that have nothing in common differ in 32
            for one in made:
                away = np.asarray(Image.open(io.BytesIO(one.image)), np.float64) - np.asarray(original, np.float64)
                assert np.abs(away).max() < 255 * 0.3

    def test_equal_pictures_are_not_told_apart(self):
        files = [one.image for one in variants_of(photo(0), "a", Design(change="caption"), b"x")]
        assert told_apart(files) == 0

    def test_a_strength_too_small_to_survive_is_seen(self):
        files = [one.image for one in variants_of(photo(0), "a", Design(strength=0.001), b"x")]
        assert told_apart(files) < 8

    def test_degraded_is_half_and_small(self):
        file = variants_of(photo(0), "a", Design(2), b"x")[0].image
        assert Image.open(io.BytesIO(degraded(file))).size == (48, 36)
        assert len(degraded(file)) < len(file) / 2

    def test_near_copies_are_counted(self):
        assert near_copies([]) == 0
        assert near_copies(["0" * 16, "f" + "0" * 15, "f" * 16]) == 2
        assert near_copies(["0" * 16, "ff" + "0" * 14, "f" * 16]) == 0

    def test_the_run_reports_it(self, photos, tmp_path, capsys):
        main(["make", "--source", str(photos), "--out", str(tmp_path / "out")])
        said = capsys.readouterr().out
        assert f"{8 * ITEMS} of {8 * ITEMS} pictures are still told apart" in said
        assert f"0 of {ITEMS} published pictures look like another one to a de-duplicator." in said
        main(["make", "--source", str(photos), "--out", str(tmp_path / "faint"), "--strength", "0.001"])
        assert "Warning: too many variants look alike" in capsys.readouterr().out


class TestKey:
    def _changed(self, made, tmp_path, change):
        tree = json.loads((made[0] / "sealed" / "key.json").read_text())
        change(tree)
        path = tmp_path / "key.json"
        path.write_text(json.dumps(tree, indent=2))
        return path, sha256(canonical(tree)).hexdigest()

    def test_layout_does_not_matter_and_content_does(self, made, tmp_path):
        commitment = made[1].key.commitment
        path, _ = self._changed(made, tmp_path, lambda tree: None)
        assert read_key(path, f" {commitment.upper()}\n") == made[1].key

        def other_choice(tree):
            tree["items"][0]["choice"] = (tree["items"][0]["choice"] + 1) % 8

        path, fresh = self._changed(made, tmp_path, other_choice)
        with pytest.raises(LmiaError, match="does not match its commitment"):
            read_key(path, commitment)
        with pytest.raises(LmiaError, match="do not follow from its secret"):
            read_key(path, fresh)

    @pytest.mark.parametrize(
        "change",
        [
            lambda tree: tree.update(format=2),
            lambda tree: tree.update(rule="another"),
            lambda tree: tree.update(items=[]),
            lambda tree: tree.update(items=None),
            lambda tree: tree.update(more=1),
            lambda tree: tree.update(secret="no"),
            lambda tree: tree.update(secret=3),
            lambda tree: tree.update(secret="ab" * 65),
            lambda tree: tree.update(variants=float(tree["variants"])),
            lambda tree: tree.update(alpha="0.01"),
            lambda tree: tree.update(rejected=None),
            lambda tree: tree.update(variants=3),
            lambda tree: tree["items"][0].update(name="../../etc"),
            lambda tree: tree["items"][0].pop("captions"),
            lambda tree: tree["items"].append(tree["items"][0]),
        ],
    )
    def test_a_key_that_is_none_is_refused_though_its_commitment_holds(self, change, made, tmp_path):
        path, commitment = self._changed(made, tmp_path, change)
        with pytest.raises(LmiaError):
            read_key(path, commitment)

    @pytest.mark.parametrize("text", ["", "{", "[]", "\xff", '{"a": NaN}', "[" * 100_000])
    def test_a_file_that_is_no_key_is_refused(self, text, tmp_path):
        path = tmp_path / "key.json"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(LmiaError):
            read_key(path, "0" * 64)

    def test_a_missing_key_is_named(self, tmp_path):
        with pytest.raises(LmiaError, match=r"There is no key .*key\.json"):
            read_key(tmp_path / "key.json", "0" * 64)


@pytest.mark.usefixtures("models")
class TestTest:
    def test_a_model_that_recalls_is_found(self, made, tmp_path, capsys):
        code, said = outcome(made, tmp_path, "recall", capsys)
        assert code == 0
        assert "Found: the model prefers what was published" in said.out
        data = json.loads((tmp_path / "r" / "canary.json").read_text())
        assert data["found"] is True
        assert data["p"] < 1e-6
        assert data["outscores"]["low"] > 0.5
        scores = np.array([row["scores"] for row in data["rows"]])
        ranks = [sum(s < row["scores"][row["published"]] for s in row["scores"]) for row in data["rows"]]
        assert scores.shape == (ITEMS, 8)
        assert [row["rank"] for row in data["rows"]] == ranks
        assert data["rank_sum"] == sum(ranks)
        assert data["commitment"] == made[1].key.commitment

    def test_a_model_without_memory_is_not_and_its_false_alarms_are_counted(self, made, tmp_path, capsys):
        code, said = outcome(made, tmp_path, "forget", capsys)
        assert code == 0
        assert "Not found" in said.out
        scores = np.array([row["scores"] for row in json.loads((tmp_path / "r" / "canary.json").read_text())["rows"]])
        key, p = made[1].key, []
        for i in range(500):  # the same scores, had the secret been another
            secret = sha256(str(i).encode()).digest()
            items = tuple(replace(item, choice=choose(secret, item.name, 8)) for item in key.items)
            p.append(judged(scores, replace(key, items=items)).p)
        for alpha in (0.01, 0.05, 0.2, 0.5):
            assert abs(np.mean(np.array(p) <= alpha) - alpha) < 4 * np.sqrt(alpha / 500)

    def test_a_model_that_sees_nothing_ties_and_ties_count_against_the_owner(self, made, tmp_path, capsys):
        code, said = outcome(made, tmp_path, "blind", capsys)
        data = json.loads((tmp_path / "r" / "canary.json").read_text())
        assert (code, data["p"], data["items_tied"], data["rank_sum"]) == (0, 1.0, ITEMS, 0)
        assert f"In {ITEMS} items the published variant ties" in said.out

    def test_the_wrong_commitment_is_two_lines_and_exit_code_2(self, made, tmp_path, capsys):
        code, said = outcome(made, tmp_path, "recall", capsys, "0" * 64)
        assert code == 2
        assert said.out == ""
        assert len(said.err.splitlines()) == 2
        assert "does not match its commitment" in said.err
        assert not (tmp_path / "r").exists()

    @pytest.mark.parametrize("fault", ["changed", "missing"])
    def test_a_variant_that_is_not_the_sealed_one_is_named(self, fault, photos, tmp_path, capsys):
        out = tmp_path / "new"
        result = make(plan(specs.source(str(photos))), out, Design(variants=2), b"secret")
        victim = out / "sealed" / "variants" / "00003-1.jpg"
        outcome((out, result), tmp_path, "recall", capsys)  # with all features cached, the fault is seen all the same
        victim.write_bytes(victim.read_bytes() + b" ") if fault == "changed" else victim.unlink()
        code, said = outcome((out, result), tmp_path, "recall", capsys)
        assert code == 2
        assert "00003-1.jpg is" in said.err
        assert len(said.err.splitlines()) == 2

    def test_one_item_of_two_variants(self, photos, tmp_path, capsys):
        out = tmp_path / "new"
        result = make(plan(specs.source(f"{photos}?n=1&seed=0")), out, Design(variants=2), b"secret")
        code, said = outcome((out, result), tmp_path, "recall", capsys)
        assert code == 0
        assert "can never reach p = 0.01: the smallest p is 0.5" in said.out
        data = json.loads((tmp_path / "r" / "canary.json").read_text())
        assert data["p"] in (0.5, 1.0)
        assert data["found"] is False

    def test_a_second_run_gives_the_same_from_the_cache(self, made, tmp_path, capsys):
        rows = []
        for _ in range(2):
            outcome(made, tmp_path, "recall", capsys)
            rows.append(json.loads((tmp_path / "r" / "canary.json").read_text())["rows"])
        assert rows[0] == rows[1]

    def test_a_rehearsal_says_so(self, made, tmp_path, capsys, photos):
        out = tmp_path / "new"
        result = make(plan(specs.source(str(photos))), out, Design(2), b"secret", rehearsal=True)
        _, said = outcome((out, result), tmp_path, "recall", capsys)
        assert "a rehearsal, which proves nothing" in said.out


def test_items_beyond_a_shard_are_read_once_each(made):
    out, result = made
    many = tuple(replace(result.key.items[0], name=f"{i:05d}") for i in range(600))
    variants = Variants(replace(result.key, items=many), out / "sealed" / "variants")
    assert len(variants.shards()) == 3
    assert sum(variants.count(shard) for shard in variants.shards()) == 600 * 8


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_is_shown(words, capsys):
    assert main(words) == 0
    assert "lmia canary make" in capsys.readouterr().out


def test_an_unknown_word_is_refused():
    with pytest.raises(LmiaError, match="knows no 'mke'"):
        main(["mke"])


def test_the_key_goes_through_json_and_back(made):
    key = made[1].key
    assert json.loads(canonical(asdict(key)))["items"][0]["choice"] == key.items[0].choice


@pytest.mark.usefixtures("models")
def test_the_page_recomputes_p_and_knows_every_option(made, tmp_path, capsys, monkeypatch):
    page = (Path(__file__).parent.parent / "docs" / "canary.md").read_text()
    outcome(made, tmp_path, "recall", capsys)
    (tmp_path / "r").rename(tmp_path / "lmia-canary")
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(code, {})
    ours, theirs = map(float, capsys.readouterr().out.split())
    assert ours == theirs < 1e-6
    data = json.loads((tmp_path / "lmia-canary" / "canary.json").read_text())
    for word in re.findall(r"^\| `(.+?)` \| (?!everybody)", page, re.M):
        assert word in data or word.startswith("--") or word == "sealed/" or "`, `" in word, word
    with pytest.raises(SystemExit):
        main(["make", "--help"])
    helped = capsys.readouterr().out
    for option in set(re.findall(r"--[a-z]+", helped)) - {"--help"}:
        assert option in page, option


def test_a_real_model_is_tested(made, tmp_path, capsys):
    """An OpenCLIP model with random weights: it knows nothing, and its p is what its own scores say."""
    out, result = made
    folder(tmp_path / "model")
    words = ["--sealed", str(out / "sealed"), "--commitment", result.key.commitment, "--out", str(tmp_path / "r")]
    assert main(["test", *words, "--model", f"local-dir:{tmp_path / 'model'}"]) == 0
    data = json.loads((tmp_path / "r" / "canary.json").read_text())
    assert data["p"] > 0.001
    assert all(len(set(row["scores"])) > 1 for row in data["rows"])
