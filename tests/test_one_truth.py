"""The same pairs and model give the same scores, whatever they come in: file formats, checkpoints, kills, changes."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from io import BytesIO

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

import lmia
from lmia import record, specs
from worlds import picture, png

CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SIGLIP = CLIP | {
    "init_logit_bias": -10,
    "custom_text": True,
    "text_cfg": CLIP["text_cfg"] | {"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
}
WORDS = ["red", "blue", "green", "old", "young", "small", "large", "dark", "bright", "quiet"]


def caption(i):
    return f"a {WORDS[i % 10]} and {WORDS[i // 10 % 10]} picture of number {i}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A local-dir model, a SigLIP-like one, and the same 200 pairs in five formats."""
    root = tmp_path_factory.mktemp("one")
    for name, config in (("clip", CLIP), ("siglip", SIGLIP)):
        (root / name).mkdir()
        preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3}
        (root / name / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
        )
        torch.manual_seed(0)
        plain = {key: value for key, value in config.items() if key != "custom_text"}
        model = (open_clip.CustomTextCLIP if "custom_text" in config else open_clip.CLIP)(**plain)
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(state, root / name / "open_clip_model.safetensors")
    for side, start in (("in", 0), ("out", 100)):
        write(root, side, range(start, start + 100))
    return root


def write(root, side, numbers):
    images, rows = root / f"{side}-folder", []
    images.mkdir()
    with tarfile.open(root / f"{side}.tar", "w") as tar:
        for i in numbers:
            data = png(picture(i))
            (images / f"{i:04d}.png").write_bytes(data)
            (images / f"{i:04d}.txt").write_text(caption(i))
            rows.append({"filepath": f"{side}-folder/{i:04d}.png", "caption": caption(i)})
            for ending, content in (("png", data), ("txt", caption(i).encode())):
                info = tarfile.TarInfo(f"{i:04d}.{ending}")
                info.size = len(content)
                tar.addfile(info, BytesIO(content))
    lines = ["filepath,caption", *(f"{row['filepath']},{row['caption']}" for row in rows)]
    (root / f"{side}.csv").write_text("\n".join(lines))
    (root / f"{side}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), root / f"{side}.parquet")


def audit(root, out, target, ending=".tar", plugin=("csa", "anchor")):
    data = lmia_data(root, ending)
    extractor = extractor_of(target, out)
    return lmia.run_audit(extractor, data, list(plugin), out=out, trainer=record.trainer(accelerator="cpu"))


def lmia_data(root, ending):
    from lmia.data import AuditData

    return AuditData(members=specs.source(f"{root}/in{ending}"), nonmembers=specs.source(f"{root}/out{ending}"))


def extractor_of(target, out):
    from lmia.extract import FeatureExtractor

    return FeatureExtractor(target, None, out / "cache")


def test_five_formats_one_truth(folder, tmp_path):
    """The cosines of the same pairs agree to 1e-6, whatever file they come in."""
    every = {}
    for ending in (".tar", ".csv", ".jsonl", ".parquet", "-folder"):
        out = tmp_path / ending.strip(".-")
        target = specs.target(f"local-dir:{folder}/clip")
        audit(folder, out, target, ending, ["csa"])
        rows = pq.read_table(out / "scores.parquet").to_pylist()
        assert len(rows) == len({(row["model"], row["attack"], row["key"]) for row in rows})
        store = extractor_of(target, out).store.folder  # beside it lies the twin's
        cosines = np.concatenate([np.load(path) for path in sorted(store.glob("cosine/*.npy"))])
        every[ending] = np.sort(cosines)
        assert len(every[ending]) == 200
    for ending, cosines in every.items():
        np.testing.assert_allclose(cosines, every[".tar"], atol=1e-6, err_msg=ending)


def test_checkpoints_of_one_model_are_one_model(folder, tmp_path):
    state = load_file(folder / "clip" / "open_clip_model.safetensors")
    open_clip.add_model_config(_config_file(tmp_path, "lmia-tiny", CLIP))
    torch.save(state, tmp_path / "weights.pt")
    save_file(state, tmp_path / "weights.safetensors")
    targets = {
        "local-dir": specs.target(f"local-dir:{folder}/clip"),
        "pt": specs.target("lmia-tiny", str(tmp_path / "weights.pt")),
        "safetensors": specs.target("lmia-tiny", str(tmp_path / "weights.safetensors")),
    }
    digests = {name: target.facts().details["weights digest"] for name, target in targets.items()}
    assert len(set(digests.values())) == 1
    scores = {}
    for name in ("pt", "safetensors"):
        audit(folder, tmp_path / name, targets[name])
        scores[name] = (tmp_path / name / "scores.parquet").read_bytes()
    assert scores["pt"] == scores["safetensors"]


def test_the_report_names_the_weights_that_were_audited(folder, tmp_path):
    target = specs.target(f"local-dir:{folder}/clip")
    audit(folder, tmp_path, target, plugin=["csa"])
    told = json.loads((tmp_path / "report.json").read_text())["target"]
    again = specs.target(f"local-dir:{folder}/clip")
    assert told["weights digest"] == again.facts().details["weights digest"]
    with torch.no_grad():
        again.model.visual.proj[0, 0] += 0.5
    assert told["weights digest"] != again.facts().details["weights digest"]


def _config_file(tmp_path, name, config):
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("model", "precision"), [("clip", "fp32"), ("siglip", "fp32"), ("clip", "bf16"), ("clip", "fp16")]
)
def test_one_row_for_every_head_and_precision(folder, tmp_path, model, precision):
    config = specs.target_config(f"local-dir:{folder}/{model}")
    config["init_args"]["precision"] = precision
    target = specs.build("target", config)
    report = audit(folder, tmp_path / "out", target)
    assert [result.status for result in report.attacks] == ["ran", "ran"]
    assert report.target["loss"] == ("sigmoid" if model == "siglip" else "softmax")
    assert report.target["precision"] == precision
    assert all(0 <= result.auc.low <= result.auc.value <= result.auc.high <= 1 for result in report.attacks)


def test_low_precision_moves_cosines_by_rounding_only(folder, tmp_path):
    found = {}
    for precision in ("fp32", "bf16"):
        config = specs.target_config(f"local-dir:{folder}/clip")
        config["init_args"]["precision"] = precision
        audit(folder, tmp_path / precision, specs.build("target", config), plugin=["csa"])
        rows = pq.read_table(tmp_path / precision / "scores.parquet").to_pylist()
        found[precision] = np.array([row["score"] for row in rows])
    assert 0 < np.abs(found["fp32"] - found["bf16"]).max() < 0.03


def test_one_weight_changed_is_recomputed(folder, tmp_path):
    from lmia.extract import FeatureExtractor

    target = specs.target(f"local-dir:{folder}/clip")
    cache = tmp_path / "cache"
    reports = []
    for _ in range(2):
        extractor = FeatureExtractor(target, None, cache)
        out = tmp_path / f"out{len(reports)}"
        data = lmia_data(folder, ".tar")
        reports.append(lmia.run_audit(extractor, data, ["csa"], out=out, trainer=record.trainer(accelerator="cpu")))
        with torch.no_grad():
            target.model.visual.proj[0, 0] += 0.5
    assert [report.extraction["images_encoded"] for report in reports] == [200, 200]
    assert reports[0].target["fingerprint"] != reports[1].target["fingerprint"]
    assert reports[0].scores_sha256 != reports[1].scores_sha256


def test_killed_in_mid_extraction_and_run_again(folder, tmp_path):
    """`kill -9`, then the same command: byte-identical scores to an unbroken run, and only the rest is computed."""
    shards = tmp_path / "shards"
    shards.mkdir()
    for side in ("in", "out"):
        with tarfile.open(folder / f"{side}.tar") as whole:
            members = whole.getmembers()
            for part in range(6):  # 17 pairs of two files each
                with tarfile.open(shards / f"{side}-{part}.tar", "w") as tar:
                    for member in members[part * 34 : (part + 1) * 34]:
                        tar.addfile(member, whole.extractfile(member))

    def command(cache, out):
        code = (
            "import time, lmia_openclip.target as t\n"
            "encode = t.OpenCLIP.encode_image\n"
            "def slow(self, pixels):\n    time.sleep(0.3)\n    return encode(self, pixels)\n"
            "t.OpenCLIP.encode_image = slow\n"
            "import sys\nfrom lmia.shell import main\nmain(sys.argv[1:])"
        )
        return [sys.executable, "-c", code, "audit", "--plugin", "csa", "--plugin", "anchor",
                "--model", f"local-dir:{folder}/clip", "--members", f"{shards}/in-*.tar",
                "--nonmembers", f"{shards}/out-*.tar", "--cache", str(cache), "--out", str(out)]  # fmt: skip

    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    whole = subprocess.run(command(tmp_path / "a", tmp_path / "whole"), env=environment, capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    killed = subprocess.Popen(command(tmp_path / "b", tmp_path / "again"), env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    pairs = tmp_path / "b" / specs.target(f"local-dir:{folder}/clip").fingerprint() / "pairs"  # not the twin's
    while len(list(pairs.glob("*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = len(list(pairs.glob("*.parquet")))
    assert 3 <= done < 12
    again = subprocess.run(command(tmp_path / "b", tmp_path / "again"), env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    told = json.loads((tmp_path / "again" / "report.json").read_text())["extraction"]
    assert told["shards_cached"] == done
    assert (tmp_path / "whole" / "scores.parquet").read_bytes() == (tmp_path / "again" / "scores.parquet").read_bytes()
