"""Loading of weights into a module, which must match in every name, shape and kind of number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.system.untrusted import readable


def load_weights(
    module: nn.Module, weights: Mapping[str, Any], source: Path, *, owner: GAN | None = None
) -> None:
    """Load weights into a module; those that do not match it are refused.

    Args:
        source: The file that they come from, for messages.
        owner: The game of the module; it becomes float64 if all weights are.
    """
    floating = [
        value for value in weights.values() if isinstance(value, Tensor) and value.is_floating_point()
    ]
    if floating and all(value.dtype == torch.float64 for value in floating):
        # The whole game, since it draws latents in its own precision.
        (owner or module).double()
    if wrong := mismatches(weights, module.state_dict()):
        raise Refused(
            f"The weights of {source} do not fit the game that is named beside them: {wrong}\n"
            "have another form or are not on both sides."
        )
    try:
        module.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        raise Refused(
            f"The weights of {source} cannot be taken: {readable(str(error).splitlines()[0][:100])}"
        ) from error


def mismatches(weights: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """The first three names that are on one side only or differ in form; empty if all match."""
    wrong = [name for name in state if name in weights and _form(state[name]) != _form(weights[name])]
    wrong += sorted(map(str, weights.keys() ^ state.keys()))
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return ", ".join(readable(name)[:60] for name in wrong[:3]) + more


def _form(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return type(value)
    if value.is_nested or value.layout != torch.strided or value.is_quantized or value.is_meta:
        return "no plain tensor"
    return value.shape, value.is_floating_point()
