"""What is seen of clips and of their frames without weights of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d, pad

from ganlab import bounds
from ganlab.media import Video
from ganlab.metrics.extractors.extractor import Extractor, Seen
from ganlab.metrics.motion import GROUND, centres


class MovingPixels(Extractor):
    """The clip, shrunk by averaging over space and time, and how much each pixel changes, shrunk alike.

    Without weights; it sees where something is and moves at what time, and little of what it is. Grey clips
    are seen as coloured ones.

    Args:
        size: Moments, height and width of the shrunk clip.
    """

    name, medium = "moving pixels", Video

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        bounds.at_least(1, self, size=size)
        self.size = size
        self.suffix = "_moving" if size == 4 else f"_moving{size}"

    def protocol(self) -> dict[str, Any]:
        return {"resize": f"mean {self.size}x{self.size}x{self.size}, of the clip and of its changes"}

    def see(self, images: Tensor) -> Seen:
        clips = images.float().transpose(1, 2) / 255
        clips = clips.expand(-1, 3, -1, -1, -1) if clips.shape[1] == 1 else clips
        parts = (clips, clips.diff(dim=2).abs())
        return Seen(torch.cat([adaptive_avg_pool3d(part, self.size).flatten(1) for part in parts], 1), None)


class Centred(Extractor):
    """What another extractor sees of the square around the centre of brightness, wherever in a picture it is.

    Args:
        of: The other one.
        side: Height and width of the square, in pixels; beyond a picture's edge it is black.
    """

    def __init__(self, of: Extractor, side: int) -> None:
        super().__init__()
        bounds.at_least(1, self, side=side)
        self.of, self.side = of, side
        self.name, self.suffix, self.sha256 = f"{of.name}, centred", f"{of.suffix}_centred{side}", of.sha256
        self.dim = of.dim

    def protocol(self) -> dict[str, Any]:
        return {"square": self.side, "ground": GROUND, "of": self.of.identity()}

    def see(self, images: Tensor) -> Seen:
        corners = (centres(images) - (self.side - 1) / 2).round().long() + self.side
        framed = pad(images, [self.side] * 4)
        within = torch.arange(self.side, device=images.device)
        rows, columns = (corners[:, axis, None] + within for axis in (0, 1))
        each = torch.arange(len(images), device=images.device)[:, None, None]
        return self.of(framed.movedim(1, -1)[each, rows[:, :, None], columns[:, None]].movedim(-1, 1))
