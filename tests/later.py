"""Rows of tests of which some show at once what all of them show, later or seldom."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def later(cases: Iterable[Any], at_once: Collection[Any]) -> list[Any]:
    """Parameters of tests, of which all but those `at_once` are slow."""
    return [_marked(case, *([] if case in at_once else [pytest.mark.slow])) for case in cases]


def seldom(cases: Iterable[Any], slow: Collection[Any]) -> list[Any]:
    """Parameters of tests that are slow, of which all others are evidence."""
    return [_marked(case, pytest.mark.slow if case in slow else pytest.mark.evidence) for case in cases]


def _marked(case: Any, *marks: Any) -> Any:
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks)
