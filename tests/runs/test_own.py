"""Code of one's own runs is run without a word; what others wrote or changed, only when it is asked for."""

import shutil
from pathlib import Path

import pytest
from command_line import Answer, here, write
from fuzzing import state_of

import ganlab
from ganlab.errors import Refused
from ganlab.system.signature import key_file

MODULE = """\
from pathlib import Path

import torch
from torch import nn

from ganlab import GAN, losses
from ganlab.data import Digits

Path("CANARY").touch()


class MyGenerator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 4):
        super().__init__()
        self.shape, self.layer = tuple(shape), nn.Linear(latent_size, 64)

    def forward(self, latent):
        return self.layer(latent).tanh().unflatten(1, self.shape)


class MyGAN(GAN):
    loss = losses.hinge


class MyDigits(Digits):
    pass
"""
CONFIG = """\
model:
  class_path: my_module.MyGAN
  init_args:
    latent_size: 4
    generator: {class_path: my_module.MyGenerator}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: my_module.MyDigits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu, precision: 32-true}
evaluation: {extractor: Pixels, samples: 40}
"""
SCORED = ("--samples", "40", "--scores", "fid")
COMMANDS = {
    "fit --resume": ("fit", "--resume", "RUN", "--trainer.max_steps", "3"),
    "fit --resume a checkpoint": ("fit", "--resume", "NEWEST", "--trainer.max_steps", "3"),
    "fit --config": ("fit", "--config", "RUN/config.yaml"),
    "fit --rollback": ("fit", "--rollback", "RUN"),
    "validate": ("validate", "--config", "RUN/config.yaml", "--ckpt_path", "NEWEST"),
    "evaluate": ("evaluate", "RUN", *SCORED),
    "evaluate a checkpoint": ("evaluate", "NEWEST", *SCORED),
    "sample": ("sample", "RUN", "--out", "grid.png"),
    "export": ("export", "RUN", "--out", "exported"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a game, a network and data that are the user's own."""
    (home := tmp_path_factory.mktemp("home") / "mine").mkdir()
    canary = tmp_path_factory.mktemp("canary") / "ran"
    (home / "my_module.py").write_text(MODULE.replace("CANARY", str(canary)))
    assert here("fit", "--config", write(home, CONFIG), folder=home).code == 0
    (run,) = home.glob("runs/*/*/*")
    canary.unlink()
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """The run, moved to another place, from which the user's own files cannot be seen."""
    (folder := tmp_path / "elsewhere").mkdir()
    return shutil.copytree(trained, folder / "run")


@pytest.fixture
def canary(trained: Path) -> Path:
    """It is there once the user's module has been run."""
    path = Path((trained / "code" / "my_module.py").read_text().split('Path("')[1].split('"')[0])
    path.unlink(missing_ok=True)
    return path


def call(name: str, run: Path, *more: str) -> Answer:
    newest = max((run / "checkpoints").glob("step-*.ckpt"))
    words = [word.replace("RUN", str(run)).replace("NEWEST", str(newest)) for word in COMMANDS[name]]
    return here(*words, *more, folder=run.parent)


@pytest.mark.parametrize("name", COMMANDS)
def test_ones_own_run_needs_no_flag_wherever_it_was_moved(name: str, run: Path, canary: Path) -> None:
    answer = call(name, run)
    assert answer.code == 0, answer
    assert canary.exists()


@pytest.fixture
def foreign(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same run, for another user."""
    assert key_file().exists()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings of another"))
    assert not key_file().exists()
    return run


def add_code(run: Path) -> None:
    (run / "code" / "torchvision.py").write_text("raise SystemExit('it ran')")


def change_code(run: Path) -> None:
    with (run / "code" / "my_module.py").open("a") as file:
        file.write("# changed\n")


def link_code(run: Path) -> None:
    (run / "code").rename(run / "theirs")
    (run / "code").symlink_to("theirs")


def leave_bytecode(run: Path) -> None:
    (run / "code" / "__pycache__").mkdir()
    (run / "code" / "__pycache__" / "my_module.cpython-311.pyc").write_bytes(b"bytes")


def change_settings(run: Path) -> None:
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("batch_size: 8", "batch_size: 16"))


def unsign(run: Path) -> None:
    lines = (run / "config.yaml").read_text().splitlines(keepends=True)
    (run / "config.yaml").write_text("".join(lines[:-1]))


CHANGES = (add_code, change_code, link_code, leave_bytecode, change_settings, unsign)


def refused(name: str, run: Path, canary: Path) -> None:
    before = state_of(run.parent)
    answer = call(name, run)
    assert answer.code == 2, answer
    assert "--trust_code" in answer.err
    assert len(answer.err.splitlines()) <= 4, answer.err
    assert not canary.exists()
    assert state_of(run.parent) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_anothers_run_is_run_only_if_it_is_trusted(name: str, foreign: Path, canary: Path) -> None:
    refused(name, foreign, canary)
    answer = call(name, foreign, "--trust_code")
    assert answer.code == 0, answer
    assert canary.exists()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", ["fit --resume", "evaluate", "sample"])
def test_an_altered_run_is_run_only_if_it_is_trusted(name: str, change, run: Path, canary: Path) -> None:
    change(run)
    refused(name, run, canary)


def test_anothers_checkpoint_in_ones_own_run_is_not_run(
    run: Path, canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its arguments name classes, which would be imported from wherever Python looks."""
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
        theirs = shutil.copytree(run, tmp_path / "theirs")
        assert (
            here("fit", "--resume", theirs, "--trust_code", "--trainer.max_steps", "3", folder=tmp_path).code
            == 0
        )
        canary.unlink()
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    shutil.copy(theirs / "checkpoints" / "step-000000003.ckpt", run / "checkpoints")
    with pytest.raises(Refused, match="trust_code"):
        ganlab.load(run)
    assert not canary.exists()
    assert ganlab.load(run, trust_code=True).sample(2, seed=0).shape == (2, 1, 8, 8)


def test_a_resumed_run_that_was_trusted_is_ones_own_from_then_on(foreign: Path) -> None:
    assert call("fit --resume", foreign, "--trust_code").code == 0
    assert "trust_code: false" in (foreign / "config.yaml").read_text()
    assert call("fit --resume", foreign).code == 0


def test_auto_passes_over_what_another_has_put_there(foreign: Path, canary: Path, trained: Path) -> None:
    folder = foreign.parent
    home = trained.parents[3]
    for name in ("my_module.py", "small.yaml"):
        shutil.copy(home / name, folder)
    place = folder / trained.relative_to(home)
    place.parent.mkdir(parents=True)
    foreign.rename(place)
    before = state_of(place)
    answer = here("fit", "--config", "small.yaml", "--resume", "auto", folder=folder)
    assert answer.code == 0, answer
    assert "passed over" in answer.err
    assert "begins anew" in answer.out
    assert state_of(place) == before


def test_images_beside_a_config_are_images(tmp_path: Path) -> None:
    """A folder of anybody's images may hold a config.yaml and a module that it names."""
    import numpy as np
    from PIL import Image

    (folder := tmp_path / "images").mkdir()
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "config.yaml").write_text(
        "data: {class_path: my_evil.Data}\nmodel: {class_path: my_evil.Game}\n"
    )
    (folder / "my_evil.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    scores = ("--extractor", "Pixels", "--scores", "fid")
    answer = here("evaluate", folder, "--reference", folder, *scores, folder=tmp_path)
    assert answer.code == 0, answer
    assert not (tmp_path / "ran").exists()


def test_the_key_is_for_its_user_alone() -> None:
    assert key_file().stat().st_mode & 0o077 == 0
    assert len(key_file().read_bytes()) == 32


def test_without_a_home_runs_train_but_are_not_known_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no folder").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no folder"))
    home = trained.parents[3]
    for name in ("my_module.py", "small.yaml"):
        shutil.copy(home / name, tmp_path)
    answer = here("fit", "--config", "small.yaml", folder=tmp_path)
    assert answer.code == 0, answer
    assert "--trust_code" in answer.err
    (run,) = tmp_path.glob("runs/*/*/*")
    assert here("fit", "--resume", run, folder=tmp_path).code == 2
    assert here("fit", "--resume", run, "--trust_code", folder=tmp_path).code == 0


def test_scores_are_not_written_through_a_link(foreign: Path, tmp_path: Path) -> None:
    (secret := tmp_path / "somebodys file").write_text("untouched\n")
    (foreign / "scores.jsonl").unlink()
    (foreign / "scores.jsonl").symlink_to(secret)
    answer = call("evaluate", foreign, "--trust_code")
    assert answer.code == 0, answer
    assert "not added" in answer.err
    assert secret.read_text() == "untouched\n"
