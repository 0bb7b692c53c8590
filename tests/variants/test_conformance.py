"""Every variant, found by subclassing, passes every check."""

from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

import pytest

import ganlab.variants
from ganlab.game.gan import GAN
from ganlab.game.players import SIDES
from ganlab.testing import CHECKS, OF_TWO_PROCESSES, Game
from ganlab.testing.games import learning

VARIANTS = [getattr(ganlab.variants, name) for name in ganlab.variants.__all__]


def derived(kind: type[GAN]) -> Iterator[type[GAN]]:
    for each in kind.__subclasses__():
        yield from (each, *derived(each))


def test_all_that_ship_are_found() -> None:
    found = {kind for kind in derived(GAN) if kind.__module__.startswith("ganlab.variants")}
    assert found == {*VARIANTS}


# The others' are slow: a dozen seconds together.
ON_TWO_PROCESSES_BY_DEFAULT = ("Pix2Pix", "R3GAN")
LATER = ("NICEGAN", "SRGAN")  # games that derive from others, and add terms to theirs


def is_slow(name: str, check: Any) -> bool:
    return name in LATER or (check in OF_TWO_PROCESSES and name not in ON_TWO_PROCESSES_BY_DEFAULT)


def cases() -> list[Any]:
    return [
        pytest.param(
            variant,
            check,
            id=f"{variant.__name__}-{check.__name__}",
            marks=[pytest.mark.slow] if is_slow(variant.__name__, check) else [],
        )
        for variant in VARIANTS
        for check in CHECKS
    ]


@pytest.mark.parametrize(("variant", "check"), cases())
def test_conforms(variant: type[GAN], check) -> None:
    try:
        check(game := Game(variant))
    except SkipTest as reason:
        if {*SIDES} - learning(game()):
            pytest.skip(f"a law of two sides that learn: {reason}")
        pytest.fail(f"no variant that ships leaves a law out: {reason}")
