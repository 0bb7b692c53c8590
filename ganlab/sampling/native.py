"""A user's own pictures in their own sizes, for networks of convolutions alone; large ones in tiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from ganlab.errors import Refused
from ganlab.media import Medium, tiles
from ganlab.sampling.sources import read_each
from ganlab.sampling.write import Source, refuse_existing

STRIDE = 16  # Pictures are enlarged to multiples of it by their last pixels, and what is made is cut again.
TILE = 256  # pixels a side that are made at once, besides what lies around them
PROBE = 208  # pixels a side, on which it is measured how much must lie around a tile
CLOSE = 1e-3  # of numbers in [-1, 1]: an eighth of a level


def to_folder(path: Path, source: Source, given: Path, medium: Medium) -> int:
    """Make a picture of each that is given, in its own size times what the game enlarges by; how many.

    A large picture is made in tiles, each with so much around it that no seam is seen. If the networks look
    at all of a picture, as those with instance norm do, or draw noise for each place, it is made at once.
    """
    refuse_existing(path)
    made_medium, count = source.game.media[0], 0

    @cache
    def around() -> int | None:
        return margin(source, medium)

    for name, pixels in read_each(given, medium):
        made = _made(source, pixels[None], count, around)
        count += 1
        file = path / f"{name}{made_medium.suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        if source.beside:
            tiles.groups([(medium, pixels[None]), (made_medium, made)]).save(file)
        else:
            made_medium.write(file, made[0])
    return count


def margin(source: Source, medium: Medium) -> int | None:
    """How many pixels must lie around a tile, so that it is made as within its picture; None: all of them."""
    source_of_chance = torch.Generator().manual_seed(0)
    pixels = medium.stored(2 * torch.rand(1, medium.shape[0], PROBE, PROBE, generator=source_of_chance) - 1)
    whole, part = (_drawn(source, some, 0) for some in (pixels, pixels[..., STRIDE:, STRIDE:]))
    times = whole.shape[-1] // PROBE
    apart = (whole[..., times * STRIDE :, times * STRIDE :] - part).abs().amax(1)[0] > CLOSE
    rows, columns = apart.nonzero(as_tuple=True)
    if not len(rows):
        return 0
    seen = int(torch.minimum(rows, columns).max()) // times + 1
    return None if seen > PROBE // 2 else -(-seen // STRIDE) * STRIDE


def _made(source: Source, pixels: Tensor, number: int, around: Callable[[], int | None]) -> Tensor:
    """What is made of a picture, as data store it."""
    *_, height, width = pixels.shape
    whole = pad(pixels.float(), (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate").to(torch.uint8)
    if max(height, width) <= TILE or (far := around()) is None:
        made = _drawn(source, whole, number)
    else:
        *_, down, across = whole.shape
        rows = [
            [_tile(source, whole, number, (top, left), far) for left in range(0, across, TILE)]
            for top in range(0, down, TILE)
        ]
        made = torch.cat([torch.cat(row, -1) for row in rows], -2)
    times = made.shape[-1] // whole.shape[-1]
    return source.game.media[0].stored(made[..., : times * height, : times * width])


def _tile(source: Source, whole: Tensor, number: int, corner: tuple[int, int], around: int) -> Tensor:
    first = [max(0, start - around) for start in corner]
    last = [min(side, start + TILE + around) for side, start in zip(whole.shape[-2:], corner, strict=True)]
    part = whole[..., first[0] : last[0], first[1] : last[1]]
    made = _drawn(source, part, number)
    times = made.shape[-1] // part.shape[-1]
    top, left = (times * (start - begin) for start, begin in zip(corner, first, strict=True))
    return made[..., top : top + times * TILE, left : left + times * TILE]


def _drawn(source: Source, pixels: Tensor, number: int) -> Tensor:
    how = {"seed": source.seed, "at": number, "raw": source.raw, **source.choices}
    try:
        return source.game.sample(1, given=pixels, **how).cpu()
    except (RuntimeError, ValueError, IndexError, Refused) as error:
        height, width = pixels.shape[-2:]
        raise Refused(
            f"The networks of this {type(source.game).__name__} take no picture of {width} x {height} pixels:"
            f" leave\n--native out. {type(error).__name__}: {' '.join(str(error).split())[:120]}"
        ) from error
