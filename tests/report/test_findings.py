"""Free-form data as tables."""

from lmia.report import findings
from report import examples


def test_nested_values_get_dotted_names_and_lists_of_dicts_their_own_table():
    first, second = findings.tables({"a": {"b": 1, "c": {}}, "rows": [{"x": 1}, {"y": None}], "list": [1, 2]}, "title")
    assert (first.title, list(first.rows)) == ("title", [("a.b", "1"), ("a.c", "-"), ("list", "1, 2")])
    assert (second.title, second.columns) == ("rows", ("x", "y"))
    assert list(second.rows) == [("1", "-"), ("-", "-")]


def test_the_table_of_lambdas():
    table = findings.tables({"lambdas": examples.LAMBDAS})[0]
    assert table.columns == ("lam", "pseudo_members", "bound", "chosen")
    assert table.rows[1] == ("0.5", "2655", "0.554", "yes")
    assert table.rows[3] == ("1.5", "0", "-", "no")


def test_long_data_are_cut_and_the_cut_is_counted():
    singles, rows = findings.tables({**{f"k{i}": "x" * 9999 for i in range(130)}, "rows": [{"a": 1}] * 150})
    assert (len(singles.rows), singles.left_out) == (100, 30)
    assert (len(rows.rows), rows.left_out) == (100, 50)
    assert len(singles.rows[0][1]) < 500


def test_nothing_makes_no_table():
    assert findings.tables({}) == []
