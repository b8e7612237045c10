import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import lmia
from lmia import record
from lmia.cores import POLITE
from lmia.data import AuditData, Read, ShardReader, shards_of
from lmia.extract import FeatureExtractor, extract
from lmia.measurement import Measurement
from lmia.steadiness import PAIRS
from lmia.views import checked_views
from worlds import Loss, Matrices, Noise, Reflections, picture


def run(target, source, tmp_path, needs=("cosine",), views=None, measurements=(), workers=0, batch=16):
    extractor = FeatureExtractor(target, views, tmp_path / "cache")
    data = AuditData(members=source, batch=batch, workers=workers)
    shards = shards_of(source)
    arrays = extractor.arrays(needs, views is not None)
    told = extract(record.trainer(accelerator="cpu"), extractor, data, shards, arrays, measurements)
    return extractor, shards, told


def features(target, indices):
    image = torch.stack([target.preprocess(picture(i)) for i in indices]).float() / 255
    text = target.tokenize([f"pair {i}" for i in indices])
    with torch.no_grad():
        return target.encode_image(image), target.encode_text(text)


def test_cosine_and_features_are_the_targets_own(tmp_path):
    target = Matrices("0:30")
    extractor, shards, _ = run(target, Noise(0, 100, shard=40), tmp_path, {"embeddings"})
    image, text = features(target, range(100))
    for name, expected in (("image", image), ("text", text)):
        stored = np.concatenate([extractor.store.array(name, shard.key) for shard in shards])
        np.testing.assert_allclose(stored, expected.numpy(), rtol=1e-6, atol=1e-6)
    stored = np.concatenate([extractor.store.array("cosine", shard.key) for shard in shards])
    unit = image.numpy().astype(np.float64), text.numpy().astype(np.float64)
    cosine = (unit[0] * unit[1]).sum(1) / np.linalg.norm(unit[0], axis=1) / np.linalg.norm(unit[1], axis=1)
    np.testing.assert_allclose(stored, cosine, atol=1e-6)


def test_fp32_is_no_tf32_while_a_model_runs(tmp_path):
    seen = []

    class Curious(Matrices):
        def encode_image(self, pixels):
            seen.append(torch.backends.cudnn.allow_tf32)
            return super().encode_image(pixels)

    before = torch.backends.cudnn.allow_tf32
    run(Curious(), Noise(0, 20), tmp_path)
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32 == before


def test_views_cost_one_pass_each_and_decode_nothing_twice(tmp_path):
    source, target = Noise(0, 50), Matrices()
    extractor, shards, _ = run(target, source, tmp_path, {"view_embeddings"}, Reflections())
    assert (
        target.calls["image"] == 3 * 50 + PAIRS
    )  # identity and two image views; the caption view shares the identity's
    assert target.calls["text"] == 2 * 50 + PAIRS  # the captions, and the loud ones
    assert source.reads == 1
    stored = extractor.store.array(extractor.column("image", "mirror"), shards[0].key)
    pixels = torch.stack([target.preprocess(picture(i)) for i in range(50)]).float() / 255
    np.testing.assert_allclose(stored, target.encode_image(pixels.flip(-1)).detach().numpy(), atol=1e-5)
    assert extractor.column("image", "loud") == "image"
    assert extractor.column("text", "mirror") == "text"


def test_views_that_nobody_asked_for_cost_nothing(tmp_path):
    target, source = Matrices(), Noise(0, 50)
    extractor = FeatureExtractor(target, Reflections(), tmp_path / "cache")
    arrays = extractor.arrays({"embeddings"}, views=False)
    extract(record.trainer(accelerator="cpu"), extractor, AuditData(members=source), shards_of(source), arrays)
    assert target.calls == {"image": 50 + PAIRS, "text": 50 + PAIRS}


def test_second_run_makes_no_forward_pass(tmp_path):
    target, source = Matrices(), Noise(0, 40)
    run(target, source, tmp_path, {"embeddings"})
    calls = dict(target.calls)
    _, _, told = run(target, source, tmp_path, {"cosine"})
    assert target.calls == calls
    assert source.reads == 1
    assert told["shards_cached"] == told["shards"] == 1


def test_only_missing_arrays_and_shards_are_computed(tmp_path):
    target = Matrices()
    run(target, Noise(0, 40, shard=40), tmp_path, {"cosine"})
    before = target.calls["image"]
    source = Noise(0, 80, shard=40)
    source.fingerprint = lambda shard: Noise(0, 40, shard=40).fingerprint(shard) if shard == "0" else shard
    _, _, told = run(target, source, tmp_path, {"cosine"})
    assert told["shards_cached"] == 1
    assert target.calls["image"] - before == 40 + PAIRS


def test_another_weight_is_another_cache(tmp_path):
    run(Matrices(seed=0), Noise(0, 20), tmp_path)
    changed = Matrices(seed=0)
    changed.image.weight.data[0, 0] += 1
    run(changed, Noise(0, 20), tmp_path)
    assert changed.calls["image"] == 20 + PAIRS


def test_equal_captions_are_encoded_once(tmp_path):
    class Same(Noise):
        def read(self, shard):
            for pair in super().read(shard):
                yield lmia.Pair(pair.key, "pair 7", pair.image)

    target = Matrices()
    _, _, told = run(target, Same(0, 30), tmp_path)
    assert told["captions_encoded"] == 1 == target.calls["text"] - PAIRS


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (7, 0), (64, 0), (16, 2)])
def test_batch_and_workers_change_rounding_at_most(tmp_path, batch, workers):
    target = Matrices("0:50")
    source = Noise(0, 100, shard=30, broken=11)
    extractor, shards, _ = run(target, source, tmp_path, {"embeddings"}, workers=workers, batch=batch)
    kept = [i for i in range(100) if i % 11]
    image, _ = features(target, kept)
    stored = np.concatenate([extractor.store.array("image", shard.key) for shard in shards])
    np.testing.assert_allclose(stored, image.numpy(), rtol=1e-5, atol=1e-5)
    keys = [key for shard in shards for key in extractor.store.pairs(shard.key)[0]["key"].to_pylist()]
    assert keys == [f"noise/{i}" for i in kept]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("needs", [{"embeddings"}, {"view_embeddings"}])
def test_tokens_made_where_captions_are_read_change_nothing(tmp_path, monkeypatch, workers, needs):
    """As with a GPU: each batch brings its tokens, and is a window of its own; captions of views get theirs as ever."""
    target, source = Matrices("0:50"), Noise(0, 100, shard=30, broken=11)
    first, shards, _ = run(target, source, tmp_path / "without", needs, Reflections())
    plain = AuditData.predict_dataloader

    def tokenizing(data):
        loader = plain(data)
        loader.dataset.tokenize = data.tokenize
        return loader

    monkeypatch.setattr(AuditData, "predict_dataloader", tokenizing)
    target.calls.update(image=0, text=0)
    other, _, told = run(target, source, tmp_path / "with", needs, Reflections(), workers=workers)
    assert target.calls["text"] == told["captions_encoded"] + PAIRS
    for name in first.arrays(needs, views=True):
        for shard in shards:
            one, two = (each.store.array(name, shard.key) for each in (first, other))
            np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_whoever_decodes_the_batches_are_the_same(threads):
    decoded = []

    def preprocess(image):
        decoded.append(image.size)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    batches = iter(ShardReader(shards_of(Noise(0, 100, shard=40, broken=7)), preprocess, 16, threads))
    first = next(batches)
    if not threads:
        assert len(decoded) == len(first.rows)  # by itself it decodes what is asked for, and no batch ahead
    seen = [first, *batches]
    assert [len(one.rows) for one in seen] == [13, 14, 7, 0, 14, 13, 7, 0, 14, 3, 0]
    assert [key for one in seen for key, _, _ in one.rows] == [f"noise/{i}" for i in range(100) if i % 7]
    assert [one.reason for one in first.rejected] == ["image does not decode"] * 3
    assert [one.last for one in seen] == [not one.rows for one in seen]


@pytest.mark.parametrize("workers", [0, 2])
def test_reading_processes_stand_back_for_those_that_encode(tmp_path, workers):
    """Pixels tell how far whoever decodes them stands back."""
    seen = set()

    class Telling(Matrices):
        def preprocess(self, image):
            return torch.full_like(super().preprocess(image), os.nice(0) + 10)

        def encode_image(self, pixels):
            seen.update((pixels * 255 - 10).round().flatten().tolist())
            return super().encode_image(pixels)

    run(Telling("0:30"), Noise(0, 100, shard=40), tmp_path, workers=workers)
    assert seen == {float(os.nice(0) + (POLITE if workers else 0))}


def test_a_batch_waits_for_no_one_with_its_pixels_and_tokens_pinned():
    """What a GPU fetches by itself; a reading process hands over pixels and tokens, the rest stays."""
    pinned = []

    class Memory:
        def pin_memory(self):
            pinned.append(self)
            return self

    one = Read("shard", Memory(), [], [], tokens=Memory())
    assert one.pin_memory() is one
    assert len(pinned) == 2
    nothing = Read("shard", None, [], [], last=True)
    assert nothing.pin_memory().pixels is None


def test_nothing_is_lost(tmp_path):
    extractor, shards, _ = run(Matrices(), Noise(0, 100, shard=30, broken=3), tmp_path)
    rows = [extractor.store.pairs(shard.key) for shard in shards]
    assert sum(len(table) for table, _ in rows) == 66
    assert [bad.reason for _, found in rows for bad in found] == ["image does not decode"] * 34


def test_shard_of_nothing_usable_is_committed(tmp_path):
    extractor, shards, _ = run(Matrices(), Noise(0, 4, broken=1), tmp_path, {"embeddings"})
    assert extractor.store.array("cosine", shards[0].key).shape == (0,)
    assert not extractor.store.lacks(shards[0].key, ["cosine", "image", "text"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_readers_mistake_reaches_the_user(tmp_path, workers):
    class Gone(Noise):
        def read(self, shard):
            raise lmia.LmiaError("The disk is gone.", "Bring it back.")
            yield

    with pytest.raises(lmia.LmiaError, match=r"The disk is gone\.\nBring it back\."):
        run(Matrices(), Gone(0, 10), tmp_path, workers=workers)


def test_measurements_see_gradients_and_are_stored_by_settings(tmp_path):
    target, attack = Matrices("0:10"), Loss()
    measurement = Measurement(attack)
    extractor, shards, _ = run(target, Noise(0, 20), tmp_path, {"cosine"}, measurements=[measurement])
    found = extractor.store.measured(measurement.array, shards[0].key)["norm"]
    pixels = torch.stack([target.preprocess(picture(i)) for i in range(20)]).float().div(255).requires_grad_()
    text = normalize(target.encode_text(target.tokenize([f"pair {i}" for i in range(20)])), dim=-1)
    (normalize(target.encode_image(pixels), dim=-1) * text).sum().backward()
    np.testing.assert_allclose(found, pixels.grad.flatten(1).norm(dim=1).numpy(), rtol=1e-5)


def test_a_measurement_of_the_wrong_length_is_named(tmp_path):
    class Short(Loss):
        def measure(self, target, batch, anchors):
            return {"norm": torch.zeros(1)}

    with pytest.raises(lmia.LmiaError, match=r"Short.measure returned .*norm"):
        run(Matrices(), Noise(0, 20), tmp_path, measurements=[Measurement(Short())])


def test_low_precision_is_stored_small(tmp_path):
    class Half(Matrices):
        precision = "bf16"

        def encode_image(self, pixels):
            return super().encode_image(pixels).bfloat16()

    extractor, shards, _ = run(Half(), Noise(0, 10), tmp_path, {"embeddings"})
    assert extractor.store.array("image", shards[0].key).dtype == np.float16
    assert extractor.store.array("cosine", shards[0].key).dtype == np.float32


def test_views_must_begin_with_the_identity():
    class Headless(lmia.Views):
        def views(self):
            return {"down": lmia.View()}

    with pytest.raises(lmia.LmiaError, match="do not begin with an untouched 'identity'"):
        checked_views(Headless())


def test_needs_decide_what_is_stored(tmp_path):
    extractor = FeatureExtractor(Matrices(), Reflections(), tmp_path)
    assert extractor.arrays({"cosine"}, views=False) == ["cosine"]
    assert extractor.arrays({"embeddings"}, views=False) == ["cosine", "image", "text"]
    with_views = extractor.arrays({"view_embeddings"}, views=True)
    assert sum(name.startswith("cosine") for name in with_views) == 4
    assert sum(name.startswith("image") for name in with_views) == 3
    assert sum(name.startswith("text") for name in with_views) == 2
    assert extractor.view_names(True) == ("identity", "down", "mirror", "loud")


def test_ranks_share_out_what_the_first_one_found_to_do(tmp_path):
    shards = shards_of(Noise(0, 64 * 8, shard=64))
    data = AuditData(members=shards[0].source, workers=0)
    data.shards, data.preprocess = shards, Matrices().preprocess
    found, mine = [frozenset(one.key for one in shards[2:]), frozenset(one.key for one in shards[5:])], []
    for rank in (0, 1):  # another run has finished three shards before the second one looked
        first = SimpleNamespace(broadcast=lambda _: sorted(found[0]), root_device=torch.device("cpu"))
        data.trainer, data.todo = SimpleNamespace(global_rank=rank, world_size=2, strategy=first), found[rank]
        data.predict_dataloader()
        mine += data.mine
    assert sorted(one.name for one in mine) == sorted(one.name for one in shards[2:])
