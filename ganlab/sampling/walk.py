"""Walks from latent to latent, as moving pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlab.data.grid import grid
from ganlab.errors import Refused
from ganlab.sampling.write import Source, _is_picture
from ganlab.seeds import seed_for
from ganlab.system.atomic_file import atomic_write

READABLE = 256  # pixels; smaller walks are enlarged up to here
COLOURS = 256  # in a GIF
MILLISECONDS = 70  # that a frame is shown for
LOSS = "10"  # the constant rate factor: 0 is all, 51 is least. With 23, its own choice, noise is blurred
WIDEST = 16_384  # pixels of a side that x264 takes
BT709, LIMITED = 1, 1  # the colours and the range of a video, as H.264 numbers them; untold, players guess


def to_gif(path: Path, source: Source, walks: int, *, stops: int, frames: int) -> None:
    """Walks side by side, each through latents of its own and back to its first, so that it plays on."""
    shown = list(_walking(source, walks, stops, frames))
    if shown[0].mode != "L":
        # One set of colours for all frames, without dithering, or else still areas would flicker.
        every = shown[:: max(1, frames // 8)]
        strip = Image.new("RGB", (shown[0].width, shown[0].height * len(every)))
        for number, each in enumerate(every):
            strip.paste(each, (0, number * each.height))
        palette = strip.quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
        shown = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in shown]
    first, *others = shown
    with atomic_write(path) as made:
        first.save(made, format="GIF", save_all=True, append_images=others, duration=MILLISECONDS, loop=0)


def to_mp4(path: Path, source: Source, walks: int, *, stops: int, frames: int) -> None:
    """The same walks, as browsers play them: H.264, whose colours have half the pixels each way."""
    import av

    stream: Any = None
    layout = {"movflags": "+faststart"}  # so that a player can begin before it has all
    with atomic_write(path) as made, av.open(str(made), "w", format="mp4", options=layout) as file:
        for drawn in _walking(source, walks, stops, frames):
            even = ((0, drawn.height % 2), (0, drawn.width % 2), (0, 0))
            shown = np.pad(np.asarray(drawn.convert("RGB")), even, "edge")
            if max(shown.shape) > WIDEST:
                raise Refused(
                    f"{drawn.width:,} × {drawn.height:,} pixels are too many for a video: fewer --count."
                )
            if stream is None:
                stream = file.add_stream("libx264", Fraction(1000, MILLISECONDS), options={"crf": LOSS})
                stream.height, stream.width, stream.pix_fmt = *shown.shape[:2], "yuv420p"
                told = stream.codec_context
                told.colorspace = told.color_primaries = told.color_trc = BT709
                told.color_range = LIMITED
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            file.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        file.mux(stream.encode())


def _walking(source: Source, walks: int, stops: int, frames: int) -> Iterator[Image.Image]:
    game = source.game
    seeds = (seed_for("walk", source.seed, walk) for walk in range(walks))
    latents = [game.latents(stops, seed=seed) for seed in seeds]
    if not all(isinstance(each, Tensor) for each in latents):
        raise Refused(f"The latents of {type(game).__name__} are no tensor: there is no way between two.")
    there, back = SPACES[game.latent_distribution]
    for place in around(there(torch.stack(latents)), frames):
        images = game.generate(back(place), raw=source.raw, condition=source.condition(walks))
        if not _is_picture(images):
            raise Refused(
                f"Samples of the shape {tuple(images.shape[1:])} are no pictures: no walk is drawn."
            )
        drawn = grid(images)
        larger = max(1, READABLE // max(drawn.size))
        yield drawn.resize((drawn.width * larger, drawn.height * larger), Image.Resampling.NEAREST)


def around(latents: Tensor, frames: int) -> Iterator[Tensor]:
    """From each walk's latents (walk, stop, ...) the places on its round."""
    stops = latents.shape[1]
    for frame in range(frames):
        start, share = divmod(frame * stops / frames, 1)
        yield spherical(latents[:, int(start)], latents[:, (int(start) + 1) % stops], share)


def spherical(begin: Tensor, end: Tensor, share: float) -> Tensor:
    """Along a great circle (White 2016, arXiv:1609.04468): a straight line would pass nearer to 0 than any
    latent that the generator was trained on.
    """
    one, other = begin.double().flatten(1), end.double().flatten(1)
    cosine = torch.cosine_similarity(one, other, dim=1)[:, None]
    angle = cosine.clamp(-1, 1).acos()
    straight = angle.sin() < 1e-4  # The same direction, or the opposite, from which no way is the shortest.
    sine = angle.sin().where(~straight, 1)
    first = (((1 - share) * angle).sin() / sine).where(~straight, 1 - share)
    second = ((share * angle).sin() / sine).where(~straight, share)
    return (first * one + second * other).to(begin.dtype).view_as(begin)


def _normal(uniform: Tensor) -> Tensor:
    return sqrt(2) * torch.erfinv(uniform.clamp(-1 + 1e-6, 1 - 1e-6))


def _uniform(normal: Tensor) -> Tensor:
    return torch.erf(normal / sqrt(2))


# A circle through uniform latents would leave their cube: it is drawn where they are normal.
SPACES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "normal": (lambda latent: latent, lambda latent: latent),
    "uniform": (_normal, _uniform),
}
