"""How what is bright in clips moves: uniformly, as by a law that is known, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.errors import Refused
from ganlab.media import Video
from ganlab.metrics.score import SampleScore, Value

GROUND = 16  # of 255: what is no brighter has no weight
BINS, FINEST = 1024, 1 / 16  # of speeds, and the width of one in pixels a frame


class Motion(SampleScore):
    """How far a bright thing's motion is from uniform, and how fast it is: in pixels a frame.

    Its place is the centre of brightness. `motion_error` is the change of its speed from frame to frame, the
    median over a clip, then the mean over both directions and all clips: a wall that throws it back changes
    the speed at few frames, so that uniform motion between walls has about 0. So have clips that stand still:
    read `speed` beside it, the mean over clips, and `speed_distance`, how far the speeds' distribution is
    from the reals' (Wasserstein's distance).
    """

    values = (Value("motion_error{n}", "min", "log"), Value("speed{n}"), Value("speed_distance{n}", "min"))
    medium = Video

    def count(self, samples: Tensor) -> Tensor:
        """The sum of clips' errors and that of their speeds, and how many clips have each speed."""
        if not Video.holds(samples) or samples.shape[1] < 3:
            raise Refused(
                f"The score {self.name} takes {Video.form}, of three frames or more,\n"
                f"not {samples.dtype} of shape {tuple(samples.shape)}: leave it out (scores)."
            )
        steps = centres(samples).diff(dim=1)
        errors = steps.diff(dim=1).abs().median(1).values.mean(1)
        speeds = steps.norm(dim=2).mean(1)
        counts = (speeds / FINEST).round().long().clamp(max=BINS - 1).bincount(minlength=BINS)
        return torch.cat([torch.stack([errors.sum(), speeds.sum()]), counts.double()])

    def compare(self, real: Tensor, fake: Tensor) -> Sequence[float]:
        error, speed, *_ = (fake / fake[2:].sum()).tolist()
        shares = [side[2:] / side[2:].sum() for side in (real, fake)]
        distance = FINEST * (shares[0] - shares[1]).cumsum(0).abs().sum()
        return [error, speed, float(distance)]

    def parameters(self) -> dict[str, Any]:
        return {"ground": GROUND} if self.ships else super().parameters()


def centres(clips: Tensor) -> Tensor:
    """The centre of brightness of each frame (..., channels, height, width) of bytes: (..., 2), rows first.

    Where nothing is bright it is the middle.
    """
    weights = (clips.double().mean(-3) - GROUND).clamp(min=0)
    sums = [weights.sum(-1), weights.sum(-2)]
    total = sums[0].sum(-1)
    places = []
    for along in sums:
        length = along.shape[-1]
        where = (along * torch.arange(length, device=clips.device)).sum(-1) / total
        places.append(where.where(total > 0, (length - 1) / 2))
    return torch.stack(places, -1)
