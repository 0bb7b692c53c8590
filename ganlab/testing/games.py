"""Small games of every variant, and what is done with them in tests."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ganlab import losses
from ganlab.data import Labelled, Masked, StreamData
from ganlab.fidelity import L1
from ganlab.game.gan import GAN
from ganlab.game.players import SIDES, learned
from ganlab.media import Labels, Medium, Pictures, PicturesWithHoles
from ganlab.networks import (
    DCGANAutoencoder,
    EncodedGenerator,
    EncodingDiscriminator,
    Heads,
    MLPDiscriminator,
    MLPGenerator,
    PatchGANDiscriminator,
    Pretrained,
    Rebuilding,
    ResNetTranslator,
    Several,
    StyleGAN2Generator,
    ToldSteps,
    UNetGenerator,
)
from ganlab.networks.equalised import RunningMean
from ganlab.training.trainer import Trainer
from ganlab.variants import (
    ACGAN,
    BEGAN,
    EBGAN,
    NICEGAN,
    CycleGAN,
    DiffusionGAN,
    Encoder,
    FeatureMatchingGAN,
    GANomaly,
    InfoGAN,
    Mixed,
    Pix2Pix,
    Restoration,
    SemiSupervisedGAN,
    StyleGAN2,
)

SHAPE = (1, 8, 8)


class Generator(nn.Sequential):
    """A small generator with convolutions and a normalisation, which has buffers."""

    def __init__(self) -> None:
        channels, *size = SHAPE
        super().__init__(
            nn.Linear(8, 4 * size[0] * size[1]),
            nn.Unflatten(1, (4, *size)),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, channels, 3, padding=1),
            nn.Tanh(),
        )


class Discriminator(nn.Sequential):
    """A small discriminator with dropout, whose random numbers a resumed run must draw again."""

    def __init__(self, channels: int = SHAPE[0]) -> None:
        hidden = 8 * SHAPE[1] * SHAPE[2] // 4
        super().__init__(
            nn.Conv2d(channels, 8, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.1),
            nn.Flatten(),
            nn.Linear(hidden, 1),
            nn.Flatten(0),
        )


class Specks(StreamData):
    """Random images with labels; their number, a prime, is no multiple of a batch."""

    def __init__(self, *, images: int = 37, held_out: int = 9, **base: Any) -> None:
        super().__init__(**{"batch_size": 8, **base})
        self.images, self.held_out, self.shape, self.classes = images, held_out, SHAPE, 3

    def load(self) -> tuple[Any, Any]:
        source = torch.Generator().manual_seed(0)
        images = torch.randint(256, (self.images, *SHAPE), dtype=torch.uint8, generator=source)
        items = TensorDataset(images, self.second_column(images))
        return items, TensorDataset(*items[: self.held_out]) if self.held_out else None

    def second_column(self, images: Tensor) -> Tensor:
        return torch.arange(self.images) % 3


class SpeckPairs(Specks):
    """Random images, and beside each its darker half as what it is made from."""

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return Pictures(SHAPE), Pictures(SHAPE)

    def second_column(self, images: Tensor) -> Tensor:
        return images // 2


class LabelledSpecks(Labelled):
    """Random images, beside each one of six that have labels."""

    def __init__(self, *, images: int = 37, held_out: int = 9, **base: Any) -> None:
        data = Specks(images=images, held_out=held_out)
        super().__init__(**{"data": data, "labels": 6, "batch_size": 8, **base})


class SpecksWithHoles(Masked):
    """Random images, beside each itself with a hole, which a turn makes."""

    def __init__(self, *, images: int = 37, held_out: int = 9, **base: Any) -> None:
        data = Specks(images=images, held_out=held_out)
        super().__init__(**{"of": data, "batch_size": 8, **base})


class TriedWith(NamedTuple):
    """The data that a variant is tried with, what makes its players, and its own arguments, if nothing else
    is said.
    """

    data: Callable[..., StreamData]
    generator: Callable[[], nn.Module]
    discriminator: Callable[[], nn.Module]
    arguments: Mapping[str, Any] = {}


def with_heads(**heads: Any) -> Callable[[], nn.Module]:
    """Makes a small discriminator with these heads, which treats each sample by itself."""
    return partial(
        Heads, shape=SHAPE, classes=3, network=partial(MLPDiscriminator, hidden=(16,)), heads=heads
    )


def finished_with_features() -> nn.Module:
    """A small discriminator that learns no more, and gives its features."""
    finished = MLPDiscriminator(shape=SHAPE, hidden=(16,))
    return Heads(network=partial(Pretrained, network=finished), heads={"features": "features"})


def from_latents(**told: Any) -> Callable[[], nn.Module]:
    """Makes a small generator, which treats each sample by itself."""
    return partial(MLPGenerator, shape=SHAPE, latent_size=8, hidden=(16,), **told)


PAIRED: dict[str, Any] = {"shape": SHAPE, "condition": Pictures(SHAPE), "width": 4, "max_width": 8}
HOLED: dict[str, Any] = {**PAIRED, "condition": PicturesWithHoles((SHAPE[0] + 1, *SHAPE[1:]))}
TRANSLATED: dict[str, Any] = {"condition": Pictures(SHAPE), "width": 4, "blocks": 1}


def there_and_back(network: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
    return partial(Several, shape=SHAPE, networks={"there": network, "back": network})


def of_each_domain(network: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
    return partial(Several, shape=SHAPE, networks={"target": network, "source": network})


REBUILT: dict[str, Any] = {
    **{"shape": SHAPE, "code_size": 8, "encoder": partial(MLPDiscriminator, hidden=(16,))},
    "decoder": partial(MLPGenerator, hidden=(16,)),
}
AUTOENCODER = partial(DCGANAutoencoder, shape=SHAPE, width=4, code_size=5)
# Without noise of its own, which two processes draw otherwise than one.
STYLED: dict[str, Any] = {
    **{"shape": SHAPE, "latent_size": 8, "width": 4, "max_width": 4},
    **{"depth": 2, "noise": False},
}
# The only place that knows which variant needs other data than labelled images, networks of another form, or
# more than its networks: a game that needs pictures as its sources cannot be tried with labels.
TRIED_WITH: dict[type[GAN], TriedWith] = {
    GAN: TriedWith(Specks, Generator, Discriminator),
    DiffusionGAN: TriedWith(
        Specks,
        Generator,
        partial(ToldSteps, shape=SHAPE, network=partial(Discriminator, channels=SHAPE[0] + 1)),
    ),
    Mixed: TriedWith(Specks, Generator, Discriminator, {"loss": losses.hinge}),
    **{kind: TriedWith(Specks, Generator, AUTOENCODER) for kind in (BEGAN, EBGAN)},
    ACGAN: TriedWith(Specks, from_latents(condition=Labels(3)), with_heads(**{"class": "classes"})),
    FeatureMatchingGAN: TriedWith(Specks, Generator, with_heads(features="features")),
    InfoGAN: TriedWith(Specks, Generator, with_heads(code=6), {"categorical": [2, 3], "continuous": 1}),
    SemiSupervisedGAN: TriedWith(
        LabelledSpecks, Generator, with_heads(**{"class": "classes", "features": "features"})
    ),
    Pix2Pix: TriedWith(
        SpeckPairs,
        partial(UNetGenerator, **PAIRED, latent_size=8, normalization="batch"),
        partial(PatchGANDiscriminator, **PAIRED, layers=1),
    ),
    CycleGAN: TriedWith(
        SpeckPairs,
        there_and_back(partial(ResNetTranslator, **TRANSLATED)),
        of_each_domain(partial(PatchGANDiscriminator, width=4, layers=1)),
        {"shape": SHAPE, "pool_size": 10},
    ),
    NICEGAN: TriedWith(
        SpeckPairs,
        there_and_back(partial(EncodedGenerator, **TRANSLATED)),
        of_each_domain(partial(EncodingDiscriminator, width=4)),
        {"shape": SHAPE, "pool_size": 10},
    ),
    Restoration: TriedWith(
        SpecksWithHoles,
        partial(UNetGenerator, **HOLED, latent_size=8, normalization="batch"),
        Discriminator,
        {"fidelity": [L1()]},
    ),
    Encoder: TriedWith(Specks, partial(Rebuilding, **REBUILT), finished_with_features, {"way": "ziz"}),
    GANomaly: TriedWith(
        Specks,
        partial(Rebuilding, **REBUILT, again=True),
        with_heads(features="features"),
        {"latent_size": 0},
    ),
    StyleGAN2: TriedWith(Specks, partial(StyleGAN2Generator, **STYLED), Discriminator),
}


def tried_with(variant: type[GAN]) -> TriedWith:
    """Of a variant, or of the nearest that it derives from."""
    return next(TRIED_WITH[kind] for kind in variant.__mro__ if kind in TRIED_WITH)


def new(variant: type[GAN], **arguments: Any) -> GAN:
    """A game of small networks; others are given as networks, or as what makes them anew each time."""
    torch.manual_seed(0)
    _, generator, discriminator, needed = tried_with(variant)
    players = {"generator": generator, "discriminator": discriminator}
    made = {name: arguments.get(name, player) for name, player in players.items()}
    made = {name: player if isinstance(player, nn.Module) else player() for name, player in made.items()}
    return variant(**{"latent_size": 8, **needed, **arguments, **made})


def play(
    game: GAN, data: LightningDataModule | None = None, *, steps: int, resume: Any = None, **trainer: Any
) -> Trainer:
    """Train on the CPU; nothing is written or printed, except by callbacks that are given."""
    quiet = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    settings = {"precision": "32", "accelerator": "cpu", "devices": 1, "log_every_n_steps": 5}
    played = Trainer(max_steps=steps, **{**settings, **dict.fromkeys(quiet, False), **trainer})
    played.fit(game, datamodule=data or tried_with(type(game)).data(), ckpt_path=resume)
    return played


def state(game: GAN, trainer: Trainer | None = None) -> dict[str, Tensor]:
    """Every tensor on which further training depends: the game's and, with a trainer, the optimizers'."""
    tensors = {name: value.clone() for name, value in game.state_dict().items()}
    for index, optimizer in enumerate(trainer.optimizers if trainer else ()):
        tensors |= tensors_of(f"optimizer {index}", optimizer.state_dict()["state"])
    return tensors


def tensors_of(name: str, tree: Any) -> dict[str, Tensor]:
    if isinstance(tree, Tensor):
        return {name: tree.clone()}
    tensors: dict[str, Tensor] = {}
    for branch, below in tree.items() if isinstance(tree, dict) else ():
        tensors |= tensors_of(f"{name} {branch}", below)
    return tensors


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], *, what: str) -> None:
    assert one.keys() == other.keys(), what
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different, f"{what}: {different[0]} differs first, of {len(different)} tensors"


COUPLING = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, RunningMean),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
)


def learning(game: GAN) -> set[str]:
    """The sides that learn something: of two networks one may be finished."""
    return {side for side in SIDES if any(p.requires_grad for p in learned(game, side).values())}


def apart(game: GAN) -> GAN:
    """The game, whose layers no longer take statistics of a batch, and drop nothing out."""
    for layer in game.modules():
        if isinstance(layer, COUPLING):
            layer.eval()
    return game


@dataclass(frozen=True)
class Game:
    """What is checked: a variant, with its own arguments, on its data."""

    variant: type[GAN]
    data: Callable[[], LightningDataModule] | None = None
    arguments: dict[str, Any] = field(default_factory=dict)

    def __call__(self, **more: Any) -> GAN:
        arguments = {**self.arguments, **more}
        given = {
            name: value for name, value in arguments.items() if isinstance(value, nn.Module | list | tuple)
        }
        return new(self.variant, **{**arguments, **copy.deepcopy(given)})

    def having(self, **more: Any) -> "Game":
        """With other arguments of its variant."""
        return replace(self, arguments={**self.arguments, **more})

    def new_data(self) -> LightningDataModule:
        return (self.data or tried_with(self.variant).data)()

    def play(self, game: GAN, data: LightningDataModule | None = None, **settings: Any) -> Trainer:
        return play(game, data or self.new_data(), **settings)
