"""Seeds that follow from what they are used for."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor


def seed_for(*purpose: int | str) -> int:
    """A seed which is the same for the same purpose on every machine, and unrelated for any other."""
    return int.from_bytes(hashlib.blake2b(repr(purpose).encode(), digest_size=8).digest(), "little") >> 1


def reseed(seed: int, device: torch.device) -> None:
    """Seed torch's global generators, from which dropout, augmentation and instance noise draw."""
    # torch.manual_seed would also queue a seed, with a stack trace, for each device that was never used: a
    # millisecond a call.
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def random_states(device: torch.device) -> list[Tensor]:
    """Of torch's global generators: the CPU's and, if it draws numbers itself, this device's."""
    return [
        torch.get_rng_state(),
        *(torch.get_device_module(each).get_rng_state(each) for each in _seeded(device)),
    ]


@contextmanager
def keeping_random_states(device: torch.device) -> Iterator[None]:
    """Within, torch's global generators may be drawn from and seeded; then they are as they were before."""
    devices = _seeded(device)
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices, device_type=device.type))
        for each in devices:  # `reseed` seeds the current device.
            stack.enter_context(torch.get_device_module(each).device(each))
        yield


def _seeded(device: torch.device) -> list[torch.device]:
    return [device] if device.type in ("cuda", "xpu") else []  # the others' modules know no single device
