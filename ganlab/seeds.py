"""Seeds that follow from what they are used for."""

import hashlib

import torch


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
