"""Data parallelism for two players that are trained in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Literal

import torch
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from torch import Tensor, nn
from torch import distributed as dist
from torch.optim import Optimizer

from ganlab import bounds
from ganlab.game import per_process
from ganlab.game.gan import GAN


class TwoPlayers(DDPStrategy):
    """Average over the processes the gradients of the side that steps, right before its step.

    DistributedDataParallel looks for parameters without gradients in every backward pass and also sends those
    of the player whose turn it is not. This sends the stepping player's gradients once a step, however many
    backward passes it had: accumulation, double backward and gradient scalers need nothing special.
    Parameters that no process used keep no gradient.

    Buffers differ between processes during training; evaluations and checkpoints use the first process's.
    State that training reads must therefore be updated alike everywhere, from reduced values, or be named by
    the game (`per_process`): such buffers are each process's own, from the beginning and in checkpoints.

    Args:
        bucket_megabytes: Gradients sent in one message; the next is packed while it is sent.
        timeout: How long a process waits for the others before it gives up.
        process_group_backend: By default that of the device: nccl on GPUs, gloo on CPUs.
        start_method: How Lightning starts the processes.
    """

    # Without the arguments of DistributedDataParallel, in which this strategy wraps nothing.
    def __init__(
        self,
        bucket_megabytes: float = 25.0,
        timeout: timedelta = timedelta(minutes=30),
        process_group_backend: str | None = None,
        start_method: Literal["popen", "spawn", "fork", "forkserver"] = "popen",
    ) -> None:
        bounds.above(0, self, bucket_megabytes=bucket_megabytes)
        super().__init__(
            timeout=timeout, process_group_backend=process_group_backend, start_method=start_method
        )
        self.bucket_megabytes = bucket_megabytes

    def configure_ddp(self) -> None:
        """Give all processes the first one's parameters and buffers, but for those that differ by process."""
        assert isinstance(self.model, GAN)
        own = {*per_process.names(self.model)}
        for name, tensor in [*self.model.named_parameters(), *self.model.named_buffers()]:
            if name not in own:
                dist.broadcast(tensor.detach(), 0)

    def optimizer_step(
        self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **arguments: Any
    ) -> Any:
        average_gradients(optimizer, round(self.bucket_megabytes * 2**20))
        return super().optimizer_step(optimizer, closure, model, **arguments)


StrategyRegistry.register("two_players", TwoPlayers, description="DDP for two players", override=True)


def average_gradients(optimizer: Optimizer, bucket_bytes: int) -> None:
    """Replace gradients by their mean over processes; a missing one counts as zeros if another has one."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    sent = [(bucket, *_send(bucket)) for bucket in buckets(parameters, bucket_bytes)]
    for bucket, message, work in sent:
        work.wait()
        message /= dist.get_world_size()
        *gradients, present = message.split([*(p.numel() for p in bucket), len(bucket)])
        missing = [p.grad is None for p in bucket]
        # Reading `present` makes the host wait for the device, so it is read only if a gradient is missing.
        if any(missing):
            for parameter, elsewhere in zip(bucket, present.tolist(), strict=True):
                if parameter.grad is None and elsewhere:
                    parameter.grad = torch.empty_like(parameter)
        pairs = [(p.grad, g.view_as(p)) for p, g in zip(bucket, gradients, strict=True) if p.grad is not None]
        if pairs:
            torch._foreach_copy_([grad for grad, _ in pairs], [mean for _, mean in pairs])


def buckets(parameters: list[nn.Parameter], most_bytes: int) -> Iterator[list[nn.Parameter]]:
    """Consecutive parameters of one dtype, together of at most `most_bytes`, or a single larger one."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if bucket and (size + parameter.nbytes > most_bytes or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.nbytes
    if bucket:
        yield bucket


def _send(bucket: list[nn.Parameter]) -> tuple[Tensor, Any]:
    """Start to add up a bucket's gradients over the processes, and how many processes have each of them."""
    size, first = sum(p.numel() for p in bucket) + len(bucket), bucket[0]
    message = torch.zeros(size, dtype=first.dtype, device=first.device)
    *slots, present = message.split([*(p.numel() for p in bucket), len(bucket)])
    with_gradient = [index for index, p in enumerate(bucket) if p.grad is not None]
    if with_gradient:
        grads = [grad for p in bucket if (grad := p.grad) is not None]
        torch._foreach_copy_([slots[i].view_as(bucket[i]) for i in with_gradient], grads)
        present.copy_(torch.tensor([p.grad is not None for p in bucket]), non_blocking=True)
    return message, dist.all_reduce(message, async_op=True)
