"""Pictures, decoded and resized once, in one file that can be read at any place.

$GANLAB_CACHE (else the user's cache folder)
    pictures/<key>/images.bin   n x height x width x channels bytes
                   info.json    how many, and which were skipped; written last
    known/<stamp>               the digest of files that have not changed since they were read
    arrays/<key>.bin            other sets, of which the images shall stay on disk

A cache is made beside its place and moved there when it is whole: what lies in its place is never half
of one. Two builders do not disturb each other; where locks work, the second one waits for the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENOSPC, ESRCH
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ganlab.data.pictures.archive import Archive
from ganlab.data.pictures.decode import Broken, Transform, reason
from ganlab.errors import Refused
from ganlab.system.atomic_file import sync, temporary_path
from ganlab.system.cache_folder import _writing, cache_home, write_cached

FEW = 64  # pictures in a task; enough that handing it out costs nothing
NAMED, REASON = 3, 60
FORGOTTEN = 86_400  # seconds after which another machine's unfinished cache is taken for abandoned

Skipped = dict[int, str]


@dataclass(frozen=True)
class Pictures:
    """Some of an archive's pictures, in their order.

    Attributes:
        names: Their names in the archive.
        keys: Their names in a fingerprint, wherever the archive lies and however it is packed.
    """

    archive: Archive
    names: list[str]
    keys: list[str]

    def contents(self, title: str) -> str:
        """A digest of all names and bytes, which are read only if they may have changed."""
        stamp = json.dumps([self.archive.stamp(self.names), self.keys])
        known = cache_home() / "known" / hashlib.sha256(stamp.encode()).hexdigest()
        with suppress(OSError):
            if len(found := known.read_text()) == 64:
                return found
        digest = hashlib.sha256()
        parts = _in_parallel(self._digests, len(self.names), f"{title}: reading")
        for key, own in zip(self.keys, chain.from_iterable(parts), strict=True):
            digest.update(f"{key}\0{own}\n".encode())
        write_cached(known, digest.hexdigest().encode())
        return digest.hexdigest()

    def _digests(self, part: range) -> list[str]:
        return [self._digest(self.names[index]) for index in part]

    def _digest(self, name: str) -> str:
        try:
            return hashlib.sha256(self.read(name)).hexdigest()
        except Broken:
            return "broken"

    def read(self, name: str) -> bytes:
        try:
            return self.archive.read(name)
        # A zip's members are damaged in as many ways as pictures are.
        except Exception as error:
            if isinstance(error, OSError) and error.errno:
                # Maybe only now, so that nothing may be concluded from it.
                raise Refused(f"{self.archive.path / name} cannot be read: {error.strerror}.") from error
            raise Broken(reason(error)) from error


@dataclass(frozen=True)
class Cache:
    """A whole cache."""

    images: Path
    shape: tuple[int, int, int, int]
    skipped: Skipped

    @classmethod
    def at(cls, folder: Path) -> Cache | None:
        """None, if there is none or something else."""
        try:
            info = json.loads((folder / "info.json").read_text())
            cache = cls(folder / "images.bin", tuple(info["shape"]), {int(k): v for k, v in info["skipped"]})
            return cache if cache.images.stat().st_size == prod(cache.shape) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def cached(pictures: Pictures, transform: Transform, *, most_broken: float, title: str) -> tuple[Cache, str]:
    """The cache of these pictures, made now if there is none, and its key.

    Args:
        most_broken: Share of pictures that may be skipped.
    """
    identity = json.dumps([pictures.contents(title), transform.identity()], sort_keys=True)
    key = hashlib.sha256(identity.encode()).hexdigest()
    folder = cache_home() / "pictures" / f"{title}-{transform.size}-{key[:16]}"
    cache = Cache.at(folder)
    if not cache:
        with _writing(folder.parent), _alone(folder):
            cache = Cache.at(folder) or _build(folder, pictures, transform, most_broken, title)
    _judge(cache.skipped, len(pictures.names), most_broken, title)
    return cache, key


def kept(images: Tensor, key: str) -> Path:
    """A file of these bytes."""
    path = cache_home() / "arrays" / f"{key[:16]}.bin"
    if not path.exists() or path.stat().st_size != images.nbytes:
        write_cached(path, images.contiguous().numpy().tobytes())
    return path


def _build(folder: Path, pictures: Pictures, transform: Transform, most_broken: float, title: str) -> Cache:
    total, row = len(pictures.names), prod(transform.shape)
    _sweep(folder)
    if (free := shutil.disk_usage(folder.parent).free) < total * row:
        raise Refused(
            f"{title}: the cache of {total:,} pictures takes {total * row / 1e9:.2f} GB, but\n"
            f"{folder.parent} has {free / 1e9:.2f} GB left. Name a folder with more room by $GANLAB_CACHE."
        )
    making = temporary_path(folder)
    making.mkdir()
    try:
        skipped = _decode(making / "images.bin", pictures, transform, most_broken, title)
        info = {"shape": [total - len(skipped), *transform.shape], "skipped": sorted(skipped.items())}
        sync(making / "images.bin")
        (making / "info.json").write_text(json.dumps(info))
        sync(making / "info.json")
        # What has no right content, or else Cache.at() had found it, makes room.
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # Another machine was faster; its cache is as good.
            making.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    if not (cache := Cache.at(folder)):
        raise Refused(f"{folder} could not be written. Name another folder by $GANLAB_CACHE.")
    return cache


def _decode(path: Path, pictures: Pictures, transform: Transform, most_broken: float, title: str) -> Skipped:
    """Write all whole pictures into a file, one after the other."""
    total, row = len(pictures.names), prod(transform.shape)
    skipped: Skipped = {}
    with path.open("wb") as file:

        def decode(part: range) -> None:
            for index in part:
                try:
                    content = transform(pictures.read(pictures.names[index])).tobytes()
                except Broken as error:
                    skipped[index] = f"{pictures.keys[index]} ({str(error)[:REASON]})"
                    _judge(skipped, total, most_broken, title)
                    continue
                if os.pwrite(file.fileno(), content, index * row) < row:
                    raise OSError(ENOSPC, os.strerror(ENOSPC))

        _in_parallel(decode, total, f"{title}: decoding")
    if skipped:
        _close_gaps(path, [index for index in range(total) if index not in skipped], row)
    return skipped


def _judge(skipped: Skipped, total: int, most: float, title: str) -> None:
    if len(skipped) <= most * total and len(skipped) < total:
        return
    few = list(dict(sorted(skipped.items())).values())[:NAMED]
    raise Refused(
        f"{title}: {len(skipped):,} or more of {total:,} pictures are broken, and at most {most:.0%} are\n"
        f"skipped (data.most_broken): {'; '.join(few)}"
    )


def _close_gaps(path: Path, kept: list[int], row: int) -> None:
    with path.open("r+b") as file:
        for place, index in enumerate(kept):
            if place != index:
                os.pwrite(file.fileno(), os.pread(file.fileno(), row, index * row), place * row)
        file.truncate(len(kept) * row)


def _in_parallel(work: Callable[[range], Any], total: int, title: str) -> list[Any]:
    """Call `work` on parts of range(total), in threads: decoding, hashing and reading leave Python's lock."""
    parts = [range(total)[start : start + FEW] for start in range(0, total, FEW)]
    console = Console(stderr=True)
    if not console.is_terminal and total > 1000:
        print(f"{title} {total:,} pictures", file=sys.stderr, flush=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        with ThreadPoolExecutor(_cores()) as pool:
            futures: list[Future[Any]] = []
            for part in parts:
                future = pool.submit(work, part)
                future.add_done_callback(lambda _: progress.advance(task, FEW))
                futures.append(future)
            wait(futures, return_when=FIRST_EXCEPTION)
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in sorted(futures, key=Future.cancelled)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for whoever builds the same on this machine, or wherever else the folder's locks reach."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        with suppress(OSError):  # Some network folders know no locks.
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(folder: Path) -> None:
    """Remove what builders left that were killed."""
    for left in folder.parent.glob(f".{folder.name}.*.*"):
        host, pid = left.name.removeprefix(f".{folder.name}.").rsplit(".", 1)
        with suppress(OSError):
            dead = host == socket.gethostname() and not _lives(int(pid))
            if dead or time.time() - left.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(left)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno != ESRCH
    return True
