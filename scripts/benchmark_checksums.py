"""What checksums cost a first pass over the cache: python scripts/benchmark_checksums.py [--pictures N]

N pictures of 64 x 64 pixels in a file, read without and with comparing them, each pass over a file that was
mapped anew, as a process that starts maps it:

- memory: all images are read into memory, as when a quarter of it holds them;
- loading: batches of 64 are read and normalised, and nothing is trained on them, from a file that the system
  has in memory;
- disk: the same from a file that it has to read from the disk (where it can be told to forget the file).

The two run in turn, lap after lap, in one process. The first lap warms up. A ratio compares the laps of one
round; numbers are medians over rounds, with the range. The microseconds per picture are what to compare with
the time that a step takes for each of its pictures.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ganlab.data.checksums import Checksums, checksums
from ganlab.data.rows import Rows, map_file
from ganlab.data.stream import StreamData
from ganlab.system import hardware

SIZE, BATCH, ROUNDS = 64, 64, 7


class Mapped(StreamData):
    def __init__(self, rows: Rows) -> None:
        super().__init__(batch_size=BATCH)
        self.rows, self.shape = rows, (3, SIZE, SIZE)

    def load(self) -> tuple[Any, None]:
        return self.rows, None


def load(rows: Rows, pictures: int) -> None:
    source = Mapped(rows)
    for images, *_ in islice(source.train_dataloader(), pictures // BATCH):
        source.played((images,))[0]


def forget(path: Path) -> None:
    """Have the system drop the file from its memory, which it does once nothing maps the file."""
    gc.collect()
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def race(
    path: Path, expected: np.ndarray, work: Callable[[Rows], object], before: Callable[[], object]
) -> None:
    """Print how long `work` takes on rows without and with checksums."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(1 + ROUNDS):
        for checked, values in seconds.items():
            before()
            images = map_file(path, (len(expected), SIZE, SIZE, 3))
            rows = Rows(images, path=path, checksums=Checksums(path, expected) if checked else None)
            start = time.perf_counter()
            work(rows)
            values.append(time.perf_counter() - start)
            del images, rows
    without, with_ = (values[1:] for values in seconds.values())
    ratios = [mine / bare for bare, mine in zip(without, with_, strict=True)]
    each = median((mine - bare) / len(expected) * 1e6 for bare, mine in zip(without, with_, strict=True))
    times = f"without {median(without):.3f} s   with {median(with_):.3f} s   {each:.2f} µs a picture"
    print(f"{times}   ratio {median(ratios):.3f} ({min(ratios):.3f} - {max(ratios):.3f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    arguments = parser.parse_args()
    hardware.keep_freed_memory()
    print(", ".join(f"{key}: {value}" for key, value in hardware.describe().items()))
    print(f"torch {torch.__version__}, load average before the start: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.bin"
        source = np.random.default_rng(0)
        images = source.integers(0, 256, (arguments.pictures, SIZE, SIZE, 3), dtype=np.uint8)
        images.tofile(path)
        start = time.perf_counter()
        expected = checksums(images)
        print(
            f"checksums of {arguments.pictures:,} pictures: {time.perf_counter() - start:.3f} s", flush=True
        )
        del images
        for name, work, before in (
            ("memory", lambda rows: rows.in_memory(torch.device("cpu")), bool),
            ("loading", lambda rows: load(rows, arguments.pictures), bool),
            ("disk", lambda rows: load(rows, arguments.pictures), lambda: forget(path)),
        ):
            print(f"  {name:10}", end="")
            race(path, expected, work, before)


if __name__ == "__main__":
    main()
