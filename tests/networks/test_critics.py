"""Critics of random projections, of packs of samples, and with one trunk."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.media import Labels, Pictures
from ganlab.networks import (
    DCGANDiscriminator,
    MLPDiscriminator,
    Packed,
    PatchGANDiscriminator,
    R3GANDiscriminator,
    RandomProjection,
    ResNetDiscriminator,
    Several,
    SharedTrunk,
)
from ganlab.networks.critics import packing_of
from ganlab.testing import SHAPE, Specks, new, play
from ganlab.variants import HingeGAN, NonSaturatingGAN

MLP = partial(MLPDiscriminator, hidden=(8,))
FAMILIES = {
    "MLP": MLP,
    "DCGAN": partial(DCGANDiscriminator, width=4),
    "spectral": partial(DCGANDiscriminator, width=4, normalization="spectral"),
    "ResNet": partial(ResNetDiscriminator, width=4),
    "R3GAN": partial(R3GANDiscriminator, width=16),
    "PatchGAN": partial(PatchGANDiscriminator, width=4, layers=1),
}


class Seen(nn.Module):
    """Returns what it is given."""

    def __init__(self, *, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, samples: Tensor) -> Tensor:
        return samples


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_points_are_projected_on_random_directions_of_length_1() -> None:
    network = RandomProjection(network=Seen, size=2, shape=(3,))
    points = torch.randn(4, 3)
    torch.testing.assert_close(network.weight.square().sum(1), torch.ones(2))
    torch.testing.assert_close(network(points), torch.einsum("bi,oi->bo", points, network.weight))
    assert network.network.shape == (2,)


@pytest.mark.parametrize(("kernel", "stride"), [(8, 2), (2, 2), (4, 4), (3, 1)])
def test_pictures_are_projected_by_random_filters_of_length_1(kernel: int, stride: int) -> None:
    network = RandomProjection(network=Seen, size=5, kernel=kernel, stride=stride, shape=(2, 8, 12))
    images = torch.randn(3, 2, 8, 12)
    torch.testing.assert_close(network.weight.square().sum((1, 2, 3)), torch.ones(5))
    assert network(images).shape[1:] == network.network.shape == (5, 8 // stride, 12 // stride)
    torch.testing.assert_close(network(3 * images), 3 * network(images))


def test_copies_have_projections_of_their_own_which_nobody_learns() -> None:
    critics = Several(networks=[partial(RandomProjection, network=MLP)], copies=2, shape=SHAPE)
    assert not torch.equal(critics[0].weight, critics[1].weight)
    before = critics[0].weight.clone()
    game = new(HingeGAN, discriminator=critics)
    play(game, steps=2)
    assert torch.equal(before, critics[0].weight)
    assert "discriminator.networks.0.weight" in game.state_dict()
    assert not any(name.endswith("networks.0.weight") for name, _ in game.named_parameters())


@pytest.mark.parametrize(("kernel", "stride"), [(1, 2), (3, 2), (3, 3)])
def test_filters_that_do_not_fit_are_refused(kernel: int, stride: int) -> None:
    with pytest.raises(Refused, match="do not fit 8 x 8"):
        RandomProjection(network=Seen, kernel=kernel, stride=stride, shape=SHAPE)


@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)], ids=["points", "pictures"])
def test_a_pack_holds_samples_one_after_the_other(shape: tuple[int, ...]) -> None:
    network = Packed(network=Seen, samples=3, shape=shape)
    samples = torch.randn(6, *shape)
    packs = network(samples)
    expected = [torch.cat([*samples[:3]]), torch.cat([*samples[3:]])]
    assert torch.equal(packs, torch.stack(expected))
    assert packs.shape[1:] == network.network.shape


def test_a_pack_of_one_is_the_plain_game() -> None:
    def logged(make: Any) -> dict[str, Tensor]:
        torch.manual_seed(1)
        return play(
            new(NonSaturatingGAN, discriminator=make()), steps=3, log_every_n_steps=1
        ).callback_metrics

    plain, packed = (
        logged(partial(MLP, shape=SHAPE)),
        logged(partial(Packed, network=MLP, samples=1, shape=SHAPE)),
    )
    assert plain == packed


def test_a_game_asks_its_critics_for_the_size_of_packs() -> None:
    packs = partial(Packed, network=MLP, samples=4)
    game = new(HingeGAN, discriminator=partial(Several, networks=[packs], copies=2, shape=SHAPE))
    assert game.packing == 4
    assert NonSaturatingGAN.packing == new(NonSaturatingGAN).packing == 1
    play(game, steps=2)
    with pytest.raises(Refused, match="multiple of 4"):
        play(new(HingeGAN, discriminator=partial(packs, shape=SHAPE)), Specks(batch_size=6), steps=1)


def test_critics_of_packs_of_different_sizes_are_refused() -> None:
    critics = Several(networks=[MLP, partial(Packed, network=MLP)], shape=SHAPE)
    with pytest.raises(Refused, match=r"\[1, 2\] samples"):
        packing_of(critics)


def test_packs_of_labelled_samples_are_refused() -> None:
    packs = partial(Packed, network=MLP, shape=SHAPE)
    generator = partial(Generator)
    with pytest.raises(Refused, match="Packed takes images and no condition"):
        play(new(HingeGAN, discriminator=packs, generator=generator, conditional=True), steps=1)


class Generator(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(8, 64), nn.Unflatten(1, SHAPE))

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(latent)


@pytest.mark.parametrize("network", FAMILIES.values(), ids=FAMILIES)
def test_critics_with_one_trunk_differ_in_their_last_layer_alone(network: Any) -> None:
    critics = SharedTrunk(network=network, critics=3, shape=(1, 16, 16)).eval()
    images = torch.randn(4, 1, 16, 16)
    alone = network(shape=(1, 16, 16)).eval()
    logits = critics(images)
    assert [one.shape for one in logits] == 3 * [alone(images).shape]
    assert not torch.allclose(logits[0], logits[1])
    alone.load_state_dict(
        {name: value for name, value in critics.trunk.state_dict().items() if not name.startswith("logit")},
        strict=False,
    )
    alone.logit.load_state_dict(critics.logits[1].state_dict())
    torch.testing.assert_close(alone(images), logits[1])


def test_a_trunk_takes_labels_and_pictures_at_its_first_layer() -> None:
    labels = torch.tensor([0, 1, 2])
    images = torch.randn(3, *SHAPE)
    beside = partial(MLP, conditioning="concatenation")
    assert len(SharedTrunk(network=beside, critics=2, shape=SHAPE, condition=Labels(3))(images, labels)) == 2
    maps = FAMILIES["PatchGAN"]
    assert (
        len(SharedTrunk(network=maps, critics=2, shape=SHAPE, condition=Pictures(SHAPE))(images, images)) == 2
    )


@pytest.mark.parametrize(
    ("network", "condition"), [(MLP, Labels(3)), (Seen, None)], ids=["projection", "logit"]
)
def test_what_cannot_be_taken_apart_is_refused(network: Any, condition: Any) -> None:
    with pytest.raises(Refused, match="cannot take"):
        SharedTrunk(network=network, critics=2, shape=SHAPE, condition=condition)


def test_a_shared_trunk_is_trained_and_all_its_last_layers() -> None:
    game = new(HingeGAN, discriminator=partial(SharedTrunk, network=MLP, critics=2, shape=SHAPE))
    before = {name: value.clone() for name, value in game.discriminator.named_parameters()}
    play(game, steps=2)
    after = dict(game.discriminator.named_parameters())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved >= {"trunk.features.1.weight", "logits.0.weight", "logits.1.weight"}
