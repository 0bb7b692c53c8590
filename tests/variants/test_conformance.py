"""Every variant, found by subclassing, passes every check."""

import pytest

import ganlab.variants
from ganlab.game.gan import GAN
from ganlab.testing import CHECKS, Game

VARIANTS = [variant for variant in GAN.__subclasses__() if variant.__module__.startswith("ganlab.variants")]


def test_all_that_ship_are_found() -> None:
    assert {variant.__name__ for variant in VARIANTS} == set(ganlab.variants.__all__)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.__name__)
def test_conforms(variant: type[GAN], check) -> None:
    check(Game(variant))
