"""What benchmarks tell is one table and one file, and a missed figure is an exit code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

figures = pytest.importorskip("benchmarks.figures", reason="needs the repository's own benchmarks/")
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("limits", "reached"),
    [({"least": 0.85}, True), ({"least": 0.95}, False), ({"most": 1}, True), ({"most": 0}, False)],
)
def test_a_figure_is_the_median_of_its_rounds_and_held_against_what_is_asked(limits, reached):
    one = figures.figure("ours / theirs", 0.8, 1.2, 0.9, **limits)
    assert (one.value, one.reached) == (0.9, reached)
    assert one.row().startswith("| ours / theirs | 0.9 | 0.8 to 1.2 | at ")
    assert one.row().endswith("yes |" if reached else "NO |")


def test_what_is_told_is_kept_and_read_back(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(figures.KEPT, str(tmp_path / "kept"))
    told = [figures.figure("a / b", 1, 2, 4, least=1.5), figures.figure("seconds", 3)]
    assert figures.tell(told) == 0
    assert figures.tell([figures.figure("c / d", 1, most=0.5)]) == 1
    assert figures.told(tmp_path / "kept")[:2] == told
    assert len(figures.told(tmp_path / "kept")) == 3
    assert capsys.readouterr().out.count("| figure | value |") == 2


def test_an_unknown_name_is_refused_before_anything_runs(tmp_path):
    words = [sys.executable, "-m", "benchmarks", "evidence", "nothing", "--out", str(tmp_path)]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "unknown: nothing; there are extraction-demo" in run.stderr
    assert not list(tmp_path.iterdir())


def test_a_process_is_not_charged_with_the_memory_of_the_one_that_started_it():
    held = bytearray(b"1") * (1 << 28)
    words = [sys.executable, "-c", "from benchmarks.process import most_resident; print(most_resident())"]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert 1 << 20 < int(run.stdout) < len(held)


@pytest.mark.parametrize(("words", "code"), [(("benchmarks.evidence", "2000"), 0), (("benchmarks.nowhere",), 1)])
def test_one_command_runs_them_and_writes_a_table_and_a_file(tmp_path, monkeypatch, capfd, words, code):
    every = pytest.importorskip("benchmarks.__main__")
    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(every.ALL, "small", ("a small one", *words))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "small", "--out", str(tmp_path / "out")])
    assert every.main() == code
    told = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert told["machine"]["cores"] >= 1
    names = [one["name"] for one in told["figures"]["small"]]
    table = (tmp_path / "out" / "figures.md").read_text()
    assert all(f"| {name} |" in table for name in names)
    assert ("evidence for 2,000 + 2,000 scores, seconds" in names) == (code == 0)
    assert ("small broke: exit code 1." in capfd.readouterr().out) == (code == 1)


UNITS = {"minutes": 1 / 60, "hours": 1, "GPU-hours": 1}


@pytest.mark.parametrize(
    ("model", "row", "passes"),
    [
        ("ViT-L-14", "| CSA, WSA, Anchor (", 2),
        ("ViT-L-14", "| and AEA with 8 views", 18),
        ("ViT-B-32", "| ViT-B-32: ", 1),
    ],
)
def test_what_it_takes_is_worked_out_of_measured_rates(model, row, passes):
    """ViT-B-32 is bound by decoding, so that one pass counts of its two."""
    measured, taken = ((ROOT / "docs" / name).read_text() for name in ("performance.md", "cluster.md"))
    rate = float(re.search(rf"^\| {model} \| ([\d,]+) \|", measured, re.MULTILINE)[1].replace(",", ""))
    (line,) = (line for line in taken.splitlines() if line.startswith(row))
    hours = [float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+) (minutes|hours|GPU-hours)", line)]
    assert hours == pytest.approx([passes * pairs / rate / 3600 for pairs in (1e6, 1e8, 4e8)], rel=0.04)
