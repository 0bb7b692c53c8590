"""Rows of tests of which some show by default what all of them show, slowly."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def later(cases: Iterable[Any], at_once: Collection[Any]) -> list[Any]:
    """Parameters of tests, of which all but those `at_once` are slow."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), marks=() if case in at_once else pytest.mark.slow
        )
        for case in cases
    ]
