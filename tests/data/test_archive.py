"""Folders and zips of pictures with whatever may lie in them: nothing hangs, runs or ends in a traceback."""

import io
import os
import socket
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import within
from PIL import EpsImagePlugin, Image
from sets import ATTRIBUTES, cifar10, encoded, faces, folder, packed, picture

from ganlab.cli import main
from ganlab.data import CIFAR10, MNIST, CelebA, ImageFolder
from ganlab.errors import Refused
from ganlab.metrics.given_images import GivenImages

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
LATIN = os.fsdecode(b"caf\xe9")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def place(tmp_path) -> Path:
    return folder(tmp_path / "data", {f"{n:02}.png": encoded(picture(n), "PNG") for n in range(20)})


def loaded(root: Path, **options) -> torch.Tensor:
    data = ImageFolder(root=str(root), size=8, held_out=0, **options)
    with within(10):
        data.prepare_data()
        data.setup("fit")
    rows = data.splits.train
    return rows[torch.arange(len(rows))][0]


def refused(work, *given, **options) -> str:
    with within(10), pytest.raises(Refused) as error:
        work(*given, **options)
    lines = str(error.value).splitlines()
    assert 1 <= len(lines) <= 3
    assert all(line.isprintable() for line in lines)
    return str(error.value)


# Pictures that are none


@pytest.fixture
def ghostscript(monkeypatch) -> list:
    """Each call of Ghostscript."""
    called: list = []

    def interpreter(*given, **options):
        called.append(given)
        raise OSError("Ghostscript was called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", interpreter)
    return called


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_postscript_that_is_named_as_a_picture_is_never_interpreted(form, tmp_path, ghostscript, monkeypatch):
    files = {f"{n:02}.png": encoded(picture(n), "PNG") for n in range(20)} | {"x.png": POSTSCRIPT}
    root = folder(tmp_path / "data", files) if form == "folder" else packed(tmp_path / "data.zip", files)
    assert len(loaded(root, most_broken=0.1)) == 20
    assert "x.png is no whole picture: no picture" in refused(lambda: list(GivenImages(root).batches()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganlab.cli.data_check.SECONDS", 0.01)
    check = ["data", "check", "ImageFolder", "--root", str(root), "--most_broken", "0.1", "--held_out", "0"]
    assert main.main(check) == 0
    assert ghostscript == []


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000"]
)
def test_every_format_is_still_read_whatever_the_name(kind, tmp_path):
    root = folder(tmp_path / "data", {f"{n}.png": encoded(picture(n, 16, 16), kind) for n in range(3)})
    assert loaded(root).shape == (3, 3, 8, 8)


def test_a_picture_that_would_fill_the_memory_is_not_scored(place):
    content = io.BytesIO()
    Image.new("1", (11_000, 11_000)).save(content, "PNG")
    (place / "large.png").write_bytes(content.getvalue())
    assert "would fill the memory" in refused(lambda: list(GivenImages(place).batches()))


# Names


def test_names_that_are_not_utf8(place, tmp_path, capsys):
    expected = loaded(place)
    for file in place.iterdir():
        file.rename(place / f"{LATIN}{file.name}")
    assert torch.equal(loaded(place), expected)
    assert torch.equal(torch.cat([images for _, images in GivenImages(place).batches()]), whole(20))
    (place / f"{LATIN}broken.png").write_bytes(b"x")
    assert len(loaded(place, most_broken=0.5)) == 20
    assert r"caf\udce9broken.png" in capsys.readouterr().out
    assert r"caf\udce9broken.png" in refused(lambda: list(GivenImages(place).batches()))
    assert r"caf\udce9" in refused(loaded, tmp_path / LATIN)


def whole(count: int) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(picture(n))).movedim(-1, 0) for n in range(count)])


def test_names_that_are_not_utf8_keep_their_pictures_apart(tmp_path):
    names = [b"\xe9.png", b"\xe8.png", b"\xff\xfe.png"]
    root = folder(
        tmp_path / "data", {os.fsdecode(n): encoded(picture(i), "PNG") for i, n in enumerate(names)}
    )
    assert len(loaded(root).flatten(1).unique(dim=0)) == 3


def test_tables_with_names_that_are_not_utf8(tmp_path):
    files = faces(count=10, partition=False)
    renamed = {name.replace("00000", f"{LATIN}00000"): content for name, content in files.items()}
    table = renamed["list_attr_celeba.txt"].replace(b"00000", b"caf\xe900000")
    root = folder(tmp_path / "celeba", renamed | {"list_attr_celeba.txt": table})
    data = CelebA(root=str(root), size=8, held_out=0, attributes=[ATTRIBUTES[1]])
    data.prepare_data()
    assert len(data.splits.train) == 10
    (root / "list_attr_celeba.txt").write_bytes(table.replace(b"caf\xe9000003", b"caf\xe8000003"))
    data = CelebA(root=str(root), size=8, held_out=0, attributes=[ATTRIBUTES[1]])
    assert r"caf\udce9000003" in refused(data.prepare_data)


def test_control_characters_in_names_do_not_reach_the_terminal(place, capsys):
    (place / "a\x1b[2J\nb.png").write_bytes(b"x")
    loaded(place, most_broken=0.5)
    assert "\x1b" not in capsys.readouterr().out
    refused(loaded, place, most_broken=0)


def test_a_terminal_that_cannot_print_a_name(place, tmp_path, monkeypatch):
    (tmp_path / LATIN).mkdir()
    place.rename(tmp_path / LATIN / "data")
    terminal = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.chdir(tmp_path / LATIN)
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("ganlab.cli.data_check.SECONDS", 0.01)
    assert main.main(["data", "check", "ImageFolder", "--root", "data", "--held_out", "0"]) == 0
    terminal.flush()
    assert rb"caf\udce9" in terminal.buffer.getvalue()


# Links, pipes, devices


def test_links_that_lead_in_a_circle(place):
    expected = loaded(place)
    for link, target in {"a.png": "b.png", "b.png": "a.png", "self": "self", "up": "..", "here": "."}.items():
        (place / link).symlink_to(target)
    (place / "x").mkdir()
    (place / "x" / "back").symlink_to(place)
    assert torch.equal(loaded(place), expected)
    assert "there is no" in refused(loaded, place / "self")
    assert len(GivenImages(place).names) == 20


def test_folders_that_link_to_one_another(tmp_path):
    """Twelve that each link to all others make a billion paths without a circle."""
    for name in "abcdefghijkl":
        (tmp_path / "data" / name).mkdir(parents=True)
        for other in "abcdefghijkl":
            (tmp_path / "data" / name / other).symlink_to(f"../{other}")
    assert "again and again" in refused(loaded, tmp_path / "data")


def test_folders_within_folders(place):
    expected, folders = loaded(place), place
    for _ in range(40):
        folders = folders / "/".join("d" * 30)
        if len(str(folders)) > 3900:
            break
        folders.mkdir(parents=True)
    try:
        assert torch.equal(loaded(place), expected)
    finally:  # Python's own removal fails at such depth, when the tests are over.
        subprocess.run(["rm", "-rf", place], check=True)


def test_a_folder_may_be_linked_twice(place, tmp_path):
    (tmp_path / "both").mkdir()
    for part in ("train", "val"):
        (tmp_path / "both" / part).symlink_to(place)
    data = ImageFolder(root=str(tmp_path / "both"), size=8)
    data.prepare_data()
    assert [len(split) for split in data.splits] == [20, 20]


def test_what_is_no_file_is_never_opened(place, monkeypatch):
    expected = loaded(place)
    os.mkfifo(place / "pipe.png")
    (place / "device.png").symlink_to("/dev/zero")
    (place / "dir.png").mkdir()
    (place / "nowhere.png").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(place)  # A socket's path may be no longer than 107 bytes.
        listening.bind("socket.png")
        assert torch.equal(loaded(place), expected)
        assert len(GivenImages(place).names) == 20


@pytest.mark.parametrize("kind", ["pipe", "device", "picture"])
def test_what_is_neither_a_folder_nor_a_zip(kind, place, tmp_path):
    path = tmp_path / "thing"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else place / "00.png")
    for work in (loaded, GivenImages):
        assert "zip" in refused(work, path)


def test_pipes_in_the_place_of_official_files(tmp_path):
    folder(tmp_path, {"MNIST/raw/x": b"", "cifar-10-batches-py/x": b"", "list_attr_celeba.txt": b""})
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"):
        os.mkfifo(tmp_path / "MNIST" / "raw" / name)
    for number in range(1, 6):
        os.mkfifo(tmp_path / "cifar-10-batches-py" / f"data_batch_{number}")
    for kind in (MNIST, CIFAR10):
        assert "needs" in refused(kind(root=str(tmp_path)).setup, "fit")
    (tmp_path / "other").mkdir()
    os.mkfifo(tmp_path / "other" / "cifar-10-python.tar.gz")
    assert "needs" in refused(CIFAR10(root=str(tmp_path / "other")).setup, "fit")


@pytest.mark.parametrize("where", ["", "inner"])
def test_a_folder_that_may_not_be_read(where, place, monkeypatch):
    (place / "inner").mkdir()
    closed = str(place / where)

    def closing(original):
        def asked(path):
            if os.fspath(path) == closed:
                raise PermissionError(13, "Permission denied", closed)
            return original(path)

        return asked

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, closing(getattr(os, name)))
    for work in (loaded, GivenImages):
        assert "Permission denied" in refused(work, place)


def test_names_that_no_system_takes():
    refused(loaded, Path("a" * 5000))
    refused(GivenImages, Path("a" * 5000))
    refused(ImageFolder, root="a\0b")


# Zips and tables


def test_a_damaged_table_in_a_zip(tmp_path):
    path = packed(tmp_path / "celeba.zip", faces(count=5))
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("list_attr_celeba.txt").header_offset + 60
    raw = bytearray(path.read_bytes())
    raw[place : place + 4] = b"\0" * 4
    path.write_bytes(raw)
    data = CelebA(root=str(path), size=8, attributes=["Male"])
    assert "list_attr_celeba.txt is damaged" in refused(data.prepare_data)


def test_a_table_that_counts_in_superscript(tmp_path):
    files = faces(count=5)
    files["list_attr_celeba.txt"] = files["list_attr_celeba.txt"].replace(b"5\n", "²\n".encode(), 1)
    data = CelebA(root=str(folder(tmp_path / "x", files)), size=8, attributes=["Male"])
    refused(data.prepare_data)


@pytest.mark.parametrize("place", [20, 200, -300])
def test_a_garbled_archive_of_cifar(place, tmp_path):
    path = cifar10(tmp_path, packed=True) / "cifar-10-python.tar.gz"
    raw = bytearray(path.read_bytes())
    raw[place : place + 50] = bytes(range(50))
    path.write_bytes(raw)
    assert "damaged" in refused(CIFAR10(root=str(tmp_path)).setup, "fit")
