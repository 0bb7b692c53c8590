import gc
import warnings
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    # Small nets: threads of parallel test processes would only wait for one another.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _lasting() -> Iterator[None]:
    # What is imported stays: a search for garbage need not go through it each time.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _quiet() -> None:
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
