"""Broken pictures, zips, arrays and caches, with fixed seeds: no traceback, no hang, nothing else changed."""

import io
import os
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import SHARES, share_of, state_of, tried, within
from PIL import Image
from sets import encoded, folder, packed, picture

from ganlab.data import Digits, ImageFolder, Pairs
from ganlab.errors import Failed, Refused
from ganlab.metrics import Pixels
from ganlab.metrics.given_images import GivenImages
from ganlab.metrics.reference import prepare_reference
from ganlab.metrics.scorer import Scorer

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000")
COUNT = 20

# What may happen to a file; each takes it, a source of numbers, and a file that must stay as it is.


def garbled(path: Path, source: np.random.Generator, other: Path) -> None:
    raw = bytearray(path.read_bytes())
    for place in source.integers(0, max(1, len(raw)), source.integers(1, 6)):
        raw[place : place + 1] = source.bytes(1)
    path.write_bytes(raw)


def block_garbled(path: Path, source: np.random.Generator, other: Path) -> None:
    raw = bytearray(path.read_bytes())
    size = min(len(raw), int(source.integers(4, 200)))
    place = int(source.integers(0, len(raw) - size + 1))
    raw[place : place + size] = source.bytes(size)
    path.write_bytes(raw)


def block_zeroed(path: Path, source: np.random.Generator, other: Path) -> None:
    raw = bytearray(path.read_bytes())
    place = int(source.integers(0, len(raw) + 1))
    raw[place : place + 100] = bytes(len(raw[place : place + 100]))
    path.write_bytes(raw)


def zeroed(path: Path, source: np.random.Generator, other: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def truncated(path: Path, source: np.random.Generator, other: Path) -> None:
    os.truncate(path, int(source.integers(0, path.stat().st_size + 1)))


def emptied(path: Path, source: np.random.Generator, other: Path) -> None:
    path.write_bytes(b"")


def longer(path: Path, source: np.random.Generator, other: Path) -> None:
    path.write_bytes(path.read_bytes() + source.bytes(int(source.integers(1, 500))))


def replaced(make: Callable[[Path, Path], object]) -> Callable[..., None]:
    def replace(path: Path, source: np.random.Generator, other: Path) -> None:
        path.unlink()
        make(path, other)

    return replace


CONTENTS = [garbled, garbled, block_garbled, block_zeroed, zeroed, truncated, truncated, emptied, longer]
KINDS_OF_FILE = {
    "deleted": replaced(lambda path, other: None),
    "link": replaced(lambda path, other: path.symlink_to(other)),
    "link to itself": replaced(lambda path, other: path.symlink_to(path)),
    "link to nowhere": replaced(lambda path, other: path.symlink_to("nowhere")),
    "link to a device": replaced(lambda path, other: path.symlink_to("/dev/zero")),
    "pipe": replaced(lambda path, other: os.mkfifo(path)),
    "folder": replaced(lambda path, other: path.mkdir()),
    "folder of a file": replaced(lambda path, other: folder(path, {"a": b"b"})),
}
CHANGES = [*((change.__name__, change) for change in CONTENTS), *KINDS_OF_FILE.items()]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("ganlab.cli.data_check.SECONDS", 0.01)
    return tmp_path


def outcome(work: Callable[..., Any], *given: Any, **options: Any) -> tuple[Any, str]:
    """The result, or None and what was said in its place."""
    result, said = None, "."
    with within():
        try:
            result = work(*given, **options)
        except (Refused, Failed) as error:
            said = str(error)
    assert 1 <= len(said.splitlines()) <= 3, said
    return result, said


def scored_images(path: Path) -> list[Any]:
    return list(GivenImages(path).batches())


def first_batch(root: Path, **options) -> torch.Tensor:
    data = ImageFolder(root=str(root), size=8, held_out=0, batch_size=COUNT, **options)
    data.prepare_data()
    data.setup("fit")
    next(iter(data.train_dataloader()))
    return data.splits.train[torch.arange(len(data.splits.train))][0]


def checked(root: Path, out: Path) -> None:
    """`ganlab data check` either works or says in a few lines why not."""
    arguments = ("data", "check", "ImageFolder", "--root", root, "--size", 8, "--held_out", 0)
    out.mkdir(exist_ok=True)
    answer = tried(*arguments, folder=out)
    assert answer.code in (0, 1, 2), answer
    assert "Traceback" not in answer.err, answer.err
    assert len(answer.err.splitlines()) <= 5, answer.err


def source_of(series: str, number: int) -> np.random.Generator:
    return np.random.default_rng([number, *series.encode()])


def other_file(place: Path) -> Path:
    """What links lead to, and nothing may change."""
    return folder(place / "elsewhere", {"other": b"keep me" * 50}) / "other"


PICTURES = [(kind, name, change) for kind in KINDS for name, change in CHANGES]


@pytest.mark.parametrize("part", SHARES)
def test_broken_pictures(part, place):
    for number, (kind, name, change) in enumerate(share_of(PICTURES, part)):
        root = folder(place / "data", {f"{n:02}.png": encoded(picture(n), kind) for n in range(COUNT)})
        change(root / "07.png", source_of(kind + name, part), other_file(place))
        before = state_of(root), state_of(place / "elsewhere")
        outcome(first_batch, root, most_broken=0.1)
        outcome(scored_images, root)
        if number % 4 == 0:
            checked(root, place / "out")
        assert (state_of(root), state_of(place / "elsewhere")) == before, (kind, name)
        shutil.rmtree(root)


PAIRS = [(broken, name, change) for broken in ("AB", "A", "B") for name, change in CHANGES]


def pair_files(broken: str) -> dict[str, bytes]:
    """Pairs in one file each, or in two folders."""
    pairs = [[picture(side + n, 8, 8) for side in (0, 500)] for n in range(COUNT)]
    if broken == "AB":
        together = [Image.fromarray(np.hstack(pair)) for pair in pairs]
        return {f"AB/{n:02}.png": encoded(image, "PNG") for n, image in enumerate(together)}
    named = [(side, n, image) for n, pair in enumerate(pairs) for side, image in zip("AB", pair, strict=True)]
    return {f"{side}/{n:02}.png": encoded(image, "PNG") for side, n, image in named}


def pairs_of(root: Path) -> list[bytes]:
    data = Pairs(root=str(root), size=8, held_out=0, most_broken=0.1)
    data.prepare_data()
    columns = data.splits.train[torch.arange(len(data.splits.train))]
    return [torch.stack(pair).numpy().tobytes() for pair in zip(*columns, strict=True)]


@pytest.mark.parametrize("part", SHARES)
def test_broken_pairs(part, place):
    """What is left are whole pairs, whichever file is broken: that of both sides, or one of two."""
    for broken, name, change in share_of(PAIRS, part):
        root = folder(place / "data", pair_files(broken))
        unbroken = pairs_of(root)
        del unbroken[7]
        change(root / broken / "07.png", source_of(broken + name, part), other_file(place))
        before = state_of(root), state_of(place / "elsewhere")
        pairs, _ = outcome(pairs_of, root)
        assert pairs is None or [pair for pair in pairs if pair in unbroken] == unbroken, (broken, name)
        assert (state_of(root), state_of(place / "elsewhere")) == before, (broken, name)
        shutil.rmtree(root)


ZIPS = [(name, change, seed) for seed in range(4) for name, change in CHANGES]


@pytest.mark.parametrize("part", SHARES)
def test_broken_zips(part, place):
    for name, change, seed in share_of(ZIPS, part):
        files = {f"{n:02}.png": encoded(picture(n), "PNG") for n in range(COUNT)}
        path = packed(place / "in" / "data.zip", files)
        change(path, source_of(name, seed), other_file(place))
        before = state_of(path.parent), state_of(place / "elsewhere")
        outcome(first_batch, path, most_broken=0.5)
        outcome(scored_images, path)
        if seed == 0:
            checked(path, place / "out")
        assert (state_of(path.parent), state_of(place / "elsewhere")) == before, (name, seed)
        shutil.rmtree(path.parent)


ARRAYS = [(name, change, seed) for seed in range(6) for name, change in CHANGES]


@pytest.mark.parametrize("part", SHARES)
def test_broken_arrays(part, place):
    content = io.BytesIO()
    np.savez_compressed(content, np.stack([np.array(picture(n)) for n in range(COUNT)]))
    for name, change, seed in share_of(ARRAYS, part):
        path = folder(place / "in", {"images.npz": content.getvalue()}) / "images.npz"
        change(path, source_of(name, seed), other_file(place))
        before = state_of(path.parent), state_of(place / "elsewhere")
        outcome(scored_images, path)
        assert (state_of(path.parent), state_of(place / "elsewhere")) == before, (name, seed)
        shutil.rmtree(path.parent)


def places(cache: Path) -> list[Path]:
    """All files of a cache, locks included."""
    return sorted(path for path in cache.rglob("*") if path.is_file())


CACHED = [(number, name, change) for number in range(4) for name, change in CHANGES]


@pytest.mark.parametrize("placement", ["memory", "disk"])
@pytest.mark.parametrize("part", SHARES)
def test_broken_caches(part, placement, place):
    """The pictures, their list, their lock, and the digest of the pictures' files."""
    root = folder(place / "data", {f"{n:02}.png": encoded(picture(n), "PNG") for n in range(COUNT)})
    expected = first_batch(root).clone()
    shutil.copytree(place / "cache", place / "whole")
    before = state_of(root)
    assert len(places(place / "cache")) == 4
    for number, name, change in share_of(CACHED, part):
        shutil.rmtree(place / "cache")
        shutil.copytree(place / "whole", place / "cache")
        file = places(place / "cache")[number]
        change(file, source_of(name, number), other_file(place))
        elsewhere = state_of(place / "elsewhere")
        images, said = outcome(first_batch, root, placement=placement)
        if "again" in said:
            images, said = outcome(first_batch, root, placement=placement)
        assert images is not None or "$GANLAB_CACHE" in said, (name, file.name, said)
        assert images is None or torch.equal(images, expected), (name, file.name)
        assert state_of(place / "elsewhere") == elsewhere, (name, file.name)
        assert state_of(root) == before


@pytest.mark.parametrize("name", [*KINDS_OF_FILE])
@pytest.mark.parametrize("level", ["pictures", "pictures/*", "known"])
@pytest.mark.slow
def test_a_folder_of_the_cache_is_something_else(level, name, place):
    root = folder(place / "data", {f"{n:02}.png": encoded(picture(n), "PNG") for n in range(COUNT)})
    expected = first_batch(root).clone()
    (path,) = (path for path in (place / "cache").glob(level) if path.is_dir())
    shutil.rmtree(path)
    path.write_bytes(b"")
    KINDS_OF_FILE[name](path, None, other_file(place))
    elsewhere = state_of(place / "elsewhere")
    images, said = outcome(first_batch, root)
    assert images is not None or "$GANLAB_CACHE" in said, said
    assert images is None or torch.equal(images, expected)
    assert state_of(place / "elsewhere") == elsewhere


STATISTICS = [(part, name, change) for part in ("statistics", "floors", "arrays") for name, change in CHANGES]


@pytest.mark.parametrize("part", SHARES)
def test_broken_statistics(part, place):
    def scored() -> tuple:
        data = Digits(size=8, placement="disk", batch_size=8)
        data.setup("fit")
        for _ in islice(data.train_dataloader(), 3):
            pass
        reals, floor = prepare_reference(Scorer(Pixels(), ("fid", "kid"), 50), data, "train")
        return reals.moments.mean.tolist(), reals.moments.covariance.tolist(), reals.factor.tolist(), floor

    expected = scored()
    shutil.copytree(place / "cache", place / "whole")
    for kind, name, change in share_of(STATISTICS, part):
        shutil.rmtree(place / "cache")
        shutil.copytree(place / "whole", place / "cache")
        file = places(place / "cache" / kind)[0]
        change(file, source_of(kind + name, 0), other_file(place))
        elsewhere = state_of(place / "elsewhere")
        scores, said = outcome(scored)
        assert scores or "$GANLAB_CACHE" in said, (name, kind, said)
        assert scores in (None, expected), (name, kind)
        assert state_of(place / "elsewhere") == elsewhere, (name, kind)
