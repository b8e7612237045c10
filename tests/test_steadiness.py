import numpy as np
import pytest
import torch

import lmia
from lmia import record
from lmia.data import AuditData, shards_of
from lmia.extract import FeatureExtractor, extract
from lmia.picture import open_pair
from lmia.steadiness import PAIRS
from lmia_openclip import OpenCLIP
from plugins.openclip_models import folder
from worlds import Matrices, Noise


class Company(Matrices):
    """Its answers depend on who else is in the batch."""

    def encode_image(self, pixels):
        features = super().encode_image(pixels)
        return features - features.mean(0) * (len(features) > 1)


def extracted(target, cache, source):
    model = FeatureExtractor(target, None, cache)
    trainer = record.trainer(accelerator="cpu", callbacks=[])
    data = AuditData(members=source, batch=16)
    return model, extract(trainer, model, data, shards_of(source), model.arrays({"cosine"}, views=False))


def test_a_model_whose_answers_depend_on_the_batch_is_found_out(tmp_path):
    _, told = extracted(Company(), tmp_path, Noise(0, 40))
    assert told["encoded_again"] == PAIRS
    assert told["cosine_moved"] > 0.01


def test_the_difference_is_that_of_the_pairs_encoded_one_by_one(tmp_path):
    source, target = Noise(0, 100, broken=3), Matrices("0:50")
    model, told = extracted(target, tmp_path, source)
    (first,) = [shard for shard in shards_of(source) if not model.store.lacks(shard.key, ["again"])]
    pairs = [pair for pair in source.read(first.name) if pair.image != b"not a picture"]
    kept, again = (model.store.array(name, first.key) for name in ("cosine", "again"))
    assert len(kept) == len(again) == len(pairs)
    assert np.isnan(again[PAIRS:]).all()
    for i, pair in enumerate(pairs[:PAIRS]):
        pixels = target.preprocess(open_pair(pair)[0])[None].float() / 255
        with torch.no_grad():
            image, text = target.encode_image(pixels), target.encode_text(target.tokenize([pair.caption]))
            assert again[i] == pytest.approx(abs(float(target.cosine(image, text)) - kept[i]), abs=1e-9)
    assert told["cosine_moved"] == pytest.approx(again[:PAIRS].max(), rel=0.1)
    assert again[:PAIRS].max() < 1e-5


def test_what_was_measured_is_told_again_without_a_forward_pass(tmp_path):
    _, first = extracted(Matrices(), tmp_path, Noise(0, 40))
    again = Matrices()
    _, second = extracted(again, tmp_path, Noise(0, 40))
    assert second["cosine_moved"] == first["cosine_moved"]
    assert again.calls == {"image": 0, "text": 0}


def test_where_no_pair_is_usable_nothing_is_measured(tmp_path):
    _, told = extracted(Matrices(), tmp_path, Noise(0, 3, broken=1))
    assert told["cosine_moved"] is None
    assert told["encoded_again"] == 0


def test_a_transformer_with_trimmed_captions_moves_by_rounding_alone(tmp_path):
    class Said(Noise):
        def read(self, shard):
            for i, pair in enumerate(super().read(shard)):
                yield lmia.Pair(pair.key, "a word " * (1 + i % 20), pair.image)

    _, told = extracted(OpenCLIP(f"local-dir:{folder(tmp_path / 'model')}"), tmp_path, Said(0, 40))
    assert 0 < told["cosine_moved"] < 1e-5
