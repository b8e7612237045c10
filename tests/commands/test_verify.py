"""`lmia verify`, as typed: what it prints, and how it ends."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import players
from lmia import shell
from lmia.commands.verify import main
from lmia.errors import LmiaError
from lmia.recheck import judge_of
from lmia.report.run import read_run
from lmia.report.scores import write_scores
from lmia_csa import CSA
from memory import at_most
from players import Toy
from test_audit import audit
from worlds import Noise, Plain


@pytest.fixture(autouse=True)
def _players(monkeypatch):
    players.install(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    roles = {"members": Noise(0, 120), "nonmembers": Noise(400, 520), "known_nonmembers": Noise(800, 900),
             "pool": Noise(1200, 1230)}  # fmt: skip
    audit(folder, [CSA()], roles=roles, target=Toy("0:120", leak=0.7), fpr=[0.1])
    return folder / "out"


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def change_score(run, value):
    """Change the score of the last member; return its key."""
    path = run / "scores.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    row = [row for row in rows if row["role"] == "members" and row["model"] == "target"][-1]
    row["score"] = value
    write_scores(pa.Table.from_pylist(rows, schema=table.schema), path)
    return row["key"]


def change_report(run, **changes):
    path = run / "report.json"
    report = json.loads(path.read_text())
    report.update(changes)
    path.write_text(json.dumps(report))


def test_an_untouched_run_is_verified(run, capsys):
    assert main([str(run)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("Verified: the report follows from its scores.\n")
    assert "273 rows, 1 attacks" in out
    assert "Not recomputed: " in out
    assert "DIFFERS" not in out


def test_a_changed_score_fails_and_is_named(run, capsys):
    key = change_score(run, 0.987)
    with pytest.raises(LmiaError, match="does not hold") as told:
        main([str(run)])
    out = capsys.readouterr().out
    assert f"    members {key}\n" in out
    assert "DIFFERS scores.parquet: has sha256" in out
    assert "DIFFERS csa: rank" in out
    assert "Verified" not in out
    assert str(told.value).count("\n") == 1


def test_it_ends_with_exit_code_2_and_two_lines(run, capsys, monkeypatch):
    monkeypatch.setitem(shell.COMMANDS, "verify", "lmia.commands.verify:main")
    change_score(run, 0.987)
    assert shell.run(["verify", str(run)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_many_rows_are_counted_not_all_printed(run, capsys):
    path = run / "scores.parquet"
    table = pq.read_table(path)
    rows = [{**row, "p": None} for row in table.to_pylist()]
    write_scores(pa.Table.from_pylist(rows, schema=table.schema), path)
    with pytest.raises(LmiaError):
        main([str(run)])
    out = capsys.readouterr().out
    assert "    and 230 more" in out
    assert out.count("\n    members ") + out.count("\n    nonmembers ") < 30


def test_hostile_names_are_printed_harmlessly(run, capsys):
    path = run / "scores.parquet"
    table = pq.read_table(path)
    rows = [{**row, "key": row["key"] + "\x1b[31m"} for row in table.to_pylist()]
    rows[0]["p"] = 0.5
    write_scores(pa.Table.from_pylist(rows, schema=table.schema), path)
    with pytest.raises(LmiaError):
        main([str(run)])
    assert "\x1b" not in capsys.readouterr().out


def test_a_long_name_takes_its_own_room_alone(run):
    found = read_run(run)
    rows = found.attacks["csa"]
    rows.group[0] = "x" * 100_000
    with at_most(10 << 20):  # as an array, 109 MB
        judge_of(found.report, rows, [0.1], {})


def test_rescore_agrees_on_an_untouched_run(run, capsys):
    assert main([str(run), "--rescore", "40", "--seed", "1"]) == 0
    assert "40 pairs were run through the model again." in capsys.readouterr().out


def test_rescore_of_all_finds_a_score_that_the_model_does_not_give(run, capsys):
    key = change_score(run, 0.987)
    with pytest.raises(LmiaError):
        main([str(run), "--rescore", "1000"])
    out = capsys.readouterr().out
    assert "273 pairs were run through the model again." in out
    _, _, rest = out.partition("DIFFERS csa: score: is not the pair's cosine")
    assert rest.splitlines()[1] == f"    members {key}"


def test_rescore_of_all_finds_a_cosine_that_the_model_does_not_give(run, capsys):
    path = run / "scores.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    key = next(row["key"] for row in rows if row["role"] == "members")
    changed = [{**row, "cosine": 0.987} if row["key"] == key and row["model"] == "target" else row for row in rows]
    write_scores(pa.Table.from_pylist(changed, schema=table.schema), path)
    with pytest.raises(LmiaError):
        main([str(run), "--rescore", "1000"])
    _, _, rest = capsys.readouterr().out.partition("DIFFERS cosine: the model gives these pairs cosines that differ")
    assert rest.splitlines()[1:] == [f"    members {key}"]


def test_rescore_finds_another_model(run, capsys):
    config = json.loads((run / "report.json").read_text())["config"]
    config["model"]["target"]["init_args"]["leak"] = 0.1
    change_report(run, config=config)
    with pytest.raises(LmiaError, match="in target"):
        main([str(run), "--rescore", "20"])
    out = capsys.readouterr().out
    assert "DIFFERS target" in out
    assert "DIFFERS cosine" in out


def test_rescore_finds_pairs_that_are_gone(run, capsys):
    config = json.loads((run / "report.json").read_text())["config"]
    config["data"]["members"]["init_args"]["stop"] = 100
    change_report(run, config=config)
    with pytest.raises(LmiaError, match="in data"):
        main([str(run), "--rescore", "1000"])
    out = capsys.readouterr().out
    assert "    members noise/100" in out
    assert "    and 10 more" in out
    assert "DIFFERS cosine" not in out


def test_rescore_needs_no_attack_of_cosines(tmp_path, capsys):
    roles = {"members": Noise(0, 40), "nonmembers": Noise(400, 440), "known_nonmembers": Noise(800, 840),
             "pool": Noise(1200, 1230)}  # fmt: skip
    audit(tmp_path, [Plain()], roles=roles, target=Toy("0:40", leak=0.7))
    assert main([str(tmp_path / "out"), "--rescore", "1000"]) == 0
    assert "pairs were run through the model again." in capsys.readouterr().out


def test_a_run_from_before_cosines_were_kept_cannot_be_rescored(run):
    path = run / "scores.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["cosine"]), path)
    with pytest.raises(LmiaError, match="holds no cosines"):
        main([str(run), "--rescore", "3"])


def test_a_config_without_a_model_cannot_be_rescored(run):
    change_report(run, config={})
    with pytest.raises(LmiaError, match=r"no model\.target"):
        main([str(run), "--rescore", "3"])


def name_data(run, **config):
    """Let a report name other members."""
    found = json.loads((run / "report.json").read_text())["config"]
    found["data"]["members"] = config
    change_report(run, config=found)


def name_target(run, **config):
    """Let a report name another model."""
    found = json.loads((run / "report.json").read_text())["config"]
    found["model"]["target"] = config
    change_report(run, config=found)


def nested(config, times=1):
    for _ in range(times):
        config = {"class_path": "lmia.source.Sample", "init_args": {"source": config, "n": 3}}
    return config


PIPE = {"class_path": "lmia_webdataset.WebDataset", "init_args": {"urls": "pipe:touch SPRUNG", "allow_pipe": True}}
KEEP = {"class_path": "lmia_webdataset.WebDataset", "init_args": {"urls": "a.tar", "keep": "SPRUNG"}}
MODULE = {"class_path": "trap.Noise", "init_args": {}}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (PIPE, "allow_pipe = True of 'lmia_webdataset.WebDataset'"),
        (KEEP, "keep = 'SPRUNG'"),
        (MODULE, r"the source 'trap\.Noise', which is no class of an installed plugin"),
        (nested(PIPE, 2), "allow_pipe = True"),
        (nested(MODULE), "which is no class of an installed plugin"),
        (nested(nested(MODULE), 200), "init_args of 'lmia.source.Sample' that no audit writes"),
        ({"class_path": "worlds.Noise", "init_args": "start"}, "that no audit writes"),
        ({"class_path": ["worlds.Noise"]}, "which is no class of an installed plugin"),
    ],
)
def test_a_strangers_report_gets_nothing_run_imported_or_written(config, said, run, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("open('SPRUNG', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    name_data(run, **config)
    with pytest.raises(LmiaError, match=said) as told:
        main([str(run), "--rescore", "1000"])
    assert "data.members" in told.value.problem
    assert "--trust-config" in told.value.remedy
    assert not (tmp_path / "SPRUNG").exists()


def test_a_strangers_report_gets_no_module_imported_as_its_model(run, tmp_path, monkeypatch):
    (tmp_path / "trapped.py").write_text("open('SPRUNG', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    name_target(run, class_path="trapped.X", init_args={})
    with pytest.raises(LmiaError, match=r"asks for the target 'trapped\.X'"):
        main([str(run), "--rescore", "9"])
    assert not (tmp_path / "SPRUNG").exists()


def test_a_report_of_ones_own_is_made_as_it_is_written(run, capsys):
    name_target(run, class_path="worlds.Matrices", init_args={"members": "0:120", "leak": 0.7})
    with pytest.raises(LmiaError, match="which is no class of an installed plugin"):
        main([str(run), "--rescore", "9"])
    assert main([str(run), "--rescore", "9", "--trust-config"]) == 0
    assert "9 pairs were run through the model again" in capsys.readouterr().out


@pytest.mark.parametrize("args", [{"start": "a", "stop": 9}, {"start": 0}, {"start": 0, "stop": 9, "of": 3}])
def test_a_reports_options_of_any_type_end_in_a_sentence(args, run):
    name_data(run, class_path="worlds.Noise", init_args=args)
    with pytest.raises(LmiaError, match=r"The report's data\.members does not work: TypeError"):
        main([str(run), "--rescore", "1000"])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "required"),
        (["nowhere"], r"nowhere/report\.json' cannot be read"),
        (["x", "--rescore", "-1"], "no negative"),
        (["x", "--rescore", "many"], "invalid int"),
        (["x", "--resc", "1"], "unrecognized"),
    ],
)
def test_wrong_words_are_told(words, match):
    with pytest.raises(LmiaError, match=match):
        main(words)
