"""Of networks that restore pictures: sizes, first weights, and what they leave as it is."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Pictures, PicturesWithHoles
from ganlab.networks import (
    AroundHole,
    Composited,
    GatedGenerator,
    RRDBGenerator,
    SRResNetGenerator,
    UNetGenerator,
)
from ganlab.networks.super_resolution import SubPixel

Build = Callable[..., nn.Module]
SHAPE = (3, 24, 48)
SR: dict[str, Build] = {
    "srresnet": partial(SRResNetGenerator, width=4, blocks=2),
    "srresnet-none": partial(SRResNetGenerator, width=4, blocks=2, normalization="none"),
    "rrdb": partial(RRDBGenerator, width=4, growth=2, blocks=2),
}
ALL: dict[str, Build] = {**SR, "gated": partial(GatedGenerator, width=4)}

every_network = pytest.mark.parametrize("build", ALL.values(), ids=ALL.keys())
every_larger = pytest.mark.parametrize("build", SR.values(), ids=SR.keys())


def pictures(*shape: int, **form: Any) -> Tensor:
    return torch.randn(shape, **form).tanh()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@every_larger
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 6])
def test_the_scale_follows_from_the_two_shapes(build: Build, scale: int) -> None:
    network = build(shape=SHAPE, condition=Pictures((2, 24 // scale, 48 // scale)), latent_size=2)
    for count in (1, 2):
        made = network(torch.randn(count, 2), pictures(count, 2, 24 // scale, 48 // scale))
        assert made.shape == (count, *SHAPE)
        assert made.abs().max() <= 1
    assert (network.shape, network.latent_size) == (SHAPE, 2)
    assert sum(isinstance(layer, SubPixel) for layer in network.modules()) == [0, 1, 1, 2, 0, 2][scale - 1]


@every_network
def test_every_parameter_acts_and_each_sample_is_made_alone(build: Build) -> None:
    network = build(shape=SHAPE, condition=Pictures(SHAPE), latent_size=2).double()
    latent, source = torch.randn(3, 2).double(), pictures(3, *SHAPE).double()
    made = network(latent, source)
    (made * torch.randn_like(made)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-12, f"{name} has no effect"
    whole = network.eval()(latent, source)
    assert torch.allclose(network(latent[:1], source[:1]), whole[:1])
    assert not torch.allclose(network(latent + 1, source), whole)


@every_network
def test_half_precision_is_near(build: Build) -> None:
    network = build(shape=SHAPE, condition=Pictures(SHAPE)).eval()
    latent, source = torch.empty(2, 0), pictures(2, *SHAPE)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(latent, source)
    assert (rounded - network(latent, source)).abs().mean() < 0.02


@pytest.mark.parametrize("times", [2, 3])
def test_a_sub_pixel_layer_begins_with_equal_places_in_each_square(times: int) -> None:
    maps = SubPixel(4, times)(torch.randn(2, 4, 5, 6))
    assert maps.shape == (2, 4, 5 * times, 6 * times)
    corners = maps[..., ::times, ::times]
    assert torch.equal(maps, corners.repeat_interleave(times, 2).repeat_interleave(times, 3))
    assert maps.unique().numel() > 4 * 5 * 6


def test_the_papers_generators_have_their_numbers_of_weights() -> None:
    with torch.device("meta"):
        smaller = Pictures((3, 24, 24))
        srresnet, rrdb = (kind(shape=(3, 96, 96), condition=smaller) for kind in PAPERS)
        for network, of in ((srresnet, SRResNetGenerator), (rrdb, RRDBGenerator)):
            assert sum(parameter.numel() for parameter in network.parameters()) == PAPERS[of]


# SRResNet counted by hand from figure 4: 9x9 from and to 3 channels, 33 of 3x3 with batch norm, two that
# widen fourfold, and a PReLU after the first, in each block and after each of these two.
NINE, MIDDLE, WIDEN = 81 * 3 * 64, 9 * 64 * 64 + 2 * 64, 9 * 64 * 256 + 256
# RRDB's dense blocks see 64, 96, ..., 192 channels; where it becomes larger there are sub-pixel layers.
DENSE = sum(9 * (64 + 32 * n) * (32 if n < 4 else 64) + (32 if n < 4 else 64) for n in range(5))
PLAIN, EDGE = 9 * 64 * 64 + 64, 9 * 3 * 64
PAPERS: dict[Build, int] = {
    SRResNetGenerator: 2 * NINE + 64 + 3 + 33 * MIDDLE + 2 * WIDEN + 1 + 16 + 2,
    RRDBGenerator: EDGE + 64 + 23 * 3 * DENSE + 2 * PLAIN + 2 * WIDEN + EDGE + 3,
}


def test_known_pixels_stay_as_they_are_and_holes_are_what_the_network_makes() -> None:
    network = Composited(
        network=partial(UNetGenerator, width=4, max_width=8),
        shape=(3, 16, 16),
        condition=PicturesWithHoles((4, 16, 16)),
    )
    known = (torch.rand(2, 1, 16, 16) > 0.3).float()
    source = torch.cat([pictures(2, 3, 16, 16), known], 1)
    made, whole = network(torch.empty(2, 0), source), network.network(torch.empty(2, 0), source)
    assert torch.equal(made * known, source[:, :3] * known)
    assert torch.equal(made * (1 - known), whole * (1 - known))


def test_a_local_critic_sees_the_square_around_the_hole() -> None:
    critic = AroundHole(network=Seen, shape=SHAPE, condition=PicturesWithHoles((4, *SHAPE[1:])))
    images = torch.arange(24.0 * 48).reshape(1, 1, 24, 48).expand(3, *SHAPE).clone().requires_grad_()
    condition = torch.ones(3, 4, *SHAPE[1:])
    condition[0, -1, 10:14, 20:24] = 0
    condition[1, -1, :2, 46:] = 0  # in a corner: the square stays within the picture
    seen = critic(images, condition)
    assert seen.shape == (3, 3, 12, 24)
    assert torch.equal(seen[0], images[0, :, 6:18, 10:34])
    assert torch.equal(seen[1], images[1, :, :12, 24:])
    assert torch.equal(seen[2], images[2, :, :12, :24]), "without a hole it looks anywhere"
    seen.sum().backward()
    assert images.grad is not None
    assert images.grad.sum() == seen.numel()


class Seen(nn.Module):
    """Says what it is shown."""

    def __init__(self, *, shape: tuple[int, ...]) -> None:
        super().__init__()
        assert shape == (3, 12, 24)

    def forward(self, images: Tensor) -> Tensor:
        return images


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SRResNetGenerator(shape=SHAPE, condition=Labels(3)), "takes pictures .* not Labels"),
        (lambda: RRDBGenerator(shape=SHAPE), "takes pictures .* not None"),
        (lambda: SRResNetGenerator(shape=SHAPE, condition=Pictures((3, 5, 10))), "same whole multiple"),
        (lambda: SRResNetGenerator(shape=SHAPE, condition=Pictures((3, 48, 96))), "same whole multiple"),
        (lambda: SRResNetGenerator(shape=SHAPE, condition=Pictures(SHAPE), blocks=0), "blocks is 0"),
        (lambda: RRDBGenerator(shape=SHAPE, condition=Pictures(SHAPE), growth=0), "growth is 0"),
        (lambda: GatedGenerator(shape=(1, 30, 30), condition=Pictures((1, 30, 30))), "halves .* twice"),
        (lambda: composited(Pictures((4, 24, 48))), "pictures with holes"),
        (lambda: composited(PicturesWithHoles((4, 12, 24))), "pictures with holes"),
        (lambda: AroundHole(network=Seen, shape=SHAPE, condition=Pictures(SHAPE)), "pictures with holes"),
    ],
)
def test_what_cannot_work_is_refused(make: Any, words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        make()
    assert len(str(refusal.value).splitlines()) <= 3


def composited(condition: Medium) -> nn.Module:
    return Composited(network=UNetGenerator, shape=SHAPE, condition=condition)
