"""CSV files for a person, who opens them in a spreadsheet: what would run there as a formula is made text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from lmia.report.visible import visible

_FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001 (some spreadsheets take the wide ones as well)


def as_csv(rows: Iterable[Sequence[object]]) -> bytes:
    r"""Write rows as CSV: floats to six figures, empty where there is nothing, text as `text_cell` has it.

    Args:
        rows: the first are the heads.

    Example:
        >>> as_csv([["key", "auc"], ["=1+1", -0.25], ["b", None]])
        b"key,auc\n'=1+1,-0.25\nb,\n"
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8")


def text_cell(text: str) -> str:
    r"""Put an apostrophe before what a spreadsheet would take for a formula, and write out what cannot be seen.

    Numbers stay numbers. A key that begins with such a sign is no longer the key to the letter: for programs there are
    JSON and parquet.

    Example:
        >>> print(text_cell('=HYPERLINK("http://a")'), text_cell("-0.087"), text_cell("a\rb"))
        '=HYPERLINK("http://a") -0.087 a\rb
    """
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) and not _number(shown) else shown


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else text_cell(str(value))


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
