"""A trained StyleGAN2 by the commands: truncated and mixed samples, films, evaluations, exports, ONNX."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import here, refused
from PIL import Image
from trained_runs import export_run, train_run

import ganlab
from ganlab.networks.stylegan2 import mixed

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")

STYLES = """\
model:
  class_path: StyleGAN2
  init_args:
    latent_size: 4
    conditional: true
    ema_ramp: null
    generator: {class_path: StyleGAN2Generator, init_args: {width: 4, max_width: 4, depth: 2, noise: NOISE}}
    discriminator: {class_path: StyleGAN2Discriminator, init_args: {width: 4, max_width: 4}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 5, accelerator: cpu}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(tmp_path_factory.mktemp("styles"), STYLES.replace("NOISE", "false"))


@pytest.fixture(scope="module")
def export(run: Path) -> Path:
    return export_run(run, run.parent / "mine")


def drawn(what: Path, folder: Path, *options: str) -> np.ndarray:
    answer = here("sample", what, "--out", "a.npz", "--count", "6", *options, folder=folder)
    assert answer.code == 0, answer
    with np.load(folder / "a.npz") as file:
        return file["images"]


@pytest.mark.parametrize("options", [("--truncation", "0.5"), ("--choices.mix", "2"), ("--truncation", "0")])
def test_an_export_draws_what_the_run_draws(
    options: tuple[str, ...], run: Path, export: Path, tmp_path: Path
) -> None:
    images = drawn(run, tmp_path, *options)
    assert np.array_equal(drawn(export, tmp_path, *options), images)
    assert not np.array_equal(drawn(run, tmp_path), images)


def test_truncated_to_nothing_all_samples_of_a_class_are_one(run: Path, tmp_path: Path) -> None:
    images = drawn(run, tmp_path, "--truncation", "0", "--class", "3")
    assert (images == images[:1]).all()


def test_a_film_of_truncated_samples_is_truncated_in_each_frame(run: Path, tmp_path: Path) -> None:
    spread = {}
    for psi in ("0", "1"):
        film = ("--out", "walk.gif", "--count", "1", "--interpolate", "3", "--frames", "6")
        answer = here("sample", run, *film, "--truncation", psi, folder=tmp_path)
        assert answer.code == 0, answer
        frames = []
        with Image.open(tmp_path / "walk.gif", formats=["GIF"]) as opened:
            for number in range(opened.n_frames):
                opened.seek(number)
                frames.append(np.asarray(opened.convert("L")).astype(float))
        spread[psi] = max(np.abs(frame - frames[0]).max() for frame in frames)
    assert spread["0"] == 0 < spread["1"]


def test_an_evaluation_says_how_styles_were_truncated(run: Path, tmp_path: Path) -> None:
    rows = {}
    for psi in ("0.2", "1"):
        options = ("--samples", "40", "--scores", "fid", "--extractor", "Pixels", "--json")
        answer = here("evaluate", run, *options, "--truncation", psi, folder=tmp_path)
        assert answer.code == 0, answer
        rows[psi] = json.loads(answer.out.splitlines()[-1])
        assert rows[psi]["contract"]["choices"] == {"truncation": float(psi)}
    assert rows["0.2"]["scores"] != rows["1"]["scores"]


def test_a_sheet_of_mixed_styles_has_the_latents_themselves_at_its_ends(export: Path) -> None:
    game = ganlab.load(export)
    rows, columns = game.latents(2, seed=0), game.latents(3, seed=1)
    coarse, fine = rows.repeat_interleave(3, 0), columns.repeat(2, 1)
    labels = torch.zeros(6, dtype=torch.long)
    for first, expected in ((0, fine), (game.layers, coarse)):
        latents = mixed(coarse, fine, game.layers, torch.tensor(first))
        made = game.generate(latents, condition=labels)
        assert torch.allclose(made, game.generate(expected, condition=labels), atol=1e-5)


def test_without_noise_it_is_written_as_onnx(run: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    answer = here("export", run, "--out", "mine", "--onnx", folder=tmp_path)
    assert answer.code == 0, answer
    file = str(tmp_path / "mine" / "generator.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    game, labels = ganlab.load(run), torch.tensor([0, 3, 3, 9, 1])
    latents = game.latents(5, seed=7)
    (images,) = session.run(None, {"latents": latents.numpy(), "labels": labels.numpy()})
    assert np.allclose(images, game.generate(latents, condition=labels).numpy(), atol=1e-4)


@pytest.mark.slow
def test_with_noise_samples_follow_from_seed_and_number_and_onnx_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    run = train_run(home, STYLES.replace("NOISE", "true"))
    game = ganlab.load(run)
    for network in (game.ema.network, game.generator):
        for layer in network.convolutions:
            torch.nn.init.constant_(layer.noise.strength, 0.5)
    whole = game.sample(70, seed=0, truncation=0.7)
    assert torch.allclose(game.sample(3, seed=0, at=66, truncation=0.7), whole[66:69], atol=1e-4)
    assert not torch.allclose(game.sample(3, seed=1, at=66, truncation=0.7), whole[66:69], atol=1e-2)
    message = refused(here("export", run, "--out", "mine", "--onnx", folder=elsewhere), elsewhere)
    assert "StyleGAN2Generator draws noise" in message
