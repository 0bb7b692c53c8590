"""What is kept of the features of many samples, and the distance between two Gaussians.

Nothing here belongs to a LightningModule: its casts and its checkpoints would take the statistics along.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ganlab.errors import Refused

BLOCK = 2048


class Gaussian:
    """Mean and unbiased covariance (ddof=1) of `count` feature vectors."""

    # Neither tuple nor dataclass: torchmetrics would copy its 32 MiB, and squeeze features of width 1.
    def __init__(self, mean: Tensor, covariance: Tensor, count: int) -> None:
        self.mean = mean
        self.covariance = covariance
        self.count = count


class FeatureRows:
    """One row of features, and of logits where there are any, per sample, in the samples' own order."""

    def __init__(self, features: Tensor, logits: Tensor | None) -> None:
        self.features = features
        self.logits = logits


class Kept(Metric):
    """States that change devices but never types: `.to(bfloat16)` passes torchmetrics' own guard."""

    full_state_update = False

    def __init__(self) -> None:
        # A kept result would hold the memory of a whole pass a second time.
        super().__init__(compute_with_cache=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Any:
        def moved(state: Tensor) -> Tensor:
            out = fn(state)
            return out if out.dtype == state.dtype else state.to(out.device)

        return super()._apply(moved, exclude_state)


class Moments(Kept):
    """Mean and covariance of features in float64, without keeping a feature; summed over processes.

    `shift` is subtracted first: sums of squares of features far from zero would lose what the covariance is
    made of (2.7e-6 at a mean of 1e4). The mean of the reals does, and has to be the same on all processes.
    """

    count: Tensor
    total: Tensor
    outer: Tensor
    shift: Tensor

    def __init__(self, width: int, shift: Tensor | None = None) -> None:
        super().__init__()
        shift = torch.zeros(width) if shift is None else shift
        self.register_buffer("shift", shift.detach().to(torch.float64, copy=True), persistent=False)
        for name, shape in {"count": (), "total": (width,), "outer": (width, width)}.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor) -> None:
        centred = features.to(self.shift) - self.shift
        # Out of place, for states that were reset in inference mode may not be written to outside of it.
        self.count = self.count + len(centred)
        self.total = self.total + centred.sum(0)
        self.outer = torch.addmm(self.outer, centred.T, centred)

    def compute(self) -> Gaussian:
        mean = self.total / self.count
        covariance = torch.addr(self.outer, self.total, mean, alpha=-1).div_(self.count - 1)
        return Gaussian(self.shift + mean, covariance, int(self.count))


class Features(Kept):
    """The features, and logits if `classes` are given, of `total` samples, each known by its index.

    Whatever the number of processes and the order of batches, `compute` returns them by index. It refuses
    samples that came twice or not at all: a sampler that pads would bias every score.
    """

    index: list[Tensor]

    def __init__(
        self, total: int, width: int, classes: int | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.total, self.kept_dtype = total, dtype
        self.memory: dict[str, Tensor] = {}
        self.widths = {"features": width} if classes is None else {"features": width, "logits": classes}
        for name in ("index", *self.widths):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, index: Tensor, features: Tensor, logits: Tensor | None = None) -> None:
        given = {"features": features} if logits is None else {"features": features, "logits": logits}
        wanted = {name: (len(index), width) for name, width in self.widths.items()}
        found = {name: tuple(rows.shape) for name, rows in given.items()}
        if found != wanted:
            raise Refused(f"The batch holds {found}, but of {len(index)} samples {wanted} is kept.")
        self._append("index", index.to(self.device, torch.int64))
        for name, rows in given.items():
            self._append(name, rows.to(self.device, self.kept_dtype))

    def compute(self) -> FeatureRows:
        index = whole(self.index)
        self._refuse_gaps(torch.empty(0, dtype=torch.int64) if index is None else index.cpu())
        rows = {name: self._sorted(index, whole(getattr(self, name))) for name in self.widths}
        return FeatureRows(rows["features"], rows.get("logits"))

    def reset(self) -> None:
        super().reset()
        self.memory = {}

    def _append(self, name: str, rows: Tensor) -> None:
        """To the one tensor of a list state, in memory for all samples: pages never written cost nothing.

        A list of batches would be held a second time, put together.
        """
        state = getattr(self, name)
        filled = len(state[0]) if state else 0
        memory = self.memory.get(name, rows[:0])
        if len(memory) < filled + len(rows) or (state and memory.data_ptr() != state[0].data_ptr()):
            with torch.inference_mode(False):
                memory = rows.new_empty(max(self.total, filled + len(rows)), *rows.shape[1:])
            memory[:filled] = state[0] if state else rows[:0]
            self.memory[name] = memory
        memory[filled : filled + len(rows)] = rows
        state[:] = [memory[: filled + len(rows)]]

    def _sorted(self, index: Tensor | None, rows: Tensor | None) -> Tensor:
        assert index is not None
        assert rows is not None
        if bool((index[1:] > index[:-1]).all()):
            return rows
        ordered = torch.empty_like(rows)
        ordered[index] = rows
        return ordered

    def _refuse_gaps(self, index: Tensor) -> None:
        inside = index[(index >= 0) & (index < self.total)]
        times = inside.bincount(minlength=self.total)
        if len(inside) == len(index) and bool((times == 1).all()):
            return
        missing, twice = int((times == 0).sum()), int((times > 1).sum())
        raise Refused(
            f"Of {self.total} samples {missing} are missing and {twice} came more than once;"
            f" {len(index) - len(inside)} others came too.\nProcess r of W takes the indices"
            " range(r, samples, W), without a sampler that pads or drops."
        )

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # A process without a sample would gather torchmetrics' placeholder of another type and shape.
        if not self.index:
            self.index.append(torch.empty(0, dtype=torch.int64, device=self.device))
            for name, width in self.widths.items():
                getattr(self, name).append(torch.empty(0, width, dtype=self.kept_dtype, device=self.device))
        super()._sync_dist(*args, **kwargs)


def whole(state: Tensor | list[Tensor]) -> Tensor | None:
    """A list state is one tensor once it has been gathered."""
    return state if isinstance(state, Tensor) else state[0] if state else None


def gaussian(features: Tensor, chosen: Tensor | None = None) -> Gaussian:
    """Moments of features that are all here, or the chosen of them, with no word to other processes."""
    shift = features[:BLOCK].double().mean(0)
    total, outer = torch.zeros_like(shift), shift.new_zeros(len(shift), len(shift))
    for block in (
        features.split(BLOCK) if chosen is None else (features[part] for part in chosen.split(BLOCK))
    ):
        centred = block.double() - shift
        total += centred.sum(0)
        outer.addmm_(centred.T, centred)
    count = len(features if chosen is None else chosen)
    mean = total / count if count else total * torch.nan
    covariance = outer.addr_(total, mean, alpha=-1) / (count - 1) if count > 1 else outer * torch.nan
    return Gaussian(shift + mean, covariance, count)


def half(covariance: Tensor) -> Tensor:
    """H with H Hᵀ = covariance, and as many columns as its rank."""
    if not covariance.isfinite().all():
        return torch.full_like(covariance, torch.nan)
    values, vectors = torch.linalg.eigh(covariance.double())
    # What rounding alone makes of an eigenvalue 0: kept, it adds its root, 1e-8, for each missing rank.
    noise = values.abs().max() * len(values) * torch.finfo(torch.float64).eps
    rank = int((values > noise).sum())
    return vectors[:, len(values) - rank :] * values[len(values) - rank :].sqrt()


def trace_of_root(square: Tensor) -> Tensor:
    """The trace of the root of a symmetric matrix without negative eigenvalues; nan if it is not finite."""
    if not square.isfinite().all():
        return square.new_tensor(torch.nan)
    return torch.linalg.eigvalsh(square).clamp_min(0).sqrt().sum()


def frechet(real: Gaussian, fake: Gaussian, real_half: Tensor | None = None) -> float:
    """Heusel et al. 2017, arXiv:1706.08500, eq. 6; nan if a statistic is not finite.

    The eigenvalues of S1 S2 are those of Hᵀ S2 H with S1 = H Hᵀ, which is symmetric: S1 S2 is not, and its
    eigenvalues come out negative or complex. `real_half`, kept from `half(real.covariance)`, saves half the
    time. Rounding leaves the distance of equal statistics within 1e-6 of 0, on either side.
    """
    root = half(real.covariance) if real_half is None else real_half
    if fake.count > len(fake.mean):
        between = trace_of_root(root.T @ fake.covariance @ root)
    else:
        # Slower, but the rounding of each missing rank would show in the eighth digit.
        cross = root.T @ half(fake.covariance)
        between = trace_of_root(cross @ cross.T if len(cross) <= cross.shape[1] else cross.T @ cross)
    apart = (real.mean - fake.mean).square().sum()
    return float(apart + real.covariance.trace() + fake.covariance.trace() - 2 * between)


def frechet_of_features(real: Gaussian, fake: Tensor, real_half: Tensor | None = None) -> float:
    """The same by the cheaper form: the half of few samples' covariance is their centred rows X.

    With fewer of them than features, the eigenvalues of X S1 Xᵀ are few, and need no half of the reals.
    """
    if len(fake) > min(real.count, fake.shape[1]):
        return frechet(real, gaussian(fake), real_half)
    mean = fake.double().mean(0)
    rows = (fake.double() - mean) / (len(fake) - 1 if len(fake) > 1 else torch.nan) ** 0.5
    between = trace_of_root(rows @ real.covariance @ rows.T)
    apart = (real.mean - mean).square().sum()
    return float(apart + real.covariance.trace() + rows.square().sum() - 2 * between)
