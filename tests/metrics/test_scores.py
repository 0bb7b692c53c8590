"""Scores against torch-fidelity's of the same features, plain formulas, and answers known by hand."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity import metric_kid
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from ganlab.data import Gaussians
from ganlab.data.sets.gaussians import nearest_modes
from ganlab.data.stream import ModeIndices
from ganlab.errors import Refused
from ganlab.metrics import kid, scores
from ganlab.metrics.cmmd import cmmd
from ganlab.metrics.names import measured
from ganlab.metrics.observed import Observed, Pair, Reals
from ganlab.metrics.registry import TABLE
from ganlab.metrics.statistics import FeatureRows, Gaussian, class_frechets, factor, frechet, gaussian


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


MIXING = normal(9, 256, 256) / 16
REAL = (normal(0, 3000, 256) @ MIXING).relu()
FAKE = (1.1 * normal(1, 2500, 256) @ MIXING + 0.05).relu()
LOGITS = 2 * normal(2, 2503, 100)


class TestTorchFidelity:
    def test_fid(self) -> None:
        statistics = (fid_features_to_statistics(features) for features in (FAKE, REAL))
        expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
        assert frechet(gaussian(REAL), gaussian(FAKE)) == pytest.approx(expected, rel=2e-6)

    @pytest.mark.parametrize("splits", [10, 3, 1])
    def test_inception_score(self, splits: int) -> None:
        expected = isc_features_to_metric(LOGITS, splits=splits)
        result = scores.inception_score(LOGITS, splits)
        assert result.mean == pytest.approx(expected["inception_score_mean"], rel=1e-12)
        assert result.std == pytest.approx(expected["inception_score_std"], rel=1e-12, abs=1e-15)

    @pytest.mark.parametrize(("subsets", "size"), [(20, 400), (3, 700)])
    def test_kid(self, subsets: int, size: int) -> None:
        """Subsets of 700 hold all fakes."""
        real, fake = REAL[:800], FAKE[:700]
        expected = kid_features_to_metric(
            fake, real, kid_subsets=subsets, kid_subset_size=size, verbose=False
        )
        result = kid.kid_subsets(real, fake, subsets, size)
        assert result.mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-5)
        # Their rounding to float32 changes the differences between subsets.
        assert result.std == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-3)

    def test_all_subsets_have_their_usual_number_and_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With a distance that is cheaper than the kernel's, but also differs between subsets."""

        def theirs(fake: np.ndarray, real: np.ndarray, **_: Any) -> float:
            return float((fake.sum(0) - real.sum(0)) @ range(1, 9))

        def ours(real: Tensor, fake: Tensor) -> kid.Estimate:
            return kid.Estimate(theirs(fake.numpy(), real.numpy()), 0.0)

        monkeypatch.setattr(metric_kid, "kernel_mmd", theirs)
        monkeypatch.setattr(kid, "kid_all", ours)
        expected = kid_features_to_metric(FAKE[:, :8].double(), REAL[:, :8].double(), verbose=False)
        result = kid.kid_subsets(REAL[:, :8].double(), FAKE[:, :8].double())
        assert result.mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9)
        assert result.std == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-9)

    @pytest.mark.parametrize("k", [3, 1])
    def test_precision_and_recall(self, k: int) -> None:
        real, fake = REAL[:1000], FAKE[:900]
        expected = prc_features_to_metric(fake, real, prc_neighborhood=k, verbose=False)
        precision, recall = scores.precision_recall(real, fake, k)
        assert 0.02 < precision < recall < 1, "else the comparison would show nothing"
        assert precision == pytest.approx(expected["precision"], abs=1e-6)
        assert recall == pytest.approx(expected["recall"], abs=1e-6)

    def test_precision_and_recall_of_points_on_a_lattice(self) -> None:
        """Full of equal distances, all exact: only ≤ gives these numbers."""
        real, fake = ((6 * uniform(s, 400, 3)).floor() for s in (0, 1))
        expected = prc_features_to_metric(fake[:300], 2 * real, verbose=False)
        precision, recall = scores.precision_recall(2 * real, fake[:300])
        assert precision == pytest.approx(expected["precision"], abs=1e-6)
        assert recall == pytest.approx(expected["recall"], abs=1e-6)


def plain_density_coverage(real: Tensor, fake: Tensor, k: int) -> tuple[float, float]:
    """The paper's sums, without blocks and matrix products."""
    within = (real[:, None] - real).square().sum(2).sort(1).values[:, k]
    inside = (real[:, None] - fake).square().sum(2) < within[:, None]
    return int(inside.sum()) / (k * len(fake)), float(inside.any(1).double().mean())


def plain_cmmd(real: Tensor, fake: Tensor) -> float:
    """Pair by pair."""

    def mean(x: Tensor, y: Tensor) -> float:
        pairs = [float((a / a.norm() - b / b.norm()).square().sum()) for a in x for b in y]
        return sum(math.exp(-distance / (2 * 10**2)) for distance in pairs) / len(pairs)

    return 1000 * (mean(real, real) + mean(fake, fake) - 2 * mean(real, fake))


def plain_kid(real: Tensor, fake: Tensor) -> float:
    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return ((x[:, None] * y).sum(2) / x.shape[1] + 1) ** 3

    def among(x: Tensor) -> Tensor:
        return (kernel(x, x).sum() - kernel(x, x).diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(among(real) + among(fake) - 2 * kernel(real, fake).mean())


@pytest.fixture(params=[2048, 64], ids="block {}".format)
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, of which the last is shorter, must change nothing."""
    monkeypatch.setattr(scores, "BLOCK", request.param)
    monkeypatch.setattr(kid, "BLOCK", request.param)


@pytest.mark.usefixtures("_block")
class TestPlainFormulas:
    def test_kid_over_all_samples(self) -> None:
        real, fake = normal(0, 150, 8, dtype=torch.float64), 1.2 * normal(1, 100, 8, dtype=torch.float64)
        assert kid.kid_all(real, fake).value == pytest.approx(plain_kid(real, fake), rel=1e-12)

    def test_the_error_of_kid_is_that_of_leaving_each_sample_out(self) -> None:
        real, fake = normal(0, 14, 3, dtype=torch.float64), 1.2 * normal(1, 11, 3, dtype=torch.float64)
        variance = 0.0
        for size, without in (
            (14, lambda i: plain_kid(torch.cat([real[:i], real[i + 1 :]]), fake)),
            (11, lambda i: plain_kid(real, torch.cat([fake[:i], fake[i + 1 :]]))),
        ):
            values = np.array([without(i) for i in range(size)])
            variance += (size - 1) / size * ((values - values.mean()) ** 2).sum()
        assert kid.kid_all(real, fake).error == pytest.approx(variance**0.5, rel=1e-9)

    def test_cmmd(self) -> None:
        real, fake = normal(0, 70, 8).double() + 0.5, 3 * normal(1, 66, 8).double()
        assert cmmd(real, fake) == pytest.approx(plain_cmmd(real, fake), rel=1e-9)
        assert cmmd(real.float(), fake.float()) == pytest.approx(plain_cmmd(real, fake), rel=1e-5)
        assert cmmd(7 * real, fake) == pytest.approx(cmmd(real, fake), rel=1e-9)
        assert cmmd(real, real) == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("k", [5, 2])
    @pytest.mark.parametrize("lattice", [True, False])
    def test_density_and_coverage(self, k: int, lattice: bool) -> None:
        """On the lattice distances are equal, and exact: only < gives these numbers."""
        real, fake = normal(0, 300, 3).double(), normal(1, 200, 3).double() + 0.5
        if lattice:
            real, fake = real.mul(2).round(), fake.mul(2).round()
        expected = plain_density_coverage(real, fake, k)
        assert expected[0] > 0
        assert 0 < expected[1] < 1
        assert scores.density_coverage(real, fake, k) == pytest.approx(expected, rel=1e-12)

    def test_one_pass_gives_what_two_give(self) -> None:
        real, fake = normal(0, 300, 3), normal(1, 200, 3) + 0.5
        expected = (*scores.precision_recall(real, fake, 3), *scores.density_coverage(real, fake, 5))
        assert scores.overlap(real, fake) == pytest.approx(expected, rel=1e-12)
        expected = (*scores.precision_recall(real, fake, 4), *scores.density_coverage(real, fake, 2))
        assert scores.overlap(real, fake, 4, 2) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("k", [1, 7])
    def test_nearest(self, k: int) -> None:
        training, generated = normal(0, 300, 5), normal(1, 150, 5)
        expected = (generated[:, None] - training).double().norm(dim=2).sort(1)
        distance, index = scores.nearest(training, generated, k)
        torch.testing.assert_close(distance, expected.values[:, :k], rtol=1e-6, atol=0)
        assert torch.equal(index, expected.indices[:, :k])

    def test_a_copy_is_found(self) -> None:
        training = normal(0, 300, 64) + 10
        distance, index = scores.nearest(training, training[[250, 3]], 2)
        assert index[:, 0].tolist() == [250, 3]
        assert distance[:, 0].max() < 1e-5 < distance[:, 1].min()

    def test_fewer_neighbours_than_asked_for(self) -> None:
        distance, index = scores.nearest(normal(0, 3, 5), normal(1, 4, 5), 7)
        assert distance.shape == index.shape == (4, 3)


class TestErrorOfKid:
    """Against the spread of KID over sets of samples that are drawn anew."""

    @pytest.mark.parametrize(("shift", "low", "high"), [(0.5, 0.85, 1.2), (0.0, 1.0, 2.0)])
    def test_it_is_the_spread_of_the_estimate(self, shift: float, low: float, high: float) -> None:
        """Where both sides are one distribution it may be up to twice as large, but never smaller."""
        estimates = [kid.kid_all(normal(2 * i, 80, 4), normal(2 * i + 1, 60, 4) + shift) for i in range(300)]
        spread = np.std([estimate.value for estimate in estimates], ddof=1)
        error = np.mean([estimate.error**2 for estimate in estimates]) ** 0.5
        assert low * spread < error < high * spread

    def test_it_is_reported_where_all_subsets_are_one(self) -> None:
        values = kid_of(normal(0, 400, 4), normal(1, 300, 4) + 0.3)
        assert values["kid300_error"] > 0
        assert values["kid300_error"] == pytest.approx(
            kid.kid_all(normal(0, 400, 4)[:300], normal(1, 300, 4) + 0.3).error, rel=0.2
        )

    def test_it_covers_which_samples_are_in_the_subsets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kid, "SUBSETS", 4)
        few = kid_of(normal(0, 1500, 4), normal(1, 1500, 4) + 0.3)["kid1500_error"]
        assert few > kid.kid_all(normal(0, 1500, 4), normal(1, 1500, 4) + 0.3).error

    def test_older_names_are_read(self) -> None:
        for name, better in (("kid10k_std_digits", None), ("kid10k_full", "min"), ("kid10k_error", None)):
            known = measured(name)
            assert known is not None
            assert (known.score, known.value.better, known.suffix) == (
                "kid",
                better,
                "_digits" if "digits" in name else "",
            )


def kid_of(real: Tensor, fake: Tensor) -> dict[str, float]:
    reals = Reals.of(Observed(gaussian(real), FeatureRows(real, None)))
    numbers = TABLE["kid"].compute(Pair(reals, Observed(gaussian(fake), FeatureRows(fake, None))))
    names = [value.name.format(n=len(fake)) for value in TABLE["kid"].values]
    return dict(zip(names, numbers, strict=True))


class TestFidInfinity:
    def test_it_removes_the_bias(self) -> None:
        """Fakes are drawn from the reals' exact Gaussian: the true FID is 0, and a plain one lies above."""
        real = Gaussian(torch.zeros(32).double(), torch.eye(32).double(), 10**9)
        fake = normal(0, 4000, 32)
        biased = frechet(real, gaussian(fake))
        result = scores.fid_infinity(real, fake, factor(real.covariance), least=400)
        assert abs(result) < biased / 4

    def test_it_keeps_what_is_no_bias(self) -> None:
        real = Gaussian(torch.zeros(32).double(), torch.eye(32).double(), 10**9)
        assert scores.fid_infinity(real, normal(0, 4000, 32) + 0.5, least=400) == pytest.approx(8, rel=0.05)

    def test_it_is_the_same_again(self) -> None:
        real = gaussian(normal(1, 500, 8))
        first, again, other = (
            scores.fid_infinity(real, normal(0, 900, 8), least=300, seed=seed) for seed in (0, 0, 1)
        )
        assert first == again != other


class TestModes:
    @pytest.mark.parametrize("layout", ["ring", "grid"])
    def test_the_data_itself(self, layout: Any, tmp_path: Path) -> None:
        data = Gaussians(layout=layout, batch_size=1)
        labels = torch.arange(200_000) % len(data.centres)
        points = data.centres[labels] + data.sigma * normal(0, 200_000, 2)
        result = scores.count_modes(nearest_modes(points, data.centres, data.sigma, data.mixing))
        assert result.covered == result.well_covered == len(data.centres)
        assert result.high_quality == pytest.approx(1 - math.exp(-4.5), abs=1e-3)
        assert result.kl < 1e-3

    @pytest.mark.parametrize("layout", ["ring", "grid"])
    def test_three_modes_only(self, layout: Any) -> None:
        data = Gaussians(layout=layout, batch_size=1)
        points = data.centres[torch.arange(30_000) % 3] + data.sigma * normal(0, 30_000, 2)
        result = scores.count_modes(nearest_modes(points, data.centres, data.sigma))
        assert result.covered == result.well_covered == 3
        assert result.kl == pytest.approx(math.log(len(data.centres) / 3), abs=0.01)

    def test_noise_on_the_grid_has_no_mode_well(self) -> None:
        """It hits most modes once: of each mode's square of area 4, 9 π σ² or 1.8 % counts as near."""
        data = Gaussians(layout="grid", batch_size=1)
        result = scores.count_modes(nearest_modes(10 * uniform(0, 500, 2) - 5, data.centres, data.sigma))
        assert result.covered >= 3
        assert result.well_covered == 0
        assert result.high_quality == pytest.approx(9 * math.pi * 0.05**2 / 4, abs=0.02)

    def test_correlated_coordinates(self) -> None:
        data = Gaussians(layout="normal", batch_size=1)
        points = data.centres + normal(0, 100_000, 2) @ data.mixing
        share = scores.count_modes(nearest_modes(points, data.centres, data.sigma, data.mixing)).high_quality
        assert share == pytest.approx(1 - math.exp(-4.5), abs=2e-3)

    def test_by_hand(self) -> None:
        centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
        points = torch.tensor([[2.9, 0.0], [3.1, 0.0], [10.0, 1.0], [10.0, -2.9], [math.nan, 0.0]])
        result = scores.count_modes(nearest_modes(points, centres, 1.0, enough=2))
        assert result[:2] == (2, 1)
        assert result.high_quality == pytest.approx(3 / 5)
        assert result.kl == pytest.approx(math.log(3 / 2))

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_diverged_generator(self, value: float) -> None:
        data = Gaussians(batch_size=1)
        result = scores.count_modes(nearest_modes(torch.full((50, 2), value), data.centres, data.sigma))
        assert result[:3] == (0, 0, 0.0)
        assert math.isnan(result.kl)


class TestClasses:
    @pytest.mark.parametrize(("width", "rows"), [(12, 40), (60, 25)], ids=["many rows", "few rows"])
    def test_within_each_class(self, width: int, rows: int) -> None:
        real, fake = normal(0, 3 * rows, width), 1.5 * normal(1, 3 * rows - 5, width) + 1
        labels, others = torch.arange(len(real)) % 3, torch.arange(len(fake)) % 3
        real, fake = real + 4 * labels[:, None], fake + 4 * others[:, None]
        expected = []
        for number in range(3):
            sides = (fid_features_to_statistics(x) for x in (fake[others == number], real[labels == number]))
            expected.append(fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"])
        result = class_frechets(real, labels, fake, others, 3)
        assert result == pytest.approx(expected, rel=1e-4)
        assert class_frechets(real, labels, fake, (others + 1) % 3, 3) > [2 * x for x in expected]

    def test_too_few_of_a_class(self) -> None:
        labels = torch.tensor([0, 0, 0, 1])
        assert [math.isnan(x) for x in class_frechets(*2 * (normal(0, 4, 3), labels), 3)] == [
            False,
            True,
            True,
        ]


class TestLabels:
    def test_stacked_digits(self) -> None:
        """At 26,000 samples the KL of uniform labels is about (1000 - 1) / (2 * 26,000)."""
        labels = torch.randint(1000, (26_000,), generator=torch.Generator().manual_seed(0))
        result = scores.count_modes(ModeIndices(labels, 1000, enough=10))
        assert result.covered >= 999
        assert result.well_covered >= 995
        assert result.kl == pytest.approx(999 / 52_000, rel=0.1)

    def test_half_of_the_digits(self) -> None:
        digits = torch.randint(5, (26_000, 3), generator=torch.Generator().manual_seed(0))
        labels = (digits * torch.tensor([100, 10, 1])).sum(1)
        labels[:5] = torch.tensor([999, 998, 997, 996, 995])
        result = scores.count_modes(ModeIndices(labels, 1000, enough=10))
        assert result.covered == 130
        assert result.well_covered == 125
        assert result.kl == pytest.approx(math.log(8), abs=0.01)

    def test_one_label_only(self) -> None:
        result = scores.count_modes(ModeIndices(torch.full((100,), 7), 1000, enough=10))
        assert result[:2] == (1, 1)
        assert math.isnan(result.high_quality)
        assert result.kl == pytest.approx(math.log(1000))

    def test_histogram_and_its_distance(self) -> None:
        fake = scores.class_histogram(torch.tensor([0, 0, 1, 1]), 4)
        real = scores.class_histogram(torch.tensor([0, 1, 1, 1, 1, 2, 2, 3]), 4)
        assert fake.tolist() == [2, 2, 0, 0]
        assert scores.total_variation(fake, real) == pytest.approx(3 / 8)
        assert scores.total_variation(real, real) == 0

    def test_a_label_that_is_none(self) -> None:
        with pytest.raises(Refused, match="label 4 is none of 4"):
            scores.class_histogram(torch.tensor([0, 4]), 4)

    def test_no_sample(self) -> None:
        assert math.isnan(scores.count_modes(ModeIndices(torch.tensor([], dtype=torch.int64), 1000)).kl)


EVERY: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "inception_score": lambda real, fake: scores.inception_score(fake),
    "kid_subsets": lambda real, fake: kid.kid_subsets(real, fake, 2, 50),
    "kid_all": kid.kid_all,
    "cmmd": lambda real, fake: [cmmd(real, fake)],
    "precision_recall": scores.precision_recall,
    "density_coverage": scores.density_coverage,
    "overlap": scores.overlap,
    "fid_infinity": lambda real, fake: [scores.fid_infinity(gaussian(real), fake, least=20)],
}
every_score = pytest.mark.parametrize("score", EVERY.values(), ids=EVERY.keys())


class TestBadGenerators:
    @every_score
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_features_that_are_no_numbers(self, score: Callable[..., Any], value: float) -> None:
        fake = normal(1, 80, 16)
        fake[7, 3] = value
        assert all(math.isnan(v) for v in score(normal(0, 100, 16), fake))
        assert scores.flaw(fake) == "1 of 80 samples have features that are no numbers"

    @every_score
    @pytest.mark.parametrize("samples", [0, 1])
    def test_too_few_samples(self, score: Callable[..., Any], samples: int) -> None:
        if score is scores.density_coverage and samples:
            samples = 0
        assert all(math.isnan(v) for v in score(normal(0, 100, 16), normal(1, samples, 16)))

    @pytest.mark.parametrize(("reals", "fakes", "defined"), [(4, 4, True), (3, 4, False), (4, 3, False)])
    def test_as_many_samples_as_neighbours(self, reals: int, fakes: int, defined: bool) -> None:
        result = scores.precision_recall(normal(0, reals, 2), normal(1, fakes, 2), 3)
        assert all(math.isnan(v) != defined for v in result)

    @every_score
    def test_huge_features_do_no_harm(self, score: Callable[..., Any]) -> None:
        score(normal(0, 100, 16), 1e37 * normal(1, 80, 16))

    def test_one_image_is_caught(self) -> None:
        real = normal(0, 2000, 32)
        result = scores.overlap(real, real[:1].expand(1000, 32))
        assert result.precision == 1
        assert result.recall < 0.01
        assert result.coverage < 0.01
        assert scores.inception_score(real[:1].expand(1000, 32)).mean == pytest.approx(1)
        of_one = kid.kid_all(real, real[:1].expand(1000, 32)).value
        assert of_one > 100 * abs(kid.kid_all(real[:1000], real[1000:]).value)

    def test_logits_beyond_the_exponential(self) -> None:
        """They choose classes 0 and 1 in turn, with probability e^-2000 for the others."""
        logits = torch.zeros(40, 5)
        logits[::2, 0] = logits[1::2, 1] = 2000
        assert scores.inception_score(logits, 1).mean == pytest.approx(2)


@every_score
def test_nothing_is_drawn_from_the_global_generators(score: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    score(normal(0, 100, 16), normal(1, 80, 16))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]
