"""Every variant, found by subclassing, passes every check."""

from typing import Any
from unittest import SkipTest

import pytest

import ganlab.variants
from ganlab.game.gan import GAN
from ganlab.testing import CHECKS, OF_TWO_PROCESSES, Game

VARIANTS = [variant for variant in GAN.__subclasses__() if variant.__module__.startswith("ganlab.variants")]


def test_all_that_ship_are_found() -> None:
    assert {variant.__name__ for variant in VARIANTS} == set(ganlab.variants.__all__)


# The others' are slow: a dozen seconds together.
ON_TWO_PROCESSES_BY_DEFAULT = ("Pix2Pix", "R3GAN")


def cases() -> list[Any]:
    return [
        pytest.param(
            variant,
            check,
            id=f"{variant.__name__}-{check.__name__}",
            marks=[pytest.mark.slow]
            if check in OF_TWO_PROCESSES and variant.__name__ not in ON_TWO_PROCESSES_BY_DEFAULT
            else [],
        )
        for variant in VARIANTS
        for check in CHECKS
    ]


@pytest.mark.parametrize(("variant", "check"), cases())
def test_conforms(variant: type[GAN], check) -> None:
    try:
        check(Game(variant))
    except SkipTest as reason:
        pytest.fail(f"no variant that ships leaves a law out: {reason}")
