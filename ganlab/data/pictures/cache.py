"""Pictures, decoded and resized once, in one file from which any of them can be read.

$GANLAB_CACHE (else the user's cache folder)
    pictures/<key>/images.bin   n x height x width x channels bytes, or n x bytes of sounds
                   info         how many, which were skipped, and each one's checksum; written last
    known/<stamp>               the digest of files that have not changed since they were read
    arrays/<key>.bin            images of other sets, with `placement: disk`

A cache is built in a temporary folder and renamed when it is complete, so that under its final name there is
never half of one. Two builders do not disturb each other; where locks work, the second waits for the first.
The images are compared with their checksums as they are read, because reading all first would take as long as
an epoch. A cache of a version without checksums is built anew: nobody knows whether it is whole.
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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENOSPC, ESRCH
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from ganlab.data.checksums import Checksums, checksums
from ganlab.data.pictures.archive import Archive, encoded_name, read_member
from ganlab.data.pictures.decode import Broken, Unfit
from ganlab.errors import Refused
from ganlab.system.atomic_file import sync, temporary_path
from ganlab.system.cache_folder import _writing, cache_home, read_cached, write_cached
from ganlab.system.untrusted import readable

PICTURES_PER_TASK = 64  # so many that starting a task costs nothing beside them
MAX_NAMED, MAX_REASON = 3, 60  # broken pictures in an error, and characters of why each is broken
ABANDONED_AFTER = 86_400  # seconds after which another machine's unfinished cache is removed

Skipped = dict[int, str]


class Decoding(Protocol):
    """From a file's bytes to those of an item, which all have one shape.

    Attributes:
        size: Told by the name of the cache's folder.
    """

    @property
    def size(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def identity(self) -> dict[str, Any]:
        """All that the bytes depend on besides the file."""

    def __call__(self, content: bytes, /) -> np.ndarray:
        """Raises Broken."""


@dataclass(frozen=True)
class Pictures:
    """Some of an archive's pictures, or of other files, in order.

    Attributes:
        names: Their names in the archive.
        keys: Their names in a fingerprint, independent of where the archive lies and how it is packed.
        sources: Of pairs of files, the other file of each; else none.
        what: They are called, in messages.
    """

    archive: Archive
    names: list[str]
    keys: list[str]
    sources: Sequence[str] = ()
    what: str = "pictures"

    def content_digest(self, title: str) -> str:
        """A digest of all names and bytes; files are read only if they may have changed since last time."""
        files = [*self.names, *self.sources]
        keys = [*self.keys, *self.keys[: len(self.sources)]]
        stamp = json.dumps([self.archive.stamp(files), self.keys])
        known = cache_home() / "known" / hashlib.sha256(stamp.encode()).hexdigest()
        if text := read_cached(known):
            return text.decode()
        digest = hashlib.sha256()
        parts = _in_parallel(
            lambda part: [self._digest(files[index]) for index in part],
            len(files),
            f"{title}: reading",
            self.what,
        )
        for key, file_digest in zip(keys, chain.from_iterable(parts), strict=True):
            digest.update(encoded_name(f"{key}\0{file_digest}\n"))
        write_cached(known, digest.hexdigest().encode())
        return digest.hexdigest()

    def _digest(self, name: str) -> str:
        try:
            return hashlib.sha256(self.read(name)).hexdigest()
        except Broken:
            return "broken"

    def contents(self, index: int) -> list[bytes]:
        """The files of one picture, or of one pair."""
        return [self.read(name) for name in (self.names[index], *self.sources[index : index + 1])]

    def read(self, name: str) -> bytes:
        """A picture's file; raises Broken if it is damaged, Refused if the system cannot read it now."""
        return read_member(self.archive, name)


@dataclass(frozen=True)
class Cache:
    """The decoded pictures on disk, their checksums, and which were skipped and why, by their number."""

    images: Path
    shape: tuple[int, ...]
    skipped: Skipped
    expected: np.ndarray

    @classmethod
    def read(cls, folder: Path, key: str) -> Cache | None:
        """The cache in a folder; None if there is none, if it is not complete, or if it is another's."""
        head, _, expected = (read_cached(folder / "info") or b"{}").partition(b"\n")
        info = json.loads(head)
        if info.get("key") != key:
            return None
        skipped = {int(number): reason for number, reason in info["skipped"]}
        cache = cls(folder / "images.bin", tuple(info["shape"]), skipped, np.frombuffer(expected, "<u8"))
        is_whole = cache.images.is_file() and cache.images.stat().st_size == prod(cache.shape)
        return cache if is_whole else None

    def checksums(self) -> Checksums:
        return Checksums(self.images, self.expected)


def open_cache(
    pictures: Pictures, transform: Decoding, *, most_broken: float, title: str
) -> tuple[Cache, str]:
    """The cache of these pictures, built now if there is none, and its key.

    Args:
        most_broken: Share of pictures that may be skipped.
    """
    identity = json.dumps([pictures.content_digest(title), transform.identity()], sort_keys=True)
    key = hashlib.sha256(identity.encode()).hexdigest()
    folder = cache_home() / "pictures" / f"{title}-{transform.size}-{key[:16]}"
    cache = Cache.read(folder, key)
    if not cache:
        with _writing(folder.parent), _locked(folder):
            cache = Cache.read(folder, key) or _build(folder, key, pictures, transform, most_broken, title)
    _refuse_too_many_broken(cache.skipped, pictures, most_broken, title)
    return cache, key


def _build(
    folder: Path, key: str, pictures: Pictures, transform: Decoding, most_broken: float, title: str
) -> Cache:
    if os.path.lexists(folder):
        print(f"ganlab: {folder} is damaged, or of another version, and is made anew.", file=sys.stderr)
    _remove_abandoned(folder)
    _refuse_too_little_room(folder.parent, pictures, prod(transform.shape), title)
    unfinished = temporary_path(folder)
    _remove(unfinished)
    unfinished.mkdir()
    try:
        skipped, expected = _decode(unfinished / "images.bin", pictures, transform, most_broken, title)
        shape = [len(expected), *transform.shape]
        info = {"key": key, "shape": shape, "skipped": sorted(skipped.items())}
        sync(unfinished / "images.bin")
        write_cached(unfinished / "info", json.dumps(info).encode() + b"\n" + expected.tobytes())
        # What lies there is no complete cache, or else Cache.read() would have returned it.
        _remove(folder)
        with suppress(OSError):  # Another machine was faster; its cache holds the same.
            unfinished.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if not (cache := Cache.read(folder, key)):
        raise Refused(f"{folder} could not be written. Name another folder by $GANLAB_CACHE.")
    return cache


def _refuse_too_little_room(folder: Path, pictures: Pictures, size: int, title: str) -> None:
    total = len(pictures.names)
    if (free := shutil.disk_usage(folder).free) < total * size:
        raise Refused(
            f"{title}: the cache of {total:,} {pictures.what} takes {total * size / 1e9:.2f} GB, but\n"
            f"{folder} has {free / 1e9:.2f} GB left. Name a folder with more room by $GANLAB_CACHE."
        )


def _remove(path: Path) -> None:
    """Whatever it is; of a link the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _decode(
    path: Path, pictures: Pictures, transform: Decoding, most_broken: float, title: str
) -> tuple[Skipped, np.ndarray]:
    """Write all pictures that are not broken into a file, one after the other.

    Returns those that were skipped, and the checksums of the others.
    """
    total, size = len(pictures.names), prod(transform.shape)
    skipped: Skipped = {}
    expected = np.zeros(total, "<u8")
    with path.open("wb") as file:

        def decode(part: range) -> None:
            for index in part:
                try:
                    content = transform(*pictures.contents(index))
                except Unfit as error:
                    name = (pictures.sources or pictures.names)[index]
                    raise Refused(f"{title}: {readable(name)} cannot be used: {error}.") from error
                except Broken as error:
                    why = readable(str(error)[:MAX_REASON])
                    skipped[index] = f"{readable(pictures.keys[index])} ({why})"
                    _refuse_too_many_broken(skipped, pictures, most_broken, title)
                    continue
                expected[index] = checksums(content[None])[0]
                if os.pwrite(file.fileno(), content.tobytes(), index * size) < size:
                    raise OSError(ENOSPC, os.strerror(ENOSPC))

        _in_parallel(decode, total, f"{title}: decoding", pictures.what)
    kept = [index for index in range(total) if index not in skipped]
    if skipped:
        _close_gaps(path, kept, size)
    return skipped, expected[kept]


def _refuse_too_many_broken(skipped: Skipped, pictures: Pictures, most: float, title: str) -> None:
    total = len(pictures.names)
    if len(skipped) <= most * total and len(skipped) < total:
        return
    few = list(dict(sorted(skipped.items())).values())[:MAX_NAMED]
    raise Refused(
        f"{title}: {len(skipped):,} or more of {total:,} {pictures.what} are broken, and at most {most:.0%}\n"
        f"are skipped (data.most_broken): {'; '.join(few)}"
    )


def _close_gaps(path: Path, indices: list[int], size: int) -> None:
    with path.open("r+b") as file:
        for place, index in enumerate(indices):
            if place != index:
                os.pwrite(file.fileno(), os.pread(file.fileno(), size, index * size), place * size)
        file.truncate(len(indices) * size)


def _in_parallel(work: Callable[[range], Any], total: int, title: str, what: str) -> list[Any]:
    """What `work` returns for each part of range(total), in order.

    In threads: decoding, hashing and reading release Python's global lock.
    """
    parts = [range(total)[start : start + PICTURES_PER_TASK] for start in range(0, total, PICTURES_PER_TASK)]
    console = Console(stderr=True)
    if not console.is_terminal and total > 1000:
        print(f"{title} {total:,} {what}", file=sys.stderr, flush=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(escape(title), total=total)
        with ThreadPoolExecutor(_cores()) as pool:
            futures: list[Future[Any]] = []
            for part in parts:
                future = pool.submit(work, part)
                future.add_done_callback(lambda _: progress.advance(task, PICTURES_PER_TASK))
                futures.append(future)
            wait(futures, return_when=FIRST_EXCEPTION)
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in sorted(futures, key=Future.cancelled)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait while another process builds this folder, on this machine or wherever the file's lock reaches."""
    # For reading and writing: to open a pipe of this name for one of them would wait for ever.
    lock = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):  # Some network folders know no locks.
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed builders left."""
    for unfinished in folder.parent.glob(f".{folder.name}.*.*"):
        host, pid = unfinished.name.removeprefix(f".{folder.name}.").rsplit(".", 1)
        with suppress(OSError):
            dead = host == socket.gethostname() and not _is_alive(int(pid))
            if dead or time.time() - unfinished.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(unfinished)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno != ESRCH
    return True
