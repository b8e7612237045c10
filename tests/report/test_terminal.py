"""The summary in the terminal: complete, narrow, plain where it must be."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lmia.report import sentences
from lmia.report.terminal import print_summary
from report import examples


def printed(report, path="out/report.html", **console):
    buffer = io.StringIO()
    print_summary(report, Console(**{"file": buffer, "width": 80} | console), Path(path))
    return buffer.getvalue()


def flat(text):
    return " ".join(text.split())


def test_leakage_fits_into_eighty_characters_with_every_interval_whole():
    text = printed(examples.leakage())
    assert max(map(len, text.splitlines())) <= 80
    for said in ("[0.919,0.959]", "[+0.030,+0.060]", "[36.0,60.0]", "TPR@1%", "TPR@0.1%", "estimable", "0.939"):
        assert said in text
    assert flat(sentences.answer(examples.leakage())) in flat(text)
    assert text.startswith("DEMO: not your data\nDoes demo-clip")
    assert "wsa found nothing to learn: The pool looks like" in flat(text)
    assert "Warning: Known non-members" in text
    assert examples.leakage().validity.positives.sentence() in flat(text)


@pytest.mark.parametrize("name", ["wsa", "aea:average", "wsa:official", "semi-supervised", "a-name-of-a-stranger"])
def test_no_interval_is_broken_whatever_an_attack_is_called(name):
    report = examples.leakage()
    text = printed(replace(report, attacks=[replace(attack, name=name) for attack in report.attacks if attack.auc]))
    rows = [line for line in text.splitlines() if "not" in line or "estimable" in line or line.startswith(name[:9])]
    assert max(map(len, text.splitlines())) <= 80
    assert all(line.count("[") == line.count("]") for line in rows)
    for said in ("[0.919,0.959]", "[+0.030,+0.060]", "[36.0,60.0]"):
        assert said in text


def test_the_path_is_last_and_whole_however_long():
    path = "/a/very/long/folder" * 12 + "/report.html"
    assert printed(examples.leakage(), path).splitlines()[-1] == f"Report: {path}"


def test_no_terminal_and_no_color_mean_no_escape(monkeypatch):
    assert "\x1b" not in printed(examples.leakage())
    assert "\x1b" in printed(examples.leakage(), force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in printed(examples.leakage(), force_terminal=True, color_system="standard")


def test_suspects():
    text = printed(examples.suspects())
    assert "37" in text
    assert "0.00746" in text
    assert "q <= 0.05" in text
    assert sentences.DEMO not in text


@pytest.mark.parametrize("make", [examples.none_ran, lambda: examples.leakage(attacks=())])
def test_no_answer_is_said(make):
    assert "No answer:" in printed(make())


@pytest.mark.parametrize("width", [20, 80, 200])
def test_hostile_names_are_text_not_markup_and_no_escape(width):
    text = printed(examples.hostile(), path="a\x1b[2Jb", width=width)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.splitlines()[-1] == r"Report: a\x1b[2Jb"
    text.encode("utf-8")
    if width == 200:
        assert "[bold]b[/bold]" in text


def test_every_attack_and_status_is_there():
    text = printed(examples.leakage(), width=200)
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("csa", "aea", "anchor", "wsa "))][:4] == [
        *("csa", "aea", "anchor", "wsa")
    ]
