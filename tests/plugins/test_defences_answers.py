"""Defences of answers: rounding that nobody gets round, noise that does not wash out, one tower alone."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from lmia import LmiaError
from lmia.data import AuditData, shards_of
from lmia.evidence import auroc
from lmia.extract import FeatureExtractor, extract
from lmia.record import trainer
from lmia.registry import registry
from lmia.testing import check_target
from lmia_defences import Noise, OneTower, Rounding
from lmia_defences.envelope import Envelope
from plugins.defended_towers import batch, target
from refusal import Eval
from worlds import Noise as Pictures

PAIRS = Pictures(0, 40)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return target(tmp_path_factory.mktemp("models") / "clip")


def cosines(model, tmp_path):
    """What an audit would read, `(40,)`."""
    extractor = FeatureExtractor(model, cache=tmp_path)
    shards = shards_of(PAIRS)
    extract(trainer(), extractor, AuditData(batch=16), shards, extractor.arrays({"cosine"}, views=False))
    return np.concatenate([extractor.store.array("cosine", shard.key) for shard in shards])


@pytest.mark.parametrize("digits", [0, 2, 6])
def test_an_audit_reads_rounded_cosines(tmp_path, digits):
    plain = cosines(Eval("0:20"), tmp_path)
    found = cosines(Rounding(digits).around(Eval("0:20")), tmp_path)
    assert found.tolist() == [np.float32(round(float(one), digits)) for one in plain]
    assert plain.tolist() != found.tolist() or digits == 6
    labels = torch.arange(40) < 20
    assert auroc(torch.from_numpy(found), labels).value > 0.5


def test_a_zero_does_not_tell_which_side_it_came_from():
    class Told(Eval):
        """Cosines that are given."""

        def cosine(self, image, text):
            return torch.tensor([-0.004, 0.004, -0.006])

    told = Rounding(2).around(Told("0:3"))
    image = told.encode_image(torch.rand(3, 3, 8, 8))
    text = told.encode_text(told.tokenize(["pair 1", "pair 2", "pair 3"]))
    found = told.cosine(image, text)
    assert found.tolist() == pytest.approx([0.0, 0.0, -0.01])
    assert torch.signbit(found).tolist() == [False, False, True]


def test_rounding_cannot_be_bypassed(clip):
    """Nothing that a method hands out tells more than the rounded cosines: not alone, not added up, not compared."""
    defended = Rounding(2).around(clip)
    pixels, tokens = batch(8)
    plain = clip.encode_image(pixels), clip.encode_text(tokens)
    closed = defended.encode_image(pixels), defended.encode_text(tokens)
    assert not closed[0].requires_grad
    for mine, its in zip(closed, plain, strict=True):
        assert mine.shape == (8, 2 * its.shape[1] + 8)
        assert ((mine >= 0) & (mine < 2**16)).all()
        bits = its.detach().numpy().view("<u2").astype(np.float32)
        assert (mine[:, 8:].numpy() == bits).mean() < 0.05
        between = torch.corrcoef(mine.double())[~torch.eye(8, dtype=bool)]
        of_plain = torch.corrcoef(its.detach().double())[~torch.eye(8, dtype=bool)]
        assert of_plain.abs().max() > 0.5 > between.abs().max()
    left = {name for name in dir(defended) if name.startswith(("encode", "cosine"))}
    assert left == {"encode_image", "encode_text", "cosine"}
    assert defended.trainable() is None
    assert defended.answers == {"cosine"}


def test_a_pictures_features_compare_with_a_texts_alone_and_unchanged(clip):
    defended = Rounding(6).around(clip)
    pixels, tokens = batch()
    image, text = defended.encode_image(pixels), defended.encode_text(tokens)
    assert torch.equal(defended.cosine(image, text), (clip.cosine(clip.encode_image(pixels), clip.encode_text(tokens)).double().round(decimals=6)).float())  # fmt: skip
    changed = image.clone()
    changed[0, -1] = (changed[0, -1] + 1) % 2**16
    other = Rounding(6).around(clip).encode_image(pixels)
    plain = clip.encode_image(pixels)
    for wrong in (text, changed, other, plain, image + 0.5, image[:, :-1], image * float("nan")):
        with pytest.raises(LmiaError, match="The image features are not what this target's encode_image returned"):
            defended.cosine(wrong, text)
    with pytest.raises(LmiaError, match="The text features"):
        defended.cosine(image, image)


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (3, 257)])
def test_an_envelope_gives_back_every_bit(shape):
    envelope = Envelope()
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    if rows.numel() > 500:
        rows[0, :4] = torch.tensor([0.0, -0.0, torch.inf, 1e-45])
        rows[1] = rows[2]
    closed = envelope.close(rows, "image")
    opened = envelope.open(closed, "image")
    assert opened.numpy().tobytes() == rows.numpy().tobytes()
    assert torch.equal(envelope.open(closed.flip(0), "image"), rows.flip(0))
    if len(rows) == 3:
        assert torch.equal(closed[1], closed[2])
        assert not torch.equal(closed[0], closed[1])


def test_noise_is_gaussian_of_its_length(clip):
    defended = Noise(0.5).around(clip)
    pixels, tokens = batch(300)
    found = []
    for plain, noisy in (
        (clip.encode_image(pixels), defended.encode_image(pixels)),
        (clip.encode_text(tokens), defended.encode_text(tokens)),
    ):
        noise = (noisy - plain).detach() / plain.norm(dim=1, keepdim=True).detach() * plain.shape[1] ** 0.5 / 0.5
        assert kstest(noise.flatten().numpy(), "norm").pvalue > 0.01
        found.append(noise)
    assert abs(np.corrcoef(found[0].flatten(), found[1].flatten())[0, 1]) < 0.05  # towers have noise of their own


def test_asking_again_does_not_wash_noise_out(clip):
    defended = Noise(0.5, seed=3).around(clip)
    pixels, tokens = batch(6)
    image, text = defended.encode_image(pixels), defended.encode_text(tokens)
    others = (defended, Noise(0.5, seed=3).around(clip))
    for other in others:
        assert torch.equal(other.encode_image(pixels), image)
        assert torch.equal(other.encode_text(tokens), text)
    alone = torch.cat([defended.encode_image(one) for one in pixels.flip(0).split(1)]).flip(0)
    assert torch.allclose(alone, image, atol=1e-5)
    padded = torch.cat([tokens, torch.zeros(6, 45, dtype=tokens.dtype)], 1)[:, :32]
    cut = tokens[:, : int((tokens != 0).sum(1).max())]
    assert torch.allclose(defended.encode_text(cut), text, atol=1e-5)
    assert torch.allclose(defended.encode_text(padded), text, atol=1e-5)
    seeded = Noise(0.5, seed=4).around(clip)
    assert not torch.allclose(seeded.encode_image(pixels), image, atol=0.01)


def test_a_picture_changed_by_a_little_has_the_same_noise(clip):
    """Of a hundred pictures with a little noise of the attacker's, many share one draw, so averaging gains less than ten."""
    defended = Noise(0.5).around(clip)
    one = batch(1)[0].expand(100, -1, -1, -1)
    asked = (one + 0.004 * torch.randn(one.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    noise = (defended.encode_image(asked) - clip.encode_image(asked)).detach()
    left = noise.mean(0).norm() / noise.norm(dim=1).mean()
    assert left > 0.3  # 0.1 where every question draws anew


def test_no_noise_is_no_change(clip):
    pixels, tokens = batch()
    defended = Noise(0.0).around(clip)
    assert torch.equal(defended.encode_image(pixels), clip.encode_image(pixels))
    assert torch.equal(defended.encode_text(tokens), clip.encode_text(tokens))
    assert defended.answers == {"cosine", "embeddings", "view_embeddings"}


@pytest.mark.parametrize("tower", ["image", "text"])
def test_one_tower_answers_and_the_other_refuses(clip, tower):
    defended = OneTower(tower).around(clip)
    pixels, tokens = batch()
    asked = {"image": lambda one: one.encode_image(pixels), "text": lambda one: one.encode_text(tokens)}
    assert torch.equal(
        asked.pop(tower)(defended), getattr(clip, f"encode_{tower}")({"image": pixels, "text": tokens}[tower])
    )
    for refused in (*asked.values(), lambda one: one.cosine(torch.ones(1, 2), torch.ones(1, 2))):
        with pytest.raises(LmiaError, match=f"answers for the {tower} tower alone"):
            refused(defended)
    assert defended.answers == frozenset()


@pytest.mark.parametrize("name", sorted(registry().names("attack")))
def test_every_attack_is_refused_on_one_tower_in_a_sentence(name):
    from lmia.setup import Setup

    attack = registry().get("attack", name)()
    data = AuditData(members=Pictures(0, 10), nonmembers=Pictures(20, 30))
    model = FeatureExtractor(OneTower().around(Eval("0:3")))
    fields = {
        "model": model,
        "data": data,
        "attacks": [attack],
        "names": [name],
        "fprs": [0.1],
        "asked": False,
        "seed": 0,
    }
    with pytest.raises(LmiaError, match=rf"The attack '{name}' needs .*\nIt answers nothing;"):
        Setup(**fields).check()


def test_defences_stand_behind_one_another(clip):
    both = Rounding(3).around(Noise(0.2).around(clip))
    check_target(both)
    assert both.facts().details["defence"] == "noisy scale=0.2 seed=0, rounded digits=3"
    assert both.facts().name.endswith("noisy scale=0.2 seed=0, rounded digits=3")
    assert both.answers == {"cosine"}
    half = OneTower().around(both)
    assert half.answers == frozenset()
    for closed in (Rounding().around(clip), half):
        with pytest.raises(LmiaError, match="Name noise first"):
            Noise().around(closed)
    again = Rounding().around(OneTower().around(clip))
    assert again.answers == frozenset()
    with pytest.raises(LmiaError, match="not for the text's"):
        again.encode_text(batch()[1])


def test_fingerprints_tell_defences_apart(clip):
    prints = [
        clip.fingerprint(),
        *(Rounding(digits).around(clip).fingerprint() for digits in (2, 3)),
        *(Noise(*options).around(clip).fingerprint() for options in ((0.1, 0), (0.1, 1), (0.2, 0))),
        *(OneTower(tower).around(clip).fingerprint() for tower in ("image", "text")),
        Rounding(2).around(clip.untrained(0)).fingerprint(),
    ]
    assert len(set(prints)) == len(prints)
    assert Rounding(2).around(clip).fingerprint() == prints[1]


def test_a_twin_is_defended_and_preparation_passes_through(clip):
    defended = Rounding(1).around(clip)
    twin = defended.untrained(5)
    assert (type(twin), twin.digits) == (type(defended), 1)
    assert twin.behind.fingerprint() == clip.untrained(5).fingerprint()
    assert Rounding().around(Eval("0:3")).untrained(1) is None
    assert defended.precision == clip.precision
    assert torch.equal(defended.tokenize(["a cat"]), clip.tokenize(["a cat"]))
