"""Parquet by row groups; a group is streamed, not held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

import lmia
from lmia.faults import unreadable
from lmia_table.rows import Part, Row, damaged

_ROWS_A_BYTE = 100
"""No packing lets more rows with a key, a path or a caption of their own into a byte."""


class Parquet:
    """A parquet table.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def columns(self) -> list[str]:
        """Name the columns."""
        with self._file() as file:
            return list(file.schema_arrow.names)

    def parts(self, column: str | None, note: Callable[[int, object], None]) -> list[Part]:
        """List the row groups that hold rows."""
        parts: list[Part] = []
        first = 0
        with self._file() as file:
            _check_claims(self.path, [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)])
            for group in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                parts += [Part(group, first, rows)] if rows else []
                first += rows
        for part in parts if column is not None else []:
            for number, row in enumerate(self.rows(part, [str(column)]), part.first):
                if not isinstance(row, str):
                    note(number, row[str(column)])
        return parts

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """Yield a row group's rows with the columns asked for; rows behind broken pages are unreadable, not lost."""
        done = 0
        try:
            with self._file() as file:
                batches = file.iter_batches(64, row_groups=[part.place], columns=list(columns), use_threads=False)
                for batch in batches:
                    for i in range(min(batch.num_rows, part.rows - done)):
                        done += 1
                        yield {str(name): _cell(batch.column(name), i) for name in batch.schema.names}
        except (lmia.LmiaError, MemoryError):
            raise
        except Exception as error:  # a stranger's pages can break a reader in any way
            if isinstance(error, OSError) and error.errno is not None:  # but not the disk
                unreadable(self.path, error)
        for _ in range(part.rows - done):
            yield "unreadable row"

    def witness(self, part: Part, columns: Sequence[str], image: str) -> Iterator[Row]:
        """Yield the file's size, time and place, then the paths of images: bytes in the table are not read."""
        facts = self.path.stat()
        yield f"{self.path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
        with self._file() as file:
            kind = file.schema_arrow.field(image).type
        if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
            yield from self.rows(part, [f"{image}.path"])
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
            yield from self.rows(part, [image])

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            file = pq.ParquetFile(self.path, buffer_size=1 << 20)
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a column's name that is not UTF-8
            raise damaged(self.path, error) from error
        with file:
            yield file


def _check_claims(path: Path, rows: Sequence[int]) -> None:
    """Refuse a footer that lies: rows that cannot be there would each be an unreadable one, for ever."""
    if min(rows, default=0) < 0 or sum(rows) > _ROWS_A_BYTE * path.stat().st_size:
        raise damaged(path, ValueError(f"it claims {sum(rows):,} rows in {path.stat().st_size:,} bytes"))


def _cell(column: pa.Array, i: int) -> object:
    try:
        return cast(object, column[i].as_py())
    except UnicodeDecodeError:
        return "\udcff"  # as surrogateescape would have it: text that is not UTF-8
    except MemoryError:
        raise
    except Exception:  # a year beyond Python's, a map with a key twice: no caption, path or key that anybody gave
        return ...
