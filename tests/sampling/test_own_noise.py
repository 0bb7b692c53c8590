"""Networks that draw noise of their own: sample i of a seed is the same wherever it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, refused, write
from PIL import Image
from several_processes import together
from torch import Tensor, nn
from torch.nn.functional import dropout
from trained_runs import FAST, export_run, train_run

import ganlab
from ganlab.checkpoints.estimate import TooLarge, refuse_too_large
from ganlab.checkpoints.onnx import write_onnx
from ganlab.errors import Refused
from ganlab.game.chunks import CHUNK_SIZE
from ganlab.game.gan import GAN
from ganlab.game.own_noise import warn_of_noise
from ganlab.media import Pictures
from ganlab.networks import UNetGenerator
from ganlab.networks.layers import Dropout, Noise
from ganlab.networks.random_layers import uniform_like
from ganlab.sampling.plan import BLOCK, fake_batches
from ganlab.sampling.walk import to_gif
from ganlab.sampling.write import Source
from ganlab.testing import PAIRED, SHAPE, SpeckPairs, new
from ganlab.variants import HingeGAN, Pix2Pix


class Ours(nn.Module):
    """Its noise comes from layers of ganlab."""

    def __init__(self, shape: tuple[int, ...] = SHAPE, latent_size: int = 8) -> None:
        super().__init__()
        self.linear, self.noise = nn.Linear(latent_size, 64), Noise()
        self.dropout, self.convolution = Dropout(0.3), nn.Conv2d(1, 1, 3, padding=1)
        nn.init.constant_(self.noise.strength, 0.5)

    def forward(self, latent: Tensor) -> Tensor:
        maps = self.dropout(self.linear(latent)).unflatten(1, SHAPE)
        return self.convolution(self.noise(maps)).tanh()


class LeftOn(Ours):
    """Dropout of torch that it leaves in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.left_on = nn.Dropout(0.3)

    def forward(self, latent: Tensor) -> Tensor:
        return self.left_on.train()(super().forward(latent))


class Functional(Ours):
    def forward(self, latent: Tensor) -> Tensor:
        return dropout(super().forward(latent), 0.3, training=True)


class OneForAll(Ours):
    """The same numbers for all samples of a pass."""

    def forward(self, latent: Tensor) -> Tensor:
        return super().forward(latent) + torch.randn(SHAPE, dtype=latent.dtype)


class TwoEach(Ours):
    """Its random layer gets two rows a sample, one behind the other's all."""

    def forward(self, latent: Tensor) -> Tensor:
        return super().forward(torch.cat([latent, -latent])).unflatten(0, (2, -1)).mean(0)


FOREIGN = (LeftOn, Functional, OneForAll, TwoEach)
every_kind = pytest.mark.parametrize("kind", [Ours, *FOREIGN], ids=lambda kind: kind.__name__)


def game(kind: type[nn.Module], **arguments: Any) -> GAN:
    """A game whose average and raw generator differ."""
    made = new(HingeGAN, generator=kind, **arguments)
    with torch.no_grad():
        for parameter in made.generator.parameters():
            parameter.mul_(1.1)
    return made


@pytest.fixture(autouse=True)
def _nothing_was_said() -> None:
    warn_of_noise.cache_clear()


@every_kind
@pytest.mark.parametrize("raw", [False, True], ids=["average", "raw"])
def test_a_sample_follows_from_seed_and_number(kind: type[nn.Module], raw: bool) -> None:
    played = game(kind)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    made = played.sample(BLOCK, seed=3, raw=raw)
    for at in (0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, 100, BLOCK - 1):
        alone = played.sample(1, seed=3, raw=raw, at=at, whole=True)
        assert torch.equal(alone, made[at : at + 1]), at
    for at, count in ((BLOCK - 30, 50), (7, 70), (BLOCK, 3)):
        some = played.sample(count, seed=3, raw=raw, at=at)
        torch.testing.assert_close(some[: BLOCK - at], made[at : at + count])
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(played.sample(3, seed=4, raw=raw), made[:3])
    assert not torch.equal(played.sample(3, seed=3, raw=not raw), made[:3])


@every_kind
def test_samples_of_one_latent_differ_by_their_noise(kind: type[nn.Module]) -> None:
    played = game(kind)
    latents = played.latents(1, seed=0).expand(70, -1)
    made = played.generate(latents)
    assert len(made.flatten(1).unique(dim=0)) == 70
    assert torch.equal(made, played.generate(latents, seed=0, numbers=range(70)))
    other = played.generate(latents, seed=1)
    assert not (made == other).flatten(1).all(1).any()
    torch.testing.assert_close(played.generate(latents[:2], numbers=[9, 3]), made[[9, 3]])


@every_kind
def test_training_draws_from_the_global_generator(kind: type[nn.Module]) -> None:
    played = game(kind)
    latents, drawn = played.latents(4, seed=0), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(played.fake(played.generator, latents, None))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_no_samples_have_the_shape_of_some() -> None:
    for kind in (Ours, Functional):
        assert game(kind).sample(0, seed=0).shape == (0, *SHAPE)


# What is said, and what it costs


def passes(played: GAN, draw: Callable[[], Any]) -> list[int]:
    """How many samples the average is asked for in each of its passes."""
    sizes: list[int] = []
    hook = played.ema.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    draw()
    hook.remove()
    return sizes


def test_ours_and_networks_without_noise_are_asked_for_whole_chunks(capsys: pytest.CaptureFixture) -> None:
    for played in (game(Ours), new(HingeGAN)):
        assert passes(played, lambda played=played: played.sample(150, seed=0)) == [64, 64, 22]
        assert passes(played, lambda played=played: played.sample(3, seed=0, whole=True)) == [64]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_others_are_asked_for_one_at_a_time_which_is_said_once(
    kind: type[nn.Module], capsys: pytest.CaptureFixture
) -> None:
    played = game(kind)
    assert passes(played, lambda: played.sample(70, seed=0)) == [64, *[1] * 70]
    assert passes(played, lambda: played.sample(3, seed=0, whole=True)) == [64, 1, 1, 1]
    game(kind).sample(2, seed=0, raw=True)
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert not out
    for part in (f"ganlab: {kind.__name__}, ", "one at a time", "ganlab.networks.layers"):
        assert part in line


# Conditions


class Holes(GAN):
    """Told each picture with holes at random places."""

    loss = HingeGAN.loss

    def condition(self, batch: Any) -> Any:
        pictures = batch[0] if isinstance(batch, tuple) else batch
        return pictures * (self.draw(pictures[:, :1]) > 0.5)

    def fake(self, generator: nn.Module, latent: Any, condition: Any) -> Any:
        return condition

    @staticmethod
    def draw(like: Tensor) -> Tensor:
        return uniform_like(like)


class ForeignHoles(Holes):
    draw = staticmethod(torch.rand_like)


@pytest.mark.parametrize("variant", [Holes, ForeignHoles], ids=lambda variant: variant.__name__)
def test_conditions_may_draw_too(variant: type[GAN]) -> None:
    played = new(variant)
    played.meet(SpeckPairs(images=90, held_out=80))
    made = played.sample(80, seed=0)
    assert 0.4 < (made == 0).double().mean() < 0.6
    for at in (0, 5, 70):
        assert torch.equal(played.sample(1, seed=0, at=at, whole=True), made[at : at + 1])
    holes = (made == 0).flatten(1)
    assert len(holes.unique(dim=0)) == 80
    assert not torch.equal(holes, (played.sample(80, seed=1) == 0).flatten(1))


# Several processes, films, files


def drawn_by_all() -> dict[tuple[str, int], Tensor]:
    """This process's share of three blocks of samples, by network and first number."""
    return {
        (kind.__name__, int(numbers[0])): made
        for kind in (Ours, Functional)
        for numbers, made in fake_batches(game(kind), 553, 3)
    }


def test_two_processes_draw_what_one_does(tmp_path: Path) -> None:
    alone, answers = drawn_by_all(), together(drawn_by_all, 2, tmp_path)
    assert [len(blocks) for blocks in answers] == [2 * 2, 2 * 1]
    for blocks in answers:
        for block, made in blocks.items():
            assert torch.equal(made, alone[block])


class Still(Ours):
    """Noise alone, whatever the latent is."""

    def forward(self, latent: Tensor) -> Tensor:
        return super().forward(0 * latent)


class StillFunctional(Functional):
    def forward(self, latent: Tensor) -> Tensor:
        return super().forward(0 * latent)


@pytest.mark.parametrize("kind", [Still, StillFunctional], ids=lambda kind: kind.__name__)
def test_in_a_film_noise_stands_still(kind: type[nn.Module], tmp_path: Path) -> None:
    to_gif(tmp_path / "film.gif", Source(game(kind)), 2, stops=2, frames=5)
    with Image.open(tmp_path / "film.gif") as film:
        first = np.asarray(film.convert("L"))
        assert film.n_frames == 1 or not any(_differs(film, frame, first) for frame in range(film.n_frames))
    left, right = np.split(first, 2, axis=1)
    assert not np.array_equal(left, right), "each walk has noise of its own"


def _differs(film: Image.Image, frame: int, first: np.ndarray) -> bool:
    film.seek(frame)
    return not np.array_equal(np.asarray(film.convert("L")), first)


MINE = """\
import torch
from torch import nn
from torch.nn.functional import dropout


class Foreign(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 4):
        super().__init__()
        self.shape, self.layer = tuple(shape), nn.Linear(latent_size, 64)

    def forward(self, latent):
        return dropout(self.layer(latent).unflatten(1, self.shape).tanh(), 0.5, training=True)
"""
CONFIG = f"""\
model:
  class_path: HingeGAN
  init_args:
    latent_size: 4
    ema_ramp: null
    {FAST}
    generator: {{class_path: my_own_noise.Foreign}}
    discriminator: {{class_path: MLPDiscriminator, init_args: {{hidden: [16]}}}}
data: {{class_path: Digits, init_args: {{size: 8, batch_size: 8}}}}
evaluation: {{extractor: Pixels, samples: 60, every_n_steps: 2}}
samples: {{every_n_steps: 2, count: 9}}
trainer: {{max_steps: 4, accelerator: cpu}}
"""


def test_all_commands_draw_the_same(tmp_path: Path) -> None:
    write(tmp_path, MINE, "my_own_noise.py")
    run = train_run(tmp_path, CONFIG)
    scores = json.loads((run / "scores.jsonl").read_text().splitlines()[-1])["scores"]
    out = export_run(run, tmp_path / "export", "--trust_code")

    def drawn(source: Path, name: str, *options: str) -> Path:
        warn_of_noise.cache_clear()
        answer = here(
            "sample", source, "--out", name, "--seed", "3", "--trust_code", *options, folder=tmp_path
        )
        assert answer.code == 0, answer
        assert answer.err.count("one at a time") == 1
        return tmp_path / name

    with np.load(drawn(run, "a.npz", "--count", "70")) as file:
        images = file["images"]
    expected = ganlab.load(run, trust_code=True).sample(70, seed=3)
    medium = Pictures((1, 8, 8))
    assert np.array_equal(images, medium.as_array(medium.stored(expected)))
    assert len(np.unique(images.reshape(70, -1), axis=0)) == 70
    assert drawn(out, "b.npz", "--count", "70").read_bytes() == (tmp_path / "a.npz").read_bytes()
    files = sorted(drawn(run, "folder", "--count", "5").iterdir())
    for image, file in zip(images, files, strict=False):
        assert np.array_equal(np.asarray(Image.open(file)), image[:, :, 0])
    answer = here("evaluate", run, "--samples", "60", "--json", folder=tmp_path)
    found = json.loads(answer.out)["scores"]
    assert {name: value["value"] for name, value in found.items()} == pytest.approx(scores)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    answer = here("export", run, "--out", "other", "--onnx", "--trust_code", folder=elsewhere)
    assert "Foreign draws noise of its own" in refused(answer, elsewhere)
    assert not [*elsewhere.iterdir()]


@every_kind
def test_no_file_for_onnx_is_written_of_a_network_with_noise(kind: type[nn.Module], tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"^{kind.__name__} draws noise of its own") as refusal:
        write_onnx(tmp_path, game(kind))
    assert len(str(refusal.value).splitlines()) <= 3
    assert not [*tmp_path.iterdir()]


# Files that are sized up


def test_a_game_with_noise_is_sized_up_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Ours, *FOREIGN):
        refuse_too_large(lambda kind=kind: new(HingeGAN, generator=kind), Path("some.ckpt"))
    monkeypatch.setenv("GANLAB_MOST_GB", "0.0001")
    for kind in (Ours, *FOREIGN):
        with pytest.raises(TooLarge, match="to draw 250 samples"):
            refuse_too_large(lambda kind=kind: new(HingeGAN, generator=kind), Path("some.ckpt"))


def test_pix2pix_draws_by_dropout() -> None:
    def unet() -> nn.Module:
        return UNetGenerator(**PAIRED, dropout=0.5)

    played = new(Pix2Pix, generator=unet, latent_size=0)
    played.meet(SpeckPairs(images=90, held_out=80))
    made = played.sample(80, seed=0)
    assert torch.equal(played.sample(1, seed=0, at=70, whole=True), made[70:71])
    given = torch.zeros(1, *SHAPE, dtype=torch.uint8)
    assert len(played.sample(8, seed=0, given=given).flatten(1).unique(dim=0)) > 1


@pytest.mark.slow
def test_a_compiled_generator_draws_what_a_loaded_one_does(capsys: pytest.CaptureFixture) -> None:
    played, loaded = game(Ours, compile=True), game(Ours)
    played.configure_model()
    expected = loaded.sample(70, seed=0, raw=True)
    torch.testing.assert_close(played.sample(70, seed=0, raw=True), expected)
    assert torch.equal(played.sample(70, seed=0), loaded.sample(70, seed=0))
