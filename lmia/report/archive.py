"""`report.json`: an `AuditReport` as text and back, nothing lost, and the JSON Schema it keeps."""

from __future__ import annotations

import json
import math
import numbers
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, cast, get_args, get_origin, get_type_hints

from lmia.errors import LmiaError
from lmia.report.aside import write_aside
from lmia.report.model import FORMAT, AuditReport

NAME = "report.json"
_DIGITS = 300
"""More, and a whole number cannot be written as a float."""


def to_json(report: AuditReport) -> str:
    """Write a report as JSON: ASCII, two spaces, fields in the order of the model, one line break at the end.

    Raises:
        LmiaError: a number in it is not finite, or a value is not plain data; the place is named.

    Example:
        >>> from lmia.report.model import AuditReport, Validity
        >>> empty = AuditReport("use", False, "2026-01-01T00:00:00Z", "0.1.0", {}, {}, (), (), Validity(), (), (), {},
        ...                     {}, {}, 0, 0.95, 1.5, "")
        >>> from_json(to_json(empty)) == empty
        True
    """
    return json.dumps(_plain(report, ""), indent=2, allow_nan=False) + "\n"


def from_json(text: str) -> AuditReport:
    """Read a report back, checking every field; lists of declared sequences come back as tuples.

    Raises:
        LmiaError: it is no JSON, another format version, or a field is missing, unknown or of the wrong kind.
    """
    try:
        data = json.loads(text, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise LmiaError(
            f"This report is not valid JSON: {error}.", "Give the report.json that an audit wrote."
        ) from error
    version = data.get("format") if isinstance(data, dict) else None
    if version != FORMAT:
        raise LmiaError(
            f"This report has format {version!r}; this lmia reads format {FORMAT}.",
            "Read it with the lmia version that the report names, or give the report.json that an audit wrote.",
        )
    return cast("AuditReport", _record(AuditReport, data, ""))


def write_report(report: AuditReport, out: Path) -> Path:
    """Write `report.json` into the folder `out`, aside first and then renamed, and return its path.

    Raises:
        LmiaError: the report cannot be written as JSON, or the file cannot be written.
    """
    return write_aside(out / NAME, to_json(report).encode("ascii"))


def read_report(path: Path) -> AuditReport:
    """Read a `report.json`.

    Raises:
        LmiaError: there is no such file, or it is not a report.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LmiaError(f"'{path}' cannot be read: {error}.", "Give the report.json that an audit wrote.") from error
    return from_json(text)


def schema() -> Mapping[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `report.json`.

    Example:
        >>> schema()["$id"]
        'urn:lmia:report:1'
    """
    return cast("Mapping[str, Any]", json.loads(files("lmia.report").joinpath("schema.json").read_text("utf-8")))


def _plain(value: object, where: str) -> object:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):  # numpy's integers too
        return int(value)
    if isinstance(value, numbers.Real):
        if math.isfinite(number := float(value)):
            return number
        raise LmiaError(
            f"The report holds {number} at '{where}'.", "Leave a number that is not known out, or give None."
        )
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), _dot(where, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key, where): _plain(item, _dot(where, str(key))) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise LmiaError(
        f"The report holds a {type(value).__name__} at '{where}', which JSON cannot hold.",
        "Give numbers, text, None, lists, and mappings with text keys.",
    )


def _key(key: object, where: str) -> str:
    if isinstance(key, str):
        return key
    raise LmiaError(f"The report holds the key {key!r} at '{where}', which is not text.", "Use text for keys.")


def _dot(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}")


def _finite(word: str) -> float:
    if math.isfinite(number := float(word)):
        return number
    raise ValueError(f"it holds {word:.60}")


def _whole(word: str) -> int:
    if len(word) <= _DIGITS:
        return int(word)
    raise ValueError(f"it holds {word:.60}...")


def _wrong(where: str, what: str) -> LmiaError:
    return LmiaError(
        f"The report's '{where or 'report'}' {what}.", "Give the report.json that an audit wrote, unchanged."
    )


def _record(cls: type[Any], data: object, where: str) -> object:
    if not isinstance(data, dict):
        raise _wrong(where, f"is {data!r:.60}, not an object")
    known = {f.name: f for f in fields(cls)}
    if unknown := sorted(data.keys() - known.keys()):
        raise _wrong(_dot(where, unknown[0]), "is a field that this format does not have")
    if missing := [name for name, f in known.items() if name not in data and _required(f)]:
        raise _wrong(_dot(where, missing[0]), "is missing")
    hints = get_type_hints(cls)
    return cls(**{name: _read(hints[name], value, _dot(where, name)) for name, value in data.items()})


def _required(field: Any) -> bool:  # noqa: ANN401 (dataclasses.Field is generic in what does not matter here)
    return field.default is MISSING and field.default_factory is MISSING


def _read(hint: Any, value: object, where: str) -> object:  # noqa: ANN401 (a type hint, whatever its form)
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _record(cast("type[Any]", hint), value, where)
    if hint is object:
        return value
    if origin in (Union, types.UnionType):
        kept = [arg for arg in inner if arg is not types.NoneType]
        return None if value is None else _read(kept[0], value, where)
    if origin is Sequence and isinstance(value, list):
        return tuple(_read(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {key: _read(inner[1], item, _dot(where, key)) for key, item in value.items()}
    if (origin is Literal and value in inner) or (origin is None and _is(value, hint)):
        return value
    raise _wrong(where, f"is {value!r:.60}, not {getattr(hint, '__name__', hint)}")


def _is(value: object, kind: type[Any]) -> bool:
    accepted: tuple[type[Any], ...] = (int, float) if kind is float else (kind,)
    return isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
