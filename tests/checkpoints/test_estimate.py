"""A game of a file that would fill the memory is refused before it is built; others load as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fuzzing import within
from later import later
from test_rebuild import FAMILIES, hyperparameters
from torch import nn

from ganlab.checkpoints.rebuild import rebuild
from ganlab.errors import Refused
from ganlab.system.hardware import peak_memory

VARIABLE = "GANLAB_MOST_GB"
SOURCE = Path("some.ckpt")
ROOM = 300e6  # bytes that a refusal may take


def layer(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"torch.nn.{name}", "init_args": arguments}


def row(content: list[dict[str, Any]]) -> dict[str, Any]:
    """Layers behind each other, in a class of the reader's own."""
    return {"class_path": f"{__name__}.Row", "init_args": {"layers": content}}


class Row(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.layers(latent)


class Stubborn(nn.Module):
    """A network that does not work on the meta device, where numbers have no values."""

    def __init__(self, width: int = 4, then: int = 1) -> None:
        super().__init__()
        first = nn.Linear(4, width)
        first.weight.data.clamp_(max=first.weight.max().item())
        self.layers = nn.Sequential(first, nn.Linear(width, then))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        assert latent.sum().item() < 1e9
        return self.layers(latent)


def sized(network: str, player: str = "generator", **arguments: Any) -> dict[str, Any]:
    game = hyperparameters(network=network)
    game[player]["init_args"].update(arguments)
    return game


HUGE: dict[str, dict[str, Any]] = {
    "width": sized("DCGAN", width=10**9, max_width=10**9),
    "width of the discriminator": sized("ResNet", "discriminator", width=10**7, max_width=10**7),
    "hidden": sized("MLP", hidden=[10**9]),
    "many hidden": sized("MLP", hidden=[10_000] * 300),
    "blocks": sized("R3GAN", blocks=10**9),
    "many blocks": sized("R3GAN", blocks=400, shape=[1, 2**12, 2**12]),
    "pixels": sized("DCGAN", shape=[1, 2**40, 2**40]),
    "doublings": sized("DCGAN", shape=[1, 2**2000, 2**2000]),
    "latents": hyperparameters(latent_size=10**11),
    "latents at once": hyperparameters(latent_size=10**8, generator=layer("Identity")),
    "a number without end": hyperparameters(latent_size=10**400),
    "padding": hyperparameters(generator=layer("ConstantPad1d", padding=10**10, value=0.0)),
    "padding as a real": hyperparameters(generator=layer("ConstantPad1d", padding=1e10, value=0.0)),
    "padding of all samples": hyperparameters(generator=layer("ConstantPad1d", padding=10**8, value=0.0)),
    "an embedding": hyperparameters(generator=layer("Embedding", num_embeddings=10**9, embedding_dim=99)),
    "layers in a loop": hyperparameters(
        generator=layer("TransformerEncoder", encoder_layer=layer("Identity"), num_layers=10**9)
    ),
    "recurrent layers": hyperparameters(
        generator=layer("LSTM", input_size=4, hidden_size=4, num_layers=10**9)
    ),
    "enlarged": hyperparameters(generator=row([layer("Unflatten", dim=1, unflattened_size=[1, 4]),
                                               layer("Upsample", scale_factor=1e8, mode="nearest")])),
    "enlarged both ways": hyperparameters(
        generator=row(
            [
                layer("Unflatten", dim=1, unflattened_size=[1, 2, 2]),
                layer("Upsample", scale_factor=1e6),
            ]
        )
    ),
    "enlarged often": hyperparameters(generator=row([layer("Unflatten", dim=1, unflattened_size=[1, 4]),
                                                     *[layer("Upsample", scale_factor=100)] * 4])),
}  # fmt: skip


@pytest.mark.parametrize("case", later(HUGE, [*HUGE][::2]))
def test_what_would_fill_the_memory_is_refused_before_it_is_built(case: str) -> None:
    before = peak_memory(torch.device("cpu"))
    with within(10), pytest.raises(Refused) as refusal:
        rebuild(HUGE[case], SOURCE, classes=[Row])
    assert str(SOURCE) in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 3
    assert peak_memory(torch.device("cpu")) - before < ROOM


@pytest.mark.parametrize("arguments", [{"width": 10**11}, {"width": 10**5, "then": 10**5}])
def test_what_cannot_be_sized_up_is_stopped_while_it_grows(arguments: dict[str, Any]) -> None:
    network = {"class_path": f"{__name__}.Stubborn", "init_args": arguments}
    before = peak_memory(torch.device("cpu"))
    with pytest.raises(Refused):
        rebuild(hyperparameters(generator=network), SOURCE, classes=[Stubborn])
    assert peak_memory(torch.device("cpu")) - before < ROOM


def test_a_class_of_the_readers_that_cannot_be_sized_up_loads() -> None:
    network = {"class_path": f"{__name__}.Stubborn"}
    torch.manual_seed(0)
    game = rebuild(hyperparameters(generator=network), SOURCE, classes=[Stubborn])
    torch.manual_seed(0)
    assert torch.equal(game.generator.layers[0].weight, Stubborn().layers[0].weight)
    assert game.sample(3, seed=0).shape == (3, 1)


@pytest.mark.parametrize("network", FAMILIES)
def test_the_bound_can_be_moved(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0.0001")
    with pytest.raises(Refused, match=rf"needs more than 0.0001 GB(.|\n)*{VARIABLE}="):
        rebuild(sized(network), SOURCE)
    monkeypatch.setenv(VARIABLE, "1")
    rebuild(sized(network), SOURCE)
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(Refused, match=f"{VARIABLE} is 'much'"):
        rebuild(sized(network), SOURCE)


def test_a_large_game_loads_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate takes the latents and images of 250 samples into account, not the parameters alone."""
    padded = hyperparameters(generator=layer("ConstantPad1d", padding=4_000_000, value=0.0))
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(Refused, match="to draw 250 samples"):
        rebuild(padded, SOURCE)
    monkeypatch.setenv(VARIABLE, "64")
    assert rebuild(padded, SOURCE).sample(1, seed=0).shape == (1, 8_000_004)


def test_a_game_that_draws_no_samples_says_why() -> None:
    with pytest.raises(Refused, match=r"some.ckpt names draws no samples:\n.*dim"):
        rebuild(hyperparameters(generator=layer("Linear", in_features=3, out_features=2)), SOURCE)


def test_an_estimate_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with pytest.raises(Refused):
        rebuild(hyperparameters(generator=layer("ConstantPad1d", padding=10**10, value=0.0)), SOURCE)
    assert torch.equal(torch.get_rng_state(), before)
