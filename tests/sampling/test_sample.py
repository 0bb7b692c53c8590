"""`ganlab sample` and `ganlab.load`: samples, files, walks, code that is not trusted, and refusals."""

import json
import re
import shutil
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
import pytest
import torch
from command_line import SMALL, Answer, contents, here, refused, write
from PIL import Image, ImageSequence
from torch import Tensor
from trained_runs import (
    CONDITIONAL,
    CONDITIONAL_CONFIG,
    OURS_LABELLED,
    POINTS,
    SCORED,
    defined_classes,
    import_for_test,
    train_run,
)

import ganlab
from ganlab.data import Gaussians
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.media.films import BT709, LIMITED, WIDEST
from ganlab.media.pictures import grid, quantise
from ganlab.networks import MLPDiscriminator, MLPGenerator
from ganlab.runs.load import checkpoint_or_export
from ganlab.sampling.plan import BLOCK, fake_batches
from ganlab.sampling.walk import (
    CONVERSIONS,
    MILLISECONDS,
    round_trip,
    spherical,
    to_gif,
    to_mp4,
)
from ganlab.sampling.write import Source
from ganlab.seeds import seed_for
from ganlab.testing import new
from ganlab.variants import HingeGAN, InfoGAN

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """A run whose best checkpoint is made an older one than its newest."""
    folder = train_run(home, SCORED)
    shutil.copy(folder / "checkpoints" / "step-000000003.ckpt", folder / "checkpoints" / "best.ckpt")
    return folder


@pytest.fixture(scope="module")
def points(home: Path) -> Path:
    return train_run(home, POINTS, name="points")


@pytest.fixture(scope="module")
def conditional(home: Path) -> Path:
    """A run of a conditional game whose module exists only in the run's folder."""
    write(home, CONDITIONAL, "my_conditional.py")
    folder = train_run(home, CONDITIONAL_CONFIG, name="mine")
    (home / "my_conditional.py").unlink()
    return folder


@pytest.fixture(autouse=True)
def _untouched(run: Path) -> Iterator[None]:
    before = contents(run)
    yield
    assert contents(run) == before


def sample_here(*arguments: str | Path, folder: Path) -> Answer:
    """Run `ganlab sample`, which must succeed."""
    answer = here("sample", *arguments, folder=folder)
    assert answer.code == 0, answer
    return answer


def read_images(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as file:
        assert file.files == ["images"]
        return file["images"]


def evaluated_images(run: Path, count: int, seed: int = 0, *, raw: bool = False) -> np.ndarray:
    """The images that an evaluation of the run's newest checkpoint scores."""
    game = ganlab.load(run / "checkpoints" / "step-000000007.ckpt")
    blocks = [block for _, block in fake_batches(game, count, seed, raw=raw)]
    return torch.cat(blocks).movedim(1, -1).numpy()


# From a path to a game


@pytest.mark.parametrize(
    ("choice", "step"), [({}, 7), ({"checkpoint": "newest"}, 7), ({"checkpoint": "best"}, 3)]
)
def test_the_newest_checkpoint_is_loaded_unless_the_best_is_asked_for(
    choice: dict, step: int, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game = ganlab.load(run, **choice)
    message = capsys.readouterr().err
    assert f"(step {step})" in message
    assert ("selected by its score among 2 evaluations" in message) == (step == 3)
    for name, same in (("best", step == 3), ("step-000000003", step == 3), ("step-000000007", step == 7)):
        other = ganlab.load(str(run / "checkpoints" / f"{name}.ckpt"))
        assert torch.equal(game.sample(3, seed=1), other.sample(3, seed=1)) is same


def test_every_command_takes_the_newest_and_says_when_it_takes_the_best(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    pixels = ("--samples", "40", "--extractor", "Pixels")
    commands = [("sample", "--out", "NEW.npz"), ("export", "--out", "NEW"), ("evaluate", *pixels)]
    for number, (command, *options) in enumerate(commands):
        for choice, selected in (((), False), (("--checkpoint", "best"), True)):
            words = [option.replace("NEW", f"{number}-{selected}") for option in options]
            answer = here(command, copy, *words, *choice, folder=tmp_path)
            assert answer.code == 0, answer
            assert ("best.ckpt" in answer.out) == selected, command
            assert ("selected by its score among 2 evaluations" in answer.out) == selected, command
    rows = [json.loads(line) for line in (copy / "scores.jsonl").read_text().splitlines()]
    assert [(row["step"], row.get("selected_among")) for row in rows[-2:]] == [(7, None), (3, 2)]
    # The export of a selected checkpoint says it on.
    score = json.loads((tmp_path / "1-True" / "config.json").read_text())
    assert (score["step"], score["selected_among"]) == (3, 2)
    again = here("sample", "1-True", "--out", "again.npz", folder=tmp_path)
    assert "among 2 evaluations" in again.out
    of_file = here("sample", copy / "checkpoints" / "best.ckpt", "--out", "file.npz", folder=tmp_path)
    assert "among 2 evaluations" in of_file.out


@pytest.mark.parametrize(
    "command", ["sample RUN --out a.npz", "export RUN --out a", "evaluate RUN --samples 40"]
)
def test_a_best_that_is_not_there_or_damaged_is_refused(command: str, run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    best = copy / "checkpoints" / "best.ckpt"
    asked = f"{command} --checkpoint best".replace("RUN", "run").split()
    best.write_bytes(best.read_bytes()[:-1000])
    assert "is damaged" in refused(here(*asked, folder=tmp_path), tmp_path)
    best.unlink()
    assert "no best checkpoint" in refused(here(*asked, folder=tmp_path), tmp_path)
    asked = f"{command} --checkpoint best".replace("RUN", "run/checkpoints/step-000000007.ckpt").split()
    assert "is no run's folder" in refused(here(*asked, folder=tmp_path), tmp_path)
    with pytest.raises(Refused, match="'last'"):
        ganlab.load(run, checkpoint="last")


def test_in_place_of_a_damaged_checkpoint_the_next_is_loaded(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "checkpoints" / "best.ckpt").unlink()
    for name, next_step in (("step-000000007", 6), ("step-000000006", 3)):
        path = copy / "checkpoints" / f"{name}.ckpt"
        path.write_bytes(path.read_bytes()[:-1000])
        ganlab.load(copy)
        message = capsys.readouterr().err
        assert f"{name}.ckpt is damaged" in message
        assert f"(step {next_step})" in message
    path = copy / "checkpoints" / "step-000000003.ckpt"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(Refused, match="no whole checkpoint"):
        ganlab.load(copy)


# One plan


@pytest.mark.parametrize("count", [64, 9, BLOCK + 64])
@pytest.mark.parametrize("raw", [False, True])
def test_python_and_the_command_draw_the_same(count: int, raw: bool, run: Path, tmp_path: Path) -> None:
    options = ("--raw",) if raw else ()
    sample_here(run, "--out", "a.npz", "--count", str(count), "--seed", "3", *options, folder=tmp_path)
    drawn = quantise(ganlab.load(run).sample(count, seed=3, raw=raw)).movedim(1, -1).numpy()
    assert np.array_equal(drawn, read_images(tmp_path / "a.npz"))
    assert np.array_equal(drawn, evaluated_images(run, count, 3, raw=raw))


def test_samples_can_be_drawn_from_any_number_on(run: Path) -> None:
    game = ganlab.load(run)
    whole = game.sample(2 * BLOCK + 70, seed=1)
    for at, count in ((0, 3), (5, 1), (BLOCK - 2, 4), (BLOCK, 64), (BLOCK + 7, 2 * BLOCK - 200), (9, 0)):
        torch.testing.assert_close(game.sample(count, seed=1, at=at), whole[at : at + count])


def test_a_game_in_double_precision_stays_so(home: Path) -> None:
    double = train_run(home, SMALL, "--trainer.precision", "64-true", name="double")
    game = ganlab.load(double)
    stored = torch.load(double / "checkpoints" / "step-000000007.ckpt", weights_only=True)["state_dict"]
    for name, value in game.state_dict().items():
        assert torch.equal(value, stored[name]), name
    assert game.sample(2, seed=0).dtype == torch.float64


# Files


def test_a_picture_shows_what_an_evaluation_scores(run: Path, tmp_path: Path) -> None:
    answer = sample_here(run, "--out", "grid.png", "--count", "9", folder=tmp_path)
    assert answer.err == ""
    assert "9 samples" in answer.out
    assert "step-000000007.ckpt" in answer.out
    expected = grid(torch.from_numpy(evaluated_images(run, 9)).movedim(-1, 1) / 127.5 - 1)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "grid.png")), np.asarray(expected))
    sample_here(run, "--out", "more/grid.png", folder=tmp_path)
    assert Image.open(tmp_path / "more" / "grid.png").size == (8 * 66 - 2,) * 2
    assert [*tmp_path.rglob(".*")] == []


def test_a_file_holds_bytes_that_do_not_depend_on_the_count(run: Path, tmp_path: Path) -> None:
    count = BLOCK + 60
    sample_here(run, "--out", "many.npz", "--count", str(count), folder=tmp_path)
    sample_here(run, "--out", "few.npz", "--count", "7", folder=tmp_path)
    many = read_images(tmp_path / "many.npz")
    assert (many.dtype, many.shape) == (np.uint8, (count, 8, 8, 1))
    assert np.array_equal(many, evaluated_images(run, count))
    assert np.array_equal(read_images(tmp_path / "few.npz"), many[:7])
    assert len(np.unique(many.reshape(count, -1), axis=0)) > count / 2


@pytest.mark.parametrize("options", [("--seed", "1"), ("--raw",)])
def test_a_seed_and_the_raw_generator_draw_others(
    options: tuple[str, ...], run: Path, tmp_path: Path
) -> None:
    sample_here(run, "--out", "a.npz", "--count", "5", folder=tmp_path)
    sample_here(run, "--out", "b.npz", "--count", "5", *options, folder=tmp_path)
    others = read_images(tmp_path / "b.npz")
    assert not np.array_equal(read_images(tmp_path / "a.npz"), others)
    seed = 1 if "--seed" in options else 0
    assert np.array_equal(others, evaluated_images(run, 5, seed, raw="--raw" in options))


def test_a_folder_holds_the_same_as_a_file(run: Path, tmp_path: Path) -> None:
    sample_here(run, "--out", "pictures/", "--count", "12", folder=tmp_path)
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == [f"{number:06d}.png" for number in range(12)]
    pictures = np.stack([np.asarray(Image.open(tmp_path / "pictures" / name)) for name in names])
    assert np.array_equal(pictures[..., None], evaluated_images(run, 12))
    again = here("sample", run, "--out", "pictures", folder=tmp_path)
    assert "pictures is there already" in refused(again, tmp_path)


def test_drawn_samples_can_be_evaluated(run: Path, tmp_path: Path) -> None:
    sample_here(run, "--out", "drawn.npz", "--count", "40", folder=tmp_path)
    options = ("--extractor", "Pixels", "--scores", "fid", "--json")
    given = here("evaluate", "drawn.npz", "--reference", run / "config.yaml", *options, folder=tmp_path)
    assert given.code == 0, given
    copy = shutil.copytree(run, tmp_path / "run")
    of_run = here(
        "evaluate", copy / "checkpoints" / "step-000000007.ckpt", "--samples", "40", *options, folder=tmp_path
    )
    assert of_run.code == 0, of_run
    (value,) = re.findall(r'"fid40_pixels": {"value": ([\d.e-]+)}', given.out)
    assert f'"fid40_pixels": {{"value": {value}}}' in of_run.out


def test_many_samples_are_never_in_memory_at_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(game: GAN, count: int, *, at: int, **choices: Any) -> torch.Tensor:
        return torch.full((count, 3, 32, 32), (at // BLOCK) / 100 - 1)

    monkeypatch.setattr(GAN, "sample", sample)
    sample_here(run, "--out", "warm.npz", "--count", "1", folder=tmp_path)
    tracemalloc.start()
    sample_here(run, "--out", "many.npz", "--count", "20000", folder=tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    many = read_images(tmp_path / "many.npz")
    assert many.shape == (20_000, 32, 32, 3)
    assert peak < many.nbytes / 5
    for block in (0, 79):
        shade = quantise(torch.tensor(block / 100 - 1)).item()
        assert (many[block * BLOCK : (block + 1) * BLOCK] == shade).all()


def test_points_are_drawn_as_their_data_draw_them(points: Path, tmp_path: Path) -> None:
    sample_here(points, "--out", "points.png", "--count", "30", folder=tmp_path)
    sample_here(points, "--out", "points.npz", "--count", "30", folder=tmp_path)
    with np.load(tmp_path / "points.npz") as file:
        samples = torch.from_numpy(file["samples"])
    assert (samples.shape, samples.dtype) == ((30, 2), torch.float32)
    expected = Gaussians().media[0].sheet(samples)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "points.png")), np.asarray(expected))


@pytest.mark.parametrize("out", ["points.png", "points", "points.gif", "points.mp4"])
def test_points_without_their_data_are_refused_as_pictures(out: str, points: Path, tmp_path: Path) -> None:
    lone = shutil.copy(points / "checkpoints" / "step-000000002.ckpt", tmp_path / "lone.ckpt")
    assert "(2,) are no pictures" in refused(here("sample", lone, "--out", out, folder=tmp_path), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lone.ckpt"]


# Walks


def test_a_walk_is_closed_and_even(run: Path, tmp_path: Path) -> None:
    walk = ("--interpolate", "3", "--frames", "24", "--count", "4")
    answer = sample_here(run, "--out", "walk.gif", *walk, folder=tmp_path)
    assert "4 walks" in answer.out
    with Image.open(tmp_path / "walk.gif") as moving:
        assert moving.info["loop"] == 0
        assert moving.n_frames == 24
        frames = []
        for number in range(24):
            moving.seek(number)
            frames.append(np.asarray(moving.convert("L"), dtype=float))
    game = ganlab.load(run / "checkpoints" / "step-000000007.ckpt")
    starts = torch.cat([game.latents(3, seed=seed_for("walk", 0, walk))[:1] for walk in range(4)])
    first = np.asarray(grid(game.generate(starts)).resize(frames[0].shape[::-1], Image.Resampling.NEAREST))
    assert np.array_equal(frames[0], first)
    steps = [np.abs(one - other).mean() for one, other in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert min(steps) > 0
    assert steps[-1] < 2 * np.median(steps)


# The largest mean error of a frame, in levels of 255, by channels. For noise, the worst case, 2.1 and 3.2
# were measured: four pixels share a colour.
LARGEST_ERROR = {1: 3.0, 3: 5.0}


def video(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        (stream,) = file.streams
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(1000, MILLISECONDS)
        frames = [*file.decode(stream)]
    assert [frame.pts * frame.time_base * 1000 for frame in frames] == [
        MILLISECONDS * number for number in range(len(frames))
    ]
    assert {(frame.colorspace, frame.color_range) for frame in frames} == {(BT709, LIMITED)}
    conversion = {
        "src_colorspace": "ITU709",
        "dst_colorspace": "ITU601",
    }  # av before 17 converts only if they differ
    return [frame.reformat(format="rgb24", **conversion).to_ndarray().astype(float) for frame in frames]


def assert_shows(frames: list[np.ndarray], pictures: list[np.ndarray], error: float) -> None:
    """Check that each frame is nearest to its own picture."""
    assert len(frames) == len(pictures)
    for number, frame in enumerate(frames):
        errors = [np.abs(frame - each).mean() for each in pictures]
        assert errors[number] == min(errors) < error, number


def test_a_video_is_the_same_walk(run: Path, tmp_path: Path) -> None:
    walk = ("--interpolate", "3", "--frames", "24", "--count", "4")
    assert "4 walks" in sample_here(run, "--out", "walk.mp4", *walk, folder=tmp_path).out
    sample_here(run, "--out", "walk.gif", *walk, folder=tmp_path)
    pictures = []
    with Image.open(tmp_path / "walk.gif") as moving:
        for number in range(moving.n_frames):
            moving.seek(number)
            pictures.append(np.asarray(moving.convert("RGB"), dtype=float))
            assert moving.info["duration"] == MILLISECONDS
    assert_shows(video(tmp_path / "walk.mp4"), pictures, LARGEST_ERROR[1])
    content = (tmp_path / "walk.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "else a browser shows nothing before it has all"
    assert {path.name for path in tmp_path.iterdir()} == {"walk.gif", "walk.mp4"}


@pytest.mark.parametrize(
    ("shape", "times"), [((1, 8, 8), 1), ((3, 8, 8), 1), ((3, 5, 3), 17), ((1, 257, 6), 1)], ids=str
)
def test_each_frame_of_a_video_is_its_picture(
    shape: tuple[int, ...], times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    game, pictures = small(shape), []
    original = game.generate

    def recording(latent: torch.Tensor, **options: Any) -> torch.Tensor:
        images = (4 * original(latent, **options)).tanh()
        images = images.repeat_interleave(times, 2).repeat_interleave(times, 3)
        pictures.append(grid(images))
        return images

    monkeypatch.setattr(game, "generate", recording)
    to_mp4(tmp_path / "walk.mp4", Source(game), 1, stops=3, frames=12)
    frames = video(tmp_path / "walk.mp4")
    factor = max(1, 256 // max(pictures[0].size))
    width, height = (factor * side for side in pictures[0].size)
    assert frames[0].shape == (height + height % 2, width + width % 2, 3)
    even = ((0, height % 2), (0, width % 2), (0, 0))
    expected = [each.resize((width, height), Image.Resampling.NEAREST).convert("RGB") for each in pictures]
    assert_shows(
        frames,
        [np.pad(np.asarray(each, dtype=float), even, "edge") for each in expected],
        LARGEST_ERROR[shape[0]],
    )


def test_a_walk_that_is_too_wide_for_a_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--count"):
        to_mp4(tmp_path / "walk.mp4", Source(small((1, 8, WIDEST + 1))), 1, stops=2, frames=2)
    assert not [*tmp_path.iterdir()]
    to_mp4(tmp_path / "walk.mp4", Source(small((1, 8, WIDEST))), 1, stops=2, frames=2)


def test_a_missing_encoder_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    answer = here("sample", run, "--out", "walk.mp4", folder=tmp_path)
    assert refused(answer, tmp_path) == 'ganlab: --out walk.mp4 needs av: pip install "ganlab[video]"\n'
    assert not [*tmp_path.iterdir()]
    sample_here(run, "--out", "walk.gif", "--frames", "2", folder=tmp_path)


def test_a_round_trip_passes_every_latent_at_constant_length() -> None:
    torch.manual_seed(0)
    stops = torch.nn.functional.normalize(torch.randn(5, 4, 16), dim=2)
    places = torch.stack([*round_trip(stops, 40)], 1)
    for stop in range(4):
        assert torch.allclose(places[:, 10 * stop], stops[:, stop], atol=1e-6)
    assert torch.allclose(places.norm(dim=2), torch.ones(5, 40), atol=1e-5)
    moves = (places - places.roll(-1, 1)).norm(dim=2)
    angles = torch.cosine_similarity(stops, stops.roll(-1, 1), dim=2).acos()
    assert torch.allclose(moves, (2 * (angles / 20).sin()).repeat_interleave(10, 1), atol=1e-5)


def test_a_path_between_equal_or_opposite_latents_is_finite() -> None:
    one = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    other = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [1.0, 1.0]])
    assert torch.equal(spherical(one, other, 0.25)[:2], torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert spherical(one, other, 0.25).isfinite().all()


def latents_of_walk(game: GAN, file: Path, walks: int) -> Tensor:
    """Of each of 16 frames."""
    latents: list[Tensor] = []
    original = game.generate
    with patch.object(
        game, "generate", lambda latent, **options: latents.append(latent) or original(latent, **options)
    ):
        to_gif(file, Source(game), walks, stops=4, frames=16)
    return torch.stack(latents)


def test_a_walk_of_uniform_latents_stays_in_their_range(tmp_path: Path) -> None:
    latents = latents_of_walk(small(latent_distribution="uniform"), tmp_path / "walk.gif", 50)
    assert len(latents) == 16
    assert latents.abs().max() <= 1
    assert torch.allclose(latents[2].var(), latents[0].var(), rtol=0.2)


def test_a_walk_keeps_the_codes_of_its_first_latent(tmp_path: Path) -> None:
    """Only the noise moves, as it would alone."""
    game = new(InfoGAN)
    first, *others = latents_of_walk(game, tmp_path / "walk.gif", 5)
    noise = game.latent_size - game.codes.size
    for later in others:
        assert torch.equal(later[:, noise:], first[:, noise:])
        assert not torch.equal(later[:, :noise], first[:, :noise])
    stops = game.latents(4, seed=seed_for("walk", 0, 0))[:, :noise]
    torch.testing.assert_close(others[1][:1, :noise], spherical(stops[:1], stops[1:2], 0.5))


def test_uniform_latents_in_the_corners_have_round_trips() -> None:
    torch.manual_seed(0)
    corners = 2 * torch.rand(3, 8, 10).round() - 1
    to_normal, to_uniform = CONVERSIONS["uniform"]
    places = to_uniform(torch.stack([*round_trip(to_normal(corners), 80)], 1))
    assert places.abs().max() <= 1
    assert torch.allclose(places[:, ::10], corners, atol=1e-5)
    assert torch.stack([*round_trip(corners, 80)], 1).abs().max() > 1


# Code that is not trusted


def test_a_runs_own_code_runs_only_when_it_is_trusted(
    conditional: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, become_another_user: Callable
) -> None:
    become_another_user()
    answer = here("sample", conditional, "--out", "grid.png", folder=tmp_path)
    message = refused(answer, tmp_path)
    assert "my_conditional.MyConditional" in message
    assert "--trust_code" in message
    with pytest.raises(Refused, match="trust_code=True"):
        ganlab.load(conditional)
    assert "my_conditional" not in sys.modules
    assert str(conditional / "code") not in sys.path
    monkeypatch.syspath_prepend(conditional / "code")
    classes = defined_classes(import_for_test(monkeypatch, "my_conditional"))
    for some in ([], classes[:2], classes[1:]):
        with pytest.raises(Refused, match=r"classes=\[My"):
            ganlab.load(conditional, classes=some)
    assert type(ganlab.load(conditional, classes=classes)).__name__ == "MyConditional"
    monkeypatch.undo()
    become_another_user()
    answer = sample_here(conditional, "--out", "grid.png", "--trust_code", folder=tmp_path)
    assert answer.out.startswith("my_conditional is imported\n")


def test_a_label_reaches_the_generator(
    conditional: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(conditional / "code")
    game = ganlab.load(conditional, classes=defined_classes(import_for_test(monkeypatch, "my_conditional")))
    trusted = (conditional, "--trust_code")
    for label in (3, 7):
        sample_here(*trusted, "--out", f"{label}.npz", "--count", "4", "--class", str(label), folder=tmp_path)
        shade = quantise(game.ema.network.shades(torch.tensor([label])).tanh())
        assert (read_images(tmp_path / f"{label}.npz") == shade.numpy()).all()
        direct = game.sample(4, seed=0, condition=torch.full((4,), label))
        assert (quantise(direct) == shade).all()
    assert (read_images(tmp_path / "3.npz") != read_images(tmp_path / "7.npz")).all()
    sample_here(*trusted, "--out", "walk.gif", "--class", "3", "--frames", "4", folder=tmp_path)
    with Image.open(tmp_path / "walk.gif") as moving:
        frames = {frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(moving)}
        assert (moving.n_frames, len(frames)) == (4, 1)
    wrong = here("sample", *trusted, "--out", "no.png", "--class", "10", folder=tmp_path)
    assert "no class 10" in refused(wrong, tmp_path)
    assert not (tmp_path / "no.png").exists()


def test_classes_have_a_row_each(conditional: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(conditional / "code")
    game = ganlab.load(conditional, classes=defined_classes(import_for_test(monkeypatch, "my_conditional")))
    shades = quantise(game.ema.network.shades.weight.detach().tanh()).squeeze(1)
    trusted = (conditional, "--trust_code")
    sample_here(*trusted, "--out", "some.npz", "--classes", "7,2", "--count", "6", folder=tmp_path)
    drawn = torch.from_numpy(read_images(tmp_path / "some.npz"))[:, 0, 0, 0]
    assert torch.equal(drawn, shades[[7, 7, 7, 2, 2, 2]])
    sample_here(*trusted, "--out", "all.png", "--classes", "all", "--count", "30", folder=tmp_path)
    whole = np.asarray(Image.open(tmp_path / "all.png"))
    names, sheet = np.split(whole, [-(3 * 66 - 2)], axis=1)
    assert sheet.shape == (10 * 66 - 2, 3 * 66 - 2)
    assert all((names[66 * row : 66 * row + 64] < 100).any() for row in range(10))
    assert [sheet[66 * row, 0] for row in range(10)] == shades.tolist()
    for wrong in (("--classes", "3,12"), ("--classes", "3", "--class", "3")):
        refused(here("sample", *trusted, "--out", "no.png", *wrong, folder=tmp_path), tmp_path)


def test_an_export_draws_the_classes_that_the_run_draws(
    conditional: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = here("export", conditional, "--out", "mine", "--trust_code", folder=tmp_path)
    assert answer.code == 0, answer
    monkeypatch.syspath_prepend(conditional / "code")
    for source, name in ((conditional, "run.npz"), (tmp_path / "mine", "export.npz")):
        sample_here(source, "--trust_code", "--out", name, "--count", "300", folder=tmp_path)
    images = read_images(tmp_path / "run.npz")
    assert (images == read_images(tmp_path / "export.npz")).all()
    assert len(np.unique(images)) == 10
    assert "unconditional" not in (tmp_path / "mine" / "README.md").read_text()


def test_a_conditional_game_of_our_networks_needs_no_trust(home: Path, tmp_path: Path) -> None:
    run = train_run(home, OURS_LABELLED, name="ours")
    assert here("export", run, "--out", "mine", folder=tmp_path).code == 0
    shared = tmp_path / "shared.ckpt"
    shutil.copy(checkpoint_or_export(run), shared)
    # Outside the run's folder it is nobody's own.
    for source, name in ((run, "a"), (tmp_path / "mine", "b"), (shared, "c")):
        sample_here(source, "--out", f"{name}.npz", "--class", "3", "--count", "5", folder=tmp_path)
    images = [read_images(tmp_path / f"{name}.npz") for name in "abc"]
    assert (images[0] == images[1]).all()
    assert (images[0] == images[2]).all()


NAMED = OURS_LABELLED.replace(
    "Digits, init_args: {size: 8", "ImageFolder, init_args: {root: insects, size: 8"
)
FAR = ("--model.generator_optimizer.lr", "0.1", "--trainer.max_steps", "6")  # so that classes differ


def test_a_class_is_named_and_an_npz_of_it_holds_images_as_without(home: Path, tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (home / "insects" / name).mkdir(parents=True)
        for number in range(12):
            shade = Image.new("RGB", (8, 8), (number, 20 * number, 200))
            shade.save(home / "insects" / name / f"{number}.png")
    run = train_run(home, NAMED, *FAR, name="named")
    drawn = {}
    for label in ("bee", "1", "ant"):
        sample_here(run, "--raw", "--class", label, "--count", "5", "--out", f"{label}.npz", folder=tmp_path)
        drawn[label] = read_images(tmp_path / f"{label}.npz")
        assert (drawn[label].dtype, drawn[label].shape) == (np.uint8, (5, 8, 8, 3))
    assert np.array_equal(drawn["bee"], drawn["1"])
    assert not np.array_equal(drawn["bee"], drawn["ant"])
    wrong = here("sample", run, "--class", "cat", "--out", "cat.npz", folder=tmp_path)
    assert "no class cat: classes are ant, bee" in refused(wrong, tmp_path)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--out grid.jpg", ("grid.jpg", ".png")),
        ("--out grid.png --count 0", ("--count", "0", "at least 1")),
        ("--out grid.png --count 20000", ("20,000", "npz")),
        ("--out grid.png --class 3", ("R3GAN", "no classes")),
        ("--out grid.png --class -1", ("--class", "-1")),
        ("--out grid.png --frames 9", ("--frames", ".gif", ".mp4")),
        ("--out walk.gif --interpolate 1", ("--interpolate", "at least 2")),
        ("--out walk.gif --frames 1", ("--frames", "at least 2")),
        ("--out walk.gif --frames 1000000000000", ("--frames", "at most 10,000")),
        ("--out file/walk.mp4", ("file/walk.mp4", "could not be written")),
        ("--out file/grid.png", ("file/grid.png", "could not be written")),
        ("--out folder.png", ("folder.png", "folder")),
        ("--out folder.png --cuont 3", ("'cuont'", "count")),
        ("--count 3", ("out",)),
    ],
)
def test_wrong_options_are_refused(arguments: str, words: tuple[str, ...], run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    message = refused(here("sample", run, *arguments.split(), folder=tmp_path), tmp_path)
    for word in words:
        assert word in message
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder.png"}


def test_a_path_without_a_generator_is_refused(run: Path, tmp_path: Path) -> None:
    write(tmp_path, "hello", "note.txt")
    (tmp_path / "empty").mkdir()
    for what in ("nowhere", "note.txt", "empty", run / "config.yaml"):
        message = refused(here("sample", what, "--out", "grid.png", folder=tmp_path), tmp_path)
        assert str(what) in message


def test_a_game_built_in_python_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.ckpt"
    torch.save({"state_dict": {}, "global_step": 3}, path)
    with pytest.raises(Refused, match="built in Python"):
        ganlab.load(path)


def small(shape: tuple[int, ...] = (1, 8, 8), **options: Any) -> HingeGAN:
    players = {
        "generator": MLPGenerator(shape=shape, latent_size=4, hidden=(8,)),
        "discriminator": MLPDiscriminator(shape=shape, hidden=(8,)),
    }
    return HingeGAN(**players, latent_size=4, **options)


def test_sampling_leaves_a_game_as_it_was() -> None:
    game = small()
    assert game.generator.training
    assert torch.equal(game.sample(3, seed=5), game.generate(game.latents(3, seed=5)))
    assert game.generator.training
    assert not game.sample(3, seed=5, raw=True).requires_grad
    *_, last = layers = [*game.generator.modules()]
    last.eval()
    game.sample(3, seed=5, raw=True)
    assert [layer for layer in layers if not layer.training] == [last]


class Labelled(HingeGAN):
    """A game whose samples depend on their class, and are returned with it."""

    def fake(self, generator: Any, latent: torch.Tensor, condition: Any) -> Any:
        images = generator(latent) + condition["label"].view(-1, 1, 1, 1)
        return images, {"label": condition["label"] + condition["shift"]}


def test_a_network_gets_latents_in_small_batches() -> None:
    game = small()
    game.__class__ = Labelled
    sizes: list[int] = []
    game.ema.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    labels, latents = torch.arange(300), game.latents(300, seed=1)
    images, heads = game.generate(latents, condition={"label": labels, "shift": torch.tensor(7)})
    assert max(sizes) < 100
    assert sum(sizes) == 300
    assert torch.equal(heads["label"], labels + 7)
    assert torch.allclose(images, game.ema(latents) + labels.view(-1, 1, 1, 1), atol=1e-4)
