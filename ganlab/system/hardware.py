"""This machine: its fastest precision, its memory, its description."""

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # options of mallopt, as in glibc's malloc.h


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
    """The first of these fields in /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(fields)), "")


def keep_freed_memory() -> None:
    """Have glibc reuse the memory of large tensors instead of returning it to the kernel.

    Without it every step has its activations mapped in again, page by page: a third to a half of a step's
    time on CPUs. A process then keeps its peak memory until it ends. GPU runs allocate elsewhere, so
    nothing is changed for them.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or torch.cuda.is_available():
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
        mallopt(option, value)


def gpus() -> list[str]:
    """This process's GPUs by their names in CUDA_VISIBLE_DEVICES: numbers, or UUIDs of GPUs or of parts."""
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] or [str(number) for number in range(count)]


def free_memory(device: torch.device) -> int:
    """Free bytes of a device's memory; 0 where they cannot be read."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "cpu" and sys.platform == "linux":
        path = Path("/proc/meminfo")
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return 0


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has held: on an accelerator those of its tensors, else all."""
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
