"""Moments and stored features against known answers, other formulas, and any number of processes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from several_processes import together
from torch import Tensor

from ganlab.errors import Refused
from ganlab.metrics.statistics import (
    FeatureRows,
    Features,
    Gaussian,
    Moments,
    factor,
    frechet,
    gaussian,
)
from ganlab.system import processes
from ganlab.system.processes import rank_and_world

TOTAL, WIDTH, CLASSES, BATCH = 103, 16, 7, 7


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def of(features: Tensor) -> Gaussian:
    """By torch's own mean and cov."""
    return Gaussian(features.double().mean(0), features.double().T.cov(correction=1), len(features))


def multiples(index: Tensor) -> Tensor:
    """Row i is i times 1, 2, 3, …"""
    return index[:, None].float() * torch.arange(1, WIDTH + 1)


def of_multiples(total: int) -> Gaussian:
    """Of rows 0 to `total`, an odd number: the mean of 0 … n-1 is (n-1)/2, their variance n(n+1)/12."""
    steps = torch.arange(1, WIDTH + 1, dtype=torch.float64)
    return Gaussian((total - 1) / 2 * steps, steps.outer(steps) * (total * (total + 1)) / 12, total)


def same(one: Gaussian, other: Gaussian, **tolerance: float) -> None:
    torch.testing.assert_close(one.mean, other.mean, **tolerance)
    torch.testing.assert_close(one.covariance, other.covariance, **tolerance)
    assert one.count == other.count


def nuclear(real: Tensor, fake: Tensor) -> float:
    """The distance by singular values, the form that squares nothing."""
    x, y = ((f - f.mean(0)) / (len(f) - 1) ** 0.5 for f in (real.double(), fake.double()))
    apart = (real.double().mean(0) - fake.double().mean(0)).square().sum()
    return float(apart + x.square().sum() + y.square().sum() - 2 * torch.linalg.svdvals(x @ y.T).sum())


class TestMoments:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
    def test_against_torch(self, dtype: torch.dtype) -> None:
        features = normal(0, TOTAL, WIDTH).to(dtype)
        moments = Moments(torch.zeros(WIDTH))
        for batch in features.split(BATCH):
            moments.update(batch)
        computed = moments.compute()
        assert computed.covariance.dtype == computed.mean.dtype == torch.float64
        same(computed, of(features), rtol=1e-12, atol=1e-13)
        same(gaussian(features), of(features), rtol=1e-12, atol=1e-13)

    def test_the_shift_saves_what_an_offset_would_cost(self) -> None:
        features = normal(0, 2000, WIDTH)
        far = features + 1e6
        errors = {}
        for name, shift in {"zeros": torch.zeros(WIDTH), "mean": far[:500].mean(0)}.items():
            moments = Moments(shift)
            moments.update(far)
            errors[name] = float((moments.compute().covariance - of(features).covariance).abs().max())
        assert errors["mean"] < 1e-8
        assert errors["zeros"] > 100 * errors["mean"]
        assert float((gaussian(far).covariance - of(features).covariance).abs().max()) < 1e-8

    def test_whole_numbers_are_summed_exactly(self) -> None:
        moments = Moments(torch.full((WIDTH,), 3))
        for index in torch.arange(TOTAL).split(BATCH):
            moments.update(multiples(index))
        for computed in (moments.compute(), moments.compute_own(), gaussian(multiples(torch.arange(TOTAL)))):
            same(computed, of_multiples(TOTAL), rtol=0, atol=0)

    @pytest.mark.parametrize("first", [True, False])
    def test_inference_mode_comes_and_goes(self, first: bool) -> None:
        features = normal(0, TOTAL, WIDTH)
        with torch.inference_mode(first):
            moments, store = Moments(features[0]), Features(TOTAL, WIDTH)
            moments.update(features[:50])
            store.update(torch.arange(50), features[:50])
        with torch.inference_mode(not first):
            moments.update(features[50:])
            store.update(torch.arange(50, TOTAL), features[50:])
        same(moments.compute(), of(features), rtol=1e-12, atol=1e-13)
        assert torch.equal(store.compute().features, features.float())

    def test_features_take_no_gradient_along(self) -> None:
        features = normal(0, TOTAL, WIDTH).requires_grad_()
        moments, store = Moments(features[0]), Features(TOTAL, WIDTH)
        moments.update(features)
        store.update(torch.arange(TOTAL), features)
        assert not moments.compute().covariance.requires_grad
        assert not store.compute().features.requires_grad

    @pytest.mark.parametrize("count", [0, 1])
    def test_too_few_samples_make_no_distance(self, count: int) -> None:
        features = normal(0, TOTAL, WIDTH)
        moments = Moments(torch.zeros(WIDTH))
        moments.update(features[:count])
        few = moments.compute()
        assert frechet(of(features), few) != frechet(of(features), few)


class TestFeatures:
    def store(self, order: Tensor, features: Tensor, logits: Tensor | None) -> Features:
        store = Features(TOTAL, WIDTH, None if logits is None else CLASSES)
        for index in order.split(BATCH):
            store.update(index, features[index], None if logits is None else logits[index])
        return store

    @pytest.mark.parametrize("with_logits", [True, False])
    def test_rows_come_in_the_samples_order(self, with_logits: bool) -> None:
        features = normal(0, TOTAL, WIDTH, dtype=torch.float32)
        logits = normal(1, TOTAL, CLASSES, dtype=torch.float32) if with_logits else None
        order = torch.randperm(TOTAL, generator=torch.Generator().manual_seed(2))
        rows = self.store(order, features, logits).compute()
        assert torch.equal(rows.features, features)
        assert rows.logits is logits or torch.equal(rows.logits, logits)

    def test_batches_are_copied(self) -> None:
        store = Features(2, WIDTH)
        memory = torch.empty(1, WIDTH)
        for i in range(2):
            store.update(torch.tensor([i]), memory.fill_(i))
        assert store.compute().features[:, 0].tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("index", "said"),
        [
            (list(range(TOTAL - 1)), "1 are missing and 0 came more"),
            ([], f"{TOTAL} are missing"),
            ([*range(TOTAL), 3], "0 are missing and 1 came more"),
            ([*range(TOTAL - 1), 3], "1 are missing and 1 came more"),
            ([*range(TOTAL), TOTAL], "1 others"),
            ([*range(TOTAL), -1], "1 others"),
        ],
        ids=["missing", "none", "twice", "instead", "above", "below"],
    )
    def test_gaps_are_refused(self, index: list[int], said: str) -> None:
        store = Features(TOTAL, WIDTH)
        store.update(torch.tensor(index, dtype=torch.int64), torch.zeros(len(index), WIDTH))
        with pytest.raises(Refused, match=said):
            store.compute()

    @pytest.mark.parametrize(
        ("features", "logits"), [((3, WIDTH), None), ((2, 1), None), ((2, WIDTH), (2, CLASSES))], ids=str
    )
    def test_other_shapes_are_refused(
        self, features: tuple[int, int], logits: tuple[int, int] | None
    ) -> None:
        with pytest.raises(Refused, match="batch holds"):
            Features(TOTAL, WIDTH).update(
                torch.arange(2), torch.zeros(features), None if logits is None else torch.zeros(logits)
            )


# Inception's width costs minutes.
sizes = pytest.mark.parametrize(
    ("width", "samples"), [(512, 125), pytest.param(2048, 500, marks=pytest.mark.slow)]
)


class TestFrechet:
    """S2 = c S1 and m2 = m1 + d are |d|² + (1 - √c)² tr S1 apart."""

    @sizes
    @pytest.mark.parametrize("full_rank", [True, False])
    def test_known_distances(self, width: int, samples: int, full_rank: bool) -> None:
        rank = width if full_rank else samples
        mixing = normal(0, rank, width).div_(width**0.5)
        real = Gaussian(normal(1, width), mixing.T @ mixing, 3000)
        root = factor(real.covariance)
        assert root.shape == (width, rank)
        for c, step in ((1.3, 0.1), (1.0, 0.0), (0.5, 0.0)):
            apart = step * normal(2, width)
            fake = Gaussian(real.mean + apart, c * real.covariance, 3000)
            wanted = apart.square().sum() + (1 - c**0.5) ** 2 * real.covariance.trace()
            assert abs(frechet(real, fake, root) - float(wanted)) <= 1e-6

    @sizes
    def test_the_distance_to_itself(self, width: int, samples: int) -> None:
        features = normal(0, samples, width).abs().float()
        real = gaussian(features)
        assert abs(frechet(real, real, factor(real.covariance))) <= 1e-6

    @pytest.mark.parametrize(("reals", "fakes"), [(300, 200), (90, 40), (40, 90), (40, 200), (200, 40)])
    def test_against_singular_values(self, reals: int, fakes: int) -> None:
        """Width 64: either side with fewer samples than features, neither, both."""
        spectrum = torch.logspace(0, -4, 64, dtype=torch.float64)
        real, fake = normal(0, reals, 64) * spectrum, 1.2 * normal(1, fakes, 64) * spectrum + 0.01
        wanted = nuclear(real, fake)
        assert frechet(of(real), of(fake)) == pytest.approx(wanted, abs=2e-7)
        assert frechet(of(real), of(fake), factor(of(real).covariance)) == pytest.approx(wanted, abs=2e-7)
        assert frechet(of(fake), of(real)) == pytest.approx(wanted, abs=2e-7)

    def test_the_factor_is_one(self) -> None:
        covariance = of(normal(0, 40, 64)).covariance
        root = factor(covariance)
        assert root.shape == (64, 39)
        torch.testing.assert_close(root @ root.T, covariance)

    @pytest.mark.parametrize("width", [1, 2])
    def test_narrow_features(self, width: int) -> None:
        real, fake = normal(0, 50, width), 2 * normal(1, 60, width) + 1
        moments = Moments(torch.zeros(width))
        moments.update(fake)
        wanted = nuclear(real, fake)
        assert frechet(gaussian(real), moments.compute()) == pytest.approx(wanted, abs=1e-9)

    @pytest.mark.parametrize("samples", [40, 200])
    def test_one_image_only(self, samples: int) -> None:
        """All of the reals' spread, and how far their mean lies from the image."""
        real, image = normal(0, 200, 64), normal(1, 1, 64)
        wanted = float((real.mean(0) - image[0]).square().sum() + real.var(0).sum())
        collapsed = image.expand(samples, 64)
        assert frechet(of(real), gaussian(collapsed)) == pytest.approx(wanted, rel=1e-6)
        assert frechet(gaussian(collapsed), of(real)) == pytest.approx(wanted, rel=1e-6)

    @pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
    @pytest.mark.parametrize("samples", [40, 200])
    def test_what_is_no_number_has_no_distance(self, value: float, samples: int) -> None:
        real, fake = normal(0, 200, 64), normal(1, samples, 64)
        fake[3, 5] = value
        for distance in (
            frechet(of(real), gaussian(fake)),
            frechet(gaussian(fake), of(real)),
        ):
            assert distance != distance

    def test_a_diverged_generator_is_far_away(self) -> None:
        real, fake = normal(0, 200, 64), normal(1, 200, 64).float() * 1e37
        assert 1e70 < frechet(of(real), gaussian(fake)) < float("inf")


def own_share() -> list[tuple[Gaussian, Gaussian, FeatureRows, Tensor]]:
    """What one of several processes computes of 103 samples, and of 3: then one of four has none."""
    rank, world = rank_and_world()
    answers = []
    for total in (TOTAL, 3):
        moments, store = Moments(torch.full((WIDTH,), 3)), Features(total, WIDTH, CLASSES)
        for index in torch.arange(rank, total, world).split(BATCH):
            moments.update(multiples(index))
            store.update(index, multiples(index), -multiples(index)[:, :CLASSES])
        for _ in range(2):
            whole, rows = moments.compute(), store.compute()
        answers.append((whole, moments.compute_own(), rows, store.occurrences.clone()))
    store.update(torch.tensor([0]), torch.zeros(1, WIDTH), torch.zeros(1, CLASSES))
    with pytest.raises(Refused, match="Of 3 samples 0 are missing and 1 came more than once; 0 others"):
        store.compute()
    return answers


@pytest.mark.parametrize("world", [2, 4])
def test_any_number_of_processes(world: int, tmp_path: Path) -> None:
    for rank, answers in enumerate(together(own_share, world, tmp_path)):
        for total, (whole, own, rows, occurrences) in zip((TOTAL, 3), answers, strict=True):
            same(whole, of_multiples(total), rtol=0, atol=0)
            assert torch.equal(rows.features, multiples(torch.arange(total)))
            assert torch.equal(rows.logits, -multiples(torch.arange(total))[:, :CLASSES])
            assert own.count == len(range(rank, total, world)), "the process keeps its own share"
            assert occurrences.nonzero().flatten().tolist() == list(range(rank, total, world))


@pytest.mark.gpu
def test_what_lies_in_the_processors_memory_goes_by_nccl_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of one, told that it is of two, or nothing would be sent."""
    torch.distributed.init_process_group("nccl", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        monkeypatch.setattr(processes, "rank_and_world", lambda: (0, 2))
        values = torch.arange(3)
        for answer in (processes.summed(values), processes.sent(values, 0)):
            assert answer.device == values.device
            assert torch.equal(answer, values)
    finally:
        torch.distributed.destroy_process_group()


def grown(script: str) -> float:
    """By how many MiB a fresh process grows while it runs the second half of a script."""
    setup, measured = script.split("# measured")
    program = (
        "import resource, torch\ntorch.set_num_threads(2)\n"
        f"{setup}\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"{measured}\nprint((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    print(done.stdout)
    return float(done.stdout.split()[-1])


BATCHES = """
from ganlab.metrics.statistics import *
from ganlab.metrics.scores import *
from ganlab.metrics.kid import *
def batches(seed, samples=50_000, size=500):
    source = torch.Generator().manual_seed(seed)
    for start in range(0, samples, size):
        index = torch.arange(start, start + size)
        yield index, torch.rand(size, 2048, generator=source), torch.randn(size, 1008, generator=source)
a = torch.randn(500, 500); a @ a.T; torch.linalg.eigvalsh(a)
"""


@pytest.mark.slow
def test_memory_of_the_distance_alone() -> None:
    growth = grown(
        BATCHES
        + """
# measured
real = Moments(torch.zeros(2048))
for _, features, _ in batches(0):
    real.update(features)
real = real.compute()
fake = Moments(real.mean)
root = factor(real.covariance)
for _, features, _ in batches(1):
    fake.update(features)
print(frechet(real, fake.compute(), root))
"""
    )
    assert growth <= 300


@pytest.mark.evidence
@pytest.mark.timeout(3600)
def test_memory_of_all_scores() -> None:
    """Pairs are looked at block by block, so that all of them would take only longer: 20 minutes. So would
    more points of FID infinity than the two of a line.
    """
    growth = grown(
        BATCHES
        + """
import time
# measured
reals, fakes = Features(50_000, 2048), Features(50_000, 2048, 1008)
for index, features, _ in batches(0):
    reals.update(index, features)
for batch in batches(1):
    fakes.update(*batch)
real, fake = reals.compute(), fakes.compute()
known = gaussian(real.features)
for score in (
    lambda: fid_infinity(known, fake.features, points=2),
    lambda: frechet(known, gaussian(fake.features)),
    lambda: inception_score(fake.logits),
    lambda: kid_subsets(real.features, fake.features, subsets=10),
    lambda: kid_all(real.features[:10_000], fake.features[:10_000]),
    lambda: overlap(real.features[:10_000], fake.features[:10_000]),
    lambda: nearest(real.features, fake.features[:64], 5)[0].mean(),
):
    start = time.perf_counter()
    print(score(), time.perf_counter() - start, flush=True)
"""
    )
    assert growth <= 1536
