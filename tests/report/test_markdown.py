"""report.md, read back by a Markdown parser."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lmia.report import markdown, sentences
from lmia.report.visible import visible
from report import examples

PARSER = MarkdownIt("commonmark").enable("table")


def leaves(text):
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


def shown(text):
    """What a reader sees: text with all markup taken away."""
    parts = [
        token.content
        for token in leaves(text)
        if token.type in ("text", "text_special", "fence", "html_inline", "html_block")
    ]
    return "".join(parts)


@settings(deadline=None)
@given(st.text())
def test_escaped_text_is_shown_as_it_is(text):
    if not (seen := visible(text)).strip():
        return
    line = f"| a |\n| --- |\n| x{markdown.escape(text)}x |"
    assert not [
        t
        for t in leaves(line)
        if t.type in ("html_inline", "html_block", "link_open", "em_open", "code_inline", "image")
    ]
    assert f"x{seen}x" in shown(line)


@pytest.mark.parametrize("make", [examples.leakage, examples.suspects, examples.none_ran, examples.hostile])
def test_no_html_no_link_and_whole_tables(make):
    text = markdown.markdown(make())
    kinds = {token.type for token in leaves(text)}
    assert "table_open" in kinds
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "code_inline", "em_open"}
    assert "\x1b" not in text
    assert "\u202e" not in text
    text.encode("utf-8")


def test_says_everything():
    report = examples.leakage()
    text = shown(markdown.markdown(report))
    for said in (
        sentences.question(report),
        sentences.answer(report),
        *report.warnings,
        *report.limits,
        *sentences.sides(report),
        *markdown.threshold_lines(report),
        *(note for attack in report.attacks for note in sentences.notes(attack)),
        *sentences.tpr_notes(report),
        "0.939 [0.919, 0.959]",
        report.validity.positives.sentence(),
        "AUC of 60 shown several times (median 8)",
        "0.972 [0.957, 0.987]",
        "+0.045 [+0.030, +0.060]",
        "48.0 % [36.0, 60.0]",
        "not estimable",
        "no caption: 7; does not decode: 5",
        sentences.DEMO,
        report.scores_sha256,
    ):
        assert said in text
    for attack in report.attacks:
        assert attack.name in text


def test_suspects():
    text = shown(markdown.markdown(examples.suspects()))
    assert "stand out (q <= 0.05)" in text
    assert sentences.DEMO not in text


@pytest.mark.parametrize("make", [examples.leakage, examples.hostile])
def test_the_configuration_can_be_read_back(make):
    report = make()
    fence = next(token for token in PARSER.parse(markdown.markdown(report)) if token.type == "fence")
    assert fence.info == "yaml"
    if make is examples.leakage:
        assert yaml.safe_load(fence.content) == report.config
    else:
        assert "```" in fence.content


def test_configuration_with_accents_stays_readable_and_with_tricks_exact():
    assert "Grüße" in markdown.config_yaml(examples.leakage(config={"path": "Grüße"}))
    tricky = {"path": ("a\u202eb", "c\x1bd")}
    text = markdown.config_yaml(examples.leakage(config=tricky))
    assert text.isascii()
    assert yaml.safe_load(text) == {"path": list(tricky["path"])}


def test_the_same_report_makes_the_same_text():
    assert markdown.markdown(examples.leakage()) == markdown.markdown(examples.leakage())
