"""A game rebuilt from a file is the one that the command line builds, or it is refused."""

import builtins
import io
import os
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from fuzzing import within
from later import later
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn

from ganlab import networks, variants
from ganlab.checkpoints.rebuild import fitted, rebuild
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.stages import Stage
from ganlab.networks.several import Factory
from ganlab.testing import AUTOENCODER, SpeckPairs, Specks, tried_with

SOURCE = Path("some.ckpt")
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1, "betas": [0.0, 0.9]}}
STEP = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 3}}


# Of families of networks that play with no pictures.
SHAPES = {"TextResNet": [5, 8], "TextTransformer": [5, 8], "WaveGAN": [1, 64]}


def hyperparameters(variant: str = "HingeGAN", network: str = "MLP", **more: Any) -> dict[str, Any]:
    facts = {"shape": SHAPES.get(network, [1, 8, 8])}
    return {
        "_class_path": f"ganlab.variants.{variant}",
        "_instantiator": "os.system",
        "latent_size": 4,
        "generator": {
            "class_path": f"ganlab.networks.{network}Generator",
            "init_args": {**facts, "latent_size": 4},
        },
        "discriminator": {"class_path": f"ganlab.networks.{network}Discriminator", "init_args": facts},
        **more,
    }


def plain_attributes(game: GAN) -> dict[str, Any]:
    plain = int, float, str, bool, tuple
    values = {name: value for name, value in vars(game).items() if type(value) in plain}
    penalties = [(type(penalty), vars(penalty)) for penalty in game.penalty_terms]
    return {**values, "media": str(game.media), "penalty_terms": penalties}


ENDS = ("Generator", "Discriminator")
FAMILIES = sorted(
    family
    for family in {name.removesuffix("Generator") for name in networks.__all__}
    if all(f"{family}{player}" in networks.__all__ for player in ENDS)
)


@pytest.mark.parametrize("network", FAMILIES)
@pytest.mark.parametrize("variant", later(["HingeGAN", "R3GAN"], ["R3GAN"]))
def test_a_rebuilt_game_is_the_one_that_the_command_line_builds(variant: str, network: str) -> None:
    check_same(hyperparameters(variant, network))


PICTURES = {"class_path": "ganlab.media.Pictures", "init_args": {"shape": [1, 8, 8]}}
HOLES = {"class_path": "ganlab.media.PicturesWithHoles", "init_args": {"shape": [2, 8, 8]}}
PAIR = {"shape": [1, 8, 8], "condition": PICTURES, "width": 4}
LABELS = {"class_path": "ganlab.media.Labels", "init_args": {"classes": 3}}


def translation(generator: str, discriminator: str, **layers: int) -> dict[str, Any]:
    """The players of two ways between two domains."""
    made = {"class_path": f"ganlab.networks.{generator}", "init_args": {"width": 4, "blocks": 1}}
    judged = {"class_path": f"ganlab.networks.{discriminator}", "init_args": {"width": 4, **layers}}
    several = {"class_path": "ganlab.networks.Several"}
    shape = {"shape": [1, 8, 8]}
    return {
        **shape,
        "generator": {
            **several,
            "init_args": {**shape, "condition": PICTURES, "networks": {"there": made, "back": made}},
        },
        "discriminator": {
            **several,
            "init_args": {**shape, "networks": {"target": judged, "source": judged}},
        },
        "media": [PICTURES, PICTURES],
    }


# Of a variant that needs other arguments than others, else for the data that it is tried with.
PLAYERS: dict[Any, dict[str, Any]] = {
    variants.ACGAN: {
        "generator": {
            "class_path": "ganlab.networks.MLPGenerator",
            "init_args": {"shape": [1, 8, 8], "condition": LABELS, "latent_size": 4},
        },
        "media": [PICTURES, LABELS],
    },
    variants.CycleGAN: translation("ResNetTranslator", "PatchGANDiscriminator", layers=1),
    variants.NICEGAN: translation("EncodedGenerator", "EncodingDiscriminator"),
    variants.InfoGAN: {"categorical": [2], "continuous": 1},
    variants.Mixed: {
        "loss": {"class_path": "ganlab.losses.LeastSquares"},
        "penalty_terms": [{"class_path": "ganlab.penalties.R1", "init_args": {"gamma": 2.0}}],
        "regularisers": [{"class_path": "ganlab.regularisers.LeCam"}],
        "penalty_share": 0.5,
    },
    variants.StyleGAN2: {
        "generator": {
            "class_path": "ganlab.networks.StyleGAN2Generator",
            "init_args": {"shape": [1, 8, 8], "condition": None, "latent_size": 4, "width": 4, "depth": 2},
        },
    },
    variants.SemiSupervisedGAN: {},
    variants.Restoration: {
        "generator": {
            "class_path": "ganlab.networks.Composited",
            "init_args": {
                **{"shape": [1, 8, 8], "condition": HOLES, "latent_size": 4},
                "network": {"class_path": "ganlab.networks.UNetGenerator", "init_args": {"width": 4}},
            },
        },
        "discriminator": {
            "class_path": "ganlab.networks.DCGANDiscriminator",
            "init_args": {"shape": [1, 8, 8], "condition": None, "width": 4},
        },
        "fidelity": [
            {"class_path": "ganlab.fidelity.L1", "init_args": {"weight": 3.0}},
            {
                "class_path": "ganlab.fidelity.Features",
                "init_args": {"network": {"class_path": "torch.nn.Flatten", "init_args": {}}},
            },
        ],
        "media": [PICTURES, HOLES],
    },
    Specks: {},
    SpeckPairs: {
        "generator": {"class_path": "ganlab.networks.UNetGenerator", "init_args": {**PAIR, "latent_size": 4}},
        "discriminator": {
            "class_path": "ganlab.networks.PatchGANDiscriminator",
            "init_args": {**PAIR, "layers": 1},
        },
        "media": [PICTURES, PICTURES],
    },
}
PLAYERS[variants.SRGAN] = deepcopy(PLAYERS[variants.Restoration])
for kind, again in ((variants.Encoder, False), (variants.GANomaly, True)):
    PLAYERS[kind] = {
        "generator": {
            "class_path": "ganlab.networks.Rebuilding",
            "init_args": {
                **{"shape": [1, 8, 8], "code_size": 4, "again": again},
                "encoder": {"class_path": "ganlab.networks.MLPDiscriminator", "init_args": {"hidden": [4]}},
                "decoder": {"class_path": "ganlab.networks.MLPGenerator", "init_args": {"hidden": [4]}},
            },
        },
        "media": [PICTURES],
    }


CRITIC_OF_ERRORS = {
    "class_path": "ganlab.networks.DCGANAutoencoder",
    "init_args": {"shape": [1, 8, 8], "condition": None, "width": 4},
}


@pytest.mark.parametrize("variant", variants.__all__)
def test_every_variant_is_rebuilt(variant: str) -> None:
    more = {"generator_optimizer": ADAM, "generator_scheduler": STEP, "augmentations": ["flip", "cutout"]}
    kind = vars(variants)[variant]
    tried = tried_with(kind)
    players = dict(PLAYERS[kind if kind in PLAYERS else tried.data])
    if tried.discriminator is AUTOENCODER:
        players["discriminator"] = CRITIC_OF_ERRORS
    check_same(hyperparameters(variant, **{**more, **players}))


CRITIC = {"class_path": "ganlab.networks.MLPDiscriminator", "init_args": {"hidden": [4]}}
BESIDE = {"class_path": CRITIC["class_path"], "init_args": {"conditioning": "concatenation"}}
TALLER = {"class_path": "ganlab.networks.DCGANDiscriminator", "init_args": {"width": 4}}
SCALES = {"class_path": "ganlab.networks.MultiScale", "init_args": {"networks": CRITIC, "scales": [1, 2, 4]}}


def within_others(networks: Any, kind: str = "Several", **more: Any) -> dict[str, Any]:
    return {"class_path": f"ganlab.networks.{kind}", "init_args": {"networks": networks, **more}}


def several(networks: Any, **more: Any) -> dict[str, Any]:
    """As the command line writes them, told the facts of the data."""
    return within_others(networks, **{"shape": [1, 8, 8], "condition": LABELS, "latent_size": None, **more})


HEADS: dict[str, Any] = {"heads": {"class": "classes", "code": 3, "f": "features"}, "hidden": [4]}
FACTS = {"shape": [1, 8, 8], "condition": LABELS, "classes": 3}
HEADED: dict[str, Any] = {"class_path": "ganlab.networks.Heads", "init_args": {**HEADS, "network": TALLER}}
NESTED = {
    "heads": {**HEADED, "init_args": {**HEADED["init_args"], **FACTS}},
    "heads of several": several([HEADED, CRITIC], copies=2, classes=3),
    "a list": several([CRITIC, TALLER]),
    "copies": several([CRITIC, TALLER], copies=3),
    "names": several({"one": CRITIC, "two": TALLER}),
    "scales": several([SCALES, CRITIC]),
    "a scale each": several([within_others([TALLER, CRITIC], kind="MultiScale", scales=[1, 2])]),
    "projections": several(
        [{"class_path": "ganlab.networks.RandomProjection", "init_args": {"network": CRITIC}}]
    ),
    "a trunk": several([{"class_path": "ganlab.networks.SharedTrunk", "init_args": {"network": BESIDE}}]),
    "within one another": several({"a": within_others([CRITIC], copies=2), "b": SCALES}),
}


@pytest.mark.parametrize("networks", NESTED.values(), ids=NESTED)
def test_several_networks_are_rebuilt(networks: dict[str, Any]) -> None:
    labels_known = {"media": [PICTURES, LABELS], "conditional": True}
    facts = {"shape": [1, 8, 8], "condition": LABELS, "latent_size": 4}
    generator = {"class_path": "ganlab.networks.MLPGenerator", "init_args": facts}
    check_same(hyperparameters(discriminator=networks, generator=generator, **labels_known))


def test_several_generators_are_rebuilt() -> None:
    each = {"class_path": "ganlab.networks.MLPGenerator", "init_args": {"hidden": [4]}}
    pair = several({"there": each, "back": each}, latent_size=4, condition=None)
    made = rebuild(hyperparameters(generator=pair), SOURCE).sample(3, seed=0)
    assert {name: tuple(samples.shape) for name, samples in made.items()} == dict.fromkeys(
        ("there", "back"), (3, 1, 8, 8)
    )
    check_same(hyperparameters(generator=pair))


def test_networks_of_clips_are_rebuilt() -> None:
    shape = [4, 1, 8, 8]
    frames = {"class_path": "ganlab.networks.DCGANGenerator", "init_args": {"width": 4}}
    facts = {"shape": shape, "condition": LABELS, "latent_size": 60}
    generator = {"class_path": "ganlab.networks.MoCoGANGenerator", "init_args": {**facts, "network": frames}}
    critics = {
        "frame": {
            "class_path": "ganlab.networks.RandomFrames",
            "init_args": {"network": TALLER, "frames": 2},
        },
        "clip": {"class_path": "ganlab.networks.ClipDiscriminator", "init_args": {"width": 4}},
    }
    judging = within_others(critics, **{"shape": shape, "condition": LABELS})
    video = {"class_path": "ganlab.media.Video", "init_args": {"shape": shape, "rate": 12.5}}
    media = {"media": [video, LABELS], "conditional": True}
    check_same(hyperparameters(generator=generator, discriminator=judging, **{"latent_size": 60, **media}))


def check_same(arguments: dict[str, Any]) -> None:
    """Check that games built with and without trust are equal."""
    games = []
    for trusted in (False, True):
        torch.manual_seed(0)
        games.append(rebuild(arguments, SOURCE, trusted=trusted))
    one, other = games
    assert type(one) is type(other)
    assert plain_attributes(one) == plain_attributes(other)
    assert str(one) == str(other)
    for name, value in other.state_dict().items():
        assert torch.equal(one.state_dict()[name], value), name
    for make in ("generator_optimizer", "discriminator_optimizer"):
        groups = [
            [
                {**group, "params": None}
                for group in vars(game)[make](game.generator.parameters()).param_groups
            ]
            for game in games
        ]
        assert groups[0] == groups[1]
    if one.generator_scheduler:
        scheduler = one.generator_scheduler(one.generator_optimizer(one.generator.parameters()))
        assert scheduler.step_size == 3


def test_a_class_that_is_passed_may_be_named_by_either_path() -> None:
    for path in ("ganlab.game.gan.GAN", "ganlab.GAN"):
        game = rebuild(hyperparameters(_class_path=path), SOURCE, classes=[GAN])
        assert type(game) is GAN
    with pytest.raises(Refused, match=r"ganlab\.game\.gan\.GAN"):
        rebuild(hyperparameters(_class_path="ganlab.game.gan.GAN"), SOURCE)


class Sized(nn.Module):
    def __init__(
        self, sizes: tuple[int, ...] = (), act: Callable[..., nn.Module] = nn.ReLU, **more: Any
    ) -> None:
        super().__init__()
        self.sizes, self.act, self.more = sizes, act(), more
        self.layer = nn.Linear(4, 64)


class Many(Sized):
    def __init__(self, parts: "Sequence[Missing] | None" = None, **rest: Any) -> None:  # type: ignore[name-defined] # noqa: F821
        super().__init__(**rest)
        self.parts = parts


def test_a_users_class_gets_arguments_of_its_declared_types() -> None:
    path = f"{Many.__module__}.Many"
    arguments = {
        "sizes": [1, 2],
        "act": {"class_path": "torch.nn.SiLU"},
        "parts": [[1.5, None]],
        "x": {"y": [1]},
    }
    game = rebuild(
        hyperparameters(generator={"class_path": path, "init_args": arguments}), SOURCE, classes=[Many]
    )
    network: Any = game.generator
    assert network.sizes == (1, 2)
    assert isinstance(network.act, nn.SiLU)
    assert (network.parts, network.more) == ([[1.5, None]], {"x": {"y": [1]}})
    for wrong in ({"sizes": 3}, {"act": {"class_path": "torch.optim.Adam"}}, {"act": "SiLU"}):
        with pytest.raises(Refused, match=f"some.ckpt holds .* as '{next(iter(wrong))}' of Many"):
            rebuild(
                hyperparameters(generator={"class_path": path, "init_args": wrong}), SOURCE, classes=[Many]
            )


LAYER, MAKES = nn.Identity(), partial(nn.ReLU)
FIT = [
    (3, int, 3),
    (3, float, 3.0),
    (0.5, float, 0.5),
    (True, bool, True),
    (2, int | None, 2),
    ([1, 2], tuple[int, ...], (1, 2)),
    ([1, 2], tuple[float, int], (1.0, 2)),
    ([1, 2], tuple, (1, 2)),
    ([1, 2], list[float], [1.0, 2.0]),
    ([[1], [2]], Sequence[tuple[int, ...]], [(1,), (2,)]),
    (["a"], Iterable[str], ["a"]),
    (2, int | tuple[int, int], 2),
    ([2, 3], int | tuple[int, int], (2, 3)),
    ("a", Literal["a", "b"], "a"),
    (LAYER, nn.Module, LAYER),
    (MAKES, Callable[..., nn.Module], MAKES),
    (MAKES, Callable[..., Any] | None, MAKES),
    (MAKES, Callable, MAKES),
    (MAKES, Factory, MAKES),
    ([MAKES], list[Factory] | dict[str, Factory], [MAKES]),
    ({"a": MAKES}, list[Factory] | dict[str, Factory], {"a": MAKES}),
    ({"a": 1}, dict[str, int], {"a": 1}),
    ([{"steps": 3, "alone": "generator"}], Sequence[Stage], [Stage(3, "generator")]),
    ([1, "a"], Any, [1, "a"]),
    ("a", "a name that nobody knows", "a"),
]
UNFIT = [
    ("3", int),
    (True, int),
    (True, float),
    (1, bool),
    (3.0, int),
    ("3", float),
    (None, int),
    ("a", int | None),
    ([1, 2], tuple[int, int, int]),
    ([1, "2"], tuple[int, ...]),
    (3, tuple[int, ...]),
    ("ab", Sequence[str]),
    ("c", Literal["a", "b"]),
    (1, Literal[True]),
    ("torch.nn.Identity", nn.Module),
    (MAKES, nn.Module),
    (LAYER, Callable[..., nn.Module]),
    (LAYER, Factory),
    (partial(torch.optim.Adam), Factory),
    ({"a": LAYER}, dict[str, Factory]),
    ({"a": "b"}, dict[str, int]),
    (LAYER, OptimizerCallable),
    (MAKES, OptimizerCallable),
    (partial(torch.optim.Adam), LRSchedulerCallable | None),
    ("print", Callable),
    ({"a": 1}, list[int]),
    ({"steps": "3"}, Stage),
    ({"steps": 3, "alone": "nobody"}, Stage),
    ({"steps": 3, "more": 1}, Stage),
    ({"alone": "generator"}, Stage),
    (nn.Identity, nn.Module),
]


@pytest.mark.parametrize(("value", "declared", "expected"), FIT, ids=str)
def test_a_value_that_fits(value: Any, declared: Any, expected: Any) -> None:
    result = fitted(value, declared)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(("value", "declared"), UNFIT, ids=str)
def test_a_value_that_does_not_fit(value: Any, declared: Any) -> None:
    with pytest.raises(TypeError):
        fitted(value, declared)


class Outer:
    class Inner(Sized):
        pass


def test_a_hint_names_all_classes_to_pass() -> None:
    """Those that the file names and the reader has not passed, as they are written in Python."""
    home = Sized.__module__
    own = {
        "generator": {"class_path": f"{home}.Sized", "init_args": {"act": {"class_path": "my_acts.Sine"}}},
        "discriminator": {"class_path": f"{home}.Outer.Inner"},
        "_class_path": "my_gan.MyGAN",
    }
    with pytest.raises(Refused, match=r"classes=\[MyGAN, Sized, Sine, Outer\.Inner\]\)"):
        rebuild(hyperparameters(**own), SOURCE)
    own["_class_path"] = "ganlab.GAN"
    with pytest.raises(Refused, match=r"'my_acts\.Sine'(.|\n)*classes=\[Sized, Sine, Outer\.Inner\]\)"):
        rebuild(hyperparameters(**own), SOURCE, classes=[Sized])
    own["generator"] = {"class_path": f"{home}.Sized"}
    rebuild(hyperparameters(**own), SOURCE, classes=[Sized, Outer.Inner])


@pytest.mark.parametrize("path", ["my.Net;import os", "", ".", "…", "a" * 10_000, "my.1", "my.<locals>.Net"])
def test_a_hint_holds_no_more_than_names(path: str) -> None:
    with pytest.raises(Refused) as refusal:
        rebuild(hyperparameters(generator={"class_path": path}), SOURCE)
    assert len(str(refusal.value)) < 500
    assert "import" not in str(refusal.value).partition("classes=")[2]


@pytest.mark.parametrize("levels", [20, 45, 5_000])
def test_values_that_stand_for_endless_ones_are_refused(levels: int) -> None:
    """A pickle can hold one list many times over, so that few bytes stand for more than any memory holds."""
    endless: Any = "x"
    for _ in range(levels):
        endless = [endless] * 100
    for where in ({"augmentations": endless}, {"generator": {"class_path": "ganlab.GAN", "more": endless}}):
        with within(10), pytest.raises(Refused, match=SOURCE.name):
            rebuild(hyperparameters(**where), SOURCE)


PRETRAINED = "ganlab.networks.Pretrained"


def finished(**arguments: Any) -> dict[str, Any]:
    network = hyperparameters()["generator"]
    return {"class_path": PRETRAINED, "init_args": {"path": "nowhere", "network": network, **arguments}}


def test_a_game_with_finished_networks_is_rebuilt() -> None:
    check_same(hyperparameters(generator=finished(trainable=True)))
    check_same(hyperparameters(generator=finished(network=finished())))


@pytest.mark.parametrize("trusted", [False, True])
def test_no_path_that_a_file_names_is_opened(trusted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not even looked at; what has no network is refused."""
    asked: list[str] = []

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *more: Any, **options: Any) -> Any:
            asked.append(str(path))
            return original(path, *more, **options)

        return call

    for module, name in ((os, "stat"), (os, "open"), (io, "open"), (builtins, "open")):
        monkeypatch.setattr(module, name, watched(vars(module)[name]))
    assert not Path("nowhere").exists()
    assert asked == ["nowhere"]
    with pytest.raises(Refused, match="Pretrained is given no network"):
        rebuild(hyperparameters(generator=finished(network=None)), SOURCE, trusted=trusted)
    game = rebuild(hyperparameters(generator=finished()), SOURCE, trusted=trusted)
    assert vars(game.generator)["path"] == "nowhere"
    assert asked.count("nowhere") == 1


def test_what_a_finished_network_is_made_of_is_checked_like_all_else() -> None:
    foreign = {"class_path": "my_evil.Net"}
    for network in (
        foreign,
        finished(network=foreign),
        {"class_path": "torch.nn.Sequential", "init_args": foreign},
    ):
        with pytest.raises(Refused, match=SOURCE.name):
            rebuild(hyperparameters(generator=finished(network=network)), SOURCE)
    for wrong in ({"network": "my_evil.Net"}, {"path": 3}, {"part": "optimizer"}, {"trainable": "yes"}):
        with pytest.raises(Refused, match=f"as '{next(iter(wrong))}' of Pretrained"):
            rebuild(hyperparameters(generator=finished(**wrong)), SOURCE)


def test_a_class_within_several_networks_is_the_readers_own_or_refused() -> None:
    path = f"{Sized.__module__}.Sized"
    own = {"class_path": path, "init_args": {"act": {"class_path": "torch.nn.SiLU"}}}
    for holding in ([CRITIC, own], {"a": own}, [within_others([own])], [within_others(own, "MultiScale")]):
        arguments = hyperparameters(discriminator=several(holding))
        with pytest.raises(Refused, match=rf"{path}(.|\n)*classes=\[Sized\]"):
            rebuild(arguments, SOURCE)
    arguments = hyperparameters(discriminator=several({"a": own}, condition=None))
    network: Any = rebuild(arguments, SOURCE, classes=[Sized]).discriminator["a"]
    assert isinstance(network, Sized)
    assert isinstance(network.act, nn.SiLU)
    own["init_args"]["act"] = {"class_path": "os.system"}
    with pytest.raises(Refused, match=r"os\.system"):
        rebuild(arguments, SOURCE, classes=[Sized])


NOTHING = {"class_path": "torch.nn.Identity"}
THOUSAND = within_others([NOTHING], copies=1000)
SCALES_OF_SCALES = within_others(
    within_others(NOTHING, "MultiScale", scales=[1] * 1000), "MultiScale", scales=[1] * 1000
)


@pytest.mark.parametrize(
    "networks",
    [
        pytest.param(several([within_others([THOUSAND], copies=1000)], copies=1000), id="copies of copies"),
        pytest.param(several([SCALES_OF_SCALES]), id="scales of scales"),
        pytest.param(several([NOTHING], copies=10**9), id="endless copies"),
        pytest.param(several([NOTHING], copies="many"), id="a word"),
        pytest.param(several([ADAM]), id="an optimizer"),
        pytest.param(several({"a": 3}), id="a number"),
        pytest.param(several([[NOTHING]]), id="a list in a list"),
        pytest.param(several("networks"), id="a text"),
        pytest.param(several([]), id="none"),
        pytest.param(several({"forward": NOTHING, "__init__": NOTHING, "": NOTHING}), id="odd names"),
    ],
)
def test_networks_that_no_player_has_are_refused(networks: dict[str, Any]) -> None:
    with within(20), pytest.raises(Refused, match=SOURCE.name):
        rebuild(hyperparameters(discriminator=networks), SOURCE)
