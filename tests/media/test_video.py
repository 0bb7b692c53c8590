"""Clips: levels, files that are read back as they were, sheets in rows and in motion, and broken files."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from ganlab.errors import Refused
from ganlab.media import Video
from ganlab.media.films import gif, gif_frames, mp4_frames
from ganlab.media.shown import Unreadable

GREY, COLOUR = Video((4, 1, 9, 11), 10), Video((4, 3, 9, 11), 12.5)


def clips(medium: Video, count: int = 5, levels: int = 256) -> Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randint(levels, (count, *medium.shape), dtype=torch.uint8, generator=source)


def written(medium: Video, clip: Tensor, folder: Path) -> bytes:
    medium.write(folder / "a.gif", clip)
    return (folder / "a.gif").read_bytes()


def test_a_frame_is_played_as_a_picture() -> None:
    stored = clips(COLOUR)
    assert torch.equal(COLOUR.played(stored)[:, 2], COLOUR.frame.played(stored[:, 2]))
    assert torch.equal(COLOUR.stored(COLOUR.played(stored)), stored)
    with pytest.raises(Refused, match="no numbers"):
        GREY.stored(torch.full((1, *GREY.shape), float("nan")))


@pytest.mark.parametrize(
    "clip",
    [
        pytest.param(clips(GREY)[0], id="every grey"),
        pytest.param(clips(GREY)[0][:1].expand(4, -1, -1, -1), id="a clip that stands still"),
        pytest.param(clips(GREY)[0][[0, 0, 1, 1]], id="equal frames"),
        pytest.param(torch.zeros(4, 1, 9, 11, dtype=torch.uint8), id="black"),
        pytest.param(clips(COLOUR, levels=6)[0] * 40, id="216 colours"),
    ],
)
def test_a_file_is_read_back_to_the_last_bit(clip: Tensor, tmp_path: Path) -> None:
    medium = Video(clip.shape, 10)
    assert torch.equal(Video.read(written(medium, clip, tmp_path)), clip)


def test_of_more_colours_the_nearest_are_left(tmp_path: Path) -> None:
    shades = torch.linspace(0, 255, 4 * 32 * 32).reshape(4, 1, 32, 32)
    clip = torch.cat([shades, shades.flip(2), shades.flip(3)], 1).byte()
    read = Video.read(written(Video(clip.shape, 10), clip, tmp_path))
    error = (read.float() - clip.float()).abs()
    assert read.shape == clip.shape
    assert 0 < error.mean() < 8
    assert len({tuple(pixel) for pixel in read.movedim(1, -1).flatten(0, 2).tolist()}) <= 256


@pytest.mark.parametrize(("rate", "shown"), [(10, 100), (25, 40), (30, 30), (1000, 10)])
def test_a_file_repeats_at_its_rate(rate: float, shown: int, tmp_path: Path) -> None:
    with Image.open(BytesIO(written(Video(GREY.shape, rate), clips(GREY)[0], tmp_path))) as film:
        assert (film.n_frames, film.info["loop"]) == (4, 0)
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(film)] == [shown] * 4


def test_frames_that_another_program_joined_are_read_as_many(tmp_path: Path) -> None:
    clip = clips(GREY)[0][[0, 1, 1, 1, 2]]
    first, *others = [Image.fromarray(frame[0].numpy()) for frame in clip]
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=50)
    assert len([*gif_frames((tmp_path / "a.gif").read_bytes())]) == 3
    assert torch.equal(Video.read((tmp_path / "a.gif").read_bytes()), clip)


def test_sheets_are_strips_and_films_of_them_move() -> None:
    stored = clips(GREY, 6)
    sheet = np.asarray(GREY.sheet(stored, 2))
    # Frames of 11 pixels are enlarged to 22, and lie a pixel apart.
    assert sheet.shape == (3 * 20 - 2, 2 * (4 * 23 + 1) - 2)
    assert np.array_equal(sheet[:18:2, 23:45:2], stored[0, 1, 0])
    assert (sheet[:18, 22] == 255).all()
    film = GREY.film(GREY.played(stored), 3)
    assert film is not None
    frames, rate = film
    assert (len(frames), rate) == (4, 10)
    # On the sheet of a moment small pictures are as large as pictures on a sheet are.
    assert all(np.array_equal(frames[t], GREY.frame.sheet(_enlarged(stored[:, t]), 3)) for t in range(4))
    assert GREY.captioned(stored[:2], ["one", "two"]).width > GREY.sheet(stored[:2]).width
    assert GREY.frame.film(stored[:, 0]) is None


def _enlarged(frames: Tensor) -> Tensor:
    return frames.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_a_sheet_of_many_clips_is_nearly_square() -> None:
    width, height = GREY.sheet(clips(GREY, 64)).size
    assert 0.5 < width / height < 2


def test_clips_of_other_channels_cannot_be_shown(tmp_path: Path) -> None:
    medium = Video((4, 2, 9, 11), 10)
    assert not medium.drawable
    for show in (medium.sheet, medium.film):
        with pytest.raises(Refused, match="neither grey nor coloured"):
            show(clips(medium))
    with pytest.raises(Refused, match="npz"):
        medium.write(tmp_path / "a.gif", clips(medium)[0])


WHOLE = gif([Image.fromarray(frame[0].numpy()) for frame in clips(GREY)[0]], 100)
PAUSED = gif([Image.fromarray(frame[0].numpy()) for frame in clips(GREY)[0]], [10, 10, 10, 600_000])
STILL = gif([Image.fromarray(clips(GREY)[0, 0, 0].numpy())], 100)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no whole"),
        (b"GIF89a and then something else", "no whole"),
        (WHOLE[:9], "no whole"),
        (WHOLE[: len(WHOLE) // 2], "no whole"),
        (STILL, "still picture"),
        (PAUSED, "as long as 60,003 of its shortest frame"),
    ],
    ids=["empty", "text", "a head", "cut in two", "still", "a pause of minutes"],
)
def test_a_broken_file_is_no_clip(content: bytes, said: str) -> None:
    with pytest.raises((Unreadable, ValueError), match=said):
        Video.read(content)


def test_a_broken_video_raises() -> None:
    with pytest.raises(Exception, match=r"[Ii]nvalid"):
        [*mp4_frames(b"\0\0\0\x20ftypisom and nothing more", "It")]


@pytest.mark.parametrize(
    ("shape", "rate", "said"),
    [((1, 8, 8), 10, "frames, channels"), ((4, 1, 8, 8), 0, "rate"), ((4, 1, 8, 8), 2000, "rate")],
)
def test_what_is_no_video_is_refused(shape: tuple[int, ...], rate: float, said: str) -> None:
    with pytest.raises(Refused, match=said):
        Video(shape, rate)
