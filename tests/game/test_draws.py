"""Random numbers follow from their seed alone; processes and micro-batches get rows of the same draw."""

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ganlab.game.draws import Draws
from ganlab.seeds import reseed, seed_for

TOTAL = 24
CPU = torch.device("cpu")

DrawFunction = Callable[[Draws], Tensor]

DRAWS: dict[str, DrawFunction] = {
    "normal": lambda draws: draws.normal(5),
    "uniform": lambda draws: draws.uniform(1, 1, 1),
    "integers": lambda draws: draws.integers(7),
    "codes": lambda draws: draws.integers(4, 3),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())


def new(
    seed: int = 3, total: int = TOTAL, dtype: torch.dtype = torch.float32, device: torch.device = CPU
) -> Draws:
    return Draws(seed, total, device=device, dtype=dtype)


def turn(draws: Draws) -> list[Tensor]:
    """One of each, and one again."""
    return [draw(draws) for draw in (*DRAWS.values(), DRAWS["normal"])]


class TestRows:
    @pytest.mark.parametrize("processes", [1, 2, 3])
    @pytest.mark.parametrize("micro_batches", [1, 2, 4])
    def test_of_processes_and_micro_batches_are_the_global_draw(
        self, processes: int, micro_batches: int
    ) -> None:
        size = TOTAL // (processes * micro_batches)
        whole = turn(new())
        parts = []
        for process in range(processes):
            draws = new()
            for micro in range(micro_batches):
                start = (process * micro_batches + micro) * size
                draws.restart(slice(start, start + size))
                parts.append(turn(draws))
        assert len(parts) == processes * micro_batches
        for expected, *pieces in zip(whole, *parts, strict=True):
            assert {len(piece) for piece in pieces} == {size}
            assert torch.equal(torch.cat(pieces), expected)

    def test_in_any_order(self) -> None:
        draws, whole = new(), turn(new())
        draws.restart(slice(20, 24))
        last = turn(draws)
        draws.restart(slice(0, 4))
        first = turn(draws)
        for expected, one, other in zip(whole, first, last, strict=True):
            assert torch.equal(expected[:4], one)
            assert torch.equal(expected[20:], other)

    def test_are_all_of_them_at_first(self) -> None:
        assert [len(drawn) for drawn in turn(new())] == [TOTAL] * 5


class TestSequence:
    @every_draw
    def test_restart_repeats_it(self, draw: DrawFunction) -> None:
        draws = new()
        once = [draw(draws), draw(draws)]
        draws.restart(slice(0, TOTAL))
        again = [draw(draws), draw(draws)]
        for one, other in zip(once, again, strict=True):
            assert torch.equal(one, other)

    @every_draw
    def test_without_restart_it_goes_on(self, draw: DrawFunction) -> None:
        draws = new()
        assert not torch.equal(draw(draws), draw(draws))

    def test_more_draws_than_before_are_new_numbers(self) -> None:
        """The second micro-batch may need a draw that the first did not."""
        draws, straight = new(), new()
        expected = [straight.normal(2), straight.uniform()]
        draws.restart(slice(0, 12))
        draws.normal(2)
        draws.restart(slice(12, 24))
        assert torch.equal(draws.normal(2), expected[0][12:])
        assert torch.equal(draws.uniform(), expected[1][12:])

    @every_draw
    def test_follows_from_the_seed_and_nothing_else(self, draw: DrawFunction) -> None:
        one = draw(new(seed=3))
        torch.manual_seed(99)
        torch.rand(7)
        assert torch.equal(draw(new(seed=3)), one)
        assert not torch.equal(draw(new(seed=4)), one)

    def test_leaves_the_global_generator_alone(self) -> None:
        torch.manual_seed(0)
        before = torch.get_rng_state()
        turn(new())
        assert torch.equal(torch.get_rng_state(), before)


class TestNumbers:
    def test_shapes(self) -> None:
        draws = new()
        assert draws.normal(5).shape == (TOTAL, 5)
        assert draws.normal(2, 3, 4).shape == (TOTAL, 2, 3, 4)
        assert draws.uniform().shape == (TOTAL,)
        assert draws.uniform(1, 1, 1).shape == (TOTAL, 1, 1, 1)
        assert draws.integers(9).shape == (TOTAL,)
        assert draws.integers(9, 2).shape == (TOTAL, 2)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_dtypes(self, dtype: torch.dtype) -> None:
        draws = new(dtype=dtype)
        assert draws.normal(5).dtype == draws.uniform(5).dtype == dtype
        assert draws.integers(9).dtype == torch.int64

    def test_normal(self) -> None:
        drawn = new(total=1000, dtype=torch.float64).normal(100)
        assert abs(float(drawn.mean())) < 5 / 10**2.5
        assert float(drawn.std()) == pytest.approx(1, abs=0.01)
        assert float((drawn.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=0.01)

    def test_uniform(self) -> None:
        drawn = new(total=1000, dtype=torch.float64).uniform(100)
        assert 0 <= float(drawn.min()) < 0.001
        assert 0.999 < float(drawn.max()) < 1
        shares = torch.histc(drawn, 10, 0, 1) / drawn.numel()
        torch.testing.assert_close(shares, torch.full_like(shares, 0.1), atol=0.005, rtol=0)

    def test_integers(self) -> None:
        counts = new(total=1000).integers(5, 100).flatten().bincount()
        assert len(counts) == 5
        assert (counts - 20_000).abs().max() < 700


class TestSeeds:
    def test_are_the_same_on_every_machine_and_in_every_version(self) -> None:
        """A change here changes every run that was ever recorded."""
        assert seed_for("permutation", 0, 0) == 2150290418572110269
        assert seed_for(0, 10_000, 1) == 5565600926566102165

    def test_differ_for_any_other_purpose(self) -> None:
        purposes = [
            *((seed, step, turn) for seed in range(20) for step in range(20) for turn in range(5)),
            *((seed, step) for seed in range(20) for step in range(20)),
            *((0, 0, 0, rank, micro) for rank in range(4) for micro in range(4)),
            *(("samples", seed) for seed in range(20)),
            *(("permutation", seed, 0) for seed in range(20)),
            ("a", "b"), ("ab",), ("a, b",), (1,), ("1",), (120, 3), (1, 203), (-1,), (10**30,), (),
        ]  # fmt: skip
        assert len(set(purposes)) == len(purposes)
        assert len({seed_for(*purpose) for purpose in purposes}) == len(purposes)

    def test_fit_every_generator(self) -> None:
        seeds = [seed_for("range", index) for index in range(2000)]
        assert min(seeds) >= 0
        assert 2**62 < max(seeds) < 2**63
        for seed in (min(seeds), max(seeds)):
            torch.Generator().manual_seed(seed)

    def test_give_unrelated_numbers(self) -> None:
        """Neighbouring steps, turns and seeds: their correlations are those of chance."""
        purposes = [(seed, step, turn) for seed in (0, 1) for step in (0, 1, 2) for turn in (0, 1)]
        drawn = [new(seed_for(*purpose), 100, torch.float64).normal(100).flatten() for purpose in purposes]
        for one, other in combinations(drawn, 2):
            assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.05


class TestReseed:
    def test_seeds_the_global_generator(self) -> None:
        torch.manual_seed(41)
        expected = torch.rand(3), torch.randn(3), torch.randperm(9), dropout(torch.ones(50))
        reseed(41, CPU)
        drawn = torch.rand(3), torch.randn(3), torch.randperm(9), dropout(torch.ones(50))
        for one, other in zip(drawn, expected, strict=True):
            assert torch.equal(one, other)

    def test_repeats_what_layers_draw(self) -> None:
        layer, inputs = nn.Dropout(0.5), torch.ones(200)
        reseed(1, CPU)
        once = layer(inputs)
        assert not torch.equal(layer(inputs), once)
        reseed(1, CPU)
        assert torch.equal(layer(inputs), once)
        reseed(2, CPU)
        assert not torch.equal(layer(inputs), once)

    def test_takes_every_seed_that_is_made(self) -> None:
        reseed(2**63 - 1, CPU)
        reseed(0, CPU)
