"""Games whose discriminator is an autoencoder: BEGAN's k, EBGAN's margin and pulling-away term."""

from functools import partial

import pytest
import torch

from ganlab import losses
from ganlab.media import Labels
from ganlab.networks import DCGANAutoencoder, MLPGenerator
from ganlab.testing import SHAPE, new, play
from ganlab.variants import BEGAN, EBGAN
from ganlab.variants.autoencoders import pulling_away

REAL, FAKE = torch.tensor([0.2, 0.6]), torch.tensor([0.1, 1.5])


@pytest.mark.parametrize(
    ("before", "after"), [(0.3, 0.3 + 0.01 * (0.5 * 0.4 - 0.8)), (0.002, 0.0)], ids=["moves", "stays above 0"]
)
def test_k_moves_by_the_balance_of_errors(before: float, after: float) -> None:
    game = new(BEGAN, gamma=0.5, rate=0.01)
    game.k.fill_(before)
    game.after_discriminator_step({"real_logit": REAL.mean(), "fake_logit": FAKE.mean()})
    assert game.k.item() == pytest.approx(after, abs=1e-6)


def test_k_rises_to_1_at_most() -> None:
    game = new(BEGAN, rate=1e3)
    game.after_discriminator_step({"real_logit": torch.tensor(1.0), "fake_logit": torch.tensor(0.0)})
    assert game.k.item() == 1


def test_the_discriminator_pushes_fakes_away_by_k() -> None:
    game = new(BEGAN)
    game.k.fill_(0.25)
    assert game.loss.discriminator(REAL, FAKE).item() == pytest.approx(0.4 - 0.25 * 0.8)
    assert game.loss.generator(FAKE, lambda: REAL).item() == pytest.approx(0.8)


@pytest.mark.parametrize("error", [torch.inf, torch.nan])
def test_k_stays_where_an_error_is_no_number(error: float) -> None:
    game = new(BEGAN, rate=0.1)
    game.k.fill_(0.3)
    game.after_discriminator_step({"real_logit": torch.tensor(error), "fake_logit": torch.tensor(0.5)})
    assert game.k.item() == pytest.approx(0.3)


def test_k_is_logged_and_kept() -> None:
    game = new(BEGAN, rate=0.1)
    trainer = play(game, steps=5)
    assert 0 < game.k.item() <= 1
    assert "k" in trainer.callback_metrics
    assert "k" in game.state_dict()


def test_fakes_above_the_margin_count_no_more() -> None:
    energy = losses.EnergyMargin(1.0)
    assert energy.discriminator(REAL, FAKE).item() == pytest.approx(0.4 + (0.9 + 0.0) / 2)
    assert energy.generator(FAKE, lambda: REAL).item() == pytest.approx(0.8)


def test_the_pulling_away_term_is_a_mean_over_pairs() -> None:
    codes = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    pairs = [
        (torch.dot(a, b) / (a.norm() * b.norm())).square()
        for i, a in enumerate(codes)
        for j, b in enumerate(codes)
        if i != j
    ]
    torch.testing.assert_close(pulling_away(codes), torch.stack(pairs).mean())
    assert pulling_away(torch.eye(4)).item() == pytest.approx(0, abs=1e-7)


def test_without_its_weight_there_is_no_pulling_away_term() -> None:
    assert "pulling_away" in play(new(EBGAN), steps=1, log_every_n_steps=1).callback_metrics
    assert (
        "pulling_away" not in play(new(EBGAN, pulling_away=0), steps=1, log_every_n_steps=1).callback_metrics
    )


@pytest.mark.parametrize(("error", "power"), [("absolute", 1), ("squared", 2)])
def test_an_autoencoders_logits_are_errors(error: str, power: int) -> None:
    torch.manual_seed(0)
    network = DCGANAutoencoder(shape=SHAPE, width=4, code_size=5, error=error)  # type: ignore[arg-type]
    images = torch.rand(3, *SHAPE)
    said = network(images)
    code = network.encoder(images)
    expected = (network.decoder(code) - images).abs().pow(power).mean((1, 2, 3))
    torch.testing.assert_close(said.logits, expected)
    assert said.heads.shape == (3, 5)


def test_the_decoder_is_told_labels() -> None:
    facts = {"shape": SHAPE, "condition": Labels(3)}
    players = {
        "generator": partial(MLPGenerator, **facts, latent_size=8, hidden=(8,)),
        "discriminator": partial(DCGANAutoencoder, **facts, width=4, code_size=5),
    }
    game = new(BEGAN, **players, conditional=True)
    play(game, steps=1)
    images = torch.rand(2, *SHAPE)
    one, other = (game.discriminator(images, torch.full((2,), label)).logits for label in (0, 1))
    assert not torch.equal(one, other)
