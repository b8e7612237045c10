"""Checkpoint files: what is read, what is refused, and that nothing in them ever runs."""

import hashlib
import io
import os
import pickle
import struct
import tarfile
import zipfile

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lmia import LmiaError
from lmia_openclip.weights import digest, load
from plugins.openclip_models import CLIP, SIGLIP, weights

STATE = weights(CLIP)


def empty(config=CLIP):
    config = dict(config)
    return (open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP)(**config)


def refused(path, model=None, exact=True):
    with pytest.raises(LmiaError) as caught:
        load(model or empty(), path, exact)
    assert str(path) in caught.value.problem
    assert caught.value.remedy
    return caught.value.problem


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "safetensors", "legacy.pt"])
def test_every_format_holds_the_same_weights(suffix, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=suffix != "legacy.pt")
    model = empty()
    load(model, path, exact=True)
    assert all(torch.equal(value, STATE[name]) for name, value in model.state_dict().items())


class Trap:
    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("form", ["pickle", "torch", "inside a state_dict"])
def test_code_in_a_checkpoint_does_not_run(form, tmp_path):
    trap, path = Trap(), tmp_path / "weights.pt"
    trap.place = tmp_path / "sprung"
    if form == "pickle":
        path.write_bytes(pickle.dumps(trap))
    else:
        torch.save(trap if form == "torch" else {**STATE, "extra": trap}, path)
    assert "holds more than tensors" in refused(path)
    assert not trap.place.exists()


def _tarred(path, trap):
    """As torch saved before 2017: a tar whose members it would unpack and unpickle."""
    with tarfile.open(path, "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors", "../../up", "/abs"):
            data = pickle.dumps(trap)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)


def _scripted(path, trap):
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version"):
            archive.writestr(f"archive/{name}", pickle.dumps(trap))


DISGUISED = {
    "a pickle called safetensors": ("weights.safetensors", lambda path, trap: path.write_bytes(pickle.dumps(trap))),
    "a zip called safetensors": ("weights.safetensors", lambda path, trap: torch.save({"a": trap}, path)),
    "a tar of old": ("weights.pt", _tarred),
    "a tar called bin": ("weights.bin", _tarred),
    "a tar called safetensors": ("weights.safetensors", _tarred),
    "an archive of TorchScript": ("weights.pt", _scripted),
    "pickles one after the other": (
        "weights.pth",
        lambda path, trap: path.write_bytes(pickle.dumps(1) * 4 + pickle.dumps(trap)),
    ),
}


@pytest.mark.parametrize(("name", "write"), DISGUISED.values(), ids=DISGUISED)
def test_code_in_disguise_does_not_run_and_nothing_is_unpacked(name, write, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    trap, path = Trap(), tmp_path / name
    trap.place = tmp_path / "sprung"
    write(path, trap)
    assert "\n" not in refused(path)
    assert sorted(found.name for found in tmp_path.rglob("*")) == sorted(["here", name])


def doubled(times, key=True):
    """A pickle of protocol 2: a dictionary whose key (or value) is a tuple of twice a tuple of twice a tuple ..."""
    steps = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(times))
    return b"\x80\x02}" + (b")" + steps + b"K\x01" if key else b"K\x01)" + steps) + b"s."


def zipped(path, pickled):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little"}.items():
            archive.writestr(f"archive/{name}", content)


def legacy(path, pickled):
    heads = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    path.write_bytes(
        b"".join(pickle.dumps(head, protocol=2) for head in heads) + pickled + pickle.dumps([], protocol=2)
    )


@pytest.mark.parametrize("write", [zipped, legacy])
@pytest.mark.parametrize("key", [True, False])
def test_tuples_that_double_are_refused_before_they_are_hashed(write, key, tmp_path):
    path = tmp_path / "weights.pt"
    write(path, doubled(22, key))  # of 22 it takes a moment, of 60 for ever
    assert "a tuple in it holds more than 10,000 things" in refused(path)
    write(path, doubled(9, key))
    assert "holds no weights" in refused(path)


def test_no_key_that_is_a_tuple_within_tuples_takes_for_ever(tmp_path):
    zipped(tmp_path / "weights.pt", doubled(200))
    assert "cannot be read as a checkpoint" in refused(tmp_path / "weights.pt")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_trainings_own_tuples_are_no_hindrance(legacy, tmp_path):
    path = tmp_path / "weights.pt"
    shared = (0.9, 0.999)
    groups = [{"betas": shared, "eps": (1e-8, shared), "shape": torch.Size([3, 4])} for _ in range(3000)]
    kept = {
        "state_dict": STATE,
        "optimizer": {"param_groups": groups, "epochs": {(1, 2): 3}},
        "losses": tuple(range(5000)),
    }
    torch.save(kept, path, _use_new_zipfile_serialization=not legacy)
    load(model := empty(), path, exact=True)
    assert all(torch.equal(value, STATE[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("size", [1 << 62, 1 << 40, 200 << 20])
def test_a_header_that_claims_to_be_huge_is_refused(size, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", size) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' + bytes(99))
    assert "cannot be read as a checkpoint" in refused(path)


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    head = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(99))
    assert "cannot be read as a checkpoint" in refused(path)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("damage", ["empty", "noise", "half"])
def test_a_damaged_file_is_refused(suffix, damage, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    save_file(STATE, path) if suffix == "safetensors" else torch.save(STATE, path)
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "noise": b"\x00noise" * 99, "half": content[: len(content) // 2]}[damage])
    assert "cannot be read" in (said := refused(path)) or "damaged" in said
    assert "\n" not in said


def test_a_zip_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "cannot be read" in refused(path)


@pytest.mark.parametrize("content", [{}, [], {"state_dict": None}, {"a": 1}, {"state_dict": {}}, torch.ones(2)])
def test_a_file_without_weights_is_refused(content, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    assert "holds no weights" in refused(path)


def test_a_missing_or_misnamed_file_is_refused(tmp_path):
    assert "There is no checkpoint file" in refused(tmp_path / "no.pt")
    (tmp_path / "weights.npz").write_bytes(b"x")
    assert "no checkpoint by its name" in refused(tmp_path / "weights.npz")


def test_another_architecture_is_refused_with_a_few_keys(tmp_path):
    path = tmp_path / "weights.pt"
    deeper = {**CLIP, "text_cfg": {**CLIP["text_cfg"], "layers": 3}}
    torch.save(weights(deeper), path)
    said = refused(path)
    assert "does not fit the architecture: it has too many transformer.resblocks.2." in said
    assert "and 9 more" in said
    torch.save(STATE, path)
    assert "it lacks transformer.resblocks.2." in refused(path, empty(deeper))
    wider = {**CLIP, "embed_dim": 20}
    assert "of another size are text_projection, visual.proj" in refused(path, empty(wider))
    assert len(said) < 400


@pytest.mark.parametrize("part", ["vision", "text"])
def test_a_bent_position_table_is_refused_unless_released(part, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(STATE, path)
    changed = {"vision": {"image_size": 48}, "text": {"context_length": 20}}[part]
    other = {**CLIP, f"{part}_cfg": {**CLIP[f"{part}_cfg"], **changed}}
    assert "positional_embedding is (" in refused(path, empty(other))
    load(empty(other), path, exact=False)


def test_a_sigmoid_bias_on_one_side_only_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    siglip = weights(SIGLIP)
    save_file({name: value for name, value in siglip.items() if name != "logit_bias"}, path)
    assert "it has no logit_bias" in refused(path, empty(SIGLIP))
    save_file({**STATE, "logit_bias": torch.tensor(1.0)}, path)
    assert "the architecture has none" in refused(path)
    assert "the architecture has none" in refused(path, exact=False)


def test_the_digest_is_blake2b_over_names_kinds_shapes_and_bytes():
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0]]))
        model.bias.fill_(-1)
    by_hand = hashlib.blake2b(digest_size=16)
    by_hand.update(b"bias torch.float32 (1,)\n" + bytes.fromhex("000080bf"))
    by_hand.update(b"weight torch.float32 (1, 2)\n" + bytes.fromhex("0000803f00000040"))
    assert digest(model) == by_hand.hexdigest()


def test_the_digest_sees_every_tensor_and_kind():
    model = empty().visual
    seen = {digest(model)}
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.view(-1)[-1] += 1
            seen.add(digest(model))
    assert len(seen) == len(model.state_dict()) + 1
    assert digest(model.half()) not in seen
    assert len(digest(model.bfloat16())) == 32
