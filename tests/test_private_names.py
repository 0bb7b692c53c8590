"""Private names of other libraries that ganlab relies on, all in one table: these tests say which of them a
new version has changed. A name that is not in the table may not be used.
"""

import argparse
import ast
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import subprocess_script
from torch.nn.parallel import DistributedDataParallel

PACKAGE = Path(__file__).resolve().parents[1] / "ganlab"


def takes(function: Callable[..., object], *names: str) -> bool:
    return list(inspect.signature(function).parameters)[: len(names)] == list(names)


# Of each name what would no longer work without it, and whether it is there.
PRIVATE: dict[str, tuple[str, Callable[[], bool]]] = {
    "_actions": (
        "argparse: the options that a misspelt one is compared with",
        lambda: len(argparse.ArgumentParser()._actions) == 1,
    ),
    "_broadcast_sigterm_tensor": (
        "Lightning: the message between processes in every step, which Preemption takes away",
        lambda: takes(_TrainingEpochLoop._broadcast_sigterm_tensor, "self"),
    ),
    "_check_log_dir_exists": (
        "Lightning: deletes the metrics of a run that goes on; MetricsCSV overrides it",
        lambda: takes(ExperimentWriter._check_log_dir_exists, "self"),
    ),
    "_call_children_scripts": (
        "Lightning: starts the other processes of a machine, which Launcher watches",
        lambda: takes(subprocess_script._SubprocessScriptLauncher._call_children_scripts, "self"),
    ),
    "_compiled_call_impl": (
        "torch: whether a network is compiled already",
        lambda: torch.nn.Linear(1, 1)._compiled_call_impl is None,
    ),
    "_dynamo": (
        "torch: whether what is compiled is compiled anew for a network with hooks",
        lambda: torch._dynamo.config.skip_nnmodule_hook_guards in (True, False),
    ),
    "_ddp_kwargs": (
        "Lightning: options of DistributedDataParallel, by which turns are possible or not",
        lambda: DDPStrategy(static_graph=True)._ddp_kwargs == {"static_graph": True},
    ),
    "_experiment": (
        "Lightning: the writer of metrics.csv, which MetricsCSV replaces",
        lambda: CSVLogger(".")._experiment is None,
    ),
    "_forward_hooks": (
        "torch: what a regulariser of another game hooked into a layer, which CHAIN and SAN take out",
        lambda: torch.nn.Linear(1, 1)._forward_hooks == {},
    ),
    "_forward_pre_hooks": (
        "torch: the same, of what SAN hooks in before a layer",
        lambda: torch.nn.Linear(1, 1)._forward_pre_hooks == {},
    ),
    "_foreach_copy_": ("torch: gradients into and out of messages", lambda: callable(torch._foreach_copy_)),
    "_foreach_lerp_": ("torch: the generator's average", lambda: callable(torch._foreach_lerp_)),
    "_launcher": (
        "Lightning: what starts processes, in place of which comes Launcher",
        lambda: DDPStrategy()._launcher is None,
    ),
    "_layer_sync": (
        "Lightning: whether batch normalisation is synchronised, which CPUs cannot",
        lambda: DDPStrategy()._layer_sync is None,
    ),
    "_parse_ckpt_path": (
        "Lightning: takes the model's settings from the checkpoint, which GanCLI leaves out",
        lambda: takes(LightningCLI._parse_ckpt_path, "self"),
    ),
    "_parser": (
        "Lightning: the parser of a subcommand, which writes config.yaml",
        lambda: takes(LightningCLI._parser, "self", "subcommand"),
    ),
    "_run_subcommand": (
        "Lightning: what starts training, which `ganlab launch` leaves out",
        lambda: takes(LightningCLI._run_subcommand, "self", "subcommand"),
    ),
    "_set_num_threads_if_needed": (
        "Lightning: a machine's threads shared among its processes",
        lambda: takes(subprocess_script._set_num_threads_if_needed, "num_processes"),
    ),
    "_set_params_and_buffers_to_ignore_for_model": (
        "torch: buffers that DistributedDataParallel leaves alone, because they differ by process",
        lambda: takes(DistributedDataParallel._set_params_and_buffers_to_ignore_for_model, "module"),
    ),
    "_start_method": (
        "Lightning: how processes are started, which TwoPlayers takes over",
        lambda: DDPStrategy()._start_method == "popen",
    ),
    "_SubprocessScriptLauncher": (
        "Lightning: what starts processes, which Launcher changes",
        lambda: takes(subprocess_script._SubprocessScriptLauncher.launch, "self", "function"),
    ),
    "_step_supports_amp_scaling": (
        "torch: whether a fused optimizer unscales gradients itself; clipping must see them unscaled",
        lambda: torch.optim.Adam([torch.zeros(1)], fused=True)._step_supports_amp_scaling is True,
    ),
    "_trainer": (
        "Lightning: whether a game has a trainer, without raising",
        lambda: LightningModule()._trainer is None,
    ),
    "_wandb_init": (
        "Lightning: what W&B is started with, of which `anonymous` is left out",
        lambda: "anonymous" in WandbLogger(offline=True)._wandb_init,
    ),
}
PUBLIC = {"_exit", "_replace"}  # of os and of named tuples


@pytest.mark.parametrize("name", PRIVATE)
def test_it_is_there(name: str) -> None:
    reason, is_there = PRIVATE[name]
    try:
        assert is_there()
    except (AssertionError, AttributeError, TypeError) as error:
        pytest.fail(f"{name} is not what it was ({reason}): {error}")


def names() -> tuple[set[str], set[str]]:
    """Private attributes that are used, and private names that ganlab itself defines."""
    used, defined = set(), set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                is_own = isinstance(node.ctx, ast.Store) and ast.unparse(node.value) in ("self", "cls")
                (defined if is_own else used).add(node.attr)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                defined.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
            elif isinstance(node, ast.ImportFrom):
                used |= {alias.name for alias in node.names}
    private = [
        {name for name in kind if name.startswith("_") and not name.startswith("__")}
        for kind in (used, defined)
    ]
    return private[0], private[1]


def test_no_other_private_name_is_used() -> None:
    used, defined = names()
    assert used - defined - PUBLIC <= PRIVATE.keys()
    assert PRIVATE.keys() <= used | defined, "one in the table is used no more"
