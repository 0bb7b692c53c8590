"""Games of text keep the laws that all games keep; the temperature of drawn characters moves by the clock."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from ganlab.data import Blanked, Lines, StreamData
from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Text
from ganlab.media.text import tokens_of
from ganlab.networks import (
    Composited,
    GRUGenerator,
    MLPGenerator,
    TextResNetDiscriminator,
    TextResNetGenerator,
    TextTransformerDiscriminator,
    TextTransformerGenerator,
)
from ganlab.networks.characters import Characters
from ganlab.regularisers import Temperature
from ganlab.testing import CHECKS, OF_TWO_PROCESSES, Game, assert_same, state
from ganlab.variants import WGANGP, HingeGAN, RelativisticGAN

TEXT = Text("abcd", 6)


class Few(Lines):
    """Some lines of four letters, the first of which is the class."""

    def __init__(self, labelled: bool = True, **base: Any) -> None:
        StreamData.__init__(self, **base)
        self.labelled = labelled

    @property
    def text(self) -> Text:  # type: ignore[override]
        return TEXT

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return tuple(TEXT.alphabet) if self.labelled else None

    def load(self) -> tuple[Any, Any]:
        lines = ["aab", "aad", "bbbb", "bbbd", "cb", "cd", "dddddb", "dddddd"]
        items = tokens_of(lines, TEXT.length), torch.arange(8) // 2
        set_ = TensorDataset(*items[: 1 + self.labelled])
        return set_, set_


FEW, UNTOLD = partial(Few, batch_size=4), partial(Few, False, batch_size=4)
WITH_BLANKS = partial(Blanked, of=Few(False), batch_size=4)
WHOLE, TOLD = WITH_BLANKS().media


def players(generator: Any, critic: Any, medium: Medium | None = None, **how: Any) -> dict[str, Any]:
    facts = {"shape": TEXT.shape, "condition": medium, "width": 8}
    return {
        "generator": partial(generator, **facts, latent_size=8, **how),
        "discriminator": partial(critic, **facts),
    }


def annealed() -> Game:
    networks = players(GRUGenerator, TextResNetDiscriminator)
    return Game(RelativisticGAN, UNTOLD, {**networks, "regularisers": [Temperature(2.0, 0.5, steps=4)]})


def with_blanks() -> Game:
    facts: dict[str, Any] = {"shape": WHOLE.shape, "condition": TOLD}
    inner = partial(TextResNetGenerator, width=8, blocks=1)
    networks = {
        "generator": partial(Composited, network=inner, latent_size=8, **facts),
        "discriminator": partial(TextResNetDiscriminator, width=8, blocks=1, **facts),
    }
    return Game(WGANGP, WITH_BLANKS, {"conditional": True, **networks})


GAMES: dict[str, Callable[[], Game]] = {
    "softmax": lambda: Game(WGANGP, UNTOLD, players(TextResNetGenerator, TextResNetDiscriminator)),
    "annealed": annealed,
    "told labels": lambda: Game(
        HingeGAN,
        FEW,
        {
            "conditional": True,
            **players(
                TextTransformerGenerator,
                TextTransformerDiscriminator,
                Labels(4),
                distribution="straight_through",
                heads=2,
            ),
        },
    ),
    "blanks": with_blanks,
}
# What "softmax" shows, "blanks" show, too.
MARKS = {"softmax": pytest.mark.evidence, "annealed": pytest.mark.slow, "told labels": pytest.mark.slow}
LAWS = [
    pytest.param(
        game,
        law,
        id=f"{game}-{law.__name__}",
        marks=MARKS.get(game, pytest.mark.slow if law in OF_TWO_PROCESSES else ()),
    )
    for game in GAMES
    for law in CHECKS
]


@pytest.mark.parametrize(("game", "check"), LAWS)
def test_a_game_of_text_keeps_the_laws(game: str, check: Callable[[Game], None]) -> None:
    check(GAMES[game]())


def temperatures(network: nn.Module) -> list[float]:
    layers = (each for each in network.modules() if isinstance(each, Characters))
    return [float(layer.temperature) for layer in layers]


def test_the_temperature_falls_by_one_factor_in_each_step_and_then_stays() -> None:
    game = annealed()
    for steps, expected in ((1, 2 / 2**0.5), (2, 1.0), (4, 0.5), (6, 0.5)):
        played = game()
        game.play(played, steps=steps)
        assert temperatures(played.generator) == pytest.approx([expected])


def test_a_resumed_run_goes_on_at_its_temperature(tmp_path: Path) -> None:
    game = annealed()
    straight, begun, resumed = (game() for _ in range(3))
    expected = state(straight, game.play(straight, steps=3))
    game.play(begun, steps=2).save_checkpoint(tmp_path / "two.ckpt")
    trainer = game.play(resumed, steps=3, resume=tmp_path / "two.ckpt")
    assert_same(expected, state(resumed, trainer), what="the resumed run")


@pytest.mark.parametrize("generator", [TextResNetGenerator, MLPGenerator])
def test_a_generator_that_draws_no_characters_has_no_temperature(generator: Any) -> None:
    networks = {
        "generator": generator(shape=TEXT.shape),
        "discriminator": TextResNetDiscriminator(shape=TEXT.shape),
    }
    with pytest.raises(Refused, match="Temperature is of drawn characters"):
        WGANGP(regularisers=[Temperature()], **networks)


def test_what_is_known_of_a_line_stays_as_it_is() -> None:
    inner = partial(TextResNetGenerator, width=8)
    network = Composited(network=inner, shape=TEXT.shape, condition=TOLD, latent_size=8)
    source = tokens_of(["a_b_", "__cd"], TEXT.length)
    made, known = network(torch.randn(2, 8), TOLD.played(source)), source != ord("_")
    assert torch.allclose(made.sum(1), torch.ones(2, TEXT.length))
    assert torch.equal(made.movedim(1, 2)[known], TEXT.played(source).movedim(1, 2)[known])
    assert (made.amax(1)[~known] < 1).all()
    for condition in (None, Labels(3), Text("ab", TEXT.length)):
        with pytest.raises(Refused, match="lines with blanks"):
            Composited(network=TextResNetGenerator, shape=TEXT.shape, condition=condition)
