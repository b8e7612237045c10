import torch
from lmia_margin import Margin

from lmia.testing import check_attack, make_world


def test_conformance():
    check_attack(Margin())


def test_margin_of_one_negative_is_a_difference_of_cosines():
    world = make_world(20)
    attack = Margin(k=1)
    attack.fit(world.known)
    image = world.samples.image / world.samples.image.norm(dim=1, keepdim=True)
    text = world.known.nonmembers.text / world.known.nonmembers.text.norm(dim=1, keepdim=True)
    expected = world.samples.cosine[:, 0] - (image[:, None] * text).sum(-1).max(dim=1).values
    torch.testing.assert_close(attack.score(world.samples), expected)
