"""A stranger's distribution, built and installed by pip and run; and six broken ones, none of which stops the others."""

import json
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

import lmia as package
from lmia import request, specs
from lmia.errors import LmiaError
from lmia.registry import Registry
from lmia.shell import run
from plugin_makers import MARGIN, environment, install, lmia, pip_install, points, tiny_audit

GOOD = """
import lmia
class {name}(lmia.Attack):
    '''The cosine, by another name.'''
    def score(self, samples):
        return samples.cosine[:, 0]
@lmia.hookimpl
def lmia_attacks():
    return [{name}]
"""

BROKEN = {
    "gone": ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
    "misspelt": (GOOD.format(name="Misspelt").replace("lmia_attacks", "lmia_atacks"), "lmia_atacks"),
    "instance": (
        GOOD.format(name="Instance").replace("[Instance]", "[Instance()]"),
        "must return subclasses of lmia.Attack",
    ),
    "scoreless": (GOOD.format(name="Scoreless").replace("def score", "def scores"), "Scoreless does not define score"),
    "wordy": (
        GOOD.format(name="Wordy").replace("    def score", "    needs = frozenset({'logits'})\n    def score"),
        "Wordy.needs holds ['logits'], allowed are",
    ),
    "raising": (GOOD.format(name="Raising").replace("return [Raising]", "return 1 / 0"), "ZeroDivisionError"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where pip has put lmia-margin, and all the broken ones beside it; the first and the last name work."""
    base = tmp_path_factory.mktemp("installed")
    project = shutil.copytree(MARGIN, base / "project")  # a build leaves files behind
    pip_install(project, base / "site")
    for name, (code, _) in BROKEN.items():
        install(base / "site", f"acme-{name}", f"acme_{name}", code, point=name)
    install(base / "site", "acme-zebra", "acme_zebra", GOOD.format(name="Zebra"), version="2.5", point="zebra")
    return base / "site"


@pytest.fixture(scope="module")
def listed(site, tmp_path_factory):
    path = tmp_path_factory.mktemp("listed")
    done = lmia("plugins", site=site, cache=path / "cache", cwd=path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def line(text, word):
    return next((" ".join(row.split()) for row in text.splitlines() if f" {word} " in row), "")


def test_the_whole_of_it_is_short():
    """A stranger's attack, its packaging included, is something to type in one sitting."""
    lines = [
        *(MARGIN / "lmia_margin.py").read_text().splitlines(),
        *(MARGIN / "pyproject.toml").read_text().splitlines(),
    ]
    assert sum(bool(text.strip()) for text in lines) <= 35


def test_it_is_listed_with_its_distribution(listed):
    found = line(listed, "margin")
    assert found.startswith("attack margin lmia-margin 1.0 Similarity to the own caption")
    assert line(listed, "zebra").startswith("attack zebra acme-zebra 2.5 The cosine, by another name.")
    assert line(listed, "csa").startswith(f"attack csa lmia {package.__version__}")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_is_listed_with_its_reason(name, listed):
    found = line(listed, name)
    assert found.startswith(f"broken {name} acme-{name} 1.0 ")
    assert BROKEN[name][1] in " ".join(listed.split())


@pytest.mark.parametrize("name", BROKEN)
def test_asking_for_a_broken_one_is_an_error_that_says_so(name, site, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    found = Registry(points(site))
    with pytest.raises(LmiaError) as error:
        found.get("attack", name)
    assert error.value.problem.startswith(f"The plugin '{name}' of acme-{name} 1.0 is broken: ")
    assert BROKEN[name][1] in error.value.problem
    assert found.get("attack", "zebra").__name__ == "Zebra"
    assert found.get("attack", "margin").__name__ == "Margin"


def test_it_runs_and_is_reported_though_others_are_broken(site, tmp_path):
    data = tiny_audit(tmp_path / "data")
    words = ["--plugin", "margin", "--plugin.k", "3", "--plugin", "csa", *data, "--out", tmp_path / "out"]
    done = lmia("audit", *words, site=site, cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "margin" in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    margin, csa = report["attacks"]
    assert (margin["name"], margin["status"], margin["settings"]) == ("margin", "ran", {"k": 3})
    assert margin["title"].startswith("Similarity to the own caption")
    assert margin["access"] == ["embeddings"]
    assert 0 <= margin["auc"]["low"] <= margin["auc"]["value"] <= margin["auc"]["high"] <= 1
    assert csa["status"] == "ran"
    scores = pq.read_table(tmp_path / "out" / "scores.parquet")
    audited = sum(count["scored"]["audited"] for count in report["roles"])
    mine = [
        role
        for role, name, model in zip(*(scores[c].to_pylist() for c in ("role", "attack", "model")), strict=True)
        if name == "margin" and model == "target"
    ]
    assert len([role for role in mine if role in ("members", "nonmembers")]) == audited
    assert report["config"]["plugin"][0] == {"class_path": "lmia_margin.Margin", "init_args": {"k": 3}}
    again = lmia(
        *("audit", "--config", tmp_path / "out" / "config.yaml", "--out", tmp_path / "again"),
        site=site,
        cache=tmp_path / "cache",
        cwd=tmp_path,
    )
    assert again.returncode == 0, again.stderr
    replayed = json.loads((tmp_path / "again" / "report.json").read_text())
    assert replayed["scores_sha256"] == report["scores_sha256"]


def test_a_broken_one_is_two_lines_on_the_command_line(site, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(site))
    found = Registry(points(site))
    for module in (request, specs):
        monkeypatch.setattr(module, "registry", lambda: found)
    assert run(["audit", "--plugin", "scoreless", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "lmia: The plugin 'scoreless' of acme-scoreless 1.0 is broken: TypeError: Scoreless does not define score",
        "Mend or uninstall it; `lmia plugins` lists what works.",
    ]
    assert not list(tmp_path.iterdir())


def test_its_own_tests_pass(site, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    tests = shutil.copytree(MARGIN / "tests", tmp_path / "tests")
    env = environment(site, tmp_path / "cache")
    done = subprocess.run(
        [*command, str(tests)], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_two_distributions_with_one_name_are_named(tmp_path, monkeypatch):
    install(tmp_path, "acme-one", "acme_one", GOOD.format(name="Twin"))
    install(tmp_path, "acme-two", "acme_two", GOOD.format(name="Twin"))
    install(tmp_path, "acme-three", "acme_three", GOOD.format(name="Single"))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = Registry(points(tmp_path))
    with pytest.raises(LmiaError, match="Two distributions bring an attack called 'twin': acme-one and acme-two"):
        found.get("attack", "Twin")
    assert found.get("attack", "single").__name__ == "Single"
    assert [plugin.distribution for plugin in found.listing() if plugin.name == "twin"] == ["acme-one", "acme-two"]


def test_two_distributions_with_one_name_are_two_lines_on_the_command_line(tmp_path, monkeypatch, capsys):
    for name in ("one", "two"):
        install(tmp_path / "site", f"acme-{name}", f"acme_twin_{name}", GOOD.format(name="Twin"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = Registry(points(tmp_path / "site"))
    for module in (request, specs):
        monkeypatch.setattr(module, "registry", lambda: found)
    assert run(["audit", "--plugin", "twin", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "lmia: Two distributions bring an attack called 'twin': acme-one and acme-two.",
        "Uninstall one of them.",
    ]
    assert not (tmp_path / "out").exists()
