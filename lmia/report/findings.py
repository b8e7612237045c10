"""Free-form data of a report (findings, settings, environment) as small tables, ready to be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmia.report.cells import scalar

MOST_ROWS = 100
MOST_CHARS = 400


@dataclass(frozen=True)
class Table:
    """A table of text.

    Args:
        title: what it is called, or empty.
        columns: c headings; empty for a table of names and values.
        rows: each with c cells (2 where there are no headings).
        left_out: how many rows are not shown; they are in report.json.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left_out: int = 0


def tables(data: Mapping[str, object], title: str = "") -> list[Table]:
    """Lay out plain data: single values in one table of names and values, each list of mappings in its own.

    Args:
        data: JSON-able.
        title: of the first table.

    Example:
        >>> found = tables({"lam": 0.5, "all": [{"lam": 0.5, "n": 9}, {"lam": 1.0}]})
        >>> found[0].rows, found[1].columns, found[1].rows
        ([('lam', '0.5')], ('lam', 'n'), [('0.5', '9'), ('1', '-')])
    """
    singles = {name: value for name, value in _flat(data) if not _is_table(value)}
    rows = [(name, _cell(value)) for name, value in singles.items()]
    made = [Table(title, (), rows[:MOST_ROWS], max(0, len(rows) - MOST_ROWS))] if rows else []
    return made + [_table(name, value) for name, value in _flat(data) if _is_table(value)]


def _flat(data: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found


def _is_table(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _table(name: str, value: object) -> Table:
    records = [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []
    columns = tuple(dict.fromkeys(str(key) for row in records for key in row))
    rows = [tuple(_cell(row.get(column)) for column in columns) for row in records[:MOST_ROWS]]
    return Table(name, columns, rows, max(0, len(records) - MOST_ROWS))


def _cell(value: object) -> str:
    text = scalar(value)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]} ..."
