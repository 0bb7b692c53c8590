"""Games of clips keep the laws, and go the whole way from training to reports."""

import json
import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import wandb
from command_line import checkpoint, here, run_folders, write
from PIL import Image
from torch import Tensor
from trained_runs import train_run

import ganlab
from ganlab.data import MovingDigits
from ganlab.loggers.wandb_files import starts
from ganlab.media import Labels, Video
from ganlab.networks import (
    ClipDiscriminator,
    DCGANDiscriminator,
    DCGANGenerator,
    MoCoGANGenerator,
    RandomFrames,
    Several,
)
from ganlab.regularisers import ADA, BCR
from ganlab.testing import CHECKS, Game, assert_same
from ganlab.testing.process_checks import two_processes_are_one_of_twice_the_batch
from ganlab.testing.sampling_checks import samples_follow_from_seed_and_number
from ganlab.testing.side_checks import is_judged_by_several_critics
from ganlab.testing.training_checks import resumes_exactly, trains
from ganlab.variants import R3GAN, HingeGAN

DATA: dict[str, Any] = {"size": 8, "digit": 4, "frames": 4, "batch_size": 8}
SHAPE = (4, 1, 8, 8)
SMALL: dict[str, Any] = {"width": 4, "max_width": 4}
FACTS: dict[str, Any] = {"shape": SHAPE, "condition": Labels(10)}


def game(frames: int, variant: type = R3GAN) -> Game:
    judge = partial(DCGANDiscriminator, normalization="none", **SMALL)
    critics = {
        "frame": partial(RandomFrames, network=judge, frames=frames),
        "clip": partial(ClipDiscriminator, **SMALL),
    }
    made = partial(DCGANGenerator, normalization="none", **SMALL)
    players = {
        "generator": partial(MoCoGANGenerator, network=made, latent_size=16, motion=2, **FACTS),
        "discriminator": partial(Several, networks=critics, **FACTS),
    }
    return Game(variant, partial(MovingDigits, **DATA), {**players, "latent_size": 16, "conditional": True})


QUICK = (trains, resumes_exactly, samples_follow_from_seed_and_number)
# Two processes draw other frames than one, and two critics each their own.
OF_ALL_FRAMES = (two_processes_are_one_of_twice_the_batch, is_judged_by_several_critics)
LAWS = [
    pytest.param(law, id=law.__name__, marks=[] if law in QUICK else [pytest.mark.slow]) for law in CHECKS
]


@pytest.mark.parametrize("check", LAWS)
def test_a_game_of_clips_keeps_the_laws(check: Callable[[Game], None]) -> None:
    check(game(4 if check in OF_ALL_FRAMES else 1))


@pytest.mark.evidence
@pytest.mark.parametrize("check", CHECKS)
def test_a_game_without_penalties_keeps_the_laws(check: Callable[[Game], None]) -> None:
    check(game(4 if check in OF_ALL_FRAMES else 2, HingeGAN))


def test_clips_are_augmented_and_all_frames_of_one_alike() -> None:
    ada = ADA()
    how = {"augmentations": ["flip", "translation"], "regularisers": [ada, BCR()]}
    played = game(1, HingeGAN).having(**how)
    played.play(played(), steps=1)
    ada.overfitting.strength.fill_(0.5)
    clips = torch.rand(9, 1, 1, 8, 8).expand(-1, 4, -1, -1, -1)
    seen = ada.seen(clips)
    assert torch.equal(seen, seen[:, :1].expand_as(seen))
    assert 0 < (seen == clips).flatten(1).all(1).sum() < 9


CONFIG = """\
model:
  class_path: R3GAN
  init_args:
    conditional: true
    latent_size: 16
    generator:
      class_path: MoCoGANGenerator
      init_args: {motion: 2, network: {class_path: DCGANGenerator, init_args: {width: 4, max_width: 4}}}
    discriminator:
      class_path: Several
      init_args:
        networks:
          frame:
            class_path: RandomFrames
            init_args: {network: {class_path: DCGANDiscriminator, init_args: {width: 4, normalization: none}}}
          clip: {class_path: ClipDiscriminator, init_args: {width: 4}}
data: {class_path: MovingDigits, init_args: {size: 8, digit: 4, frames: 4, rate: 20, batch_size: 8}}
trainer: {max_steps: 4, accelerator: cpu, log_every_n_steps: 1, logger: WandbLogger}
samples: {every_n_steps: 2, count: 5}
checkpoints: {every_n_steps: 2, keep: 3}
evaluation:
  extractor: MovingPixels
  scores: [fid, motion_error, {class_path: FrameFID, init_args: {extractor: Pixels}}]
  samples: 12
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wandb.teardown()  # Other tests of this process may have disabled it, which it remembers.
    trained = train_run(tmp_path_factory.mktemp("clips"), CONFIG)
    wandb.finish()  # as the end of the process would
    return trained


def clip(path: Path) -> Tensor:
    return Video.read(path.read_bytes())


@pytest.mark.slow
def test_a_run_keeps_strips_and_films(run: Path) -> None:
    for step in (2, 4):
        assert Image.open(run / "samples" / f"step-{step:09d}.png").width > 4 * 32
        with Image.open(run / "samples" / f"step-{step:09d}-4.gif") as film:
            assert (film.n_frames, film.info["duration"], film.size) == (4, 50, (8, 8))


@pytest.mark.slow
def test_loggers_get_films(run: Path) -> None:
    ((_, rows),) = starts(run)
    films = [row for row in rows if "films/3.path" in row]
    assert [film["films/3._type"] for film in films] == ["video-file"] * 2
    assert all(film["films/3.path"].endswith(".gif") for film in films)


@pytest.mark.slow
def test_a_resumed_run_is_the_straight_one(run: Path, tmp_path: Path) -> None:
    stopped = train_run(tmp_path, CONFIG, "--trainer.max_steps", "2")
    answer = here("fit", "--resume", stopped, "--trainer.max_steps", "4", folder=tmp_path)
    assert answer.code == 0, answer
    one, other = (checkpoint(each, 4)["state_dict"] for each in (run, stopped))
    assert_same(one, other, what="the resumed run")


def scores(what: Path, home: Path) -> dict[str, Any]:
    named = "[fid,motion_error,{class_path: FrameFID, init_args: {extractor: Pixels}}]"
    options = ("--extractor", "MovingPixels", "--scores", named, "--reference", "small.yaml", "--json")
    answer = here("evaluate", what, *options, "--samples", "12", folder=home)
    assert answer.code == 0, answer
    return {name: each["value"] for name, each in json.loads(answer.out)["scores"].items()}


@pytest.mark.slow
def test_samples_are_files_that_are_scored_as_the_run_is(run: Path, tmp_path: Path) -> None:
    home = run.parents[3]
    for out in ("clips", "clips.npz"):
        assert here("sample", run, "--out", tmp_path / out, "--count", "12", folder=home).code == 0
    files = sorted((tmp_path / "clips").iterdir())
    assert [file.name for file in files] == [f"{number:06}.gif" for number in range(12)]
    made = ganlab.load(run)
    stored = made.media[0].stored(made.sample(12, seed=0))
    assert torch.equal(torch.stack([clip(file) for file in files]), stored)
    with np.load(tmp_path / "clips.npz") as file:
        assert np.array_equal(file["clips"], stored.movedim(2, -1).numpy())
    of_run = scores(run, home)
    assert {"fid12_moving", "motion_error12", "speed12", "frame_fid12_pixels"} <= of_run.keys()
    assert scores(tmp_path / "clips", home) == pytest.approx(of_run)
    assert scores(tmp_path / "clips.npz", home) == pytest.approx(of_run)


@pytest.mark.slow
def test_sheets_move_and_walks_are_asked_for(run: Path, tmp_path: Path) -> None:
    def sampled(out: str, *options: str) -> str:
        answer = here("sample", run, "--out", out, "--count", "6", *options, folder=tmp_path)
        assert answer.code == 0, answer
        return answer.out

    assert "6 samples of" in sampled("sheet.gif")
    made = ganlab.load(run)
    film = made.media[0].film(made.sample(6, seed=0))
    assert film is not None
    frames = film[0]
    expected = torch.stack([torch.from_numpy(np.asarray(frame)) for frame in frames])
    assert torch.equal(clip(tmp_path / "sheet.gif")[:, 0], expected)
    sampled("sheet.mp4")
    with av.open(str(tmp_path / "sheet.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.frames, stream.average_rate) == (4, Fraction(20))
    assert "6 walks of" in sampled("walk.gif", "--frames", "3")
    assert (
        "3 samples of"
        in here("sample", run, "--out", "rows.gif", "--classes", "1,2,3", "--count", "3", folder=tmp_path).out
    )
    assert Image.open(tmp_path / "rows.gif").height == 3 * (64 + 2) - 2


@pytest.mark.slow
def test_an_export_makes_the_same_clips(run: Path, tmp_path: Path) -> None:
    assert here("export", run, "--out", "mine", "--onnx", folder=tmp_path).code == 0
    for source in (run, tmp_path / "mine"):
        answer = here("sample", source, "--class", "2", "--out", f"{source.name}.npz", folder=tmp_path)
        assert answer.code == 0, answer
    one, other = (np.load(tmp_path / f"{name}.npz")["clips"] for name in (run.name, "mine"))
    assert np.array_equal(one, other)
    medium = ganlab.load(tmp_path / "mine").media[0]
    assert (type(medium), medium.rate, medium.shape) == (Video, 20, SHAPE)
    assert (tmp_path / "mine" / "generator.onnx").is_file(), "compared with the game when it is written"
    assert "image-generation" not in (tmp_path / "mine" / "README.md").read_text()


@pytest.mark.slow
def test_the_report_shows_films_below_their_strips(run: Path, tmp_path: Path) -> None:
    answer = here("compare", run.parents[2], "--out", tmp_path / "report", folder=tmp_path)
    assert answer.code == 0, answer
    page = next((tmp_path / "report").glob("*.html")).read_text()
    assert page.count("data:image/gif") == 10
    assert "motion_error12" in page


WRONG = {
    "still": (
        lambda folder: Image.new("L", (8, 8)).save(folder / "0.gif"),
        "0.gif is no whole .gif of .*still",
    ),
    "broken": (lambda folder: (folder / "0.gif").write_bytes(b"GIF89a"), "0.gif is no whole .gif of"),
    "empty": (lambda folder: None, "There are no .gif files in"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", WRONG)
def test_files_that_are_no_clips_are_named(how: str, tmp_path: Path) -> None:
    make, said = WRONG[how]
    (tmp_path / "given").mkdir()
    if how != "empty":
        Video(SHAPE, 10).write(tmp_path / "given" / "1.gif", torch.zeros(SHAPE, dtype=torch.uint8))
    make(tmp_path / "given")
    options = ("--reference", "MovingDigits", "--extractor", "MovingPixels", "--scores", "fid")
    answer = here("evaluate", "given", *options, folder=tmp_path)
    assert answer.code == 2
    assert 1 <= len(answer.err.strip().splitlines()) <= 3
    assert re.search(said, answer.err), answer.err


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["extractor: Pixels", "scores: [style]"])
def test_scores_of_pictures_are_refused_before_the_first_step(wrong: str, tmp_path: Path) -> None:
    head, _ = CONFIG.split("evaluation:")
    more = "" if "extractor" in wrong else ", extractor: MovingPixels"
    write(tmp_path, f"{head}evaluation: {{samples: 12, {wrong}{more}}}\n", "small.yaml")
    answer = here("fit", "--config", "small.yaml", folder=tmp_path)
    assert answer.code == 2, answer
    assert "takes bytes of shape (n, channels, height, width)" in answer.err
    assert not run_folders(tmp_path) or not [*run_folders(tmp_path)[0].glob("checkpoints/*")]
