"""CSV, TSV and JSONL by 4,096 rows. A line that cannot be read costs itself alone."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, cast

import lmia
from lmia_table.rows import Part, Row, damaged

TEXT_ROWS = 4096
LINE_BYTES = 16 << 20
_TOO_LONG = '""\0"\0'
"""Stands for a line that is too long: neither JSON nor strict CSV can read it, not even within an open quote."""
PEEK = 100
"""A JSONL table's columns are the keys of this many first rows."""


class _Lines:
    """The lines of a text with their places, as `csv` reads them; `taken` since the last `restart` can be put back."""

    def __init__(self, handle: IO[bytes], place: int) -> None:
        handle.seek(place)
        self.handle = handle
        self.place = place
        self.waiting: deque[tuple[int, str]] = deque()
        self.taken: list[tuple[int, str]] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.waiting.popleft() if self.waiting else self._line()
        self.taken.append(line)
        return line[1]

    def restart(self) -> None:
        self.taken.clear()

    def put_back(self) -> None:
        """Put back all lines taken but the first."""
        self.waiting.extendleft(reversed(self.taken[1:]))

    def _line(self) -> tuple[int, str]:
        place = self.place
        line = self.handle.readline(LINE_BYTES)
        if not line:
            raise StopIteration
        self.place += len(line)
        if len(line) == LINE_BYTES and not line.endswith(b"\n"):
            while rest := self.handle.readline(LINE_BYTES):
                self.place += len(rest)
                if rest.endswith(b"\n"):
                    break
            return place, _TOO_LONG
        encoding = "utf-8-sig" if place == 0 else "utf-8"
        return place, line.decode(encoding, "surrogateescape")


class Text:
    """A CSV, TSV or JSONL table, perhaps with `.gz`.

    Args:
        path: where it is.
        delimiter: between the columns of a CSV; None to choose of tab, comma, semicolon and bar the one that gives
            the header most columns that `known` knows, or else most columns.
        known: lower-case names of columns that a header may have.
    """

    def __init__(self, path: Path, delimiter: str | None, known: frozenset[str]) -> None:
        self.path = path
        endings = [ending.lower() for ending in path.suffixes[-2:]]
        self.json = ".jsonl" in endings
        self.delimiters = "\t,;|" if ".tsv" in endings else ",\t;|"
        self.delimiter = delimiter
        self.known = known

    def columns(self) -> list[str]:
        """Name the columns of the header, or the keys of the first rows of JSON."""
        with _opened(self.path) as handle:
            if self.json:
                rows = (row for _, row in islice(_json(_Lines(handle, 0)), PEEK) if not isinstance(row, str))
                return list(dict.fromkeys(key for row in rows for key in row))
            return self._header(handle)[0]

    def parts(self, column: str | None, note: Callable[[int, object], None]) -> list[Part]:
        """Go once through the text and list its parts."""
        places: list[int] = []
        number = 0
        with _opened(self.path) as handle:
            for number, (place, row) in enumerate(self._all(handle, None), 1):
                if number % TEXT_ROWS == 1:
                    places.append(place)
                if column is not None and not isinstance(row, str):
                    note(number - 1, row.get(column))
        return [Part(p, i * TEXT_ROWS, min(TEXT_ROWS, number - i * TEXT_ROWS)) for i, p in enumerate(places)]

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """Yield a part's rows with all columns."""
        with _opened(self.path) as handle:
            for _, row in islice(self._all(handle, part.place), part.rows):
                yield row

    def witness(self, part: Part, columns: Sequence[str], image: str) -> Iterator[Row]:
        """Yield the rows, without the columns that nobody asked for."""
        for row in self.rows(part, columns):
            yield row if isinstance(row, str) else {column: row.get(column) for column in columns}

    def _all(self, handle: IO[bytes], place: int | None) -> Iterator[tuple[int, Row]]:
        if self.json:
            return _json(_Lines(handle, place or 0))
        header, delimiter, after = self._header(handle)
        return _csv(_Lines(handle, after if place is None else place), delimiter, header)

    def _header(self, handle: IO[bytes]) -> tuple[list[str], str, int]:
        """Read the names of the columns; return them, the delimiter, and where the rows begin."""
        first = next(_Lines(handle, 0), "")
        if "\0" in first or any("\ud800" <= letter <= "\udfff" for letter in first):
            raise lmia.LmiaError(f"The table '{self.path}' is not UTF-8 text.", "Save it as UTF-8.")
        delimiter = self.delimiter or max(self.delimiters, key=self._fit(first))
        lines = _Lines(handle, 0)
        try:
            header = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise lmia.LmiaError(
                f"The header of the table '{self.path}' cannot be read: {error}.", "Its first line names the columns."
            ) from error
        return [name.strip() for name in header], delimiter, lines.place

    def _fit(self, line: str) -> Callable[[str], tuple[int, int]]:
        def fit(delimiter: str) -> tuple[int, int]:
            names = [name.strip(' "\r\n').lower() for name in line.split(delimiter)]
            return sum(name in self.known for name in names), len(names)

        return fit


def _csv(lines: _Lines, delimiter: str, header: Sequence[str]) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.restart()
        try:
            cells = next(reader, None)
        except csv.Error:
            # An open quote swallows what follows: only its own line is lost.
            lines.put_back()
            yield lines.taken[0][0], "unreadable line"
            continue
        if cells is None:
            return
        if len(cells) == len(header):
            yield lines.taken[0][0], dict(zip(header, cells, strict=True))
        elif cells:  # an empty line is no row
            yield lines.taken[0][0], "wrong number of columns"


def _json(lines: _Lines) -> Iterator[tuple[int, Row]]:
    for line in lines:
        place = lines.taken[-1][0]
        lines.restart()
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield place, row if isinstance(row, dict) else "unreadable line"


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as handle:
            yield cast(IO[bytes], handle)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, error) from error
