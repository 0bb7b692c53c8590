"""Films of samples whose latents change from one to the next: walks through the latent space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from ganlab.errors import Refused
from ganlab.media.films import gif, write_mp4
from ganlab.sampling.write import Source
from ganlab.seeds import seed_for
from ganlab.system.atomic_file import atomic_write

MIN_SIDE = 256  # pixels of a side, to which smaller films are enlarged
MILLISECONDS = 70  # a frame


def to_gif(path: Path, source: Source, walks: int, *, stops: int, frames: int) -> None:
    """Walks side by side, each through random latents and back to its first, so that the film can repeat."""
    with atomic_write(path) as file:
        file.write_bytes(gif(list(_images(source, walks, stops, frames)), MILLISECONDS))


def to_mp4(path: Path, source: Source, walks: int, *, stops: int, frames: int) -> None:
    """The same walks as a video."""
    with atomic_write(path) as file:
        write_mp4(file, _images(source, walks, stops, frames), Fraction(1000, MILLISECONDS))


def _images(source: Source, walks: int, stops: int, frames: int) -> Iterator[Image.Image]:
    game = source.game
    seeds = (seed_for("walk", source.seed, walk) for walk in range(walks))
    latents = [game.latents(stops, seed=seed, **source.choices) for seed in seeds]
    if not all(isinstance(leaf, Tensor) for latent in latents for leaf in tree_leaves(latent)):
        raise Refused(f"The latents of {type(game).__name__} are no tensors: there is no way between two.")
    to_normal, from_normal = CONVERSIONS[game.latent_distribution]
    told = game.told(torch.arange(walks), seed=source.seed, classes=source.classes, given=source.given)
    # With the walk's own number noise that networks draw stands still from frame to frame.
    how: dict[str, Any] = {"raw": source.raw, "condition": told, "seed": source.seed, "numbers": range(walks)}
    all_stops, still = tree_map(lambda *parts: torch.stack(parts), *latents), game.still_on_walks
    moving = tree_map(lambda stops: to_normal(stops[..., : stops.shape[-1] - still]), all_stops)
    with_codes = partial(_with_codes, still=still)
    for positions in round_trip(moving, frames):
        images = game.generate(tree_map(with_codes, tree_map(from_normal, positions), all_stops), **how)
        image = game.medium(images).sheet(images)
        scale = max(1, MIN_SIDE // max(image.size))
        yield image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _with_codes(moved: Tensor, stops: Tensor, *, still: int) -> Tensor:
    """What has moved, and behind it the last numbers of each walk's first latent, which stand still."""
    return torch.cat([moved, stops[:, 0, ..., stops.shape[-1] - still :]], -1) if still else moved


def round_trip(latents: Any, frames: int) -> Iterator[Any]:
    """Each frame's positions (walk, ...), through the latents (walk, stop, ...) and back to the first.

    Latents are a tensor, or several of them in a list or a mapping, each with its own way.
    """
    stops = tree_leaves(latents)[0].shape[1]
    for frame in range(frames):
        start, share = divmod(frame * stops / frames, 1)
        yield tree_map(partial(_between, start=int(start), share=share), latents)


def _between(latents: Tensor, *, start: int, share: float) -> Tensor:
    return spherical(latents[:, start], latents[:, (start + 1) % latents.shape[1]], share)


def spherical(begin: Tensor, end: Tensor, share: float) -> Tensor:
    """Between latents on a great circle (White 2016, arXiv:1609.04468): a straight line would pass nearer
    to 0 than any latent that the generator was trained on.
    """
    first, last = begin.double().flatten(1), end.double().flatten(1)
    cosine = torch.cosine_similarity(first, last, dim=1)[:, None]
    angle = cosine.clamp(-1, 1).acos()
    straight = angle.sin() < 1e-4  # The same direction, or the opposite: all ways are equally long.
    sine = angle.sin().where(~straight, 1)
    first_weight = (((1 - share) * angle).sin() / sine).where(~straight, 1 - share)
    last_weight = ((share * angle).sin() / sine).where(~straight, share)
    return (first_weight * first + last_weight * last).to(begin.dtype).view_as(begin)


def _normal(uniform: Tensor) -> Tensor:
    return sqrt(2) * torch.erfinv(uniform.clamp(-1 + 1e-6, 1 - 1e-6))


def _uniform(normal: Tensor) -> Tensor:
    return torch.erf(normal / sqrt(2))


# A circle through uniform latents would leave their cube, so they are converted to normal ones and back.
CONVERSIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "normal": (lambda latent: latent, lambda latent: latent),
    "uniform": (_normal, _uniform),
}
