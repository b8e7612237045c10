"""What cannot be seen is written out; what can be seen stays."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia.report.visible import visible


@pytest.mark.parametrize("text", ["", "plain", "Grüße", "日本語", "שלום", "👩‍🚀 rocket", "a\u3000b", "é"])
def test_readable_text_stays(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b31m", r"\x9b31m"),
        ("a\r\nb\tc\0", r"a\r\nb\tc\x00"),
        ("\u202e\u2066\u200e\ufeff", r"\u202e\u2066\u200e\ufeff"),
        ("\udc80", r"\udc80"),
        ("\u2028", r"\u2028"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_the_unseen_is_written_out(text, shown):
    assert visible(text) == shown


def test_lines_may_stay():
    assert visible("a\nb\r\x1b", lines=True) == "a\nb\\r\\x1b"


@settings(deadline=None)
@given(st.text(st.characters()))
def test_nothing_dangerous_is_left_and_a_second_time_changes_nothing(text):
    shown = visible(text)
    shown.encode("utf-8")
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI")]
    assert visible(shown) == shown
