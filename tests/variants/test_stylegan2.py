"""Of StyleGAN2 beyond the laws: path lengths by an explicit Jacobian, mixing, truncation, exports."""

from functools import partial
from typing import Any

import pytest
import torch
from plain_games import Plain
from torch import Tensor

from ganlab.errors import Refused
from ganlab.game.draws import Draws
from ganlab.networks import MLPGenerator, StyleGAN2Generator
from ganlab.networks.stylegan2 import path_lengths
from ganlab.testing import SHAPE, STYLED, new, play, state
from ganlab.variants import StyleGAN2


def game(**arguments: Any) -> StyleGAN2:
    return new(StyleGAN2, **{"discriminator": Plain, **arguments})  # type: ignore[return-value]


def draws(count: int = 64) -> Draws:
    return Draws(0, count, device="cpu", dtype=torch.float32)


def test_path_lengths_are_those_of_the_jacobian() -> None:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(**STYLED).double()
    styles = generator.styles(torch.randn(3, 8).double()).detach().requires_grad_()
    noise = torch.randn(3, *SHAPE).double()
    lengths = path_lengths(generator.synthesis(styles), styles, noise)
    for number, length in enumerate(lengths):

        def picture(own: Tensor) -> Tensor:
            return generator.synthesis(own[None])[0].flatten()

        jacobian = torch.autograd.functional.jacobian(picture, styles[number].detach())
        pulled = torch.einsum("p,pls->ls", noise[number].flatten() / 8, jacobian)  # 8 x 8 places
        assert length.item() == pytest.approx(pulled.square().sum(1).mean().sqrt().item())


def test_the_path_penalty_has_the_gradient_of_finite_differences() -> None:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(**STYLED).double().eval()
    latent, noise = torch.randn(3, 8).double(), torch.randn(3, *SHAPE).double()

    def penalty() -> Tensor:
        styles = generator.styles(latent)
        return (path_lengths(generator.synthesis(styles), styles, noise) - 0.3).square().mean()

    parameters = [*generator.parameters()]
    gradients = torch.autograd.grad(penalty(), parameters, allow_unused=True)
    directions = [torch.randn_like(each) for each in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None)
    values = []
    for sign in (1, -2):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter += sign * 1e-7 * direction
        values.append(penalty().item())
    assert float(slope) == pytest.approx((values[0] - values[1]) / 2e-7, rel=1e-4)


def test_without_a_weight_no_lengths_are_taken() -> None:
    played, logged = game(path_weight=0, path_every=1), []
    regulariser: Any = played.regularisers[0]
    regulariser.after_generator_step = lambda terms, images: logged.extend(terms)
    play(played, steps=2)
    assert logged
    assert not [name for name in logged if "path" in name]


def test_lengths_are_regularised_every_few_steps_and_their_mean_follows() -> None:
    played, lengths, means = game(path_every=3, path_weight=0.1), [], []
    regulariser: Any = played.regularisers[0]
    original = regulariser.after_generator_step

    def watched(logged: dict[str, Tensor], images: int) -> None:
        original(logged, images)
        lengths.append(logged.get("mean_path_length"))
        means.append(regulariser.mean_length.item())

    regulariser.after_generator_step = watched
    play(played, steps=7)
    assert [length is not None for length in lengths] == [True, False, False, True, False, False, True]
    expected = 0.0
    for length, mean in zip(lengths, means, strict=True):
        expected += 0 if length is None else 0.01 * (length.item() - expected)
        assert mean == pytest.approx(expected, rel=1e-5)


def test_micro_batches_have_the_mean_of_the_whole() -> None:
    whole, cut = (game(accumulation=parts) for parts in (1, 2))
    for one in (whole, cut):
        play(one, steps=5, precision="64-true")
    assert whole.regularisers[0].mean_length > 0
    for name, value in state(whole).items():
        if not name.endswith("mean_style.mean"):
            assert torch.allclose(value, state(cut)[name], atol=1e-9), name


@pytest.mark.parametrize("mixing", [0.0, 0.5, 1.0])
def test_so_many_latents_are_mixed_in_training(mixing: float) -> None:
    played = game(mixing=mixing)
    latent = played.latent(draws(400))
    assert latent.shape == (400, played.layers, 8)
    same = (latent == latent[:, :1]).all(2)
    assert same[:, 0].all()
    assert (~same[:, -1]).float().mean().item() == pytest.approx(mixing, abs=0.08)
    firsts = same.sum(1)[~same[:, -1]]
    assert set(firsts.tolist()) == (set(range(1, played.layers)) if mixing else set())


def test_samples_are_mixed_only_where_that_is_chosen() -> None:
    played = game()
    plain = played.latents(5, seed=1)
    assert plain.shape == (5, 8)
    chosen = played.latents(5, seed=1, mix=2)
    assert torch.equal(chosen[:, 0], plain)
    assert torch.equal(chosen[:, 1], plain)
    assert not torch.isclose(chosen[:, 2], plain).any()
    assert torch.equal(chosen[:, 2], chosen[:, -1])


def test_truncation_goes_from_the_mean_picture_to_the_sample() -> None:
    played = game()
    play(played, steps=5)
    samples = {psi: played.sample(4, seed=0, truncation=psi) for psi in (0, 0.3, 1)}
    network = played.ema.network
    mean = network.synthesis(network.mean_style.mean.expand(1, played.layers, -1))
    assert torch.allclose(samples[0], mean.expand(4, -1, -1, -1), atol=1e-5)
    assert torch.allclose(samples[1], played.sample(4, seed=0), atol=1e-5)
    assert 0 < samples[0.3].std(0).mean() < samples[1].std(0).mean()
    both = played.sample(4, seed=0, truncation=0, mix=1)
    assert torch.allclose(both, mean.expand(4, -1, -1, -1), atol=1e-5)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"truncation": -0.1}, "truncation is -0.1"),
        ({"mix": 0}, "mix is 0.* from 1 to 4"),
        ({"mix": 5}, "mix is 5"),
        ({"mix": "coarse"}, "'coarse'"),
    ],
    ids=str,
)
def test_choices_that_cannot_work_are_refused(choices: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        game().sample(2, seed=0, **choices)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"gamma": -1}, "gamma is -1"),
        ({"path_weight": -1}, "PathLength: weight is -1"),
        ({"path_every": 0}, "PathLength: every is 0"),
        ({"mixing": 1.5}, "mixing is 1.5"),
        ({"generator": partial(MLPGenerator, shape=SHAPE, latent_size=8)}, "MLPGenerator has none"),
        (
            {"generator": partial(MLPGenerator, shape=SHAPE, latent_size=8), "path_weight": 0},
            "MLPGenerator has none",
        ),
    ],
    ids=lambda part: str(part)[:24],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        game(**arguments)
    assert len(str(refusal.value).splitlines()) <= 3


def test_bf16_rounds_path_lengths_no_more_than_float32() -> None:
    lengths = {}
    for precision in ("32", "bf16-mixed"):
        played = game(path_every=1)
        played.after_generator_step = lambda logged, p=precision: lengths.setdefault(p, logged)  # type: ignore
        play(played, steps=1, precision=precision)
    one, other = (lengths[precision]["mean_path_length"] for precision in ("32", "bf16-mixed"))
    assert other.dtype == torch.float32
    # The generator has not moved yet; the two are the same numbers.
    assert other.item() == pytest.approx(one.item(), rel=1e-5)
