"""The weights of both players stay near the mean of what they were."""

from functools import partial

import pytest
import torch

from ganlab.regularisers import HistoricalAveraging
from ganlab.testing import Specks, assert_same, new, play, state
from ganlab.variants import HingeGAN

QUIET = partial(torch.optim.SGD, lr=0.0)


def weights(game: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in game.parameters()])


def test_the_terms_are_squared_distances_to_the_mean_of_the_history() -> None:
    seen: dict[str, list[torch.Tensor]] = {"discriminator": [], "generator": []}

    class Watching(HingeGAN):
        def after_discriminator_step(self, logged: object) -> None:
            for name, history in seen.items():
                history.append(weights(self.get_submodule(name)))

    game = new(Watching, regularisers=[HistoricalAveraging(0.5)])
    trainer = play(game, steps=4, log_every_n_steps=1)
    (regulariser,) = game.regularisers
    for name, history in seen.items():
        mean = torch.stack(history).mean(0)
        torch.testing.assert_close(vars(regulariser)["_buffers"][f"{name}_mean"], mean)
    # The discriminator's last term was of its weights after three steps, and of their mean.
    history = torch.stack(seen["discriminator"][:3])
    expected = 0.5 * (history[-1] - history.mean(0)).square().sum()
    torch.testing.assert_close(trainer.callback_metrics["discriminator_history"], expected)
    history = torch.stack(seen["generator"])
    expected = 0.5 * (history[-1] - history.mean(0)).square().sum()
    torch.testing.assert_close(trainer.callback_metrics["generator_history"], expected)


def test_each_side_is_pulled_to_its_mean() -> None:
    game = new(HingeGAN, regularisers=[HistoricalAveraging(1e6)])
    free = new(HingeGAN)
    play(game, steps=6)
    play(free, steps=6)
    for name in ("generator", "discriminator"):
        begin, held, moved = (weights(g.get_submodule(name)) for g in (new(HingeGAN), game, free))
        assert (held - begin).norm() < 0.7 * (moved - begin).norm()


def test_without_weight_it_changes_nothing() -> None:
    plain, weightless = new(HingeGAN), new(HingeGAN, regularisers=[HistoricalAveraging(0.0)])
    states = [state(game, play(game, steps=3)) for game in (plain, weightless)]
    own = {name: value for name, value in states[1].items() if not name.startswith("regularisers")}
    assert_same(states[0], own, what="the game")


@pytest.mark.slow
def test_it_is_resumed_exactly(tmp_path) -> None:
    def game() -> HingeGAN:
        return new(HingeGAN, regularisers=[HistoricalAveraging(10.0)])  # type: ignore[return-value]

    straight, half, resumed = game(), game(), game()
    expected = state(straight, play(straight, Specks(), steps=6))
    play(half, Specks(), steps=3).save_checkpoint(tmp_path / "half.ckpt")
    trainer = play(resumed, Specks(), steps=6, resume=tmp_path / "half.ckpt")
    assert_same(expected, state(resumed, trainer), what="the resumed run")
