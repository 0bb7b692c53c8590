"""From the files of a pair to its pixels: what is made, and below it its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from ganlab.data.pictures.decode import Broken, Transform, Unfit, convert, opened
from ganlab.data.pictures.layers import label_map, layers

Side = Literal["left", "right"]


@dataclass(frozen=True)
class PairTransform(Transform):
    """Two pictures, each cut and resized as one is: what is made, and below it its source.

    Where one has fewer channels than the other, zeros take the place of the others.

    Attributes:
        source: Which half the source is, of a file that holds both side by side.
        source_channels: Of the source; none: as many as what is made has.
        source_classes: The source is a map of the numbers of so many classes; none: it is a picture.
    """

    source: Side = "left"
    source_channels: int | None = None
    source_classes: int | None = None

    @property
    def both_channels(self) -> tuple[int, int]:
        """Of what is made, and of its source."""
        return self.channels, 1 if self.source_classes else self.source_channels or self.channels

    @property
    def shape(self) -> tuple[int, int, int]:
        return 2 * self.size, self.size, max(self.both_channels)

    def identity(self) -> dict[str, Any]:
        return {name: value for name, value in super().identity().items() if value is not None}

    def __call__(self, *contents: bytes) -> np.ndarray:
        """Of one file that holds both side by side, or of a file of what is made and one of its source."""
        made, source = self._halves(*contents) if len(contents) == 1 else self._files(*contents)
        how = Image.Resampling.NEAREST if self.source_classes else Image.Resampling.BICUBIC
        pixels = [np.concatenate([self._square(layer) for layer in made], -1)]
        pixels.append(np.concatenate([self._square(layer, how) for layer in source], -1))
        most = max(self.both_channels)
        return np.concatenate([np.pad(part, ((0, 0), (0, 0), (0, most - part.shape[-1]))) for part in pixels])

    def _files(self, made: bytes, source: bytes) -> tuple[list[Image.Image], list[Image.Image]]:
        channels, channels_of_source = self.both_channels
        target = layers(made, channels)
        try:
            if self.source_classes:
                beside = [label_map(source, self.source_classes)]
            else:
                beside = layers(source, channels_of_source)
        except Unfit:
            raise
        except Broken as error:
            raise Broken(f"its source: {error}") from error
        (width, height), (across, down) = target[0].size, beside[0].size
        # A pixel more or less is a rounded size.
        if abs(width * down - across * height) > max(width, height, across, down):
            raise Broken(f"other proportions: {width} x {height} pixels, source {across} x {down}")
        return target, beside

    def _halves(self, content: bytes) -> tuple[list[Image.Image], list[Image.Image]]:
        with opened(content) as file:
            image = ImageOps.exif_transpose(file)
            width, height = image.size
            if width % 2 or width <= height:
                raise Broken(f"{width} x {height} pixels are no two pictures side by side")
            middle = width // 2
            halves = [image.crop((x, 0, x + middle, height)) for x in (0, middle)]
            made, source = halves if self.source == "right" else halves[::-1]
            channels, channels_of_source = self.both_channels
            return [convert(made, channels)], [convert(source, channels_of_source)]
