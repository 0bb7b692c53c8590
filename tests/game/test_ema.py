"""The average against its closed form, and its promises: frozen, in evaluation mode, buffers as they are."""

import copy
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from ganlab.game.ema import Average, share_kept
from ganlab.testing import Specks, new, play
from ganlab.variants import HingeGAN


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2)).double()


def weights(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def move(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))


class TestAverage:
    def test_starts_as_the_network(self) -> None:
        original = network()
        average = Average(original)
        original.eval()
        inputs = torch.randn(6, 3, dtype=torch.float64)
        assert torch.equal(average(inputs), original(inputs))

    @pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999, 1.0])
    def test_toward_weights_that_stand_still(self, keep: float) -> None:
        """After n updates the share keep^n of the start is left."""
        original = network()
        average, start = Average(original), weights(original)
        move(original)
        updates = 7
        for _ in range(updates):
            average.update(original, keep)
        for averaged, first, last in zip(average.parameters(), start, original.parameters(), strict=True):
            torch.testing.assert_close(
                averaged, last + keep**updates * (first - last), rtol=1e-12, atol=1e-13, check_stride=False
            )

    def test_of_weights_that_move(self) -> None:
        """keep^n of the start, and (1 - keep) keep^(n-i) of the i-th weights."""
        original, keep, updates = network(), 0.8, 9
        average, path = Average(original), [weights(original)]
        for _ in range(updates):
            move(original)
            average.update(original, keep)
            path.append(weights(original))
        shares = [keep**updates, *((1 - keep) * keep ** (updates - i) for i in range(1, updates + 1))]
        assert sum(shares) == pytest.approx(1, abs=1e-12)
        for index, averaged in enumerate(average.parameters()):
            expected = sum(share * each[index] for share, each in zip(shares, path, strict=True))
            torch.testing.assert_close(averaged, expected, rtol=1e-12, atol=1e-13)

    def test_keeping_nothing_copies_to_the_last_bit(self) -> None:
        original = network()
        average = Average(original)
        move(original)
        average.update(original, 0.0)
        for averaged, expected in zip(average.parameters(), original.parameters(), strict=True):
            assert torch.equal(averaged, expected)

    def test_buffers_are_copied_not_averaged(self) -> None:
        original = network()
        average = Average(original)
        for _ in range(3):
            original(torch.randn(6, 3, dtype=torch.float64))
        average.update(original, 0.9)
        averaged, expected = dict(average.network.named_buffers()), dict(original.named_buffers())
        assert (
            averaged.keys() == expected.keys() == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
        )
        assert int(averaged["1.num_batches_tracked"]) == 3
        for name in expected:
            assert torch.equal(averaged[name], expected[name]), name

    def test_buffers_are_copies(self) -> None:
        original = network()
        average = Average(original)
        average.update(original, 0.9)
        before = copy.deepcopy(average.state_dict())
        move(original)
        original(torch.randn(6, 3, dtype=torch.float64))
        for name, value in average.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_the_original_is_only_read(self) -> None:
        original = network()
        average = Average(original)
        move(original)
        before = copy.deepcopy(original.state_dict())
        average.update(original, 0.5)
        for name, value in original.state_dict().items():
            assert torch.equal(value, before[name]), name
        assert all(parameter.requires_grad for parameter in original.parameters())
        assert original.training

    def test_stays_in_evaluation_mode(self) -> None:
        home = nn.Module()
        home.average = Average(network())
        for change in (home.train, home.eval, home.average.train, lambda: home.average.train(True)):
            change()
            assert not any(module.training for module in home.average.modules())
        inputs = torch.randn(6, 3, dtype=torch.float64)
        before = copy.deepcopy(home.average.state_dict())
        assert torch.equal(home.average(inputs), home.average(inputs))
        assert all(torch.equal(value, before[name]) for name, value in home.average.state_dict().items())

    def test_is_frozen(self) -> None:
        original = network()
        average = Average(original)
        average.update(original, 0.5)
        for parameter in average.parameters():
            assert not parameter.requires_grad
            assert parameter.grad_fn is None
        assert not average(torch.randn(6, 3, dtype=torch.float64)).requires_grad

    def test_comes_back_from_its_state(self) -> None:
        original = network()
        average = Average(original)
        move(original)
        original(torch.randn(6, 3, dtype=torch.float64))
        average.update(original, 0.5)
        other = Average(nn.Sequential(*copy.deepcopy(list(original))))
        move(other.network)
        other.load_state_dict(average.state_dict())
        inputs = torch.randn(6, 3, dtype=torch.float64)
        assert torch.equal(other(inputs), average(inputs))
        assert other.state_dict().keys() == {f"network.{name}" for name in original.state_dict()}

    def test_takes_what_the_network_takes(self) -> None:
        class Two(nn.Module):
            def forward(self, one: Tensor, other: Tensor) -> Tensor:
                return one - other

        assert float(Average(Two())(torch.tensor(5.0), torch.tensor(2.0))) == 3


class TestShareKept:
    @pytest.mark.parametrize("images", [1, 80, 500, 2000])
    def test_half_is_left_after_the_half_life(self, images: int) -> None:
        steps = 2000 // images
        assert share_kept(images, 10**6, 2000, None) ** steps == pytest.approx(0.5, rel=1e-12)

    def test_does_not_depend_on_how_images_are_cut_into_steps(self) -> None:
        assert share_kept(64, 10**6, 1234, None) == pytest.approx(
            share_kept(16, 10**6, 1234, None) ** 4, rel=1e-12
        )

    @pytest.mark.parametrize(
        ("seen", "half_life"),
        [(100, 5.0), (1000, 50.0), (20_000, 1000.0), (20_001, 1000.0), (10**9, 1000.0)],
    )
    def test_a_ramp_holds_back_only_a_young_average(self, seen: int, half_life: float) -> None:
        assert share_kept(32, seen, 1000, 0.05) == pytest.approx(2 ** (-32 / half_life), rel=1e-12)

    def test_without_a_ramp_the_age_is_nothing(self) -> None:
        assert (
            share_kept(32, 0, 1000, None)
            == share_kept(32, 10**9, 1000, None)
            == pytest.approx(2**-0.032, rel=1e-12)
        )

    @pytest.mark.parametrize(
        ("seen", "half_life", "ramp"), [(0, 1000, 0.05), (100, 1000, 0.0), (100, 0, None)]
    )
    def test_without_a_past_nothing_is_kept(self, seen: int, half_life: float, ramp: float | None) -> None:
        assert share_kept(32, seen, half_life, ramp) == 0.0

    @pytest.mark.parametrize("seen", [0, 1, 33, 10**4, 10**8])
    @pytest.mark.parametrize("half_life", [0, 1e-9, 10, 1e12])
    @pytest.mark.parametrize("ramp", [None, 0.05])
    def test_is_a_share(self, seen: int, half_life: float, ramp: float | None) -> None:
        assert 0 <= share_kept(32, seen, half_life, ramp) <= 1


class Path(Callback):
    """The generator's weights after each step."""

    def __init__(self) -> None:
        self.weights: list[list[Tensor]] = []

    def on_train_batch_end(self, trainer: Any, game: Any, *_: Any) -> None:
        self.weights.append(weights(game.generator))


class TestInTheGame:
    @pytest.mark.parametrize("critic_steps", [1, 3])
    @pytest.mark.parametrize(("half_life", "ramp"), [(20.0, None), (20.0, 0.5), (1e9, 0.25)])
    def test_images_are_counted_as_shown_to_the_discriminator(
        self, critic_steps: int, half_life: float, ramp: float | None
    ) -> None:
        game = new(HingeGAN, critic_steps=critic_steps, ema_half_life=half_life, ema_ramp=ramp)
        average, path, shown = weights(game.generator), Path(), 4 * critic_steps
        play(game, Specks(batch_size=4), steps=5, precision="64-true", callbacks=[path])
        for step, current in enumerate(path.weights, start=1):
            life = half_life if ramp is None else min(half_life, ramp * shown * step)
            keep = 2 ** (-shown / life)
            average = [keep * a.double() + (1 - keep) * c for a, c in zip(average, current, strict=True)]
        assert any((a - b).abs().max() > 1e-6 for a, b in zip(average, path.weights[-1], strict=True))
        for averaged, expected in zip(game.ema.parameters(), average, strict=True):
            torch.testing.assert_close(averaged, expected, rtol=1e-10, atol=1e-12, check_stride=False)

    def test_samples_come_from_the_average_unless_raw(self) -> None:
        game = new(HingeGAN)
        move(game.generator)
        averaged, raw = game.sample(4, seed=0), game.sample(4, seed=0, raw=True)
        assert (averaged - raw).abs().max() > 0.01
        game.ema.update(game.generator, 0.0)
        assert torch.equal(game.sample(4, seed=0), raw)
