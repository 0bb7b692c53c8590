"""Networks of clips: one content in all frames, critics of frames and of clips, derivatives and refusals."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils import parametrize

from ganlab.errors import Refused
from ganlab.judgements import Judged
from ganlab.media import Labels, Pictures
from ganlab.networks import (
    ClipDiscriminator,
    DCGANDiscriminator,
    DCGANGenerator,
    Heads,
    MLPGenerator,
    MoCoGANGenerator,
    PatchGANDiscriminator,
    RandomFrames,
)

SHAPE = (6, 1, 8, 8)
SMALL: dict[str, Any] = {"width": 4, "max_width": 8}
FRAME = partial(DCGANGenerator, normalization="none", **SMALL)
JUDGE = partial(DCGANDiscriminator, normalization="none", **SMALL)


def generator(**more: Any) -> MoCoGANGenerator:
    torch.manual_seed(0)
    return MoCoGANGenerator(**{"network": FRAME, "shape": SHAPE, "latent_size": 32, "motion": 4, **more})


def of_frames(**more: Any) -> RandomFrames:
    torch.manual_seed(0)
    return RandomFrames(**{"network": JUDGE, "shape": SHAPE, **more})


@pytest.mark.parametrize("network", [FRAME, partial(MLPGenerator, hidden=(8,))], ids=["dcgan", "mlp"])
def test_clips_are_drawn_by_any_generator_of_pictures(network: Any) -> None:
    made = generator(network=network)
    clips = made(torch.randn(5, 32))
    assert clips.shape == (5, *SHAPE)
    assert clips.abs().max() <= 1
    assert (made.shape, made.latent_size, made.content) == (SHAPE, 32, 8)


def test_noise_of_a_frame_changes_it_and_those_after_it_and_the_content_all() -> None:
    made, latent = generator(), torch.randn(1, 32)
    before = made(latent)[0]

    def changed(place: int) -> list[bool]:
        other = latent.clone()
        other[0, place] += 3
        return [not torch.equal(*pair) for pair in zip(made(other)[0], before, strict=True)]

    assert changed(0) == [True] * 6
    assert changed(8 + 2 * 4) == [False] * 2 + [True] * 4
    assert changed(31) == [False] * 5 + [True]
    assert torch.equal(made(latent)[0], before), "nothing is drawn but the latent"


def test_all_rows_are_made_alone() -> None:
    made, latent = generator().double(), torch.randn(4, 32, dtype=torch.float64)
    assert torch.allclose(made(latent)[1:2], made(latent[1:2]))


def test_in_training_each_frame_is_judged_equally_often() -> None:
    class Level(nn.Module):
        def __init__(self, *, shape: tuple[int, ...]) -> None:
            super().__init__()
            assert shape == SHAPE[1:]

        def forward(self, frames: Tensor) -> Tensor:
            return frames.mean((1, 2, 3))

    clips = (
        torch.arange(6.0).view(1, 6, 1, 1, 1).expand(600, *SHAPE) + torch.arange(600).view(-1, 1, 1, 1, 1) * 6
    )
    critic = of_frames(network=Level)
    drawn = critic(clips)
    assert drawn.shape == (600,)
    assert torch.equal(drawn.div(6, rounding_mode="floor"), torch.arange(600.0)), "of its own clip each"
    assert drawn.remainder(6).long().bincount().min() > 60
    two = of_frames(network=Level, frames=2)(clips)
    assert two.shape == (600, 2)
    assert (two[:, 0] != two[:, 1]).all()
    every = critic.eval()(clips)
    assert torch.equal(every, clips[:, :, 0, 0, 0])
    all_frames, state = of_frames(network=Level, frames=9), torch.get_rng_state()
    assert torch.equal(all_frames(clips[:4]), every[:4])
    critic(clips)
    assert torch.equal(state, torch.get_rng_state()), "in evaluation, and of all frames, nothing is drawn"


def test_heads_and_maps_of_frames_keep_their_places() -> None:
    clips = torch.randn(3, *SHAPE)
    heads = of_frames(network=partial(Heads, network=JUDGE, heads={"class": "classes"}), frames=2, classes=4)
    judged = heads(clips)
    assert isinstance(judged, Judged)
    assert (judged.logits.shape, judged.heads["class"].shape) == ((3, 2), (3, 4))
    single = heads.network(clips.flatten(0, 1)).heads["class"].unflatten(0, (3, 6))
    assert torch.allclose(heads.eval()(clips).heads["class"], single.mean(1))
    patches = of_frames(network=partial(PatchGANDiscriminator, width=4, layers=1), frames=2)
    assert patches(clips).shape[:2] == (3, 2)


@pytest.mark.parametrize(
    ("shape", "moments"), [((16, 1, 32, 32), 2), ((6, 3, 16, 8), 3), ((5, 1, 8, 8), 5), ((2, 1, 28, 28), 2)]
)
def test_clips_of_any_length_are_halved_down(shape: tuple[int, ...], moments: int) -> None:
    critic = ClipDiscriminator(shape=shape, **SMALL)
    assert critic(torch.randn(3, *shape)).shape == (3,)
    maps = nn.Sequential(*critic.features[:-1])(torch.randn(1, *shape).transpose(1, 2))
    assert maps.shape[2] == moments
    assert max(maps.shape[3:]) <= 7 * max(shape[2:]) // min(shape[2:])


def test_a_critic_of_clips_sees_their_order_and_one_of_frames_does_not() -> None:
    clips = torch.randn(3, *SHAPE)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    critic = ClipDiscriminator(shape=SHAPE, **SMALL)
    assert not torch.allclose(critic(clips), critic(clips[:, order]), atol=1e-4)
    frames = of_frames().eval()
    assert torch.allclose(frames(clips)[:, order], frames(clips[:, order]), atol=1e-6)


@pytest.mark.parametrize(
    "make", [partial(ClipDiscriminator, width=2, max_width=2), of_frames], ids=["clip", "frames"]
)
def test_critics_have_two_derivatives(make: Any) -> None:
    critic = make(shape=(4, 1, 8, 8)).double()

    def judged(clips: Tensor) -> Tensor:
        torch.manual_seed(0)  # the same frames each time
        return critic(clips)

    clips = torch.randn(2, 4, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert gradcheck(judged, clips, fast_mode=True)
    assert gradgradcheck(judged, clips, fast_mode=True)


@pytest.mark.parametrize("moments", [2, 3, 4, 8])
def test_gradients_of_a_few_moments_are_those_of_float32_in_bfloat16(moments: int) -> None:
    """Where CPUs know it, torch 2.14 returns what memory held before for a kernel of 3 over two moments."""
    critic = ClipDiscriminator(shape=(moments, 1, 32, 32), width=16)
    for _ in range(10):
        clips = torch.randn(4, moments, 1, 32, 32)
        exact = torch.autograd.grad(critic(clips).sum(), [*critic.parameters()])
        left_behind = [torch.full((size,), torch.nan) for size in (1_000, 30_000, 200_000, 400_000)]
        del left_behind
        with torch.autocast("cpu", torch.bfloat16):
            logits = critic(clips).sum()
        for rough, fine in zip(torch.autograd.grad(logits, [*critic.parameters()]), exact, strict=True):
            assert (rough - fine).norm() < 0.3 * fine.norm()


def test_everything_learns() -> None:
    made, of_clips, frames = generator(), ClipDiscriminator(shape=SHAPE, **SMALL), of_frames()
    clips = made(torch.randn(4, 32))
    (of_clips(clips).sum() + frames(clips).sum()).backward()
    for network in (made, of_clips, frames):
        assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_the_label_is_seen(conditioning: Any) -> None:
    told = {"condition": Labels(3)}
    made = generator(**told)
    latent, labels = torch.randn(2, 32), torch.tensor([0, 2])
    clips = made(latent, labels)
    assert not torch.allclose(clips, made(latent, labels.flip(0)))
    frames = of_frames(network=partial(JUDGE, conditioning=conditioning), **told).eval()
    for critic in (ClipDiscriminator(shape=SHAPE, conditioning=conditioning, **told, **SMALL), frames):
        assert not torch.allclose(critic(clips, labels), critic(clips, labels.flip(0)))


def test_spectral_norm_bounds_every_layer_of_the_critic() -> None:
    critic = ClipDiscriminator(shape=SHAPE, normalization="spectral", **SMALL)
    layers = [each for each in critic.modules() if isinstance(each, nn.Conv3d | nn.Linear)]
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers)


@pytest.mark.parametrize(
    ("make", "arguments", "expected"),
    [
        (generator, {"latent_size": 24}, "take 74"),
        (generator, {"shape": (1, 8, 8)}, "frames, channels, height, width"),
        (generator, {"condition": Pictures((1, 8, 8))}, "takes labels"),
        (generator, {"motion": 0}, "motion"),
        (of_frames, {"shape": (1, 8, 8)}, "frames, channels, height, width"),
        (of_frames, {"frames": 0}, "frames"),
        (ClipDiscriminator, {"shape": (8, 8)}, "frames, channels, height, width"),
        (ClipDiscriminator, {"shape": (4, 1, 9, 9)}, "do not halve"),
        (ClipDiscriminator, {"shape": SHAPE, "normalization": "batch"}, "Known: none, spectral"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(Refused, match=expected) as error:
        make(**arguments)
    assert len(str(error.value).splitlines()) <= 3
