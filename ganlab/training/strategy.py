"""Data parallelism for two players who step in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from torch import Tensor, nn
from torch import distributed as dist
from torch.optim import Optimizer

from ganlab.errors import Refused


class TwoPlayers(DDPStrategy):
    """Average a side's gradients over the processes right before it steps, and no one else's.

    Where DistributedDataParallel looks for parameters without gradients in every backward pass and sends the
    idle player's along, this sends the stepping player's once a step, however many backward passes it had:
    accumulation, double backward and gradient scalers need nothing special. Parameters which none of the
    processes used keep no gradient.

    Buffers are each process's own while it trains; evaluations use the first process's, and checkpoints hold
    them. State that training reads must therefore be updated alike everywhere, from reduced values.

    Args:
        bucket_megabytes: Gradients sent in one message; the next is packed while it travels.
        timeout: How long a process waits for the others before it takes them for dead.
    """

    def __init__(
        self, bucket_megabytes: float = 25.0, timeout: timedelta = timedelta(minutes=30), **lightning: Any
    ) -> None:
        super().__init__(timeout=timeout, **lightning)
        if self._ddp_kwargs:
            raise Refused(f"TwoPlayers wraps nothing, so it has no {', '.join(self._ddp_kwargs)}.")
        self.bucket_megabytes = bucket_megabytes

    def configure_ddp(self) -> None:
        """All begin with the first process's state."""
        assert isinstance(self.model, nn.Module)
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            dist.broadcast(tensor.detach(), 0)

    def optimizer_step(
        self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **arguments: Any
    ) -> Any:
        average_gradients(optimizer, round(self.bucket_megabytes * 2**20))
        return super().optimizer_step(optimizer, closure, model, **arguments)


StrategyRegistry.register("two_players", TwoPlayers, description="DDP for two players", override=True)


def average_gradients(optimizer: Optimizer, bucket_bytes: int) -> None:
    """The mean over the processes; a missing gradient counts as zeros if another process has one."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    sent = [(bucket, *_send(bucket)) for bucket in buckets(parameters, bucket_bytes)]
    for bucket, message, work in sent:
        work.wait()
        message /= dist.get_world_size()
        *gradients, present = message.split([*(p.numel() for p in bucket), len(bucket)])
        missing = [p.grad is None for p in bucket]
        # Asking what others had makes the host wait for the device, so only who misses something asks.
        if any(missing):
            for parameter, had in zip(bucket, present.tolist(), strict=True):
                if parameter.grad is None and had:
                    parameter.grad = torch.empty_like(parameter)
        kept = [(p.grad, g.view_as(p)) for p, g in zip(bucket, gradients, strict=True) if p.grad is not None]
        if kept:
            torch._foreach_copy_([own for own, _ in kept], [mean for _, mean in kept])


def buckets(parameters: list[nn.Parameter], most: int) -> Iterator[list[nn.Parameter]]:
    """Runs of parameters of one kind of number, each of at most so many bytes, or a single parameter."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if bucket and (size + parameter.nbytes > most or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.nbytes
    if bucket:
        yield bucket


def _send(bucket: list[nn.Parameter]) -> tuple[Tensor, Any]:
    """The gradients, and for each parameter whether it has one."""
    like = bucket[0]
    message = torch.zeros(sum(p.numel() for p in bucket) + len(bucket), dtype=like.dtype, device=like.device)
    *places, present = message.split([*(p.numel() for p in bucket), len(bucket)])
    there = [index for index, p in enumerate(bucket) if p.grad is not None]
    if there:
        grads = [grad for p in bucket if (grad := p.grad) is not None]
        torch._foreach_copy_([places[i].view_as(bucket[i]) for i in there], grads)
        present.copy_(torch.tensor([p.grad is not None for p in bucket]), non_blocking=True)
    return message, dist.all_reduce(message, async_op=True)
