"""Real photographs with real sentences: the stamps of Tux Paint, from their Debian package, as a target's training set.

Nothing of it is kept here. `pytest -m "slow and network" tests/plugins/test_tuxpaint.py` fetches the package.
"""

import io
import json
import shutil
import subprocess
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image

from lmia.evidence import auroc
from lmia.registry import registry
from lmia.report.archive import read_report
from lmia.shell import run

PACKAGE = "tuxpaint-stamps-default"

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1800)]


def unpack(folder: Path) -> Path:
    """Fetch and unpack the package, or skip with a plain reason."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        pytest.skip("Tux Paint's stamps come as a Debian package, and this machine has no apt-get or no dpkg")
    got = subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.deb"))
    if got.returncode or not found:
        pytest.skip(f"the Debian package {PACKAGE} cannot be had here: {got.stderr.strip().splitlines()[-1:]}")
    subprocess.run(["dpkg", "-x", str(found[0]), str(folder / "unpacked")], check=True)
    return folder / "unpacked" / "usr" / "share" / "tuxpaint" / "stamps"


def on_white(path: Path) -> Image.Image:
    """Lay a cut-out picture on white, 256 px at most."""
    with Image.open(path) as image:
        cut = image.convert("RGBA")
    cut.thumbnail((256, 256))
    white = Image.new("RGBA", cut.size, "white")
    white.alpha_composite(cut)
    return white.convert("RGB")


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    """A folder of NAME.png with NAME.txt: photographs (no cartoons, no symbols) and the English sentence of each."""
    where = unpack(tmp_path_factory.mktemp("debian"))
    folder = tmp_path_factory.mktemp("stamps")
    count = 0
    for path in sorted(where.rglob("*.png")):
        text = path.with_suffix(".txt")
        if {"cartoon", "symbols"} & set(path.parts) or path.stem.endswith("_mirror") or not text.is_file():
            continue
        caption = text.read_text(encoding="utf-8").splitlines()[0].strip()
        if caption:
            on_white(path).save(folder / f"{count:04d}.png")
            (folder / f"{count:04d}.txt").write_text(caption, encoding="utf-8")
            count += 1
    assert count > 300
    return folder


@pytest.fixture(scope="module")
def target(stamps, tmp_path_factory):
    out = tmp_path_factory.mktemp("target") / "tuxpaint"
    words = ["--model", "demo,random", "--source", str(stamps), "--epochs", "60", "--stop-auc", "0.8", "--batch", "64"]
    assert run(["fit", *words, "--near-copies", "4", "--shards", "true", "--out", str(out)]) == 0
    return out, json.loads((out / "training.json").read_text())


def cosines(out: Path, role: str) -> torch.Tensor:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{out}")
    kind, arguments = registry().claim("source", f"{out}/shards/{role}-*.tar")
    source = kind(**arguments)
    pairs = [pair for shard in source.shards() for pair in source.read(shard)]
    pixels = torch.stack([preprocess(Image.open(io.BytesIO(pair.image))) for pair in pairs])
    tokens = open_clip.SimpleTokenizer(context_length=24)([pair.caption for pair in pairs])
    with torch.inference_mode():
        image = model.eval().encode_image(pixels, normalize=True)
        return (image * model.encode_text(tokens, normalize=True)).sum(-1)


def test_csa_finds_the_trained_half(target):
    """The pairs are read back from the tar shards that training wrote, as an audit reads them."""
    out, done = target
    members, nonmembers = cosines(out, "members"), cosines(out, "nonmembers")
    assert (len(members), len(nonmembers)) == (done["pairs"], done["held_out"])
    truth = torch.cat([torch.ones(len(members)), torch.zeros(len(nonmembers))])
    found = auroc(torch.cat([members, nonmembers]), truth)
    print(
        f"{done['pairs']} + {done['held_out']} photographs, {done['epochs']} epochs, {done['rejected']}: CSA AUC {found}"
    )
    assert found.low > 0.5


def test_an_audit_of_the_shards_says_so(target, tmp_path, capsys):
    """The whole command: CSA's interval lies above 0.5 on real photographs with exact, randomised truth."""
    out, _ = target
    words = [
        "audit",
        "--plugin",
        "csa",
        "--plugin",
        "anchor",
        "--model",
        f"local-dir:{out}",
        "--out",
        str(tmp_path / "o"),
    ]
    words += [f"--{role}={out}/shards/{role}-*.tar" for role in ("members", "nonmembers")]
    assert run(words) == 0
    with capsys.disabled():
        print(capsys.readouterr().out)
    report = read_report(tmp_path / "o" / "report.json")
    assert report.attacks[0].name == "csa"
    assert report.attacks[0].auc.low > 0.5


def test_an_audit_of_the_manifest_says_so(target, stamps, tmp_path, capsys):
    """The same from the folder of pictures, with all roles taken from the manifest in one line."""
    out, _ = target
    truth = ["--truth", str(out / "membership.parquet"), "--source", str(stamps)]
    assert run(["audit", "--plugin", "csa", "--model", f"local-dir:{out}", *truth, "--out", str(tmp_path / "o")]) == 0
    with capsys.disabled():
        print(capsys.readouterr().out)
    report = read_report(tmp_path / "o" / "report.json")
    assert report.attacks[0].auc.low > 0.5
