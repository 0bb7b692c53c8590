import functools
import gc
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import unsynced  # noqa: F401


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    # The networks are small: with more threads parallel test processes would only slow one another.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _freeze_imports() -> Iterator[None]:
    # Imported objects live until the end: the garbage collector need not scan them each time; and it need
    # not come as often as Python asks it to, where there is room for what a test leaves.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def _read_entry_points_once() -> None:
    # Each Trainer asks all installed packages for callbacks, a quarter of the time of one that plays a step.
    if registry := sys.modules.get("lightning.fabric.utilities.registry"):
        registry.entry_points = functools.cache(registry.entry_points)


@pytest.fixture(autouse=True, scope="session")
def _name_classes_once() -> None:
    # What reads options asks thousands of times for the path of one of few hundred classes.
    original = sys.modules["jsonargparse._util"].get_import_path if "jsonargparse" in sys.modules else None
    if original:
        named = functools.cache(original)

        def path_of(value: object) -> str | None:
            return named(value) if isinstance(value, type) else original(value)

        for name, module in [*sys.modules.items()]:
            if name.startswith("jsonargparse") and getattr(module, "get_import_path", None) is original:
                module.get_import_path = path_of


@pytest.fixture(autouse=True, scope="session")
def _one_server() -> None:
    """The processes of all tests are forked from one server: it imports what any of them needs."""
    if processes := sys.modules.get("ganlab.testing.processes"):
        processes.PRELOADED += ["unsynced", "pytest", "commands", "ganlab.cli.fit", "ganlab.data.sets.digits"]


@pytest.fixture(autouse=True, scope="session")
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the key that marks runs as one's own out of the real home."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(shared / "settings"))
        yield


@pytest.fixture
def become_another_user(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Called, it makes all runs from before another user's."""
    home = str(tmp_path_factory.mktemp("another"))
    return lambda: monkeypatch.setenv("XDG_CONFIG_HOME", home)


@pytest.fixture(autouse=True)
def _ignore_warnings() -> None:
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")


@pytest.fixture(autouse=True)
def _end_commands() -> Iterator[None]:
    """No process that a test began outlives it."""
    yield
    if commands := sys.modules.get("commands"):
        commands.end_all()


@pytest.fixture(scope="session")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, with which others are compared."""
    from command_line import write
    from commands import GAME, begun, fit

    folder = tmp_path_factory.mktemp("straight")
    assert fit("--config", write(folder, GAME), folder=folder).code == 0
    return begun(folder)
