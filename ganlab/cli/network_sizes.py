"""How large networks are: their parameters, and the operations of one sample's pass."""

from inspect import Parameter, Signature, signature

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ganlab import networks
from ganlab.errors import Refused
from ganlab.media import Pictures

TOLD = {"shape", "condition"}  # what a network is told of the data


def sizes(shape: tuple[int, ...]) -> dict[str, dict[str, int | str]]:
    """For each public network, by default arguments, its sizes, or in `refused` why it takes no such shape.

    `operations` are those of products alone (convolutions, matrices), as torch counts them: a multiply-add is
    two. Networks that are made of others are left out. Nothing is computed: it costs no memory.
    """
    kinds = {name: getattr(networks, name) for name in networks.__all__}
    arguments = {name: signature(kind) for name, kind in kinds.items()}
    return {name: _size(kinds[name], of, shape) for name, of in arguments.items() if _needs_data_alone(of)}


def _needs_data_alone(of: Signature) -> bool:
    needed = {name for name, each in of.parameters.items() if each.default is Parameter.empty}
    return "shape" in needed <= TOLD


def _size(kind: type[nn.Module], of: Signature, shape: tuple[int, ...]) -> dict[str, int | str]:
    told = Pictures(shape) if len(shape) == 3 else None
    with torch.device("meta"), torch.no_grad():
        try:
            network, condition = _built(kind, shape, told)
        except Refused as refusal:
            return {"refused": str(refusal).split("\n")[0]}
        latent_size = of.parameters["latent_size"].default if "latent_size" in of.parameters else None
        inputs = [torch.zeros(1, *(shape if latent_size is None else (latent_size,)))]
        if condition is not None:
            inputs.append(torch.zeros(1, *condition.shape))
        with FlopCounterMode(display=False) as counter:
            network.requires_grad_(False).eval()(*inputs)
    parameters = sum(each.numel() for each in network.parameters())
    return {"parameters": parameters, "operations": counter.get_total_flops()}


def _built(
    kind: type[nn.Module], shape: tuple[int, ...], source: Pictures | None
) -> tuple[nn.Module, Pictures | None]:
    """The network, told nothing; or a picture of this shape, if it takes nothing else."""
    try:
        return kind(shape=shape), None
    except Refused:
        if source is None or "condition" not in signature(kind).parameters:
            raise
    return kind(shape=shape, condition=source), source
