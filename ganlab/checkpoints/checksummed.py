"""Checkpoint files with a checksum, by which damage is detected.

Such a file is torch's own archive, which any torch.load reads. The archive's comment, its last bytes, is the
SHA-256 of all bytes before it: file and digest are one file, so neither can be moved or lost alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from ganlab.errors import Failed, Refused
from ganlab.system.atomic_file import atomic_write
from ganlab.system.untrusted import readable

NAME = re.compile(r"step-\d+\.ckpt")

MARK = b"sha256:"
MARK_SIZE = len(MARK) + 64  # bytes
END, END_SIZE = b"PK\x05\x06", 22  # an archive's last record, which ends with its comment's length
CHUNK = 2**22


class ChecksummedIO(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, but atomic, checksummed, and of plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if _is_remote(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_checksummed(Path(path), checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> Any:
        with nullcontext() if _is_remote(path) else reading(Path(path)):
            return super().load_checkpoint(path, map_location, True if weights_only is None else weights_only)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within, what is wrong with a checkpoint is said in a sentence."""
    if reason := damage(path):
        raise Refused(f"The checkpoint {path} is damaged: {reason}.\nTake another one beside it.")
    try:
        yield
    except UnpicklingError as error:
        raise Refused(
            f"{path} holds more than plain values and tensors: code would be run to read it, and was not."
        ) from error
    # A garbled pickle may fail in any way.
    except Exception as error:
        reason = readable((str(error).splitlines() or [type(error).__name__])[0][:100])
        raise Refused(f"{path} is no checkpoint: {reason}") from error


def write_checksummed(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all; a full disk is a `Failed` that says how to go on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
            _append_checksum(temporary)
    # torch raises a RuntimeError in place of the OSError of a full disk.
    except (OSError, RuntimeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
        space = ""
        with suppress(OSError):
            space = f" ({shutil.disk_usage(path.parent).free / 1e6:,.0f} MB are left there)"
        raise Failed(
            f"The checkpoint {path} could not be written: {reason}{space}.\n"
            "Nothing that was written before is lost. Make room, or another folder, and resume the run:\n"
            f"ganlab fit --resume {path.parent.parent}"
        ) from error


def _append_checksum(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(MARK_SIZE.to_bytes(2, "little"))
        digest = _digest(file, file.tell())
        file.write(MARK + digest)


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, or None; of a file without a checksum only the end is checked."""
    try:
        if not path.is_file():
            return "it is no file"
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - MARK_SIZE, 0))
            comment = file.read()
            if len(comment) == MARK_SIZE and comment.startswith(MARK):
                same = _digest(file, size - MARK_SIZE) == comment.removeprefix(MARK)
                return None if same else "its bytes are not those that were written"
            record = comment[-END_SIZE:]
            complete = record.startswith(END) and record.endswith(b"\0\0")
            return None if complete else "it ends too early"
    except OSError as error:
        return error.strerror or str(error)


def _digest(file: Any, length: int) -> bytes:
    """The SHA-256 of the first `length` bytes, after which the file is then positioned."""
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0:
        chunk = file.read(min(CHUNK, length))
        if not chunk:
            break
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest().encode()


def _is_remote(path: Any) -> bool:
    return "://" in str(path)


def newest_first(folder: Path) -> list[Path]:
    """A folder's checkpoints that are named for their step (not best.ckpt), newest first."""
    named = (path for path in folder.glob("step-*.ckpt") if NAME.fullmatch(path.name))
    return sorted((path for path in named if not path.is_dir()), reverse=True)
