import dataclasses
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmia
from lmia import ledger, record, roles
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.evidence import verdict
from lmia.extract import FeatureExtractor
from lmia.seal import Seal, audited, check, entered, read_seal, write_seal
from lmia.stock import Parts, parts
from test_stock import config_of
from worlds import Matrices, Noise, Plain

SEALED_WITH = lmia.__version__
WHEN = "2026-01-01T00:00:00+00:00"
SEAL = Seal(
    Parts({"seed": 0}, {"members": {"records": 1, "shards": ["a"]}}, {"target": "t"}, {"rule": "1"}, {"lmia": "1"}),
    WHEN,
)


class Small:
    """An audit of the small world, made and not yet run."""

    def __init__(
        self, tmp_path, *, target=None, members=None, nonmembers=None, attacks=None, seed=0, placebo=(), out="out"
    ):
        self.model = FeatureExtractor(target or Matrices("0:80", leak=2.0), None, tmp_path / "cache")
        self.data = AuditData(members=members or Noise(0, 80), nonmembers=nonmembers or Noise(400, 520))
        self.attacks, self.placebo, self.out, self.seed = attacks or [Plain()], placebo, tmp_path / out, seed
        self.config = config_of(self.model, self.data, self.attacks, placebo, out=self.out, seed=seed)
        self.plan = roles.plan(self.data)

    @property
    def parts(self):
        return parts(self.config, self.model, self.data, self.attacks, self.placebo)

    @property
    def calls(self):
        return sum(self.model.target.calls.values())

    def run(self, seal=None):
        trainer = record.trainer(accelerator="cpu")
        return lmia.run_audit(
            self.model, self.data, self.attacks, out=self.out, seed=self.seed, seal=seal, trainer=trainer
        )

    def enter(self, seal=None):
        return entered(self.config, self.model, self.plan, ["plain"], seal)


def tampered(path, change):
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    return path


def refusal(call, *words):
    with pytest.raises(LmiaError) as error:
        call(*words)
    assert "\n" not in error.value.problem
    return error.value.problem


def test_a_seal_comes_back_as_it_was(tmp_path):
    path = write_seal(tmp_path / "seal.json", SEAL)
    assert read_seal(path) == SEAL
    assert check(path, SEAL.parts) == SEAL == check(str(path), SEAL.parts)
    assert [one.name for one in tmp_path.iterdir()] == ["seal.json"]


def test_the_digest_is_the_one_that_the_file_explains(tmp_path):
    """Recomputed as its `about` says, without lmia."""
    tree = json.loads(write_seal(tmp_path / "seal.json", SEAL).read_text())

    def sha(part):
        return hashlib.sha256(json.dumps(part, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()

    assert {name: sha(part) for name, part in tree["contents"].items()} == tree["digests"]
    assert sha(tree["digests"]) == tree["digest"] == SEAL.digest
    assert "sorted keys, without spaces, in ASCII" in tree["about"]


def test_the_digest_does_not_hang_on_the_time():
    assert dataclasses.replace(SEAL, created="another day").digest == SEAL.digest


def test_a_seal_replaces_no_file(tmp_path):
    path = write_seal(tmp_path / "seal.json", SEAL)
    before = path.read_bytes()
    assert "is there already" in refusal(write_seal, path, SEAL)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    assert "cannot be written" in refusal(write_seal, tmp_path / "no" / "seal.json", SEAL)


@pytest.mark.parametrize("part", ["config", "data", "weights", "rule", "version"])
def test_a_part_that_was_changed_in_the_file_is_named(tmp_path, part):
    path = write_seal(tmp_path / "seal.json", SEAL)
    tampered(path, lambda tree: tree["contents"][part].update(more="x"))
    assert refusal(check, path, SEAL.parts) == f"The seal '{path}' was changed after it was made: its {part}."
    tampered(path, lambda tree: tree["contents"][part].pop("more"))
    assert check(path, SEAL.parts) == SEAL
    tampered(path, lambda tree: tree["digests"].update({part: "0" * 64}))
    assert refusal(read_seal, path).endswith(f"its {part}.")


@pytest.mark.parametrize("change", [lambda tree: tree.update(digest="0" * 64), lambda tree: tree.pop("digest"),
                                    lambda tree: tree["digests"].update(more="x")])  # fmt: skip
def test_a_digest_that_was_changed_is_named(tmp_path, change):
    path = tampered(write_seal(tmp_path / "seal.json", SEAL), change)
    assert refusal(read_seal, path) == f"The seal '{path}' was changed after it was made: its digest."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"format": NaN}', "is not JSON"),
        ("[]", "is no seal of format 1"),
        ("{}", "is no seal of format 1; its format is None"),
        ('{"format": 2}', "is no seal of format 1; its format is 2"),
        ('{"format": 1}', "lacks a part"),
        ('{"format": 1, "digests": {}, "created": "", "contents": {"config": {}}}', "lacks a part"),
        (
            '{"format": 1, "digests": {}, "created": 5, "contents": {"config": {}, "data": {}, "weights": {}, "rule": {}, '
            '"version": {}}}',
            "lacks a part",
        ),
        (
            '{"format": 1, "digests": {}, "created": "", "contents": {"config": {}, "data": [], "weights": {}, "rule": {}, '
            '"version": {}}}',
            "holds no keys in its data",
        ),
    ],
    ids=range(11),
)
def test_what_is_no_seal_is_two_lines(tmp_path, text, said):
    (tmp_path / "seal.json").write_text(text)
    assert said in refusal(read_seal, tmp_path / "seal.json")


def test_bytes_and_folders_are_no_seals(tmp_path):
    (tmp_path / "seal.json").write_bytes(b"\xff\xfe\x00")
    assert "is not JSON" in refusal(read_seal, tmp_path / "seal.json")
    assert "cannot be read" in refusal(read_seal, tmp_path)


TREES = st.dictionaries(
    st.text(max_size=4), st.none() | st.integers() | st.text(max_size=4) | st.floats(-9, 9), max_size=3
)
PARTS = st.builds(Parts, TREES, TREES, TREES, TREES, TREES)


@settings(max_examples=50, deadline=None)
@given(PARTS, PARTS)
def test_it_passes_just_where_every_part_is_the_same(tmp_path_factory, one, other):
    path = write_seal(tmp_path_factory.mktemp("seal") / "seal.json", Seal(one, WHEN))
    assert check(path, one).digest == Seal(one, "").digest
    changed = [name for name in one.digests if one.digests[name] != other.digests[name]]
    if not changed:
        assert check(path, other).parts == one
        return
    said = refusal(check, path, other).partition(": ")[2]
    assert said.startswith(changed[0])
    assert all(name in said for name in changed)


def test_an_audit_that_was_changed_is_refused_before_any_model_pass(tmp_path):
    sealed = Small(tmp_path)
    path = write_seal(tmp_path / "seal.json", Seal(sealed.parts, ledger.now()))
    assert sealed.calls == 0
    begins = f"This audit is not the one sealed in '{path}': "
    for change, words in [
        ({"seed": 7}, "config: seed was 0, is 7"),
        ({"members": Noise(0, 79)}, "data: members (80 records, now 79)"),
        ({"nonmembers": Noise(400, 520, broken=3)}, "data: nonmembers (as many records, but others)"),
        ({"target": Matrices("0:80", leak=3.0)}, "weights: target"),
        ({"placebo": [Matrices("0:0", seed=9)]}, 'config: placebo was [], is not set, placebo[0] was not set, is '
         '"worlds.Matrices"; weights: placebos'),
    ]:  # fmt: skip
        other = Small(tmp_path, **change)
        assert refusal(check, path, other.parts) == begins + words + "."
        assert other.calls == 0
    assert check(path, Small(tmp_path, out="elsewhere").parts).digest == Seal(sealed.parts, "").digest


def test_another_rule_or_version_is_refused(tmp_path, monkeypatch):
    small = Small(tmp_path)
    path = write_seal(tmp_path / "seal.json", Seal(small.parts, WHEN))
    monkeypatch.setattr(verdict, "ALPHA", 0.05)
    assert refusal(check, path, small.parts).endswith(": rule: ALPHA was 0.01, is 0.05.")
    monkeypatch.undo()
    monkeypatch.setattr(lmia, "__version__", "9.9")
    assert refusal(check, path, small.parts).endswith(f': version: lmia was "{SEALED_WITH}", is "9.9".')


def test_from_seal_to_report_in_the_small_world(tmp_path):
    """Checked, scored, entered: each run of the same data is counted, and held against the seal."""
    small = Small(tmp_path)
    path = write_seal(tmp_path / "seal.json", Seal(small.parts, "2999-01-01T00:00:00+00:00"))
    first = small.run()
    assert (first.provenance.sealed, first.provenance.run) == ("", 1)
    second = Small(tmp_path, out="another").run(path).provenance
    assert (second.sealed, second.sealed_at) == (read_seal(path).digest, "2999-01-01T00:00:00+00:00")
    assert (second.run, second.repeats, second.before_seal, second.same_target) == (2, 1, 1, 1)
    first_screen = (tmp_path / "another" / "report.html").read_text().partition("</header>")[0]
    assert f"Sealed at {second.sealed} before scoring" in first_screen
    assert "Run 2 on these data (1 earlier, with these attacks: plain)." in first_screen

    calls = small.calls
    with pytest.raises(LmiaError, match="config: seed was 0, is 1"):
        Small(tmp_path, seed=1, out="refused").run(path)
    assert small.calls == calls
    assert not (tmp_path / "refused").exists()

    line, again = ledger.earlier(tmp_path / "cache", audited(small.plan)).scorings
    assert (line.target, line.attacks, line.settings) == (first.target["fingerprint"], ("plain",), again.settings)
    assert line.verdict == first.verdict.word


def test_without_the_audit_check_and_ledger_work_alone(tmp_path):
    first, second, other = Small(tmp_path), Small(tmp_path), Small(tmp_path, seed=1)
    assert first.enter().sentences()[1] == "Run 1 on these data: this cache knows of none before it."
    seal = check(write_seal(tmp_path / "seal.json", Seal(second.parts, "2999-01-01T00:00:00+00:00")), first.parts)
    found = second.enter(seal)
    assert (found.sealed, found.run, found.repeats, found.before_seal) == (seal.digest, 2, 1, 1)
    assert [(one.run, one.repeats) for one in (other.enter(), other.enter())] == [(3, 0), (4, 1)]
    assert Small(tmp_path, target=Matrices("0:80", leak=3.0)).enter().same_target == 0


def test_another_file_of_columns_is_no_repeat(tmp_path):
    small, file = Small(tmp_path), tmp_path / "columns.csv"
    file.write_text("key,shoot\n")
    small.config["data"]["columns"] = str(file)
    assert [small.enter().repeats, small.enter().repeats] == [0, 1]
    file.write_text("key,shoot\nnoise/1,a\n")
    assert small.enter().repeats == 0
    file.unlink()
    assert small.enter().repeats == 0


def test_the_count_is_of_audited_data_whichever_side_they_are_on(tmp_path):
    ours, theirs, more = Noise(0, 80), Noise(400, 480), Noise(900, 980)

    def name(**given):
        return audited(roles.plan(AuditData(**given)))

    assert name(members=ours, nonmembers=theirs) == name(members=theirs, nonmembers=ours)
    assert name(members=ours, nonmembers=theirs) == name(
        members=ours, nonmembers=theirs, pool=more, known_nonmembers=more
    )
    assert name(members=ours, nonmembers=theirs) != name(members=ours, nonmembers=more)
    assert name(suspects=ours, known_nonmembers=theirs) == name(suspects=ours, known_nonmembers=more)


def test_another_pool_is_another_run_of_the_same_data(tmp_path):
    small = Small(tmp_path)
    small.enter()
    small.plan = roles.plan(AuditData(**small.data.given(), pool=Noise(900, 980)))
    found = small.enter()
    assert (found.run, found.repeats) == (2, 0)
