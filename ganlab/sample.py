"""Samples of a game as a sheet, a folder of pictures, a file of bytes or a walk between them.

A sample follows from the seed and its own number: the first are the same however many are drawn, and they are
those that an evaluation with this seed scores.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor

from ganlab import data, durable
from ganlab.callbacks.evaluation import BLOCK
from ganlab.data.pictures import grid, quantise
from ganlab.data.stream import StreamData
from ganlab.draws import seed_for
from ganlab.gan import GAN
from ganlab.refused import Refused

LARGEST = 10_000  # samples in one picture
READABLE = 256  # pixels; smaller walks are enlarged up to here
COLOURS = 256  # in a GIF
MILLISECONDS = 70  # that a frame is shown for
LOSS = "10"  # the constant rate factor: 0 is all, 51 is least. With 23, its own choice, noise is blurred
WIDEST = 16_384  # pixels of a side that x264 takes
BT709, LIMITED = 1, 1  # the colours and the range of a video, as H.264 numbers them; untold, players guess


@dataclass
class Source:
    """What samples are drawn from.

    Args:
        seed: Sample i follows from it and i alone.
        raw: By the generator's own weights instead of their average.
        label: The class of all samples, for a game whose players are told one.
        run: Whose data show how points want to be seen.
    """

    game: GAN
    seed: int = 0
    raw: bool = False
    label: int | None = None
    run: Path | None = None

    def blocks(self, count: int) -> Iterator[Tensor]:
        for start in range(0, count, BLOCK):
            seed = seed_for("evaluation", self.seed, start // BLOCK)
            made = self.game.sample(BLOCK, seed=seed, raw=self.raw, condition=self.condition(BLOCK))
            yield made[: count - start]

    def condition(self, count: int) -> Tensor | None:
        return None if self.label is None else torch.full((count,), self.label, device=self.game.device)

    def refuse_wrong_label(self) -> None:
        """By trying it: only the game knows what it wants to be told."""
        kind = type(self.game)
        if kind.fake is GAN.fake and kind.condition is GAN.condition:
            if self.label is not None:
                raise Refused(f"{kind.__name__} knows no classes: leave out --class.")
            return
        told = "no class" if self.label is None else f"the class {self.label}"
        try:
            self.game.sample(2, seed=0, raw=self.raw, condition=self.condition(2))
        except (IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise Refused(
                f"{kind.__name__} draws no samples when it is told {told} (--class):\n"
                f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
            ) from error


def sheet(source: Source, count: int) -> Image.Image:
    if count > LARGEST:
        raise Refused(f"{count:,} samples are too many for one picture: take a folder or a file.npz.")
    return picture(torch.cat([block.cpu() for block in source.blocks(count)]), source.run)


def picture(samples: Tensor, run: Path | None) -> Image.Image:
    if _is_picture(samples):
        return grid(samples)
    shown = _data(run) if run else None
    if shown is None or type(shown).picture is StreamData.picture:
        raise Refused(
            f"Samples of the shape {tuple(samples.shape[1:])} are no pictures; how to draw them is known to\n"
            "ganlab's own data, of a run's folder, alone. Take a file.npz."
        )
    return shown.picture(samples)


def to_picture(path: Path, source: Source, count: int) -> None:
    drawn = sheet(source, count)
    with durable.whole(path) as made:
        drawn.save(made, format="PNG")


def to_folder(path: Path, source: Source, count: int) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Refused(f"{path} is there already: name a new folder, or a file.png, .npz, .gif or .mp4.")
    path.mkdir(parents=True, exist_ok=True)
    width, number = max(6, len(str(count - 1))), 0
    for block in source.blocks(count):
        if not _is_picture(block):
            path.rmdir()
            raise Refused(f"Samples of the shape {tuple(block.shape[1:])} are no pictures: take a file.npz.")
        for pixels in quantise(block).movedim(1, -1).cpu().numpy():
            Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(
                path / f"{number:0{width}d}.png"
            )
            number += 1


def to_npz(path: Path, source: Source, count: int) -> None:
    """Bytes (n, height, width, channels) called `images`; of what is no picture, float32 called `samples`."""
    with durable.whole(path) as made, ExitStack() as stack:
        file: IO[bytes] | None = None
        for block in source.blocks(count):
            pictures = block.ndim == 4
            rows = (quantise(block).movedim(1, -1) if pictures else block.float()).cpu().numpy()
            if file is None:
                archive = stack.enter_context(zipfile.ZipFile(made, "w"))
                name = "images.npy" if pictures else "samples.npy"
                file = stack.enter_context(archive.open(name, "w", force_zip64=True))
                descr = np.lib.format.dtype_to_descr(rows.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": (count, *rows.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(rows).tobytes())


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
    with durable.whole(path) as made:
        first.save(made, format="GIF", save_all=True, append_images=others, duration=MILLISECONDS, loop=0)


def to_mp4(path: Path, source: Source, walks: int, *, stops: int, frames: int) -> None:
    """The same walks, as browsers play them: H.264, whose colours have half the pixels each way."""
    import av

    stream: Any = None
    layout = {"movflags": "+faststart"}  # so that a player can begin before it has all
    with durable.whole(path) as made, av.open(str(made), "w", format="mp4", options=layout) as file:
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
        images = game.made(back(place), raw=source.raw, condition=source.condition(walks))
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


def _is_picture(samples: Any) -> bool:
    return isinstance(samples, Tensor) and samples.ndim == 4 and samples.shape[1] in (1, 3)


def _data(run: Path) -> StreamData | None:
    """A run's data, if they are ganlab's own."""
    try:
        told = yaml.safe_load((run / "config.yaml").read_text())["data"]
        kinds = {f"{kind.__module__}.{kind.__name__}": kind for kind in vars(data).values() if _is_data(kind)}
        kinds |= {f"ganlab.data.{kind.__name__}": kind for kind in kinds.values()}
        return kinds[told["class_path"]](**told["init_args"]) if told["class_path"] in kinds else None
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None


def _is_data(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StreamData) and kind is not StreamData
