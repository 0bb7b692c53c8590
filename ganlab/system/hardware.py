"""What this machine does fast, and what it is."""

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path

import torch


def best_precision(accelerator: str) -> str:
    """bf16-mixed where the hardware multiplies bf16 faster than float32, else 32."""
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    if accelerator in ("cpu", "auto"):
        return (
            "bf16-mixed"
            if {"amx_bf16", "avx512_bf16", "bf16"} & set(_cpu("flags", "Features").split())
            else "32"
        )
    return "32"


def _cpu(*fields: str) -> str:
    """What Linux says of the first processor; elsewhere nothing."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(fields)), "")


def keep_freed_memory() -> None:
    """Have glibc reuse the memory of large tensors instead of returning it to the kernel.

    Else every step faults its activations in again, page by page: a third to a half of a step's time on
    CPUs. A process then keeps its peak memory until it ends. GPU runs allocate elsewhere, so they are left
    alone.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or torch.cuda.is_available():
        return
    top_pad, trim_threshold, mmap_max = -2, -1, -4
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 2**28)):
        mallopt(option, value)


def free_memory(device: torch.device) -> int:
    """Bytes; of what cannot be asked, none."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "cpu" and sys.platform == "linux":
        path = Path("/proc/meminfo")
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return 0


def peak_memory(device: torch.device) -> int:
    """Bytes that this process held at once: on an accelerator those of its tensors, else all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def describe() -> dict[str, object]:
    cuda = range(torch.cuda.device_count())
    return {
        "cpu": _cpu("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(index) for index in cuda],
        "system": platform.platform(),
    }
