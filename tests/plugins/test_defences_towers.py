"""Defences within the towers: something is hidden while they learn, nothing in evaluation, and no weight gets a new name."""

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import normalize

from lmia import LmiaError, Trainable
from lmia.testing import make_towers
from lmia_defences import Dropout, PatchDropout, Temperature, WeightDecay
from plugins.defended_towers import RESNET, batch, target, towers


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tmp_path_factory.mktemp("models") / "clip"


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    return tmp_path_factory.mktemp("models") / "resnet"


def features(made, training):
    made.train(training)
    pixels, tokens = batch()
    torch.manual_seed(7)
    with torch.no_grad():
        return made.encode_image(pixels), made.encode_text(tokens)


def changed(one, other):
    return [not torch.equal(mine, its) for mine, its in zip(one, other, strict=True)]


@pytest.mark.parametrize(
    ("tower", "expected"), [("both", [True, True]), ("image", [True, False]), ("text", [False, True])]
)
def test_dropout_acts_in_training_alone_and_where_it_is_told(clip, tower, expected):
    plain, made = towers(clip), towers(clip)
    Dropout(0.3, tower).adapt(made)
    assert changed(features(plain, True), features(made, True)) == expected
    assert changed(features(plain, False), features(made, False)) == [False, False]
    assert list(made.state_dict()) == list(plain.state_dict())


def test_no_dropout_changes_nothing(clip):
    plain, made = towers(clip), towers(clip)
    Dropout(0.0).adapt(made)
    assert changed(features(plain, True), features(made, True)) == [False, False]


def test_dropout_leaves_out_the_rate_of_what_a_branch_adds(clip):
    made = towers(clip)
    Dropout(0.25).adapt(made)
    branch = made.train().model.visual.transformer.resblocks[0].ls_2
    torch.manual_seed(0)
    seen = branch(torch.ones(100_000))
    assert seen.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert (seen == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)


def test_dropout_takes_the_place_that_there_is():
    """An architecture's own dropout gets the rate, once: nothing is added beside it."""
    made = make_towers()
    Dropout(0.4).adapt(made)
    assert [one.p for one in made.modules() if isinstance(one, nn.Dropout)] == [0.4, 0.4]
    assert not any(one._forward_hooks for one in made.modules())
    with pytest.raises(LmiaError, match="is not known: none is `visual`"):
        Dropout(0.4, "text").adapt(made)


def test_a_resnet_has_no_place_for_dropout_and_its_text_tower_is_left_alone(resnet):
    made = towers(resnet, RESNET)
    with pytest.raises(LmiaError, match="The image tower has no place for dropout"):
        Dropout(0.3).adapt(made)
    assert not any(one._forward_hooks for one in made.modules())
    Dropout(0.3, "text").adapt(made)
    assert any(one._forward_hooks for one in made.modules())


def test_patches_are_hidden_in_training_and_none_in_evaluation(clip):
    plain, made = towers(clip), towers(clip)
    PatchDropout(0.75).adapt(made)
    seen = []
    made.model.visual.transformer.register_forward_hook(lambda module, given, out: seen.append(given[0].shape[1]))
    assert changed(features(plain, True), features(made, True)) == [True, False]
    assert changed(features(plain, False), features(made, False)) == [False, False]
    assert seen == [1 + 4, 1 + 16]  # a class token, and patches of 4 in a picture of 16
    assert list(made.state_dict()) == list(plain.state_dict())


def test_patches_of_another_draw_are_hidden_each_time(clip):
    made = towers(clip)
    PatchDropout(0.5).adapt(made)
    made.train()
    torch.manual_seed(0)
    with torch.no_grad():
        one, other = (made.encode_image(batch()[0]) for _ in range(2))
    assert not torch.equal(one, other)


class Timm(Trainable):
    """A vision transformer of timm's for a picture's tower."""

    def __init__(self):
        super().__init__()
        self.trunk = timm.create_model(
            "vit_tiny_patch16_224", img_size=32, patch_size=4, depth=1, embed_dim=24, num_heads=2, num_classes=0
        )

    def encode_image(self, pixels):
        return self.trunk(pixels)

    encode_text = loss = temperature = save = encode_image


def test_patches_are_hidden_in_towers_of_timm():
    made = Timm()
    plain = list(made.state_dict())
    PatchDropout(0.5).adapt(made)
    seen = []
    made.trunk.blocks.register_forward_hook(lambda module, given, out: seen.append(given[0].shape[1]))
    for training in (True, False):
        made.train(training).encode_image(batch(side=32)[0])
    assert seen == [1 + 32, 1 + 64]
    assert list(made.state_dict()) == plain


@pytest.mark.parametrize("config", [RESNET, None])
def test_a_tower_without_patches_cannot_hide_any(resnet, config):
    with pytest.raises(LmiaError, match="cannot hide patches"):
        PatchDropout().adapt(towers(resnet, RESNET) if config else make_towers())


def test_weights_of_a_defended_tower_load_into_a_plain_target(clip, tmp_path):
    made = towers(clip)
    for defence in (Dropout(0.5), PatchDropout(0.5)):
        defence.adapt(made)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1.25)
    made.save(tmp_path)
    plain, own = target(tmp_path), features(made, False)
    with torch.no_grad():
        pixels, tokens = batch()
        assert torch.allclose(plain.encode_image(pixels), own[0], rtol=1e-4, atol=1e-5)
        assert torch.allclose(plain.encode_text(tokens), own[1], rtol=1e-4, atol=1e-5)


def test_a_defended_target_goes_on_answering_in_evaluation(clip):
    """The towers are the target's own: what a training leaves in them must not show in its answers."""
    defended = target(clip)
    pixels = batch()[0]
    before = defended.encode_image(pixels)
    made = defended.trainable()
    for defence in (Dropout(0.5), PatchDropout(0.5)):
        defence.adapt(made)
    made.train()
    defended.eval()
    assert torch.equal(defended.encode_image(pixels), before)


@pytest.mark.parametrize(("factor", "expected"), [(50.0, 20.0), (0.5, 1.0), (14.0, 14.0)])
def test_the_temperature_is_brought_back(clip, factor, expected):
    made = towers(clip)
    with torch.no_grad():
        made.temperature.fill_(torch.tensor(factor).log())
    Temperature().settle(made)
    assert made.temperature.exp().item() == pytest.approx(expected)
    pair = normalize(torch.randn(2, 4, 24, generator=torch.Generator().manual_seed(0)), dim=-1)
    logits = expected * pair[0] @ pair[1].T
    own = torch.arange(4)
    by_hand = (nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.T, own)) / 2
    assert made.loss(*pair).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_temperature_holds_from_the_first_step(clip):
    made = towers(clip)
    Temperature(largest=5.0).adapt(made)
    assert made.temperature.exp().item() == pytest.approx(5.0)


def test_weight_decay_is_what_it_is_told():
    assert WeightDecay(0.0).decay() == 0.0
    assert WeightDecay(0.3).decay() == 0.3
