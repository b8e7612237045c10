"""The JSON Schema of `report.json`, read off the model: `python -m lmia.report.shape > lmia/report/schema.json`."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import getdoc
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lmia.report.model import FORMAT, AuditReport

_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number"}


def shape() -> dict[str, Any]:
    """Return the schema (draft 2020-12): every field required and described, none besides.

    Example:
        >>> shape()["$id"], "Estimate" in shape()["$defs"]
        ('urn:lmia:report:1', True)
    """
    parts: dict[str, dict[str, Any]] = {}
    whole = _record(AuditReport, parts)
    whole["properties"]["format"]["const"] = FORMAT
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:lmia:report:{FORMAT}"}
    return {**head, "title": "lmia report.json", **whole, "$defs": dict(sorted(parts.items()))}


def _record(cls: type[Any], parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    hints, said = get_type_hints(cls), _described(cls)
    properties = {one.name: _type(hints[one.name], parts) | {"description": said[one.name]} for one in fields(cls)}
    return {
        "description": (getdoc(cls) or "").partition("\n")[0],
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _described(cls: type[Any]) -> dict[str, str]:
    """Read what each field is off the class's docstring."""
    _, _, args = (getdoc(cls) or "").partition("Args:\n")
    args = args.partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", args, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _type(hint: Any, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:  # noqa: ANN401 (a hint may be anything)
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in parts:
            parts[hint.__name__] = {}  # so that it is not begun twice
            parts[hint.__name__] = _record(hint, parts)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_type(one, parts) for one in inner if one is not types.NoneType] + [{"type": "null"}]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is Sequence:
        return {"type": "array", "items": _type(inner[0], parts)}
    if origin is Mapping:
        return {"type": "object", **({} if inner[1] is object else {"additionalProperties": _type(inner[1], parts)})}
    return {} if hint is object else {"type": _KINDS[hint]}


if __name__ == "__main__":
    print(json.dumps(shape(), indent=2))
