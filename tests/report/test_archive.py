"""report.json: nothing lost, nothing guessed, and the schema says the same as the model."""

import json
import math
from dataclasses import fields, replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia.errors import LmiaError
from lmia.evidence.copied import Copied, Shared
from lmia.evidence.estimate import Estimate
from lmia.report import archive
from lmia.report.model import (
    TPR,
    Adjusted,
    AttackResult,
    AuditReport,
    Baseline,
    Beside,
    Check,
    Curve,
    Histogram,
    Positive,
    Positives,
    Provenance,
    RoleCount,
    Slice,
    Slices,
    SuspectSummary,
    Threshold,
    Validity,
    Verdict,
)
from lmia.report.shape import shape
from report import examples

REPORTS = {f.__name__: f for f in (examples.leakage, examples.suspects, examples.none_ran, examples.hostile)}
PARTS = (
    Baseline,
    TPR,
    AttackResult,
    Curve,
    Histogram,
    RoleCount,
    SuspectSummary,
    Threshold,
    Estimate,
    Beside,
    Validity,
    Adjusted,
    Check,
    Verdict,
    Provenance,
    Slice,
    Slices,
    Positive,
    Positives,
    Copied,
    Shared,
)


@pytest.fixture(params=REPORTS)
def report(request):
    return REPORTS[request.param]()


def test_round_trip_loses_nothing(report):
    again = archive.from_json(archive.to_json(report))
    assert again == report
    assert archive.to_json(again) == archive.to_json(report)
    if report.attacks[0].auc:
        assert isinstance(again.attacks[0].auc, Estimate)


def test_json_is_ascii_so_no_escape_reaches_a_terminal(report):
    text = archive.to_json(report)
    assert text.isascii()
    assert "\x1b" not in text
    assert text.endswith("}\n")


@settings(max_examples=40, deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ),
)
def test_round_trip_of_any_plain_value(number, whole, text, free):
    report = examples.leakage(seconds=number, seed=whole, created=text, config={"free": free, text: number})
    assert archive.from_json(archive.to_json(report)) == report


def test_schema_holds_for_every_example_and_is_itself_valid(report):
    schema = archive.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(archive.to_json(report)), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("cls", [AuditReport, *PARTS], ids=lambda cls: cls.__name__)
def test_schema_has_every_field_of_the_model_and_no_other(cls):
    schema = archive.schema()
    part = schema if cls is AuditReport else schema["$defs"][cls.__name__]
    names = [field.name for field in fields(cls)]
    assert list(part["properties"]) == names
    assert part["required"] == names
    assert part["additionalProperties"] is False
    assert all(value["description"] for value in part["properties"].values())


def test_the_schema_shipped_is_read_off_the_model():
    assert archive.schema() == shape()


def test_schema_defines_nothing_the_model_has_not():
    assert set(archive.schema()["$defs"]) == {cls.__name__ for cls in PARTS}


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("seed"),
        lambda data: data.update(surprise=1),
        lambda data: data.update(question="who"),
        lambda data: data.update(format=2),
        lambda data: data["attacks"][0].update(auc=0.5),
        lambda data: data["attacks"][0]["auc"].pop("low"),
        lambda data: data["roles"][0].update(records="many"),
        lambda data: data.update(demo=1),
        lambda data: data.update(seed=True),
        lambda data: data["attacks"][0].update(curve=[1, 2]),
        lambda data: data.update(warnings="one"),
    ],
)
def test_a_changed_report_is_refused_by_the_reader_and_by_the_schema(change):
    data = json.loads(archive.to_json(examples.leakage()))
    change(data)
    with pytest.raises(LmiaError):
        archive.from_json(json.dumps(data))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, archive.schema(), cls=jsonschema.Draft202012Validator)


def test_the_reader_names_the_place():
    data = json.loads(archive.to_json(examples.leakage()))
    data["attacks"][2]["auc"]["low"] = "zero"
    with pytest.raises(LmiaError, match=r"attacks\[2\].auc.low' is 'zero', not float"):
        archive.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "[1]", "{", "null", '{"format": NaN}', "[" * 100_000, '{"format": 1}', '"x"'])
def test_hostile_text_is_an_error_for_the_user(text):
    with pytest.raises(LmiaError):
        archive.from_json(text)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_not_finite_is_an_error_that_names_its_place(number):
    report = examples.leakage()
    bad = replace(report.attacks[1], findings={"table": [{"bound": number}]})
    with pytest.raises(LmiaError, match=r"attacks\[1\].findings.table\[0\].bound"):
        archive.to_json(replace(report, attacks=(report.attacks[0], bad)))


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), {1: "x"}, np.zeros(2)])
def test_what_json_cannot_hold_is_an_error_that_names_its_place(value):
    with pytest.raises(LmiaError, match="config"):
        archive.to_json(examples.leakage(config={"x": value}))


def test_numbers_of_numpy_are_numbers():
    report = examples.leakage(config={"i": np.int64(3), "f": np.float32(0.5)})
    assert archive.from_json(archive.to_json(report)).config == {"i": 3, "f": 0.5}


def test_write_then_read(tmp_path):
    path = archive.write_report(examples.leakage(), tmp_path)
    assert path == tmp_path / "report.json"
    assert archive.read_report(path) == examples.leakage()
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = archive.write_report(examples.leakage(), tmp_path)
    with pytest.raises(LmiaError):
        archive.write_report(examples.leakage(seconds=math.nan), tmp_path)
    assert archive.read_report(path) == examples.leakage()


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_bytes(b"\xff"), lambda p: p.mkdir()])
def test_reading_what_is_no_report(tmp_path, make):
    path = tmp_path / "report.json"
    make(path)
    with pytest.raises(LmiaError, match=r"report\.json"):
        archive.read_report(path)


@pytest.mark.parametrize("word", ["1e400", "-1e400", "NaN", "Infinity", "1" + "0" * 400])
def test_a_number_that_nothing_can_be_is_refused_however_it_is_written(word):
    text = archive.to_json(examples.leakage()).replace('"seconds": 61.5', f'"seconds": {word}')
    assert word in text
    with pytest.raises(LmiaError, match=f"it holds {word[:60]}"):
        archive.from_json(text)
