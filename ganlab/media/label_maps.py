"""Label maps: of each place of a picture the number of its class."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from ganlab.media.pictures import Pictures, grid


class LabelMap(Pictures):
    """Maps of classes: stored as one channel of their numbers, played as one channel a class, 1 where it is.

    Args:
        shape: Classes, height and width.
    """

    form = "bytes of shape (n, 1, height, width)"

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        if stored.is_floating_point():
            return stored.to(dtype)
        return (stored == torch.arange(self.shape[0], device=stored.device).view(-1, 1, 1)).to(dtype)

    def stored(self, items: Tensor) -> Tensor:
        return items.argmax(1, keepdim=True).to(torch.uint8) if items.is_floating_point() else items

    def blank(self) -> Tensor:
        return torch.zeros(1, 1, *self.shape[1:], dtype=torch.uint8)

    @classmethod
    def holds(cls, items: Tensor) -> bool:
        return super().holds(items) and items.shape[1] == 1

    @property
    def drawable(self) -> bool:
        return True

    def sheet(self, items: Tensor, columns: int | None = None) -> Image.Image:
        """In colours that are the same in all pictures."""
        numbers = self.stored(items.detach().cpu()).squeeze(1).long()
        return grid(COLOURS[numbers].movedim(-1, 1), columns)


def _colours() -> Tensor:
    """256 that differ, red, green and blue, as the PASCAL VOC challenge draws its classes; 0 is black."""
    numbers = torch.arange(256)
    bits = [[(numbers >> 3 * place + colour & 1) << 7 - place for place in range(3)] for colour in range(3)]
    return torch.stack([torch.stack(each).sum(0) for each in bits], 1).to(torch.uint8)


COLOURS = _colours()
