import csv
import gzip
import json
import os
import pickle
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lmia import LmiaError, Pair, Rejected
from lmia.picture import open_pair
from lmia.records import together
from lmia_table import Table
from memory import at_most

TEXTS = [".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz"]
ALL = [*TEXTS, ".parquet"]


def write(path, rows):
    """Write rows, dicts of one set of keys, in the format that the path's ending names."""
    name = path.name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
        return str(path)
    with gzip.open(path, "wt", newline="") if name.endswith(".gz") else path.open("w", newline="") as file:
        if ".jsonl" in name:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if ".tsv" in name else ",")
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


def images(folder, n):
    for i in range(n):
        (folder / f"{i}.jpg").write_bytes(b"JPEG %d" % i)


def read(source, **options):
    source = source if isinstance(source, Table) else Table(str(source), **options)
    return [record for shard in source.shards() for record in source.read(shard)]


def reasons(records):
    return [record.reason for record in records if isinstance(record, Rejected)]


@pytest.mark.parametrize("ending", ALL)
def test_every_format_gives_the_same_pairs(tmp_path, ending):
    images(tmp_path, 3)
    captions = ["a dot", 'two, "quoted"\tand\na second line', "日本語; |x|"]
    rows = [
        {"filepath": f"{i}.jpg", "title": caption, "uid": f"u{i}", "url": f"https://h/{i}"}
        for i, caption in enumerate(captions)
    ]
    source = Table(write(tmp_path / f"pairs{ending}", rows))
    assert read(source) == [
        Pair(f"u{i}", caption, b"JPEG %d" % i, f"https://h/{i}") for i, caption in enumerate(captions)
    ]
    assert [source.count(shard) for shard in source.shards()] == [3]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_told_by_the_header(tmp_path, delimiter):
    images(tmp_path, 1)
    for name in ("t.csv", "t.tsv"):
        (tmp_path / name).write_text(f'"filepath"{delimiter}caption\n0.jpg{delimiter}"a, b; c|d"\n')
        assert [record.caption for record in read(tmp_path / name)] == ["a, b; c|d"]


def test_a_delimiter_that_is_named_wins_over_a_header_that_misleads(tmp_path):
    images(tmp_path, 1)
    (tmp_path / "t.csv").write_text("image:text\n0.jpg:a dot\n")
    assert read(tmp_path / "t.csv", delimiter=":") == [Pair("0.jpg#1", "a dot", b"JPEG 0")]
    for bad in ("::", "", '"', "\n"):
        with pytest.raises(LmiaError, match="is not one character"):
            Table("t.csv", delimiter=bad)


def test_columns_are_found_by_usual_names_in_order_and_case(tmp_path):
    images(tmp_path, 1)
    row = {"Text": "second", "path": "no.jpg", "Caption": "first", "FilePath": "0.jpg"}
    assert read(write(tmp_path / "t.csv", [row])) == [Pair("0.jpg#1", "first", b"JPEG 0")]
    assert read(tmp_path / "t.csv", caption="Text")[0].caption == "second"


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([{"photo": "a", "caption": "b"}], {}, ["image", "'photo', 'caption'"]),
        ([{"image": "a", "words": "b"}], {}, ["caption", "'image', 'words'", "init_args, caption: COLUMN"]),
        ([{"image": "a", "words": "b"}], {"caption": "word"}, ["no column 'word'", "Did you mean 'words'?"]),
        ([{"url": "https://h/a", "caption": "b"}], {}, ["only by address (column 'url')", "img2dataset"]),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_columns_that_cannot_be_told_are_an_error_that_names_what_there_is(tmp_path, rows, options, words, ending):
    source = Table(write(tmp_path / f"t{ending}", rows), **options)
    with pytest.raises(LmiaError) as error:
        source.shards()
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("t.csv", b"", "no column known as image. Its columns: none"),
        ("t.csv", b"image,caption\n", "holds no rows"),
        ("t.jsonl", b"\n\n", "no column known as image"),
        ("t.csv", "image,caption\na,b\n".encode("utf-16"), "is not UTF-8"),
        ("t.csv", b"image,image,caption\na,b,c\n", "two columns 'image'"),
        ("t.csv", b'"image,caption\n', "header of the table"),
        ("t.csv.gz", b"no gzip", "cannot be read"),
        ("t.csv.gz", gzip.compress(b"image,caption\n" + os.urandom(9000))[:-4000], "cannot be read"),
        ("t.parquet", b"PAR1 no parquet", "cannot be read"),
    ],
)
def test_a_table_that_is_none_is_an_error(tmp_path, name, body, words):
    (tmp_path / name).write_bytes(body)
    with pytest.raises(LmiaError, match=words):
        Table(str(tmp_path / name)).shards()


@pytest.mark.parametrize(
    ("options", "tried"), [({}, "none of tab, comma, semicolon and bar"), ({"delimiter": ";"}, "';'")], ids=str
)
def test_a_table_that_nothing_divides_names_what_was_tried(tmp_path, options, tried):
    (tmp_path / "t.csv").write_text("image:caption\na.png:a cat\n")
    with pytest.raises(LmiaError) as error:
        Table(str(tmp_path / "t.csv"), **options).shards()
    problem, remedy = str(error.value).splitlines()
    assert f"one column only, 'image:caption': {tried} divides it" in problem
    assert "delimiter: ':'" in remedy
    assert len(Table(str(tmp_path / "t.csv"), delimiter=":").shards()) == 1


def test_a_table_that_is_not_there_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path, words in (
        ("no.csv", "does not exist"),
        ("pipe.csv", "not a regular file"),
        ("", "metadata; it holds none"),
    ):
        with pytest.raises(LmiaError, match=words):
            Table(str(tmp_path / path)).shards()
    with pytest.raises(LmiaError, match="copy them here first"):
        Table("s3://bucket/t.csv").shards()


def test_rows_that_are_no_pairs_are_rejected_by_their_reasons(tmp_path):
    images(tmp_path, 1)
    os.mkfifo(tmp_path / "pipe.jpg")
    rows = [
        ({"image": "0.jpg", "text": "fine"}, None),
        ({"image": "no.jpg", "text": "x"}, "no such file"),
        ({"image": "0.jpg/x", "text": "x"}, "no such file"),
        ({"image": "nul\0.jpg", "text": "x"}, "no such file"),
        ({"image": "n" * 5000, "text": "x"}, "file cannot be read"),
        ({"image": "/dev/null", "text": "x"}, "not a regular file"),
        ({"image": "pipe.jpg", "text": "x"}, "not a regular file"),
        ({"image": ".", "text": "x"}, "not a regular file"),
        ({"image": "https://h/a.jpg", "text": "x"}, "image is only a url"),
        ({"image": None, "text": "x"}, "no image"),
        ({"image": "", "text": "x"}, "no image"),
        ({"image": 7, "text": "x"}, "image is neither a path nor bytes"),
        ({"image": {"bytes": None, "path": None}, "text": "x"}, "no image"),
        ({"image": "0.jpg", "text": None}, "no caption"),
        ({"image": "0.jpg"}, "no caption"),
        ({"image": "0.jpg", "text": ["a", "b"]}, "caption is not text"),
        ({"image": "0.jpg", "text": "\ud800"}, "caption is not UTF-8"),
        ("{broken", "unreadable line"),
        ("[1, 2]", "unreadable line"),
        ("[" * 100_000, "unreadable line"),
        ({"image": str(tmp_path / "0.jpg"), "text": "absolute"}, None),
        ({"image": f"../{tmp_path.name}/0.jpg", "text": "up and down"}, None),
    ]
    lines = [row if isinstance(row, str) else json.dumps(row) for row, _ in rows]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    records = read(tmp_path / "t.jsonl")
    assert [getattr(record, "reason", None) for record in records] == [reason for _, reason in rows]
    assert [record.key.rpartition("#")[2] for record in records] == [str(i + 1) for i in range(len(rows))]
    assert all(record.image == b"JPEG 0" for record in records if isinstance(record, Pair))


def test_a_long_path_does_not_cost_a_key_its_rows_number(tmp_path):
    images(tmp_path, 1)
    rows = [{"image": f"{'./' * 600}0.jpg", "text": "a"}, {"image": "n" * 5000, "text": "b"}]
    pair, rejected = read(write(tmp_path / "t.jsonl", rows))
    assert (pair.key, rejected.key) == ("./" * 500 + "#1", "n" * 1000 + "#2")
    assert isinstance(open_pair(replace(pair, image=Image.new("RGB", (8, 8)))), tuple)


@pytest.mark.parametrize(("column", "reason"), [("key", "key too long"), ("url", "address too long")])
def test_endless_texts_of_a_row_are_not_held(tmp_path, monkeypatch, column, reason):
    monkeypatch.setattr(
        "lmia_table.cells.IMAGE_BYTES", 1 << 20
    )  # room that reading a file asks for and leaves untouched
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    rows = [{"image": "0.png", "text": "a", "key": f"{i}", "url": "u"} for i in range(40)]
    for row in rows[1:]:
        row[column] += "x" * 1_000_000
    source = Table(write(tmp_path / "t.jsonl.gz", rows))
    with at_most(20_000_000):  # of 40
        kept = dict(Counter(getattr(open_pair(record), "reason", "") for record in _in_groups(source)))
    assert kept == {"": 1, reason: 39}


def _in_groups(source):
    """Read a table's first part as an audit does, 4 MB at once."""
    for group in together(source.read("0000"), 64, held=4_000_000):
        yield from group


def test_an_open_quote_costs_its_own_line_alone(tmp_path):
    images(tmp_path, 1)
    lines = [
        "image,text",
        "0.jpg,a",
        '0.jpg,"open',
        "0.jpg,b",
        "",
        "0.jpg",
        "0.jpg,c,d",
        '0.jpg,"two\nlines"',
        "0.jpg,e",
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    records = read(tmp_path / "t.csv")
    assert [r.caption for r in records if isinstance(r, Pair)] == ["a", "b", "two\nlines", "e"]
    assert reasons(records) == ["unreadable line", "wrong number of columns", "wrong number of columns"]


def test_a_line_without_end_is_unreadable_and_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr("lmia_table.text.LINE_BYTES", 100)
    images(tmp_path, 1)
    long = "x" * 250
    (tmp_path / "t.csv").write_text(f"image,text\n0.jpg,a\n0.jpg,{long}\n0.jpg,b\n")
    (tmp_path / "t.jsonl").write_text(
        "".join(json.dumps({"image": "0.jpg", "text": text}) + "\n" for text in ("a", long))
    )
    assert [getattr(record, "reason", "pair") for record in read(tmp_path / "t.csv")] == [
        "pair",
        "unreadable line",
        "pair",
    ]
    assert reasons(read(tmp_path / "t.jsonl")) == ["unreadable line"]


def test_captions_that_are_not_utf8_are_rejected_in_every_format(tmp_path):
    images(tmp_path, 1)
    (tmp_path / "t.csv").write_bytes(b"image,text\n0.jpg,\xff\n0.jpg,fine\n")
    (tmp_path / "t.jsonl").write_bytes(b'{"image": "0.jpg", "text": "\xff"}\n{"image": "0.jpg", "text": "fine"}\n')
    text = pa.array([b"\xff", b"fine"]).view(pa.string())
    pq.write_table(pa.table({"image": ["0.jpg", "0.jpg"], "text": text}), tmp_path / "t.parquet")
    for ending in ("csv", "jsonl", "parquet"):
        bad, good = read(tmp_path / f"t.{ending}")
        assert (bad.reason, good.caption) == ("caption is not UTF-8", "fine")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    images(tmp_path, 1)
    (tmp_path / "t.csv").write_text("image,text\n0.jpg,a\n", encoding="utf-8-sig")
    (tmp_path / "t.jsonl").write_text('{"image": "0.jpg", "text": "a"}\n', encoding="utf-8-sig")
    assert [r.caption for name in ("t.csv", "t.jsonl") for r in read(tmp_path / name)] == ["a", "a"]


@pytest.mark.parametrize("ending", ALL)
def test_of_a_key_that_comes_twice_the_first_counts_across_shards(tmp_path, monkeypatch, ending):
    monkeypatch.setattr("lmia_table.text.TEXT_ROWS", 2)
    images(tmp_path, 1)
    keys = ["a", "b", "a", "c", "b"]
    path = write(tmp_path / f"t{ending}", [{"image": "0.jpg", "text": "x", "key": key} for key in keys])
    if ending == ".parquet":
        pq.write_table(pq.read_table(path), path, row_group_size=2)
    source = Table(path)
    assert source.shards() == ["0000", "0001", "0002"]
    got = [[(type(r), r.key) for r in source.read(shard)] for shard in source.shards()]
    assert got == [[(Pair, "a"), (Pair, "b")], [(Rejected, "a"), (Pair, "c")], [(Rejected, "b")]]
    assert [source.count(shard) for shard in source.shards()] == [2, 2, 1]


def test_keys_may_be_numbers_and_none_is_rejected(tmp_path):
    images(tmp_path, 1)
    rows = [{"image": "0.jpg", "text": "x", "id": key} for key in (7, None, "", True, "7", "8")]
    assert [(r.key, getattr(r, "reason", "")) for r in read(write(tmp_path / "t.jsonl", rows))] == [
        ("7", ""),
        ("0.jpg#2", "no key"),
        ("0.jpg#3", "no key"),
        ("0.jpg#4", "no key"),
        ("7", "duplicate key"),
        ("8", ""),
    ]


def test_several_captions_of_one_image_are_several_pairs(tmp_path):
    images(tmp_path, 1)
    path = write(tmp_path / "t.csv", [{"image": "0.jpg", "caption": text} for text in "ab"])
    assert [record.key for record in read(path)] == ["0.jpg#1", "0.jpg#2"]


def test_parquet_may_hold_the_images(tmp_path):
    images(tmp_path, 1)
    bytes_ = write(tmp_path / "bytes.parquet", [{"image": b"A", "text": "a"}, {"image": None, "text": "b"}])
    assert read(bytes_) == [Pair("#1", "a", b"A"), Rejected("#2", "no image")]
    rows = [
        {"image": {"bytes": b"A", "path": "a.jpg"}, "text": "a"},
        {"image": {"bytes": None, "path": "0.jpg"}, "text": "b"},
    ]
    struct = write(tmp_path / "struct.parquet", rows)
    assert read(struct) == [Pair("a.jpg#1", "a", b"A"), Pair("0.jpg#2", "b", b"JPEG 0")]
    before = [Table(path).fingerprint("0000") for path in (bytes_, struct)]
    (tmp_path / "0.jpg").write_bytes(b"other, longer")
    after = [Table(path).fingerprint("0000") for path in (bytes_, struct)]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_broken_parquet_page_loses_no_row_of_the_count(tmp_path):
    images(tmp_path, 1)
    path = tmp_path / "t.parquet"
    table = pa.table({"image": ["0.jpg"] * 500, "text": [f"caption {i}" for i in range(500)]})
    pq.write_table(table, path, compression="snappy", use_dictionary=False)
    body = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    body[start + 40 : start + 400] = bytes(360)
    path.write_bytes(body)
    records = read(path)
    assert len(records) == Table(str(path)).count("0000") == 500
    assert "unreadable row" in reasons(records)


def test_relative_paths_begin_at_the_root(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    images(tmp_path / "elsewhere", 1)
    path = write(tmp_path / "t.csv", [{"image": "0.jpg", "caption": "a"}])
    assert reasons(read(path)) == ["no such file"]
    assert reasons(read(path, root=str(tmp_path / "elsewhere"))) == []


def test_a_folder_with_a_metadata_table_is_read_by_it(tmp_path):
    images(tmp_path, 1)
    write(tmp_path / "metadata.jsonl", [{"file_name": "0.jpg", "text": "a"}])
    assert Table.claims(str(tmp_path)) == {"path": str(tmp_path)}
    assert read(tmp_path) == [Pair("0.jpg#1", "a", b"JPEG 0")]
    write(tmp_path / "metadata.csv", [{"file_name": "0.jpg", "text": "a"}])
    with pytest.raises(LmiaError, match=r"it holds metadata\.csv, metadata\.jsonl"):
        Table(str(tmp_path)).shards()


def test_claims_go_by_the_ending(tmp_path):
    yes, no = [f"a{ending}" for ending in ALL], ["a.tar", "a.json", "", "csv", "a.txt.gz", str(tmp_path), "x" * 5000]
    assert [Table.claims(spec) for spec in yes] == [{"path": spec} for spec in yes]
    assert [Table.claims(spec) for spec in no] == [None] * len(no)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".csv.gz", ".parquet"])
def test_fingerprint_follows_rows_images_and_options(tmp_path, ending):
    images(tmp_path, 2)
    rows = [{"image": f"{i}.jpg", "text": "x", "title": "y"} for i in range(2)]
    source = Table(write(tmp_path / f"t{ending}", rows))
    seen = [source.fingerprint("0000")]
    assert Table(source.path).fingerprint("0000") == seen[0]
    seen.append(Table(source.path, caption="title").fingerprint("0000"))
    (tmp_path / "1.jpg").write_bytes(b"a longer image")
    seen.append(source.fingerprint("0000"))
    (tmp_path / "1.jpg").unlink()
    seen.append(source.fingerprint("0000"))
    write(tmp_path / f"t{ending}", [rows[0], rows[1] | {"text": "longer than x"}])
    seen.append(source.fingerprint("0000"))
    assert len(set(seen)) == len(seen)
    assert [getattr(r, "caption", None) for r in read(source)] == ["x", None]


def test_a_change_in_one_shard_leaves_the_others_fingerprints(tmp_path, monkeypatch):
    monkeypatch.setattr("lmia_table.text.TEXT_ROWS", 2)
    images(tmp_path, 4)
    rows = [{"image": f"{i}.jpg", "caption": "x"} for i in range(4)]
    before = [Table(write(tmp_path / "t.csv", rows)).fingerprint(shard) for shard in ("0000", "0001")]
    rows[0]["caption"] = "something longer"
    after = [Table(write(tmp_path / "t.csv", rows)).fingerprint(shard) for shard in ("0000", "0001")]
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_pickled_table_reads_the_same(tmp_path):
    images(tmp_path, 2)
    source = Table(write(tmp_path / "t.csv", [{"image": f"{i}.jpg", "caption": "x"} for i in range(2)]))
    fresh = pickle.loads(pickle.dumps(source))
    assert read(fresh) == read(source) == read(pickle.loads(pickle.dumps(source)))
    assert fresh.settings == source.settings


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(TEXTS), st.data())
def test_fuzzed_texts_raise_nothing_and_lose_nothing(tmp_path_factory, ending, data):
    folder = tmp_path_factory.mktemp("fuzz")
    images(folder, 1)
    rows = [{"image": "0.jpg", "caption": text, "key": f"k{i}"} for i, text in enumerate(["a", 'b"c', "d\ne"])]
    path = folder / f"t{ending}"
    write(path, rows)
    body = bytearray(path.read_bytes())
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, 200), st.sampled_from(b'",\n\r\t\0\xff{}[]k')), max_size=5)
    ):
        if at < len(body):
            body[at] = value
    path.write_bytes(body[: data.draw(st.integers(0, len(body)))])
    source = Table(str(path))
    try:
        records = read(source)
    except LmiaError:
        return
    assert len(records) == sum(source.count(shard) for shard in source.shards())
    keys = [record.key for record in records if isinstance(record, Pair)]
    assert len(keys) == len(set(keys))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(min_size=1, max_size=8)), min_size=1, max_size=9))
def test_any_text_survives_any_format_and_any_shard_size(tmp_path_factory, cells):
    cells = [(a.replace("\0", ""), k) for a, k in cells]
    folder = tmp_path_factory.mktemp("any")
    images(folder, 1)
    rows = [{"image": "0.jpg", "caption": caption, "key": key} for caption, key in cells]
    seen = set()
    wanted = [(c, k, k in seen or seen.add(k)) for c, k in cells]
    for ending in (".csv", ".tsv", ".jsonl", ".parquet"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lmia_table.text.TEXT_ROWS", 2)
            records = read(write(folder / f"t{ending}", rows))
        for record, (caption, key, repeated) in zip(records, wanted, strict=True):
            expected = Rejected(key, "duplicate key") if repeated else Pair(key, caption, b"JPEG 0")
            assert record == expected


ODD = {
    "a year beyond Python's": pa.array([2**62], pa.timestamp("ms")),
    "a time zone that is none": pa.array([1], pa.timestamp("s", tz="Mars/Phobos")),
    "a map with a key twice": pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
    "a struct with a name twice": pa.StructArray.from_arrays(
        [pa.array(["x"]), pa.array(["y"])], names=["path", "path"]
    ),
    "nanoseconds": pa.array([1], pa.duration("ns")),
}


@pytest.mark.parametrize("role", ["filepath", "caption", "key"])
@pytest.mark.parametrize("cells", ODD.values(), ids=ODD)
def test_a_parquet_cell_beyond_python_costs_its_own_row_alone(tmp_path, cells, role):
    images(tmp_path, 1)
    columns = {"filepath": pa.array(["0.jpg"]), "caption": pa.array(["a dot"]), "key": pa.array(["k"])} | {role: cells}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    source = Table(str(tmp_path / "t.parquet"))
    assert len(read(source)) == 1
    assert isinstance(read(source)[0], Rejected)
    assert source.fingerprint("0000") == source.fingerprint("0000")


def test_a_parquet_footer_that_claims_rows_without_end_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"filepath": ["0.jpg"] * 77, "caption": ["a"] * 77}), path)
    data = path.read_bytes()
    count, endless = b"\x9a\x01", b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"  # 77, and 2^62 - 1, as thrift writes them
    head, foot = (
        data[: -8 - int.from_bytes(data[-8:-4], "little")],
        data[-8 - int.from_bytes(data[-8:-4], "little") : -8],
    )
    longer = foot.replace(count, endless)
    assert longer != foot
    path.write_bytes(head + longer + len(longer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(LmiaError, match=r"cannot be read"):
        Table(str(path)).shards()


def test_a_line_too_long_does_not_take_the_next_one_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("lmia_table.text.LINE_BYTES", 50)
    images(tmp_path, 1)
    (tmp_path / "t.csv").write_text(f'filepath,caption\n0.jpg,{"x" * 60}\n0.jpg",a dot\n0.jpg,another\n')
    records = read(tmp_path / "t.csv")
    assert reasons(records) == ["unreadable line", "no such file"]
    assert [record.caption for record in records if isinstance(record, Pair)] == ["another"]


def test_a_line_too_long_within_an_open_quote_is_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("lmia_table.text.LINE_BYTES", 50)
    images(tmp_path, 1)
    (tmp_path / "t.csv").write_text(f'filepath,caption\n0.jpg,"open\n{"x" * 60}\n0.jpg,another\n')
    records = read(tmp_path / "t.csv")
    assert reasons(records) == ["unreadable line"] * 2
    assert [record.caption for record in records if isinstance(record, Pair)] == ["another"]


def test_a_parquet_column_whose_name_is_not_utf8_is_a_sentence(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"filepath": ["0.jpg"], "caption": ["a"], "oddname": [1]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"oddname", b"odd\xffame"))
    with pytest.raises(LmiaError, match="cannot be read"):
        Table(str(path)).shards()


def test_two_tables_of_one_relative_path_are_two(tmp_path, monkeypatch):
    found = []
    for place in (tmp_path / "x", tmp_path / "y"):
        place.mkdir()
        (place / "a.bmp").write_bytes(b"same size")
        os.utime(place / "a.bmp", (0, 0))
        (place / "t.csv").write_text("image,caption\na.bmp,a\n")
        monkeypatch.chdir(place)
        found.append(Table("t.csv").fingerprint("0000"))
    assert found[0] != found[1]


def test_memory_that_runs_out_is_no_fault_of_a_row(tmp_path, monkeypatch):
    pq.write_table(pa.table({"image": [b"x"] * 200, "caption": ["a"] * 200}), tmp_path / "t.parquet")
    table, whole = Table(str(tmp_path / "t.parquet")), pq.ParquetFile.iter_batches
    table.shards()

    def short(error):
        def batches(self, *args, **options):
            yield next(whole(self, *args, **options))
            raise error

        return batches

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", short(pa.ArrowMemoryError("malloc failed")))
    with pytest.raises(MemoryError):
        list(table.read("0000"))
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", short(OSError(5, "Input/output error")))
    with pytest.raises(LmiaError, match="Input/output error"):
        list(table.read("0000"))
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", short(OSError("Corrupt snappy compressed data.")))
    assert reasons(table.read("0000")) == ["unreadable row"] * 136
