"""`ganlab export`: exports draw the run's samples to the last bit, and no file makes its reader run code."""

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from command_line import here, is_plain, refused, run_folders, write
from later import later
from PIL import Image
from safetensors.torch import load_file, save_file
from trained_runs import (
    CONDITIONAL,
    CONDITIONAL_CONFIG,
    GAME,
    MY_GENERATOR,
    NETWORKS,
    POINTS,
    SCORED,
    defined_classes,
    export_run,
    import_for_test,
    train_run,
)

import ganlab
from ganlab import losses
from ganlab.checkpoints.allow_list import ALLOWED
from ganlab.checkpoints.export import SAMPLING
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.parts import Penalty
from ganlab.media import Medium
from ganlab.sampling.write import Source, sheet

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")

LOSS_ALONE = """\
from ganlab import GAN, losses


class MyLoss(GAN):
    loss = losses.hinge

    def __init__(self, *, weight: float, **base):
        super().__init__(**base)
        self.weight = weight
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    return train_run(home, SCORED)


@pytest.fixture(scope="module")
def export(run: Path, home: Path) -> Path:
    return export_run(run, home / "export")


@pytest.fixture
def copy(export: Path, tmp_path: Path) -> Path:
    return shutil.copytree(export, tmp_path / "copy")


# The same samples


EXACT = [(network, "32", raw) for network in NETWORKS for raw in (False, True)]
EXACT += [("batch", "64-true", True), ("residual", "64-true", False), ("residual", "bf16-mixed", False)]
AT_ONCE = [("batch", "32", False), ("batch", "32", True), ("spectral", "32", False), ("styles", "32", False)]


Drawn = tuple[Path, dict[bool, torch.Tensor]]


def drawn_while_trained(home: Path, network: str, precision: str) -> Drawn:
    """A run, and what its game drew after the last step: by the average, and by the weights themselves."""
    samples: dict[bool, torch.Tensor] = {}
    original = GAN.sample

    def recording(game: GAN, count: int, **options: Any) -> torch.Tensor:
        if game._trainer is not None and game.global_step == 5 and not samples:
            samples.update({raw: original(game, 9, seed=3, raw=raw) for raw in (False, True)})
        return original(game, count, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GAN, "sample", recording)
        config = GAME.replace("NETWORK", NETWORKS[network])
        return train_run(home, config, "--trainer.precision", precision), samples


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Drawn]:
    return cache(lambda *chosen: drawn_while_trained(tmp_path_factory.mktemp(chosen[0]), *chosen))


@pytest.mark.parametrize(("network", "precision", "raw"), later(EXACT, AT_ONCE))
def test_an_export_draws_what_the_run_drew(
    network: str, precision: str, raw: bool, tmp_path: Path, trained_once: Callable[[str, str], Drawn]
) -> None:
    run, samples = trained_once(network, precision)
    drawn = samples[raw]
    out = export_run(run, tmp_path / "export", *(("--raw",) if raw else ()))
    game = ganlab.load(out)
    assert game.sample(9, seed=3).dtype == drawn.dtype
    assert torch.equal(game.sample(9, seed=3, raw=raw), drawn)
    assert torch.equal(game.sample(9, seed=3), ganlab.load(run).sample(9, seed=3, raw=raw))
    assert not torch.equal(drawn, ganlab.load(run).sample(9, seed=3, raw=not raw))
    for what, name, options in ((run, "run.npz", ("--raw",) if raw else ()), (out, "export.npz", ())):
        answer = here("sample", what, "--out", name, "--count", "20", *options, folder=tmp_path)
        assert answer.code == 0, answer
    assert (tmp_path / "run.npz").read_bytes() == (tmp_path / "export.npz").read_bytes()


def test_an_average_has_no_raw_generator_to_draw_with(export: Path, tmp_path: Path) -> None:
    answer = here("sample", export, "--out", "grid.png", "--raw", folder=tmp_path)
    assert "average alone" in refused(answer, tmp_path)
    with pytest.raises(Refused, match="no discriminator"):
        ganlab.load(export).discriminator(torch.zeros(1))


# The folder


def test_the_folder_holds_only_data(export: Path, run: Path) -> None:
    names = {"README.md", "config.json", "contract.json", "generator.safetensors", "samples.png"}
    assert {path.name for path in export.iterdir()} == names
    modes = {stat.S_IMODE(path.stat().st_mode) for path in export.iterdir()}
    assert len(modes) == 1, "other users could not read some of them"
    config = json.loads((export / "config.json").read_text())
    assert is_plain(config)
    assert config["variant"].endswith("R3GAN")
    assert config["game"]["class_path"] == "ganlab.GAN"
    assert config["game"]["init_args"]["latent_size"] == 4
    assert config["game"]["init_args"].keys() == {*SAMPLING}
    assert config["generator"]["class_path"].endswith(".MLPGenerator")
    assert config["generator"]["init_args"]["shape"] == [1, 8, 8]
    assert (config["weights"], config["step"]) == ("ema", ganlab.runs.load.step_of(newest(run)))
    state = torch.load(newest(run), weights_only=True)["state_dict"]
    weights = load_file(export / "generator.safetensors")
    assert weights.keys() == {n.removeprefix("ema.network.") for n in state if n.startswith("ema.")}
    for name, value in weights.items():
        assert torch.equal(value, state[f"ema.network.{name}"])


def newest(run: Path) -> Path:
    return max((run / "checkpoints").glob("step-*.ckpt"))


def best(run: Path) -> Path:
    return run / "checkpoints" / "best.ckpt"


def test_a_score_is_exported_only_if_it_is_of_these_weights(export: Path, run: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 7]
    (row,) = [row for row in rows if row["step"] == ganlab.runs.load.step_of(newest(run))]
    assert json.loads((export / "contract.json").read_text()) == row
    assert row["contract"]["hash"]
    assert f"{row['scores']['fid40_pixels']:.5g}" in (export / "README.md").read_text()
    raw = export_run(run, tmp_path / "raw", "--raw")
    other = export_run(run / "checkpoints" / "step-000000003.ckpt", tmp_path / "other")
    for folder in (raw, other):
        assert not (folder / "contract.json").exists()
        assert "contract" not in (folder / "README.md").read_text()
    garbled = shutil.copytree(run, tmp_path / "run")
    (garbled / "scores.jsonl").write_text("[]\n{\nnull\n" + (run / "scores.jsonl").read_text() + '{"step"')
    assert (export_run(garbled, tmp_path / "again") / "contract.json").exists()


def test_an_export_scores_what_its_run_scored(export: Path, run: Path, tmp_path: Path) -> None:
    chosen = ("--samples", "40", "--extractor", "Pixels", "--scores", "fid", "--json")
    answer = here("evaluate", export, "--reference", run / "config.yaml", *chosen, folder=tmp_path)
    assert answer.code == 0, answer
    result, row = json.loads(answer.out), json.loads((export / "contract.json").read_text())
    assert result["scores"]["fid40_pixels"]["value"] == pytest.approx(row["scores"]["fid40_pixels"])
    assert result["contract"]["hash"] == row["contract"]["hash"]
    raw = export_run(run, tmp_path / "raw", "--raw")
    answer = here("evaluate", raw, "--reference", run / "config.yaml", *chosen, folder=tmp_path)
    assert json.loads(answer.out)["contract"]["fakes"] == "raw"
    assert "--reference" in refused(here("evaluate", export, *chosen, folder=tmp_path), tmp_path)


def test_the_card_has_the_hubs_metadata(export: Path) -> None:
    _, front, text = (export / "README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["library_name"] == "ganlab"
    assert metadata["pipeline_tag"] == "unconditional-image-generation"
    assert metadata["license"] == "unknown"
    assert "gan" in metadata["tags"]
    assert text.startswith("\n# R3GAN on Digits\n\n![64 samples](samples.png)\n")
    assert 'ganlab.load("DIR").sample(64, seed=0)' in text


def test_the_picture_is_the_one_that_ganlab_sample_draws(export: Path, tmp_path: Path) -> None:
    assert here("sample", export, "--out", "grid.png", folder=tmp_path).code == 0
    one, other = (np.asarray(Image.open(path)) for path in (tmp_path / "grid.png", export / "samples.png"))
    assert np.array_equal(one, other)
    assert len(np.unique(one)) > 20


def test_points_keep_their_picture(home: Path, tmp_path: Path) -> None:
    run = train_run(home, POINTS, name="points")
    out = export_run(run, tmp_path / "points")
    expected = sheet(Source(ganlab.load(out), run=run), 64)
    assert np.array_equal(np.asarray(Image.open(out / "samples.png")), np.asarray(expected))
    lone = shutil.copy(run / "checkpoints" / "step-000000002.ckpt", tmp_path / "lone.ckpt")
    out = export_run(Path(lone), tmp_path / "more")
    assert not (out / "samples.png").exists()
    assert "samples.png" not in (out / "README.md").read_text()


def test_an_existing_folder_is_left_alone(run: Path, export: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert "there is there already" in refused(
        here("export", run, "--out", "there", folder=tmp_path), tmp_path
    )
    again = here("export", export, "--out", "again", folder=tmp_path)
    assert "export already" in refused(again, tmp_path)
    (tmp_path / "file").touch()
    unwritable = here("export", run, "--out", "file/out", folder=tmp_path)
    assert "could not be written" in refused(unwritable, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"there", "file"}


# A user's own classes


def test_a_variant_that_samples_like_gan_is_not_needed(
    home: Path, tmp_path: Path, become_another_user: Callable
) -> None:
    write(home, LOSS_ALONE, "my_loss.py")
    config = SCORED.replace("R3GAN", "my_loss.MyLoss").replace("critic_steps: 2", "weight: 3")
    run = train_run(home, config, name="loss")
    become_another_user()
    answer = here("export", run, "--out", tmp_path / "no", folder=tmp_path)
    assert "--trust_code" in refused(answer, tmp_path)
    out = export_run(run, tmp_path / "export", "--trust_code")
    assert "my_loss" not in sys.modules
    assert type(ganlab.load(out)) is GAN
    assert json.loads((out / "config.json").read_text())["variant"] == "my_loss.MyLoss"


@pytest.fixture(scope="module")
def with_network(home: Path) -> Path:
    write(home, MY_GENERATOR, "my_generator.py")
    config = GAME.replace("NETWORK", "my_generator.MyGenerator")
    return train_run(home, config, name="network")


def test_a_users_network_must_be_passed_or_trusted(
    with_network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, become_another_user: Callable
) -> None:
    become_another_user()
    out = export_run(with_network, tmp_path / "export", "--trust_code")
    card = (out / "README.md").read_text()
    assert "`my_generator.MyGenerator`" in card
    assert 'ganlab.load("DIR", classes=[MyGenerator])' in card
    with pytest.raises(Refused, match=r"my_generator\.MyGenerator"):
        ganlab.load(out)
    monkeypatch.syspath_prepend(with_network / "code")
    with pytest.raises(Refused, match=r"classes=\[MyGenerator\]"):
        ganlab.load(out)
    assert "my_generator" not in sys.modules
    classes = defined_classes(import_for_test(monkeypatch, "my_generator"))
    for path in (out, with_network):
        with pytest.raises(Refused, match=r"classes=\[MyGenerator\]"):
            ganlab.load(path)
    one, other = (ganlab.load(path, classes=classes).sample(3, seed=0) for path in (out, with_network))
    assert torch.equal(one, other)


def test_a_conditional_game_is_exported_with_its_class(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, CONDITIONAL, "my_conditional.py")
    run = train_run(home, CONDITIONAL_CONFIG, name="mine")
    out = export_run(run, tmp_path / "export", "--trust_code")
    assert json.loads((out / "config.json").read_text())["game"]["class_path"].endswith("MyConditional")
    monkeypatch.syspath_prepend(run / "code")
    classes = defined_classes(import_for_test(monkeypatch, "my_conditional"))
    labels = torch.tensor([3, 1, 4])
    games = [ganlab.load(path, classes=classes) for path in (run, out)]
    one, other = (game.sample(3, seed=0, condition=labels) for game in games)
    assert torch.equal(one, other)
    assert len(one.unique()) == 3


NESTED = MY_GENERATOR.replace(
    "hides: bool = False",
    "hides: bool = False, top: nn.Module = None, body: list[nn.Module] = (),"
    " act: Callable[[], nn.Module] = nn.Identity",
).replace(
    "self.hidden = torch.randn(64) if hides else 0",
    "self.hidden = 0; self.top = nn.Sequential(*body, act(), top)",
)
NESTED = NESTED.replace("self.hidden)", "self.top(self.layer(latent)))").replace(
    "(self.layer(latent) + ", "("
)
NESTED = "from collections.abc import Callable\n" + NESTED
PARTS = """{
  top: {class_path: torch.nn.Linear, init_args: {in_features: 64, out_features: 64}},
  body: [{class_path: torch.nn.PReLU}, {class_path: torch.nn.LayerNorm, init_args: {normalized_shape: 64}}],
  act: {class_path: torch.nn.SiLU}}"""


def test_networks_within_networks_are_exported(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, NESTED, "my_nested.py")
    network = f"my_nested.MyGenerator, init_args: {PARTS}"
    run = train_run(home, GAME.replace("NETWORK", network), name="nested")
    out = export_run(run, tmp_path / "export", "--trust_code")
    arguments = json.loads((out / "config.json").read_text())["generator"]["init_args"]
    assert arguments["top"]["class_path"] == "torch.nn.Linear"
    monkeypatch.syspath_prepend(run / "code")
    classes = defined_classes(import_for_test(monkeypatch, "my_nested"))
    games = [ganlab.load(out, classes=classes), ganlab.load(run, classes=classes)]
    games += [ganlab.load(out, trust_code=True)]
    assert len(games[0].ema.network.top) == 4
    for game in games:
        assert torch.equal(game.sample(3, seed=0), games[0].sample(3, seed=0))


def test_what_would_draw_other_samples_is_not_exported(home: Path, tmp_path: Path) -> None:
    write(home, MY_GENERATOR, "my_hiding.py")
    network = "my_hiding.MyGenerator, init_args: {hides: true}"
    run = train_run(home, GAME.replace("NETWORK", network), name="my_hiding")
    answer = here("export", run, "--out", "export", "--trust_code", folder=tmp_path)
    assert "draws other samples" in refused(answer, tmp_path)
    assert not [*tmp_path.iterdir()]


# Hostile files, which would make their readers run code

TRAP = """\
from pathlib import Path
import torch

Path("sprung").touch()


class Net(torch.nn.Module):
    def __init__(self, **arguments):
        super().__init__()


class Game:
    pass
"""


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch sprung",)


POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "touch sprung", "shell": True}}


HOLDER = {"class_path": "torchmetrics.MetricCollection", "init_args": {"metrics": POPEN}}
LAYER = {"class_path": "torch.nn.Identity"}


class Imported(torch.nn.Module):
    """A class that the reader has imported, but did not pass."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        Path("sprung").touch()


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where a module lies that must not be imported; code that runs leaves a file `sprung`."""
    write(tmp_path, TRAP, "my_trap.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def unsprung(field: Path) -> bool:
    return "my_trap" not in sys.modules and not [*field.rglob("sprung")]


def test_the_trap_works(field: Path) -> None:
    import_module("my_trap")
    assert not unsprung(field)
    del sys.modules["my_trap"]
    (field / "sprung").unlink()
    torch.save({"state_dict": {}, "global_step": 1, "bomb": Bomb()}, field / "bomb.ckpt")
    torch.load(field / "bomb.ckpt", weights_only=False)
    assert not unsprung(field)


@pytest.mark.parametrize(
    "command",
    [
        "sample RUN --out grid.png",
        "sample RUN --out grid.png --trust_code",
        "sample FILE --out grid.png",
        "export FILE --out export",
        "evaluate RUN --samples 40 --extractor Pixels",
        "evaluate FILE --samples 40 --extractor Pixels",
        "fit --resume RUN",
        "fit --resume FILE",
        "fit --config CONFIG --init_from RUN",
        "fit --config CONFIG --init_from FILE",
    ],
)
def test_pickled_code_is_never_run(command: str, run: Path, field: Path) -> None:
    copy = shutil.copytree(run, field / "run")
    for path in (copy / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        torch.save({**content, "callbacks": Bomb()}, path)
    words = {"RUN": copy, "FILE": best(copy), "CONFIG": copy / "config.yaml"}
    answer = here(*(words.get(word, word) for word in command.split()), folder=field)
    assert "more than plain values" in answer.err
    assert (answer.code, len(answer.err.splitlines())) == (2, 1), answer
    assert unsprung(field)
    assert not [folder for folder in run_folders(field) if folder.exists()]
    with pytest.raises(Refused, match="more than plain values"):
        ganlab.load(best(copy))
    assert unsprung(field)


def deep(value: Any, levels: int = 400) -> Any:
    for _ in range(levels):
        value = [value]
    return value


def layers(content: Any, levels: int = 1) -> dict[str, Any]:
    """The content within a layer that is allowed and holds others."""
    for _ in range(levels):
        content = {"class_path": "torch.nn.ModuleList", "init_args": {"modules": [content]}}
    return content


def nested(value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that makes the value an argument of the generator."""
    return lambda config: config["generator"]["init_args"].update(hidden=value)


def network(path: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the generator's class path."""
    return lambda config: config["generator"].update(class_path=path)


# Both in the hyperparameters of a checkpoint and in an export's configuration.
HOSTILE: dict[str, Callable[[dict[str, Any]], None]] = {
    "a function": network("os.system"),
    "a builtin": network("builtins.eval"),
    "a program": lambda config: config.update(generator=POPEN),
    "a module not imported": network("my_trap.Net"),
    "a module of torch not imported": network("torch.utils.bottleneck.__main__.main"),
    "a class that fetches": network("torchmetrics.image.fid.FrechetInceptionDistance"),
    "no network": network("torch.optim.Adam"),
    "no name": network("MLPGenerator"),
    "no string": network(["my_trap.Net"]),
    "a relative name": network("..my_trap.Net"),
    "a program as an argument": nested(POPEN),
    "a program in a list": nested([{"more": [POPEN]}]),
    "a program as text": nested(json.dumps(POPEN)),
    "a module as an argument": nested({"class_path": "my_trap.Net"}),
    "a module's name": nested("my_trap.Net"),
    "a module's name as text": nested('"my\\x5ftrap.Net"'),
    "a module as text": nested("class_path: my_trap.Net"),
    "a file that names a module": nested("trap.yaml"),
    "a network as a file": lambda config: config.update(generator="trap.yaml"),
    "a program beside the arguments": lambda config: config["generator"].update(dict_kwargs=POPEN),
    "a wrong argument": lambda config: config["generator"]["init_args"].update(nonsense=1),
    "too large": lambda config: config["generator"]["init_args"].update(hidden=[10**12]),
    "another shape": lambda config: config["generator"]["init_args"].update(hidden=[17]),
    "too deep": nested(deep(0)),
    "a base class": network("torch.nn.Module"),
    "a function of torch": network("torch.nn.utils.clip_grad_norm_"),
    "a parametrisation": network("torch.nn.utils.parametrize.ParametrizationList"),
    "a module of torch": network("torch.nn.utils"),
    "a network that is spread": network("torch.nn.parallel.DistributedDataParallel"),
    "a network over devices": network("torch.nn.DataParallel"),
    "a hub": network("torch.hub.load"),
    "a script": network("torch.jit.ScriptModule"),
    "a network of torchvision": network("torchvision.models.ResNet"),
    "a module of Lightning": network("lightning.pytorch.LightningModule"),
    "data": network("ganlab.data.Digits"),
    "an extractor, which opens a file": network("ganlab.metrics.Inception"),
    "a private name": network("ganlab.networks.mlp.MLPGenerator"),
    "a layer of ours that is not public": network("ganlab.networks.layers.Residual"),
    "a name within a name": network("ganlab.networks.MLPGenerator.__init__"),
    "an optimizer as a network": network("torch.optim.SGD"),
    "a loss as a network": network("ganlab.losses.Hinge"),
    "a class that is merely imported": network(f"{__name__}.Imported"),
    "a class that is merely imported, as an argument": nested({"class_path": f"{__name__}.Imported"}),
    "a layer for a number": nested([LAYER]),
    "a layer for numbers": nested(LAYER),
    "a truth for a number": nested([True]),
    "a text for a number": nested(["16"]),
    "a program in layers": nested(layers(POPEN, 3)),
    "a program in layers in a list": nested([16, {"more": [layers([[POPEN]])]}]),
    "a class merely imported in layers": nested(layers({"class_path": f"{__name__}.Imported"})),
    "a network of layers that holds a program": lambda config: config.update(generator=layers(POPEN)),
    "a program beside a layer's arguments": lambda config: config.update(
        generator={**layers(LAYER), "with": POPEN}
    ),
    "a layer that is called with a program": lambda config: config.update(
        generator={"class_path": "torch.nn.TripletMarginWithDistanceLoss", "init_args": {"swap": POPEN}}
    ),
    "layers too deep": lambda config: config.update(generator=layers(LAYER, 60)),
    "a huge list": nested([1] * 100_000),
    "a huge list of layers": lambda config: config["generator"]["init_args"].update(more=[LAYER] * 100_000),
    "a class path that is a list": nested({"class_path": ["torch.nn.Identity"]}),
    "arguments that are a list": nested({"class_path": "torch.nn.Identity", "init_args": [1]}),
    "a name of the builder's own": lambda config: config["generator"]["init_args"].update(build=1, self=2),
}


HOSTILE_GAMES: dict[str, Callable[[dict[str, Any]], None]] = {
    **HOSTILE,
    "a network as text": lambda config: config.update(
        discriminator=json.dumps({"class_path": "my_trap.Net"})
    ),
    "a network as hidden text": lambda config: config.update(discriminator='{class_path: "my\\x5ftrap.Net"}'),
    "a program within text": lambda config: config.update(discriminator=json.dumps(HOLDER)),
    "a program within a network": lambda config: config.update(discriminator=HOLDER),
    "an optimizer as hidden text": lambda config: config.update(generator_optimizer='"my\\x5ftrap.Net"'),
    "an optimizer that is a program": lambda config: config.update(generator_optimizer=POPEN),
    "a schedule not imported": lambda config: config.update(
        generator_scheduler={"class_path": "my_trap.Net"}
    ),
    "a schedule that calls": lambda config: config.update(
        generator_scheduler={
            "class_path": "torch.optim.lr_scheduler.LambdaLR",
            "init_args": {"lr_lambda": "eval"},
        }
    ),
    "an optimizer's base": lambda config: config.update(
        generator_optimizer={"class_path": "torch.optim.Optimizer"}
    ),
    "an optimizer with a program": lambda config: config["generator_optimizer"]["init_args"].update(lr=POPEN),
    "an optimizer with nonsense": lambda config: config["generator_optimizer"]["init_args"].update(
        nonsense=1
    ),
    "a schedule for an optimizer": lambda config: config.update(
        generator_optimizer={"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1}}
    ),
    "a layer for an optimizer": lambda config: config.update(generator_optimizer=LAYER),
    "a layer for a schedule": lambda config: config.update(generator_scheduler=LAYER),
    "an augmentation that is none": lambda config: config.update(augmentations=["flip", "os.system"]),
    "a game merely imported": lambda config: config.update(_class_path=f"{__name__}.Imported"),
    "a private name of the game": lambda config: config.update(_class_path="ganlab.game.gan.GAN"),
    "a program beside the optimizer": lambda config: config["generator_optimizer"].update(dict_kwargs=POPEN),
    "a tensor": lambda config: config.update(seed=torch.zeros(2)),
    "a number for a name": lambda config: config.update({5: 5}),
}


@pytest.mark.parametrize("case", HOSTILE_GAMES)
def test_a_hostile_checkpoint_runs_nothing(case: str, run: Path, field: Path) -> None:
    write(field, "class_path: my_trap.Net\n", "trap.yaml")
    content = torch.load(best(run), weights_only=True)
    HOSTILE_GAMES[case](content["hyper_parameters"])
    torch.save(content, "hostile.ckpt")
    check_refused(field, "hostile.ckpt")


def test_what_may_be_named_is_public_and_of_a_game() -> None:
    """Every allowed path is public, and leads to a class of ganlab's or torch's layers, optimizers, …"""
    roots = (
        torch.nn.Module,
        torch.optim.Optimizer,
        torch.optim.lr_scheduler.LRScheduler,
        losses.Loss,
        Penalty,
        Medium,
    )
    for path, kind in ALLOWED.items():
        assert issubclass(kind, roots), path
        assert kind not in roots, path
        assert kind.__module__.startswith(("ganlab.", "torch.nn.modules.", "torch.optim")), path
        assert kind in (public := vars(import_module(path.rpartition(".")[0]))).values() or kind is GAN, path
        assert not path.rpartition(".")[2].startswith("_"), public
    assert {"torch.nn.Linear", "torch.optim.AdamW", "torch.optim.lr_scheduler.StepLR"} <= ALLOWED.keys()


VARIANTS = ["os.system", "my_trap.Game", "torch.nn.Identity", "ganlab.game.gan.GAM", "", 5, None, POPEN]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_checkpoints_variant_is_a_game_or_nothing(variant: Any, run: Path, field: Path) -> None:
    content = torch.load(best(run), weights_only=True)
    content["hyper_parameters"]["_class_path"] = variant
    torch.save(content, "hostile.ckpt")
    check_refused(field, "hostile.ckpt")


def check_refused(field: Path, what: str) -> None:
    before = {path.name for path in field.iterdir()}
    evaluate = ("evaluate", what, "--reference", "Digits", "--extractor", "Pixels")
    other = ("export", what, "--out", "export") if what.endswith(".ckpt") else evaluate
    for command in (("sample", what, "--out", "grid.png"), other):
        refused(here(*command, folder=field), field)
    with pytest.raises(Refused) as refusal:
        ganlab.load(what)
    assert 1 <= len(str(refusal.value).splitlines()) <= 3
    assert what in str(refusal.value)
    assert unsprung(field)
    assert {path.name for path in field.iterdir()} == before


def change_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_export_runs_nothing(case: str, copy: Path, field: Path) -> None:
    write(field, "class_path: my_trap.Net\n", "trap.yaml")
    change_config(copy, HOSTILE[case])
    check_refused(field, "copy")


CONFIGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a game that is none": lambda config: config["game"].update(class_path="torch.nn.Identity"),
    "a game not imported": lambda config: config["game"].update(class_path="my_trap.Game"),
    "a function as a game": lambda config: config["game"].update(class_path="os.system"),
    "a program for the game": lambda config: config["game"]["init_args"].update(latent_size=POPEN),
    "an optimizer": lambda config: config["game"]["init_args"].update(
        generator_optimizer={"class_path": "torch.optim.Adam"}
    ),
    "a player in the game": lambda config: config["game"]["init_args"].update(generator=config["generator"]),
    "another discriminator": lambda config: config.update(discriminator=POPEN),
    "a discriminator not imported": lambda config: config.update(discriminator={"class_path": "my_trap.Net"}),
    "arguments that are none": lambda config: config["generator"].update(init_args=[1, 2]),
    "a path as weights": lambda config: config.update(weights="../../run.safetensors"),
    "another format": lambda config: config.update(format=3),
    "a game without a name": lambda config: config["game"].pop("class_path"),
    "a game with more": lambda config: config["game"].update(dict_kwargs={}),
    "an optimizer in no class": lambda config: config["game"]["init_args"].update(generator_optimizer=None),
    "a class as an argument of the game": lambda config: config["game"]["init_args"].update(more=LAYER),
    "nothing": lambda config: config.clear(),
    "a number": lambda config: config.update(generator=5),
    "another distribution": lambda config: config["game"]["init_args"].update(latent_distribution="cauchy"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_an_export_is_a_game_of_plain_values(case: str, copy: Path, field: Path) -> None:
    change_config(copy, CONFIGS[case])
    check_refused(field, "copy")


@pytest.mark.parametrize("text", ["", "{", "5", "[]", "null", '"x"', "[" * 100_000, "\udcff\x00"])
def test_a_garbled_export_is_refused(text: str, copy: Path, field: Path) -> None:
    (copy / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    check_refused(field, "copy")


def reshaped(state: dict[str, torch.Tensor]) -> None:
    name = next(iter(state))
    state[name] = torch.zeros(3, 3, 3)


def renamed(state: dict[str, torch.Tensor]) -> None:
    state["../../../etc/passwd"] = state.pop(next(iter(state)))


def added(state: dict[str, torch.Tensor]) -> None:
    state["__class__.__init__"] = torch.zeros(1)


def counted(state: dict[str, torch.Tensor]) -> None:
    name = next(iter(state))
    state[name] = state[name].long()


@pytest.mark.parametrize("change", [reshaped, renamed, added, counted, dict.clear, dict.popitem])
def test_weights_that_do_not_match_are_refused(
    change: Callable[[dict[str, torch.Tensor]], Any], copy: Path, field: Path
) -> None:
    state = load_file(copy / "generator.safetensors")
    change(state)
    save_file(state, copy / "generator.safetensors")
    check_refused(field, "copy")


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_weights_that_are_cut_short_are_refused(left: int, copy: Path, field: Path) -> None:
    path = copy / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    check_refused(field, "copy")


def test_pickled_weights_are_no_safetensors(copy: Path, field: Path) -> None:
    torch.save({"layers.0.weight": Bomb()}, copy / "generator.safetensors")
    check_refused(field, "copy")
