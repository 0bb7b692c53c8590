"""Pictures beside what is left of them: known answers, and that held-out items are the same everywhere."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, run_folders, write
from PIL import Image
from torch import Tensor

import ganlab
from ganlab.data import Degraded, Digits, Downscaled, Gaussians, Masked, StreamData
from ganlab.data.degradations import Downscaling, DrawsOfItems, Masking, Spoiling, fitted
from ganlab.errors import Refused
from ganlab.game.draws import Draws
from ganlab.media import PicturesWithHoles
from ganlab.media.holes import with_hole
from ganlab.sampling.sources import read_sources
from ganlab.testing import Specks

GREY, COLOUR = (1, 16, 16), (3, 16, 16)
KINDS = ("centre", "boxes", "strokes")


def draws(count: int, draw: int = 0) -> DrawsOfItems:
    return DrawsOfItems(draw, "held_out", torch.arange(count))


def noisy(**more: Any) -> Degraded:
    return Degraded(**{"of": Digits(size=16), "noise": 25.0, **more})


def held_out(data: StreamData, positions: Tensor) -> tuple[Tensor, ...]:
    assert data.splits.held_out
    return data.splits.held_out[positions]


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "area", "nearest"])
def test_a_smaller_form_of_one_colour_is_of_that_colour(kernel: Any) -> None:
    pictures = torch.tensor([-1.0, 0.2, 1.0]).reshape(1, 3, 1, 1).expand(2, *COLOUR)
    smaller = Downscaling(COLOUR, 4, kernel).degraded(pictures, draws(2))
    assert torch.allclose(smaller, pictures[:, :, :4, :4], atol=1e-6)


def test_a_smaller_form_does_not_move_and_has_no_aliases() -> None:
    stripes = torch.tensor([-1.0, 1.0]).repeat(8).expand(1, 1, 16, 16)
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16)
    for kernel in ("bicubic", "bilinear", "area", "nearest"):
        smaller = Downscaling(GREY, 2, kernel)  # type: ignore[arg-type]
        if kernel != "nearest":
            assert smaller.degraded(stripes, draws(1))[..., 2:-2].abs().max() < 0.2
        turned = smaller.degraded(ramp, draws(1)) + smaller.degraded(ramp.flip(-1), draws(1)).flip(-1)
        step = 2 / 15 if kernel == "nearest" else 1e-5
        assert (turned / 2 - smaller.degraded(ramp, draws(1))).abs().max() <= step


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_hole_has_its_share_and_its_place_by_chance(kind: Any, share: float) -> None:
    known = Masking((3, 32, 32), kind, share).known(draws(8)).float()
    shares = 1 - known.mean((1, 2, 3))
    assert (shares >= share).all()
    assert (shares < share + 0.08).all()
    assert (known.unique(dim=0).shape[0] == 1) is (kind == "centre")


def test_the_hole_in_the_middle_is_a_square_there() -> None:
    known = Masking(GREY, "centre", 0.25).known(draws(1))[0, 0]
    assert not known[4:12, 4:12].any()
    assert int(known.sum()) == 16 * 16 - 8 * 8


def test_nothing_of_a_hole_is_left_but_the_mean_of_what_is_known() -> None:
    masking, pictures = Masking(COLOUR, "boxes", 0.3), 2 * torch.rand(4, *COLOUR) - 1
    left = masking.degraded(pictures, draws(4))
    colours, known = left[:, :-1], left[:, -1:] > 0
    assert torch.equal(colours * known, pictures * known)
    inside = [picture[:, ~mask[0]] for picture, mask in zip(colours, known, strict=True)]
    assert all(torch.equal(hole, hole[:, :1].expand_as(hole)) for hole in inside)
    other = torch.where(known, pictures, -pictures)
    assert torch.equal(masking.degraded(other, draws(4)), left)


def planes(size: int) -> Tensor:
    """Pictures that satisfy Laplace's equation: two ramps and a saddle, from edge to edge of all levels."""
    down, across = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    return torch.stack([down, across, down**2 - across**2]).expand(4, -1, -1, -1)


@pytest.mark.parametrize("size", [64, 45])
@pytest.mark.parametrize("kind", ["centre", "boxes", "strokes"])
def test_diffusion_restores_what_satisfies_laplaces_equation(kind: Any, size: int) -> None:
    known = Masking((3, size, size), kind, 0.3).known(draws(4))
    known[..., [0, -1]] = known[..., [0, -1], :] = True
    pictures = planes(size)
    beneath = torch.where(known, pictures, torch.rand_like(pictures))
    left = with_hole(beneath, known.float(), "diffusion")[:, :-1]
    assert torch.equal(left * known, pictures * known)
    assert (left - pictures).abs().max() * 127.5 < 0.5
    assert (with_hole(beneath, known.float())[:, :-1] - pictures).abs().max() * 127.5 > 50


def test_diffusion_reaches_holes_at_the_border_and_pictures_without_any_or_nothing_else() -> None:
    flat = torch.full((3, 1, 9, 14), 0.25)
    known = torch.ones(3, 1, 9, 14)
    known[0, :, 2:, 3:], known[1] = 0, 0
    left = with_hole(flat, known, "diffusion")
    assert torch.allclose(left[0, :1], flat[0], atol=0.01)
    assert torch.equal(left[1, :1], torch.zeros(1, 9, 14))
    assert torch.equal(left[2, :1], flat[2])


@pytest.mark.parametrize("fill", ["mean", "diffusion"])
def test_holes_in_training_in_held_out_items_and_in_a_users_picture_are_filled_alike(fill: Any) -> None:
    data = Masked(of=Specks(), fill=fill)
    pictures, left = held_out(data, torch.arange(3))
    users = torch.cat([torch.where(left[:, 1:] > 127, pictures, 99), left[:, 1:]], 1)
    given = data.media[1].played(users)
    assert torch.equal(given, data.media[1].played(left))
    held = DrawsOfItems(0, "held_out", torch.arange(3))
    assert data.completion
    assert torch.equal(data.completion((data.media[0].played(pictures),), held)[1], given)
    assert (data.media[1].stored(given) - left.float()).abs().max() == 0


INPAINTING = """\
model:
  class_path: Restoration
  init_args:
    latent_size: 0
    generator: {class_path: GatedGenerator, init_args: {width: 4}}
    discriminator: {class_path: PatchGANDiscriminator, init_args: {width: 4, layers: 1}}
    fidelity: [{class_path: ganlab.fidelity.L1}]
data: {class_path: Masked, init_args: {of: {class_path: Digits, init_args: {size: 16}}, fill: diffusion}}
trainer: {max_steps: 1, accelerator: cpu}
samples: {count: 2}
"""


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
def test_a_run_fills_the_holes_of_pictures_that_are_given_as_its_data_do(tmp_path: Path) -> None:
    answer = here("fit", "--config", write(tmp_path, INPAINTING), folder=tmp_path)
    assert answer.code == 0, answer
    game = ganlab.load(run_folders(tmp_path)[0])
    ramp = np.tile(np.linspace(0, 255, 16).round().astype(np.uint8), (16, 1))
    holed = np.stack([ramp, np.full_like(ramp, 255)], -1)
    holed[4:12, 4:12] = 0
    Image.fromarray(holed).save(tmp_path / "holed.png")
    assert game.source_medium
    given = read_sources(tmp_path / "holed.png", game.source_medium).items
    told = game.source_medium.played(given)[0]
    assert (told[0] - torch.from_numpy(ramp / 127.5 - 1)).abs().max() * 127.5 < 1.5
    assert int((told[1] == 0).sum()) == 64
    made = here(
        "sample", run_folders(tmp_path)[0], "--given", "holed.png", "--out", "made.npz", folder=tmp_path
    )
    assert made.code == 0, made
    expected = game.medium(given).stored(game.sample(1, seed=0, given=given)).movedim(1, -1).numpy()
    with np.load(tmp_path / "made.npz") as file:
        assert abs(file["images"].astype(int) - expected).max() <= 1


def test_a_users_transparent_picture_has_a_hole_whatever_lies_beneath() -> None:
    medium = PicturesWithHoles((4, 2, 2))
    stored = torch.full((1, 4, 2, 2), 255, dtype=torch.uint8)
    stored[0, 0, 0, 0], stored[0, 1, 1, 1], stored[0, 3, 1, 1] = 0, 7, 127
    played = medium.played(stored)
    assert played[0, :, 1, 1].tolist() == pytest.approx([1 / 3, 1, 1, 0])
    assert played[0, 3].flatten().tolist() == [1, 1, 1, 0]
    again = medium.stored(played)
    assert torch.equal(medium.played(again), played)
    sheet = medium.sheet(stored)
    assert sheet.getpixel((sheet.width - 1, sheet.height - 1)) == (255, 255, 255)
    assert sheet.getpixel((0, 0)) == (0, 255, 255)


def test_noise_has_its_deviation_and_blur_keeps_a_colour_and_spreads_a_point() -> None:
    grey = torch.zeros(4, 1, 64, 64)
    spoilt = Spoiling(GREY, 20.0, 0.0, None, False).degraded(grey, draws(4))
    assert float(spoilt.std() * 127.5) == pytest.approx(20, rel=0.05)
    blurring = Spoiling(GREY, 0.0, 2.0, None, False)
    assert torch.allclose(blurring.degraded(grey + 0.3, draws(4)), grey + 0.3, atol=1e-6)
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    spread = blurring.degraded(point, draws(1))[0, 0]
    places = torch.arange(33.0) - 16
    assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
    assert float((spread.sum(0) * places**2).sum()) == pytest.approx(4, rel=0.02)


def test_grey_is_the_luma_and_jpeg_is_near_the_picture() -> None:
    pictures = torch.rand(2, 3, 1, 1).expand(2, *COLOUR) * 2 - 1
    luma = (pictures[:, :, 0, 0] * torch.tensor([0.299, 0.587, 0.114])).sum(1)
    grey = Spoiling(COLOUR, 0.0, 0.0, None, True)
    assert grey.medium.shape == GREY
    assert torch.allclose(grey.degraded(pictures, draws(2))[:, 0, 0, 0], luma, atol=1e-6)
    stored = Spoiling(COLOUR, 0.0, 0.0, 60, False).stored(pictures, draws(2))
    assert (stored.float() - (pictures + 1) * 127.5).abs().max() < 6


@pytest.mark.parametrize(
    "data",
    [noisy, lambda **more: Masked(of=Digits(size=16), kind="strokes", **more)],
    ids=["noise", "strokes"],
)
def test_a_held_out_item_follows_from_its_number_and_the_draw(data: Any) -> None:
    whole = held_out(data(), torch.arange(40))
    order = torch.tensor([31, 4, 17])
    for changed in ({}, {"seed": 5}, {"batch_size": 3}):
        for column, all_of in zip(held_out(data(**changed), order), whole, strict=True):
            assert torch.equal(column, all_of[order])
    assert torch.equal(held_out(data(), torch.tensor([9]))[1][0], whole[1][9])
    assert not torch.equal(held_out(data(draw=1), order)[1], whole[1][order])
    assert [len(column) for column in held_out(data(), torch.arange(0))] == [0, 0]


def test_training_reads_pictures_alone_and_a_turn_makes_the_rest() -> None:
    data = noisy(batch_size=4)
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert [column.shape for column in batch] == [(4, 1, 16, 16)]
    assert data.completion

    def turn(seed: int, rows: slice = slice(0, 4)) -> Tensor:
        of_turn = Draws(seed, 4, device="cpu", dtype=torch.float32)
        of_turn.restart(rows)
        assert data.completion
        return data.completion(tuple(column[rows] for column in batch), of_turn)[1]

    assert torch.equal(turn(1), turn(1))
    assert not torch.equal(turn(1), turn(2))
    assert torch.equal(torch.cat([turn(1, slice(0, 2)), turn(1, slice(2, 4))]), turn(1))
    levels = (turn(1) + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-4), "rounded as held-out items are"
    assert levels.min() >= -1e-4
    assert len(data.splits.train[torch.arange(3)]) == 2


def test_a_fingerprint_is_that_of_the_set_and_of_what_is_done_to_it() -> None:
    kinds: list[Any] = [
        *(Masked(of=Specks(), **more) for more in ({}, {"share": 0.3}, {"kind": "strokes"}, {"draw": 1})),
        Masked(of=Specks(), fill="diffusion"),
        Masked(of=Specks(images=31)),
        *(Degraded(of=Specks(), **more) for more in ({"noise": 1.0}, {"blur": 1.0}, {"jpeg": 1})),
    ]
    for split in ("train", "held_out"):
        assert len({data.fingerprint_of(split) for data in kinds}) == len(kinds) - (split == "held_out")
    assert Masked(of=Specks()).fingerprint == kinds[0].fingerprint


def test_what_nobody_restored_has_the_shape_of_what_is_made() -> None:
    smaller = torch.full((2, 3, 4, 4), 90, dtype=torch.uint8)
    assert torch.equal(fitted(smaller, COLOUR), torch.full((2, *COLOUR), 90, dtype=torch.uint8))
    assert fitted(torch.zeros(2, *GREY, dtype=torch.uint8), COLOUR).shape == (2, *COLOUR)
    with_alpha = torch.arange(4, dtype=torch.uint8).reshape(1, 4, 1, 1).expand(2, 4, 16, 16)
    assert torch.equal(fitted(with_alpha, COLOUR), with_alpha[:, :3])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Downscaled(of=Digits(size=30), scale=4), "no whole multiple of scale 4"),
        (lambda: Downscaled(of=Digits(), scale=1), "scale is 1"),
        (lambda: Downscaled(of=Gaussians()), "needs a set of pictures"),
        (lambda: Downscaled(of=noisy()), "needs a set of pictures"),
        (lambda: Masked(of=Digits(), share=0.0), "share is 0.0"),
        (lambda: Masked(of=Digits(), kind="blob"), "'blob'.*centre, boxes, strokes"),  # type: ignore[arg-type]
        (lambda: Masked(of=Digits(), fill="paint"), "'paint'.*mean, diffusion"),  # type: ignore[arg-type]
        (lambda: Degraded(of=Digits()), "leaves pictures as they are"),
        (lambda: Degraded(of=Digits(), grey=True), "grey needs pictures in colour"),
        (lambda: Degraded(of=Digits(), jpeg=101), "jpeg is 101"),
    ],
)
def test_what_cannot_be_degraded_is_refused(make: Any, words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        make()
    assert len(str(refusal.value).splitlines()) <= 3
