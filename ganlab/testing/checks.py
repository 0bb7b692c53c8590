"""The checks that every variant must pass, ours and yours."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningDataModule

from ganlab.game.gan import GAN
from ganlab.testing.games import Game
from ganlab.testing.process_checks import (
    resumes_exactly_on_two_processes,
    two_processes_are_one_of_twice_the_batch,
)
from ganlab.testing.sampling_checks import (
    samples_follow_from_seed_and_number,
    samples_the_same_on_two_processes,
)
from ganlab.testing.side_checks import (
    is_judged_by_several_critics,
    lets_sides_rest,
    moves_only_what_a_side_learns,
)
from ganlab.testing.training_checks import (
    follows_its_seed,
    is_not_touched_by_evaluation,
    judges_in_float32,
    reports_a_bad_number,
    resumes_exactly,
    trains,
)

OF_TWO_PROCESSES = (
    samples_the_same_on_two_processes,
    resumes_exactly_on_two_processes,
    two_processes_are_one_of_twice_the_batch,
)
CHECKS = (
    trains,
    moves_only_what_a_side_learns,
    lets_sides_rest,
    is_judged_by_several_critics,
    follows_its_seed,
    resumes_exactly,
    judges_in_float32,
    reports_a_bad_number,
    is_not_touched_by_evaluation,
    samples_follow_from_seed_and_number,
    *OF_TWO_PROCESSES,
)


def conformance(
    variant: type[GAN], data: Callable[[], LightningDataModule] | None = None, **arguments: Any
) -> Any:
    """A pytest function that runs every check. Those of two processes take some seconds.

    Args:
        data: Makes the data that are played with; by default labelled images, or pairs for a variant that
            derives from one that needs a source.
        arguments: The variant's own; networks as what makes them, or as networks, which are copied, so that
            no two games share one.
    """
    import pytest

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test(check: Callable[[Game], None]) -> None:
        check(Game(variant, data, arguments))

    return test
