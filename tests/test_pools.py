"""A pool of generated images: what goes in, what comes out, how often and how old."""

import random

import pytest
import torch
from torch import Tensor

from ganlab.errors import Refused
from ganlab.pools import Pool


def numbered(first: int, count: int) -> Tensor:
    """Images of 2 x 2 pixels that all hold their image's number."""
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def numbers(images: Tensor) -> list[int]:
    return images.flatten(1)[:, 0].long().tolist()


def filled(size: int, seed: int = 0) -> Pool:
    """A pool of the images from 0 on."""
    torch.manual_seed(seed)
    pool = Pool(size, (1, 2, 2))
    pool(numbered(0, size))
    return pool


@pytest.mark.parametrize("batch", [1, 3, 4, 7, 40])
def test_the_first_images_are_stored_and_go_out_as_they_came(batch: int) -> None:
    torch.manual_seed(0)
    pool = Pool(20, (1, 2, 2))
    out = [pool(numbered(first, batch)) for first in range(0, 20 - batch + 1, batch)]
    seen = batch * len(out)
    assert numbers(torch.cat([*out, numbered(0, 0)])) == [*range(seen)]
    assert numbers(pool.images[:seen]) == [*range(seen)]
    assert int(pool.stored) == seen


@pytest.mark.parametrize("batch", [1, 3, 20, 33, 50])
def test_images_are_exchanged_and_none_is_lost_or_doubled(batch: int) -> None:
    """Whether or not a batch fills the pool, or has more images than it."""
    torch.manual_seed(1)
    pool, seen, out = Pool(20, (1, 2, 2)), 0, []
    for _ in range(200 // batch):
        out += numbers(pool(numbered(seen, batch)))
        seen += batch
    assert int(pool.stored) == 20
    # The first 20 went out as they came and are stored as well: those are the only ones that count twice.
    assert sorted(out + numbers(pool.images)) == sorted([*range(seen), *range(20)])


def test_half_of_the_images_are_exchanged_with_any_of_those_stored() -> None:
    pool, tries, exchanged, places = filled(10), 20_000, 0, [0] * 10
    for _ in range(tries // 4):
        before = numbers(pool.images)
        out = numbers(pool(numbered(100, 4)))
        exchanged += sum(number < 100 for number in out)
        for number in (each for each in out if each < 100):
            places[before.index(number)] += 1
        pool.images.copy_(numbered(0, 10))
    assert exchanged / tries == pytest.approx(0.5, abs=0.02)
    expected = exchanged / 10
    assert sum((count - expected) ** 2 / expected for count in places) < 27.9  # chi squared, 9 degrees, .999


def one_by_one(size: int, count: int) -> list[int]:
    """The ages of images by the paper's rule, told in a loop over single images."""
    source, stored, ages = random.Random(0), [], []
    for number in range(count):
        if len(stored) < size:
            stored.append(number)
            ages.append(0)
        elif source.random() < 0.5:
            place = source.randrange(size)
            ages.append(number - stored[place])
            stored[place] = number
        else:
            ages.append(0)
    return ages


def test_images_come_out_as_old_as_by_the_rule_for_single_images() -> None:
    torch.manual_seed(0)
    pool, count = Pool(5, (1,)), 4_000
    out = [int(pool(torch.tensor([[float(number)]]))) for number in range(count)]
    ages = [number - each for number, each in enumerate(out)]
    for some in (ages, one_by_one(5, count)):
        older = [age for age in some if age]
        # Each is exchanged with probability 1/2 · 1/5 a step: that takes 10 steps on average.
        assert sum(older) / len(older) == pytest.approx(10, rel=0.1)
        assert len(older) / count == pytest.approx(0.5, abs=0.03)


def test_it_draws_from_the_global_generator_alone() -> None:
    one, again, other = filled(8), filled(8), filled(8)
    runs = []
    for pool, seed in ((one, 3), (again, 3), (other, 4)):
        torch.manual_seed(seed)
        runs.append(pool(numbered(8, 8)))
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(one.images, again.images)
    assert not torch.equal(runs[0], runs[2])


def test_no_gradient_goes_through_it() -> None:
    for size in (0, 2, 9):
        out = Pool(size, (1, 2, 2))(torch.ones(4, 1, 2, 2, requires_grad=True))
        assert not out.requires_grad
        assert out.sum() == 16


def test_a_pool_of_none_changes_nothing() -> None:
    pool = Pool(0, (1, 2, 2))
    assert numbers(pool(numbered(3, 5))) == [3, 4, 5, 6, 7]
    with pytest.raises(Refused, match="size is -1"):
        Pool(-1, (1, 2, 2))


def test_half_precision_is_stored_in_float32_and_float64_as_it_is() -> None:
    assert Pool(2, (1, 2, 2))(numbered(0, 4).bfloat16()).dtype == torch.float32
    assert Pool(2, (1, 2, 2)).double()(numbered(0, 4).double()).dtype == torch.float64


@pytest.mark.gpu
def test_it_never_waits_for_the_device() -> None:
    pool, images = Pool(8, (1, 2, 2)).cuda(), numbered(0, 20).cuda()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            pool(images)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert int(pool.stored) == 8
