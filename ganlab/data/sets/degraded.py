"""Pictures, or lines, beside what is left of them after a degradation, for games that restore them."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from torch import Tensor

from ganlab import bounds
from ganlab.data.degradations import (
    Degradation,
    Downscaling,
    DrawsOfItems,
    Hole,
    Kernel,
    Masking,
    Spoiling,
)
from ganlab.data.order import Batch, FiniteItems, Items
from ganlab.data.stream import Split, StreamData, splits_of
from ganlab.errors import Refused
from ganlab.media import Medium, Pictures
from ganlab.media.holes import Fill


class Restorable(StreamData):
    """The base class: another set's items, each beside what is left of it.

    Columns: an item, and what is left of it. In training that is made anew in each turn, by the turn's own
    random numbers; of held-out items it follows from `draw` and the item's number alone, so that runs of all
    seeds restore the same. Labels of the set are left out.
    """

    def __init__(self, *, of: StreamData, draw: int = 0, **base: Any) -> None:
        super().__init__(**base)
        bounds.seed(self, draw=draw)
        if of.completion or not self.takes(of.media[0]):
            raise Refused(
                f"{type(self).__name__} needs a set of {self.sources} (of), and {type(of).__name__} is none."
            )
        # A set that mirrors pictures, or cuts them out, finds those of a step by these.
        of.batch_size, of.seed, of.workers = self.batch_size, self.seed, self.workers
        self.of, self.draw, self.shape = of, draw, of.shape

    degradation: Degradation
    sources = "pictures"

    def takes(self, made: Medium) -> bool:
        """Whether items of this medium can be degraded so."""
        return isinstance(made, Pictures) and len(made.shape) == 3

    def degrades_by(self, degradation: Degradation, **arguments: Any) -> None:
        """Called by a subclass with its degradation, and the arguments that make it what it is."""
        self.degradation, self._arguments = degradation, arguments
        self.completion = degradation.complete

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return self.of.media[0], self.degradation.medium

    def prepare_data(self) -> None:
        self.of.prepare_data()

    def load(self) -> tuple[FiniteItems, FiniteItems | None]:
        train, held_out = splits_of(self, self.of)
        beside = self._beside(train, "train")
        return beside, None if held_out is None else self._beside(held_out, "held_out")

    def _beside(self, items: FiniteItems, split: Split) -> _Beside:
        return _Beside(items, self.of.media[0], self.degradation, self.draw, split)

    @property
    def _streamed(self) -> Items:
        return _Alone(cast(FiniteItems, self.of._streamed))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        if len(batch) == 1:
            return self.of.on_after_batch_transfer(batch, dataloader_idx)
        return super().on_after_batch_transfer(batch, dataloader_idx)

    @property
    def _pin_memory(self) -> bool:
        return self.of._pin_memory

    def identity(self, split: Split) -> tuple[Any, ...]:
        return *sorted(self._arguments.items()), self.draw, self.of.fingerprint_of(split)


class _Alone:
    """The pictures of items, without what else belongs to these."""

    def __init__(self, items: FiniteItems) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, positions: Tensor, /) -> Batch:
        return self.items[positions][:1]


class _Beside(_Alone):
    """The same, each beside what is left of it by its number's own draws, which is made on the CPU."""

    def __init__(
        self, items: FiniteItems, medium: Medium, degradation: Degradation, draw: int, split: Split
    ) -> None:
        super().__init__(items)
        self.medium, self.degradation, self.draw, self.split = medium, degradation, draw, split

    def __getitem__(self, positions: Tensor, /) -> Batch:
        (made,) = super().__getitem__(positions)
        played = self.medium.played(made.cpu())
        left = self.degradation.stored(played, DrawsOfItems(self.draw, self.split, positions))
        return made, left.to(made.device)


class Downscaled(Restorable):
    """Another set's pictures, each beside a smaller form of it: for super-resolution.

    Args:
        of: The set.
        scale: So many times the height and width are divided.
        kernel: How it is made smaller, without aliasing but for nearest, which picks pixels.
        draw: Says what held-out items lose, where chance does: another number, something else.
    """

    def __init__(
        self, *, of: StreamData, scale: int = 4, kernel: Kernel = "bicubic", draw: int = 0, **base: Any
    ) -> None:
        super().__init__(of=of, draw=draw, **base)
        self.degrades_by(Downscaling(of.shape, scale, kernel), scale=scale, kernel=kernel)


class Masked(Restorable):
    """Another set's pictures, each beside itself with a hole: for inpainting.

    A source has one more channel, 1 where it is known and 0 in the hole, whose colours follow from the known
    ones. Of a user's own pictures that channel is their opacity, and their holes are filled alike.

    Args:
        of: The set.
        kind: The hole: a rectangle in the middle, some boxes or some strokes anywhere.
        share: Of the picture, which is at least in the hole.
        fill: With the mean of the known colours, or by diffusion from the hole's border, which is a baseline
            of its own: psnr_hole_source is that of the fill.
        draw: Says which holes held-out items have: another number, others.
    """

    def __init__(
        self,
        *,
        of: StreamData,
        kind: Hole = "boxes",
        share: float = 0.25,
        fill: Fill = "mean",
        draw: int = 0,
        **base: Any,
    ) -> None:
        super().__init__(of=of, draw=draw, **base)
        # The mean is left out of fingerprints, which are older than other fills.
        other = {} if fill == "mean" else {"fill": fill}
        self.degrades_by(Masking(of.shape, kind, share, fill), kind=kind, share=share, **other)


class Degraded(Restorable):
    """Another set's pictures, each beside itself spoilt: for denoising, deblurring, colourisation.

    Args:
        of: The set.
        noise: Standard deviation of the noise on each pixel, in levels of 255; what leaves 0 to 255 is cut.
        blur: Standard deviation of the Gaussian that pictures are blurred by, in pixels, before the noise.
        jpeg: Quality, from 1 to 100, of the JPEG file that they are written to at last; none: they are not.
        grey: Take the colour away (BT.601).
        draw: Says what noise held-out items have: another number, another.
    """

    def __init__(
        self,
        *,
        of: StreamData,
        noise: float = 0.0,
        blur: float = 0.0,
        jpeg: int | None = None,
        grey: bool = False,
        draw: int = 0,
        **base: Any,
    ) -> None:
        super().__init__(of=of, draw=draw, **base)
        spoiling = Spoiling(of.shape, noise, blur, jpeg, grey)
        self.degrades_by(spoiling, noise=noise, blur=blur, jpeg=jpeg, grey=grey)
