"""Differentiable augmentation of the discriminator's images: Zhao et al. 2020, arXiv:2006.10738.

Each function takes images (N, C, H, W), or clips (N, T, C, H, W), all of whose frames it treats alike, and
draws its own random numbers for each from the device's global generator, which the step has seeded.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import pad

Augmentation = Literal["colour", "translation", "cutout", "flip"]


def colour(images: Tensor) -> Tensor:
    """Brightness by ±0.5, saturation by a factor in [0, 2], contrast by a factor in [0.5, 1.5]."""

    def draw() -> Tensor:
        shape = len(images), *[1] * (images.ndim - 1)
        return torch.rand(shape, device=images.device, dtype=images.dtype)

    images = images + draw() - 0.5
    grey = images.mean(-3, keepdim=True)
    images = grey + (images - grey) * 2 * draw()
    level = images.mean(tuple(range(1, images.ndim)), keepdim=True)
    return level + (images - level) * (draw() + 0.5)


def of_frames(augmentation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same of clips, whose frames are to it as channels are: all are treated alike."""

    @wraps(augmentation)
    def augmented(images: Tensor, *arguments: Any, **named: Any) -> Tensor:
        channels = images.shape[1:-2]
        return augmentation(images.flatten(1, -3), *arguments, **named).unflatten(1, channels)

    return augmented


@of_frames
def translation(images: Tensor, share: float = 1 / 8) -> Tensor:
    """Shift by up to `share` of the size in each direction; the pixels that come into view are 0."""
    count, _, height, width = images.shape
    reach_y, reach_x = round(height * share), round(width * share)
    rows = _window(count, height, reach_y, images.device)
    columns = _window(count, width, reach_x, images.device)
    padded = pad(images, (reach_x, reach_x, reach_y, reach_y)).movedim(1, -1)
    batch = torch.arange(count, device=images.device).view(-1, 1, 1)
    return padded[batch, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def _window(count: int, size: int, reach: int, device: torch.device) -> Tensor:
    start = torch.randint(0, 2 * reach + 1, (count, 1), device=device)
    return start + torch.arange(size, device=device)


@of_frames
def cutout(images: Tensor, share: float = 1 / 2) -> Tensor:
    """Set one rectangle of `share` of the size in each direction to 0; it may reach beyond the border."""
    count, _, height, width = images.shape
    hole_y = _interval(count, height, round(height * share), images.device)
    hole_x = _interval(count, width, round(width * share), images.device)
    hole = hole_y[:, None, :, None] & hole_x[:, None, None, :]
    return images.masked_fill(hole, 0)


def _interval(count: int, size: int, length: int, device: torch.device) -> Tensor:
    # As in the paper the centre is uniform over the image.
    start = torch.randint(0, size + 1 - length % 2, (count, 1), device=device) - length // 2
    place = torch.arange(size, device=device)
    return (place >= start) & (place < start + length)


@of_frames
def flip(images: Tensor) -> Tensor:
    """Mirror left and right, every second image on average."""
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


TABLE: dict[Augmentation, Callable[[Tensor], Tensor]] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
    "flip": flip,
}
assert set(TABLE) == set(get_args(Augmentation))


def augment(images: Tensor, names: Iterable[Augmentation]) -> Tensor:
    for name in names:
        images = TABLE[name](images)
    return images
