"""What tests with many broken inputs share: commands within this process, with bounds on what they may do.

Each series has fixed seeds. A twenty-ninth of it runs among the slow tests, all of it as evidence.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from command_line import Answer, here

from ganlab.errors import Refused

LONGEST = 20  # seconds that an input may take
LARGEST = 2**30  # bytes of a file whose content is compared
SHARES = [
    pytest.param(0, marks=[pytest.mark.slow, pytest.mark.evidence]),
    *(pytest.param(part, marks=pytest.mark.evidence) for part in range(1, 29)),
]
Case = TypeVar("Case")


def share_of(cases: Sequence[Case], part: int) -> Sequence[Case]:
    """Every twenty-ninth case: each part holds some of each kind, which come in rows of other lengths."""
    return cases[part :: len(SHARES)]


class Hangs(BaseException):
    """An input took longer than any may; no handler of exceptions catches it."""


@contextmanager
def within(seconds: int = LONGEST) -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise Hangs(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tried(*arguments: Any, folder: Path, **environment: str) -> Answer:
    """A command's answer within this process; a traceback or a hang fails the test."""
    with within():
        return here(*arguments, folder=folder, **environment)


def result_or_refusal(work: Callable[[], Case]) -> Case | str:
    """What the work returns, or the sentences that refuse it; any other error fails the test."""
    try:
        with within():
            return work()
    except Refused as error:
        refusal = str(error)
    assert 1 <= len(refusal.splitlines()) <= 3, refusal
    assert len(refusal) < 700, refusal
    assert refusal.replace("\n", "").isprintable(), refusal
    return refusal


def said(answer: Answer) -> str:
    """Check that a command either worked or was refused in a few lines; return what it said."""
    assert answer.code in (0, 2), answer
    assert "Traceback" not in answer.err, answer.err
    if answer.code == 2:
        refusal = [line for line in answer.err.splitlines() if line.startswith("ganlab: ")]
        assert refusal, answer.err
        assert len(answer.err.splitlines()) <= 12, answer.err
    return answer.err


def state_of(folder: Path) -> dict[str, str]:
    """Each file, link and other thing below a folder, with the digest of what it holds."""
    state = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                content = f"link to {os.readlink(path)}"
            elif stat.S_ISREG(mode) and path.stat().st_size > LARGEST:
                content = f"{path.stat().st_size} bytes"
            elif stat.S_ISREG(mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                content = stat.filemode(mode)[0]
            state[str(path.relative_to(folder))] = content
    return state
