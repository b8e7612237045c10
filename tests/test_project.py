"""The project's own files: what is pinned, what runs before a change lands, and what a wheel carries."""

import os
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKE = (ROOT / "Makefile").read_text()


def lines(path):
    found = [line.strip() for line in (ROOT / path).read_text().splitlines()]
    return [line for line in found if line and not line.startswith("#")]


def recipe(target):
    """The commands of a target of the Makefile."""
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n?)+)", MAKE, re.M)
    return [line.strip() for line in found[1].splitlines()]


def pins():
    """The pinned names with their versions, a pair a line."""
    pairs = [line.split("==") for line in lines("constraints.txt")]
    return [(canonicalize_name(name), version) for name, version in pairs]


def test_every_constraint_is_one_version_and_no_address():
    for line in lines("constraints.txt"):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line
    assert len(dict(pins())) == len(pins())


def test_all_that_make_installs_is_pinned_to_a_version_that_it_allows():
    command = next(line for line in recipe("$(VENV)/.stamp") if "--editable" in line)
    assert "--constraint constraints.txt" in command
    extras = re.search(r"\.\[([\w,]+)\]", command)[1].split(",")
    assert {"demo", "dev"} <= set(extras)
    wanted = [*PROJECT["dependencies"], *(word for extra in extras for word in PROJECT["optional-dependencies"][extra])]
    versions = dict(pins())
    for one in map(Requirement, wanted):
        assert canonicalize_name(one.name) in versions, one
        assert versions[canonicalize_name(one.name)] in one.specifier, one


def test_what_must_pass_before_a_change_lands_is_lint_and_test():
    commands = lines(".ci/run")
    assert [line for line in commands if line.startswith("make")] == ["make lint", "make test"]
    assert "set -euo pipefail" in commands  # the first that fails ends it
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert recipe("lint") == ["$(BIN)/ruff check .", "$(BIN)/ruff format --check .", "$(BIN)/mypy"]
    assert "-m pytest" in recipe("test")[0]


def test_make_audit_audits_the_demo_with_wsa():
    assert recipe("audit")[0] == "$(BIN)/lmia audit --plugin wsa"


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_a_newcomer_finds(name):
    first = (ROOT / name).read_text().splitlines()[0]
    assert first.startswith("# ")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The files of the wheel, and its entry points."""
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as file:
        points = next(name for name in file.namelist() if name.endswith(".dist-info/entry_points.txt"))
        return set(file.namelist()), file.read(points).decode()


def below(folder, pattern="*"):
    """The files below a folder of the project, by their place in it."""
    every = [path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob(pattern) if path.is_file()]
    return {str(path) for path in every if "__pycache__" not in path.parts}


def test_the_wheel_carries_every_module_of_core_and_plugins(wheel):
    files, points = wheel
    assert {f"lmia/{name}" for name in below("lmia", "*.py")} <= files
    assert below("plugins", "*.py") <= files
    for name, module in PROJECT["entry-points"]["lmia"].items():
        assert f"{name} = {module}\n" in points
        place = module.replace(".", "/")
        assert {f"{place}.py", f"{place}/__init__.py"} & files, module


def test_the_wheel_carries_what_is_read_at_run_time(wheel):
    files, _ = wheel
    assert {"lmia/report/schema.json", "lmia/report/page.css", "lmia/report/page.html.j2", "lmia/py.typed"} <= files
    assert {f"lmia/report/{name}" for name in below("lmia/report", "*.j2")} <= files
    model = {"open_clip_config.json", "open_clip_model.safetensors", "training.json", "membership.parquet"}
    assert model <= below("plugins/lmia_demo/emoji-clip")
    assert {f"lmia_demo/emoji-clip/{name}" for name in below("plugins/lmia_demo/emoji-clip")} <= files
    studies = below("configs/studies")
    assert studies
    assert {f"lmia/study/configs/{name}" for name in studies} <= files


def test_the_wheel_carries_no_tests_and_nothing_beside_the_packages(wheel):
    files, _ = wheel
    assert not [name for name in files if {"tests", "benchmarks", "__pycache__"} & set(name.split("/"))]
    assert not [name for name in files if re.match(r"test_|conftest", name.rpartition("/")[2])]
    own = {"lmia", *(path.name for path in (ROOT / "plugins").iterdir())}
    assert {name.split("/")[0] for name in files if ".dist-info/" not in name} <= own
