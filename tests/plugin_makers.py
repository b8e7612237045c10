"""Distributions made on the spot, installed as pip leaves them: a module and a dist-info folder with entry points."""

import csv
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from plugins.openclip_models import folder
from worlds import picture, png

ROOT = Path(__file__).parent.parent
MARGIN = ROOT / "tests" / "third_party" / "lmia-margin"


def install(site, name, module, code, version="1.0", point=None):
    """Put a distribution of one module into a folder that stands on the path."""
    site.mkdir(parents=True, exist_ok=True)
    (site / f"{module}.py").write_text(code)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[lmia]\n{point or module.removeprefix('lmia_')} = {module}\n")


def points(site):
    """The entry points of what is installed in a folder."""
    return [p for d in distributions(path=[str(site)]) for p in d.entry_points if p.group == "lmia"]


def environment(site, cache, **more):
    """The environment of a process that finds what is installed in `site`, besides all that is here."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PYTHONPATH": path, "PATH": tools, "LMIA_CACHE": str(cache), "COLUMNS": "240", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, **more}


def lmia(*words, site, cache, cwd):
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "lmia", *map(str, words)]
    env = environment(site, cache)
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=200, check=False)


def pip_install(project, site):
    """Build and install a project as pip does, without a look at the network; an earlier version of it goes."""
    shutil.rmtree(site, ignore_errors=True)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(project)]
    subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)


def tiny_audit(path, members=60, nonmembers=90):
    """Words for an audit of a tiny random model on a few pictures of noise; it takes no time and finds nothing."""
    path.mkdir(parents=True, exist_ok=True)
    rows = {"members": range(members), "nonmembers": range(1000, 1000 + nonmembers)}
    words = ["--model", f"local-dir:{folder(path / 'model')}"]
    for role, indices in rows.items():
        (path / role).mkdir()
        with (path / f"{role}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["filepath", "caption"])
            for i in indices:
                (path / role / f"{i}.png").write_bytes(png(picture(i)))
                writer.writerow([f"{role}/{i}.png", f"picture number {i}"])
        words += [f"--{role}", str(path / f"{role}.csv")]
    return words
