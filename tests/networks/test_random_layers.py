"""Layers that draw random numbers: what they do with them, and where these come from."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.networks.layers import Dropout, Noise
from ganlab.networks.random_layers import SampleNoise, drawing, normal_like, uniform_like
from ganlab.seeds import reseed

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def drawn_for(draw: Callable[[Tensor], Tensor], inputs: Tensor, *numbers: int, seed: int = 0) -> Tensor:
    with drawing(SampleNoise(seed, numbers)):
        return draw(inputs)


class TestNoise:
    def test_starts_with_none(self) -> None:
        maps = torch.randn(2, 3, 4, 4)
        for layer in (Noise(), Noise(3)):
            assert torch.equal(layer(maps), maps)

    @pytest.mark.parametrize(
        "shape", [(500, 3, 8, 8), (5000, 3, 7), (2000, 3, 2, 2, 4), (30_000, 3)], ids=str
    )
    def test_adds_normal_noise_that_channels_share(self, shape: tuple[int, ...]) -> None:
        layer = Noise()
        nn.init.constant_(layer.strength, 2.0)
        noise = layer(torch.ones(shape)) - 1
        assert torch.allclose(noise, noise[:, :1].expand(shape), atol=1e-6)
        assert abs(noise.mean()) < 0.05
        assert abs(noise.std() - 2) < 0.05
        assert len(noise[:, 0].unique()) > 0.9 * noise[:, 0].numel(), "each pixel has noise of its own"

    def test_each_channel_may_have_a_strength_of_its_own(self) -> None:
        layer = Noise(3)
        layer.strength.data = torch.tensor([0.0, 1.0, -2.0])
        noise = layer(torch.zeros(2, 3, 4, 4))
        assert torch.equal(noise[:, 0], torch.zeros(2, 4, 4))
        assert torch.equal(noise[:, 2], -2 * noise[:, 1])
        assert noise[:, 1].std() > 0.5

    def test_its_strength_learns(self) -> None:
        for layer in (Noise(), Noise(3)):
            layer(torch.randn(2, 3, 4, 4)).square().sum().backward()
            assert (layer.strength.grad != 0).all()

    @pytest.mark.parametrize("channels", [None, 3])
    def test_keeps_the_precision(self, channels: int | None) -> None:
        for dtype in (torch.bfloat16, torch.float64):
            assert Noise(channels)(torch.zeros(2, 3, 4, 4, dtype=dtype)).dtype == dtype


class TestDropout:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
    @pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
    def test_drops_a_share_in_evaluation_too_and_keeps_the_mean(self, p: float, dtype: torch.dtype) -> None:
        layer, ones = Dropout(p), torch.ones(200_000, dtype=dtype)
        for made in (layer(ones), layer.eval()(ones), drawn_for(layer, ones[None], 4)[0]):
            assert made.dtype == dtype
            assert made.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=0.01)
            # Five standard deviations; one of 256 steps of bfloat16 would be 0.0016 beside 0.1.
            assert (made == 0).double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / 2e5) ** 0.5)

    def test_gradients_go_through_what_is_kept(self) -> None:
        inputs = torch.ones(1000, requires_grad=True)
        made = Dropout(0.3)(inputs)
        made.sum().backward()
        assert torch.equal(inputs.grad, made.detach())

    def test_none_is_dropped_where_none_shall_be(self) -> None:
        inputs, state = torch.randn(3, 4), torch.get_rng_state()
        assert torch.equal(Dropout(0.0)(inputs), inputs)
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("draw", [normal_like, uniform_like])
class TestWhereNumbersComeFrom:
    def test_of_a_sample_they_follow_from_seed_and_number(self, draw: Callable[[Tensor], Tensor]) -> None:
        inputs = torch.zeros(4, 3, 5, 5)
        state = torch.get_rng_state()
        four = drawn_for(draw, inputs, 7, 8, 9, 10)
        assert torch.equal(four[2:], drawn_for(draw, inputs[:2], 9, 10))
        assert torch.equal(four[[3, 0]], drawn_for(draw, inputs[:2], 10, 7))
        assert not torch.equal(four, drawn_for(draw, inputs, 7, 8, 9, 10, seed=1))
        assert len(four.unique()) > 290, "no two rows are alike"
        assert torch.equal(torch.get_rng_state(), state)

    def test_each_call_draws_others(self, draw: Callable[[Tensor], Tensor]) -> None:
        def twice(inputs: Tensor) -> Tensor:
            return torch.stack([draw(inputs), draw(inputs)], 1)

        drawn = drawn_for(twice, torch.zeros(2, 50), 0, 1)
        assert len(drawn.unique()) > 195
        assert torch.equal(drawn[1:], drawn_for(twice, torch.zeros(1, 50), 1))

    def test_in_training_they_come_from_the_global_generator(self, draw: Callable[[Tensor], Tensor]) -> None:
        inputs = torch.zeros(4, 50)
        reseed(3, CPU)
        drawn = draw(inputs)
        assert not torch.equal(draw(inputs), drawn)
        reseed(3, CPU)
        assert torch.equal(draw(inputs), drawn)

    def test_so_do_those_of_rows_that_are_not_the_samples(self, draw: Callable[[Tensor], Tensor]) -> None:
        noise = SampleNoise(0, [0, 1])
        state = torch.get_rng_state()
        with drawing(noise):
            draw(torch.zeros(4, 50))
        assert not noise.drawn
        assert not torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
    def test_a_precision_rounds_the_same_numbers(
        self, dtype: torch.dtype, draw: Callable[[Tensor], Tensor]
    ) -> None:
        inputs = torch.zeros(2, 50)
        expected = drawn_for(draw, inputs, 0, 1)
        drawn = drawn_for(draw, inputs.to(dtype), 0, 1)
        assert torch.equal(drawn, expected.to(drawn.dtype))


def test_numbers_that_make_no_sense_are_refused() -> None:
    for make in (lambda: Noise(0), lambda: Dropout(1.0), lambda: Dropout(-0.1), lambda: Dropout(torch.nan)):
        with pytest.raises(Refused):
            make()


@pytest.mark.slow
def test_a_compiled_network_draws_in_one_piece() -> None:
    layers = nn.Sequential(nn.Linear(4, 4), Noise(), Dropout())
    nn.init.ones_(layers[1].strength)
    compiled = torch.compile(layers, fullgraph=True)
    inputs = torch.randn(50, 4)
    assert not torch.equal(compiled(inputs), compiled(inputs))
