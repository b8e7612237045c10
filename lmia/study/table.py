"""A study's table, one row a cell and attack, and its summary over seeds."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmia.evidence.estimate import Estimate
from lmia.membership import NAME as MANIFEST_FILE
from lmia.report import spreadsheet
from lmia.report.run import read_run
from lmia.study.cell import CELLS, TRAININGS, figures, finished
from lmia.study.grid import Cell
from lmia.study.measures import Found, Value, measured
from lmia.study.plan import Study

Row = dict[str, str | float | None]


def rows(study: Study, cells: Sequence[Cell], out: Path) -> list[Row]:
    """Read the rows of all cells: factors, seed, attack, status, every measure with its interval, and why a cell failed."""
    found: list[Row] = []
    for cell in cells:
        told = finished(cell, out) or {"failed": "It is not finished."}
        head: Row = {**cell.levels, "seed": cell.seed}
        if "failed" in told:
            values = _values(dict.fromkeys(study.measure))
            found.append({**head, "attack": "", "status": "failed", **values, "failed": str(told["failed"])})
            continue
        run, figured = read_run(out / CELLS / cell.folder), figures(cell, out)
        for attack in run.report.attacks:
            one = Found(run, attack, figured, out / TRAININGS / cell.training.key / MANIFEST_FILE)
            values = _values({name: measured(name, one) for name in study.measure})
            found.append({**head, "attack": attack.name, "status": attack.status, **values, "failed": attack.reason})
    return _square(found, study)


def _values(measures: Mapping[str, Value]) -> Row:
    row: Row = {}
    for name, value in measures.items():
        row[name] = value.value if isinstance(value, Estimate) else value
        if isinstance(value, Estimate):
            row |= {f"{name} low": value.low, f"{name} high": value.high}
    return row


def _square(found: Sequence[Row], study: Study) -> list[Row]:
    """Give every row the same columns in the same order; an interval's only where some row has one."""
    there = {key for row in found for key in row}
    wide = [key for name in study.measure for key in (name, f"{name} low", f"{name} high") if key in there]
    columns = [*study.vary, "seed", "attack", "status", *wide, "failed"]
    return [{key: row.get(key) for key in columns} for row in found]


def summary(study: Study, found: Sequence[Row]) -> list[Row]:
    """Summarise over seeds: mean, sample standard deviation, smallest, largest and n of each measure; words are counted.

    With `against`, also the mean difference to that level, of the same seed and the same other factors, its smallest and
    largest, and the ratio of the means.
    """
    kept: list[Row] = []
    for names, group in _grouped(study, found).items():
        line: Row = dict(zip([*study.vary, "attack"], names, strict=True))
        line["seeds"] = len(group)
        for name in study.measure:
            line |= _spread(name, [row.get(name) for row in group])
            if study.against and name in study.compared:
                line |= _against(study, name, group, found)
        kept.append(line)
    columns = list(dict.fromkeys(key for line in kept for key in line))
    return [{key: line.get(key) for key in columns} for line in kept]


def _grouped(study: Study, found: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in found:
        groups.setdefault(tuple(str(row[key]) for key in (*study.vary, "attack")), []).append(row)
    return groups


def _spread(name: str, values: Sequence[str | float | None]) -> Row:
    if words := [value for value in values if isinstance(value, str)]:
        return {name: ", ".join(f"{word} {times}" for word, times in sorted(Counter(words).items()))}
    numbers = [float(value) for value in values if value is not None and not isinstance(value, str)]
    if not numbers:
        return {f"{name} n": 0}
    spread = statistics.stdev(numbers) if len(numbers) > 1 else None
    ends: Row = {f"{name} min": min(numbers), f"{name} max": max(numbers), f"{name} n": len(numbers)}
    return {f"{name} mean": statistics.fmean(numbers), f"{name} sd": spread, **ends}


def _against(study: Study, name: str, group: Sequence[Row], found: Sequence[Row]) -> Row:
    """Compare a measure with that of the same seed at the level it is set against."""
    factor, level = study.against["factor"], study.against["level"]
    pairs = []
    for row in group:
        other = _reference(study, row, [one for one in found if one[factor] == level])
        mine, its = row.get(name), other.get(name) if other else None
        if isinstance(mine, (int, float)) and isinstance(its, (int, float)):
            pairs.append((mine, its))
    if not pairs or group[0][factor] == level:
        return {}
    less = [mine - its for mine, its in pairs]
    base = statistics.fmean(its for _, its in pairs)
    line: Row = {f"{name} minus {level}": statistics.fmean(less)}
    line |= {f"{name} minus {level} min": min(less), f"{name} minus {level} max": max(less)}
    return line | {f"{name} over {level}": statistics.fmean(mine for mine, _ in pairs) / base if base > 0 else None}


def _reference(study: Study, row: Row, there: Sequence[Row]) -> Row | None:
    """Find the row to compare with: of the same attack, or of the only one there is."""
    same = [key for key in (*study.vary, "seed") if key != study.against["factor"]]
    mine = [one for one in there if all(one[key] == row[key] for key in same)]
    alike = [one for one in mine if one["attack"] == row["attack"]] or (mine if len(mine) == 1 else [])
    return alike[0] if alike else None


def as_csv(lines: Sequence[Row]) -> bytes:
    r"""Write rows as CSV, their names first; see `lmia.report.spreadsheet`.

    Example:
        >>> as_csv([{"a": 0.25, "b": None}])
        b'a,b\n0.25,\n'
    """
    return spreadsheet.as_csv([list(lines[0]) if lines else [], *(list(row.values()) for row in lines)])


def as_parquet(lines: Sequence[Row]) -> bytes:
    """Write rows as parquet; equal rows are equal bytes. A column with a word in it is text."""
    columns = {}
    for key in lines[0] if lines else []:
        values = [row[key] for row in lines]
        text = any(isinstance(value, str) for value in values)
        kind = pa.string() if text else pa.int64() if key == "seed" else pa.float64()
        columns[key] = pa.array([str(v) if text and v is not None else v for v in values], kind)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd", store_schema=False)
    return bytes(sink.getvalue().to_pybytes())
