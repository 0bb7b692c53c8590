import gc
import warnings
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    # The networks are small: with more threads parallel test processes would only slow one another.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _freeze_imports() -> Iterator[None]:
    # Imported objects live until the end: the garbage collector need not scan them each time.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _ignore_warnings() -> None:
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
