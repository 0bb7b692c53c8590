"""Sets of picture files: which files are found, which pixels networks see, and what is cached."""

import io
import os
import shutil
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sets import ATTRIBUTES, encoded, faces, folder, packed, pets, picture

from ganlab.data import CatsVsDogs, CelebA, ImageFolder
from ganlab.data.pictures.decode import Broken, Transform
from ganlab.data.pictures.picture_files import PictureFiles
from ganlab.errors import Refused
from ganlab.system.cache_folder import cache_home


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def everything(data: PictureFiles, split: str = "train") -> tuple[torch.Tensor, ...]:
    data.prepare_data()
    rows = getattr(data.splits, split)
    return rows[torch.arange(len(rows))]


def colours(images: torch.Tensor) -> list[list[int]]:
    return images.float().mean((2, 3)).round().int().tolist()


def refused(data: PictureFiles) -> str:
    with pytest.raises(Refused) as error:
        everything(data)
    message = str(error.value)
    assert len(message.splitlines()) <= 3
    return message


# What is found


@pytest.mark.parametrize("form", ["folder", "zip", "within", "zip within", "in a folder"])
@pytest.mark.parametrize("layout", ["kaggle", "microsoft", "folders"])
def test_cats_and_dogs_are_found_in_every_layout(layout, form, tmp_path):
    files = pets(layout)
    root = tmp_path / "data"
    if form == "in a folder":
        files = {f"anything/{name}": content for name, content in files.items()}
    if form in ("folder", "in a folder"):
        folder(root, files)
    elif form == "zip":
        root = packed(root / "any name.zip", files)
    elif form == "within":
        folder(root / "dogs-vs-cats", files)
        folder(root / "celeba", faces(count=2))
    else:
        packed(root / "cats_vs_dogs.zip", files)
    data = CatsVsDogs(root=str(root), size=8, held_out=0.3)
    images, labels = everything(data)
    held_out, held_out_labels = everything(data, "held_out")
    assert data.classes == 2
    assert images.shape[1:] == data.shape == (3, 8, 8)
    assert len(labels) + len(held_out_labels) == 24
    assert sum(labels) + sum(held_out_labels) == 12
    if layout == "folders":
        assert len(held_out_labels) == 6, "what the set itself holds out"
    actual = sorted(colours(torch.cat([images, held_out])))
    expected = sorted(colours(torch.stack([pixels(number) for number in [*range(12), *range(100, 112)]])))
    assert np.abs(np.array(actual) - expected).max() <= 3


def pixels(number: int) -> torch.Tensor:
    return torch.from_numpy(np.array(picture(number))).movedim(-1, 0)


@pytest.mark.parametrize("form", ["folder", "zip", "zip beside its tables", "the pictures' own folder"])
@pytest.mark.parametrize("table", ["txt", "csv"])
def test_faces_are_found_with_their_tables(form, table, tmp_path):
    files = faces(table=table)
    root = tmp_path / "data" / "celeba"
    if form == "folder":
        folder(root, files)
    elif form == "zip":
        packed(root.parent / "celeba.zip", files)
    elif form == "zip beside its tables":
        packed(root / "img_align_celeba.zip", {name: c for name, c in files.items() if name[-3:] == "jpg"})
        folder(root, {name: c for name, c in files.items() if name[-3:] != "jpg"})
    else:
        root = folder(root, files) / "img_align_celeba"
    where = root if form == "the pictures' own folder" else tmp_path / "data"
    data = CelebA(root=str(where), size=16, attributes=[ATTRIBUTES[1]])
    images, labels = everything(data)
    _, held_out = everything(data, "held_out")
    assert (len(images), len(held_out)) == (14, 6)
    assert labels.tolist() == [number >> 1 & 1 for number in range(1, 15)]
    assert labels.dtype == torch.long
    assert data.classes == 2


def test_faces_need_neither_partition_nor_attributes(tmp_path):
    files = {name: content for name, content in faces(partition=False).items() if name[-3:] == "jpg"}
    data = CelebA(root=str(folder(tmp_path / "celeba", files)), size=8, held_out=0.25)
    assert len(everything(data)) == 1
    assert data.classes is None
    total = sum(len(everything(data, split)[0]) for split in ("train", "held_out"))
    assert total == 20
    assert 1 <= len(everything(data, "held_out")[0]) <= 10


@pytest.mark.parametrize(("width", "height"), [(178, 218), (89, 109), (356, 436)])
def test_the_crop_follows_the_files_size(width, height, tmp_path):
    root = folder(tmp_path / "celeba", faces(width=width, height=height, count=3, partition=False))
    (inside,) = everything(CelebA(root=str(root), size=16, held_out=0))
    assert inside.min() > 240, "a square of 148 at 178 x 218 shows no border"
    (wider,) = everything(CelebA(root=str(root), size=16, held_out=0, crop=178))
    assert wider[:, :, :, 0].max() < 60
    assert wider[:, :, 8, 8].min() > 240


def test_several_attributes_make_a_row(tmp_path):
    data = CelebA(root=str(folder(tmp_path, faces(count=20))), size=8, attributes=ATTRIBUTES)
    _, labels = everything(data)
    assert labels.tolist() == [[number >> bit & 1 for bit in range(3)] for number in range(1, 15)]
    assert data.classes is None


TREES = {
    "flat": (["a.jpg", "b.png", "c.jpg"], [], None),
    "classes": (["x/a.jpg", "y/b.jpg", "y/c.jpg"], [0, 1, 1], 2),
    "parts": (["train/x/a.jpg", "train/y/b.jpg", "val/x/c.jpg"], [0, 1], 2),
    "flat parts": (["train/a.jpg", "train/b.jpg", "test/c.jpg"], [], None),
    "one class": (["only/a.jpg", "only/b.jpg"], [], None),
    "below": (["a/b/x/1.jpg", "a/b/y/2.jpg"], [0, 1], 2),
    "deep": (["x/1/a.jpg", "x/2/b.jpg", "y/1/c.jpg"], [0, 0, 1], 2),
    "litter": (["x/a.jpg", "y/b.jpg", ".hidden/c.jpg", "__MACOSX/x/a.jpg", "notes.txt"], [0, 1], 2),
}


@pytest.mark.parametrize("tree", TREES)
def test_any_folder_of_pictures(tree, tmp_path):
    names, expected, classes = TREES[tree]
    files = {name: encoded(picture(index)) for index, name in enumerate(names)}
    for root in (folder(tmp_path / "some", files), packed(tmp_path / "other.zip", files)):
        data = ImageFolder(root=str(root), size=8, held_out=0)
        columns = everything(data)
        assert data.classes == classes
        assert [column.tolist() for column in columns[1:]] == ([expected] if expected else [])
        assert (data.splits.held_out is None) == (tree not in ("parts", "flat parts"))


def test_who_is_held_out_depends_on_the_name_alone(tmp_path):
    def held_out(names: list[str]) -> set[str]:
        root = tmp_path / f"of {len(names)}"
        data = ImageFolder(
            root=str(folder(root, {name: encoded(picture(1)) for name in names})), held_out=0.2
        )
        return {picture_file.name for picture_file in data.files["held_out"]}

    many = [f"{number}.jpg" for number in range(300)]
    assert held_out(many[:150]) == held_out(many) & set(many[:150])
    assert 30 <= len(held_out(many)) <= 90


# What networks see


def image(mode: str) -> tuple[bytes, list[int]]:
    """A picture file in a mode, and its colour as RGB."""
    size, kinds = (6, 6), {"CMYK": "TIFF", "I;16": "PNG", "P": "GIF", "1": "PNG"}
    colour = {
        "L": 100,
        "1": 1,
        "RGB": (10, 100, 200),
        "RGBA": (10, 100, 200, 0),
        "LA": (10, 255),
        "CMYK": (255, 0, 0, 0),
        "P": 0,
        "I;16": 0x8080,
    }
    colours_shown = {
        "L": [100] * 3,
        "1": [255] * 3,
        "RGB": [10, 100, 200],
        "RGBA": [255] * 3,
        "LA": [10] * 3,
        "CMYK": [0, 255, 255],
        "P": [1, 2, 3],
        "I;16": [128] * 3,
    }
    drawn = Image.new(mode, size, colour[mode])
    if mode == "P":
        drawn.putpalette([1, 2, 3] * 256)
    return encoded(drawn, kinds.get(mode, "PNG")), colours_shown[mode]


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "LA", "CMYK", "P", "I;16"])
def test_every_kind_of_pixel(mode):
    content, rgb = image(mode)
    assert Transform(4, 3)(content).reshape(-1, 3).tolist() == [rgb] * 16
    grey = np.dot(rgb, [0.299, 0.587, 0.114])
    assert abs(Transform(4, 1)(content).astype(int) - grey).max() <= 1
    assert Transform(4, 4)(content).shape == (4, 4, 4)


def test_a_wide_picture_is_cut_not_squeezed():
    wide = Image.new("RGB", (90, 30), "black")
    wide.paste("white", (30, 0, 60, 30))
    assert Transform(10, 1)(encoded(wide, "PNG")).min() == 255
    tall = encoded(wide.rotate(90, expand=True), "PNG")
    assert Transform(10, 1)(tall).min() == 255


def test_a_camera_that_was_turned():
    marked = Image.new("L", (20, 20), 0)
    marked.paste(255, (0, 0, 20, 10))
    turned = Image.Exif()
    turned[0x0112] = 6
    content = io.BytesIO()
    marked.save(content, "JPEG", exif=turned)
    upright = Transform(20, 1)(content.getvalue())[..., 0]
    assert upright[:, 12:].min() > 200 > 50 > upright[:, :8].max()


def test_small_pixels_are_averaged():
    """Without antialiasing a fine chequerboard would turn black, white or striped."""
    board = np.indices((64, 64)).sum(0) % 2 * 255
    small = Transform(8, 1)(encoded(Image.fromarray(board.astype(np.uint8)), "PNG"))
    assert abs(small.astype(int) - 127).max() <= 8


# What is cached


def fingerprints(data: PictureFiles) -> tuple[str, str]:
    return data.fingerprint, data.fingerprint_of("held_out")


def test_the_fingerprint_is_that_of_names_and_contents(tmp_path):
    files = pets("kaggle")
    first = CatsVsDogs(root=str(folder(tmp_path / "a", files)), size=8)
    expected = fingerprints(first)
    elsewhere = shutil.copytree(tmp_path / "a", tmp_path / "b")
    os.utime(next(elsewhere.rglob("*.jpg")), (1, 1))
    for root in (elsewhere, packed(tmp_path / "c.zip", files), folder(tmp_path / "d", deeper(files))):
        assert fingerprints(CatsVsDogs(root=str(root), size=8)) == expected
    assert expected[0] != expected[1]


def deeper(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"some/where/{name}": content for name, content in files.items()}


def test_the_fingerprint_changes_with_what_networks_see(tmp_path):
    files = pets("kaggle")
    name = "train/cat.1.jpg"
    variations = [
        CatsVsDogs(root=str(packed(tmp_path / "1.zip", {**files, name: encoded(picture(55))})), size=8),
        CatsVsDogs(root=str(packed(tmp_path / "2.zip", {**files, "train/cat.99.jpg": files[name]})), size=8),
        CatsVsDogs(
            root=str(packed(tmp_path / "3.zip", {n: c for n, c in files.items() if n != name})), size=8
        ),
        *(
            CatsVsDogs(root=str(packed(tmp_path / "4.zip", files)), **how)
            for how in ({"size": 8}, {"size": 9})
        ),
        CatsVsDogs(root=str(tmp_path / "4.zip"), size=8, channels=1),
        CatsVsDogs(root=str(tmp_path / "4.zip"), size=8, held_out=0.3),
        ImageFolder(root=str(tmp_path / "4.zip"), size=8),
    ]
    fingerprints_ = [data.fingerprint for data in variations]
    assert len(set(fingerprints_)) == len(fingerprints_)
    root = str(folder(tmp_path / "faces", faces(count=10)))
    choices = [{}, {"crop": 100}, {"attributes": ["Male"]}, {"attributes": ["Smiling"]}]
    fingerprints_ = [CelebA(root=root, size=8, **choice).fingerprint for choice in choices]
    assert len(set(fingerprints_)) == len(fingerprints_)


def test_pictures_are_decoded_once(tmp_path, monkeypatch):
    root = str(folder(tmp_path / "data", pets("kaggle")))
    before = contents(tmp_path / "data")
    expected = everything(CatsVsDogs(root=root, size=8))
    monkeypatch.setattr(Transform, "__call__", None)
    reads = []
    monkeypatch.setattr("ganlab.data.pictures.archive.Folder.read", lambda self, name: reads.append(name))
    from_cache = everything(CatsVsDogs(root=root, size=8))
    assert all(torch.equal(first, second) for first, second in zip(expected, from_cache, strict=True))
    assert reads == []
    assert contents(tmp_path / "data") == before, "read-only folders work"


def contents(path: Path) -> dict[str, tuple[bytes, int]]:
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*.*")}


def test_attributes_decode_nothing_again(tmp_path, monkeypatch):
    root = str(folder(tmp_path / "data", faces()))
    everything(CelebA(root=root, size=8))
    monkeypatch.setattr(Transform, "__call__", None)
    assert len(everything(CelebA(root=root, size=8, attributes=["Male", "Smiling"]))) == 2


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_change_of_the_same_length_is_noticed(form, tmp_path):
    files = {f"{number}.png": encoded(picture(1), "PNG") for number in range(3)}
    changed = encoded(picture(1).point(lambda value: value ^ 1), "PNG")
    write = folder if form == "folder" else packed
    path = tmp_path / ("data" if form == "folder" else "data.zip")
    first = everything(ImageFolder(root=str(write(path, files)), size=8, held_out=0))[0].clone()
    write(path, {**files, "1.png": changed})
    second = everything(ImageFolder(root=str(path), size=8, held_out=0))[0]
    assert [torch.equal(before, after) for before, after in zip(first, second, strict=True)] == [
        True,
        False,
        True,
    ]


def spoil_length(place: Path) -> None:
    with (place / "images.bin").open("r+b") as file:
        file.truncate(7)


SPOILED = {
    "cut": spoil_length,
    "no list": lambda place: (place / "info").unlink(),
    "half a list": lambda place: (place / "info").write_bytes((place / "info").read_bytes()[:99]),
    "no images": lambda place: (place / "images.bin").unlink(),
}


@pytest.mark.parametrize("how", SPOILED)
def test_half_a_cache_is_never_taken_for_a_whole_one(how, tmp_path, cache_folder):
    root = str(folder(tmp_path / "data", {f"{number}.jpg": encoded(picture(number)) for number in range(5)}))
    expected = everything(ImageFolder(root=root, size=8, held_out=0))[0].clone()
    (place,) = (cache_folder / "pictures").glob("imagefolder*")
    SPOILED[how](place)
    assert torch.equal(everything(ImageFolder(root=root, size=8, held_out=0))[0], expected)


# What a process does instead of a command: it builds the cache, and takes its time for each picture.
BUILD = """
import sys, time
from ganlab.data import ImageFolder
from ganlab.data.pictures.decode import Transform
decode = Transform.__call__
def slow(self, content):
    print("decoding", flush=True)
    time.sleep({wait})
    return decode(self, content)
Transform.__call__ = slow
data = ImageFolder(root={root!r}, size=8, held_out=0)
data.prepare_data()
print(len(data.splits.train), int(data.splits.train.images.long().sum()))
sys.exit()
"""


def build(root: Path, place: Path, wait: float = 0.0, first: str = "") -> Command:
    """A process whose output is kept in a folder, which does something else first."""
    place.mkdir()
    patch = first + BUILD.format(root=str(root), wait=wait)
    return Command(folder=place, patch=patch, GANLAB_CACHE=os.environ["GANLAB_CACHE"])


@pytest.fixture
def many(tmp_path):
    return folder(tmp_path / "many", {f"{n}.jpg": encoded(picture(n)) for n in range(60)})


@pytest.mark.slow
def test_two_builders_leave_one_cache(many, cache_folder, tmp_path):
    builders = [build(many, tmp_path / name, 0.01) for name in ("one", "two")]
    answers = [builder.end().out.splitlines() for builder in builders]
    assert answers[0][-1] == answers[1][-1]
    assert [path.name.startswith(".") for path in (cache_folder / "pictures").iterdir()].count(False) == 1
    assert not [path for path in (cache_folder / "pictures").glob(".*") if path.is_dir()]
    assert sorted(len(lines) - 1 for lines in answers) == [0, 60], "the second one waited for the first"


def test_a_killed_builder_leaves_nothing_that_is_trusted(many, cache_folder, tmp_path):
    builder = build(many, tmp_path / "killed", 0.1)
    builder.until(lambda: builder.files[0].exists() and builder.files[0].read_text().count("decoding") > 3)
    builder.signal(signal.SIGKILL)
    assert builder.end().code == -signal.SIGKILL
    left = [path for path in (cache_folder / "pictures").iterdir() if path.is_dir()]
    assert [path.name[0] for path in left] == ["."], "unfinished"
    (images,) = everything(ImageFolder(root=str(many), size=8, held_out=0))
    assert len(images) == 60
    assert images.flatten(1).float().std(1).min() > 0
    assert [path.name[0] for path in (cache_folder / "pictures").iterdir() if path.is_dir()] == ["i"], "swept"


def test_a_full_disk(many, cache_folder, tmp_path):
    """Simulated by a limit on the size of files."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
    failed = build(many, tmp_path / "failed", first=limit).end()
    assert failed.code == 1
    assert "Refused: The cache of pictures cannot be written in" in failed.err
    assert "$GANLAB_CACHE" in failed.err
    assert [path.name for path in (cache_folder / "pictures").iterdir() if path.is_dir()] == []


def test_too_little_room_is_told_before_anything_is_decoded(many, monkeypatch):
    free = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    monkeypatch.setattr(Transform, "__call__", None)
    message = refused(ImageFolder(root=str(many)))
    assert "$GANLAB_CACHE" in message
    assert "GB" in message


def test_a_cache_folder_that_cannot_be_written(many, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "file"))
    assert "$GANLAB_CACHE" in refused(ImageFolder(root=str(many)))


# What is wrong


def test_missing_folders_and_pictures_are_told_with_the_right_layout(tmp_path):
    (tmp_path / "empty").mkdir()
    for kind, layout in (
        (CatsVsDogs, "PetImages/Cat/0.jpg"),
        (CelebA, "img_align_celeba/000001.jpg"),
        (ImageFolder, "one folder a class"),
    ):
        for root in ("nowhere", "empty"):
            message = refused(kind(root=str(tmp_path / root)))
            assert str(tmp_path / root) in message
            assert layout in message
            assert "--data.root" in message


def test_a_download_is_asked_for_only_when_wanted_and_needed(tmp_path, monkeypatch):
    roots = []

    def fetch(self):
        roots.append(self.root)
        folder(self.root / "dogs-vs-cats", pets("kaggle"))

    monkeypatch.setattr(CatsVsDogs, "fetch", fetch)
    assert "no pictures" in refused(CatsVsDogs(root=str(folder(tmp_path / "a", {"x.txt": b""}))))
    assert roots == []
    for _ in range(2):
        everything(CatsVsDogs(root=str(tmp_path / "new"), size=8, download=True))
    assert roots == [tmp_path / "new"]


def test_a_download_that_fails_says_what_else_to_do(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("ganlab.data.sets.cats_vs_dogs.download_url", unreachable)
    monkeypatch.setattr("ganlab.data.sets.celeba.datasets.CelebA", unreachable)
    for kind in (CatsVsDogs, CelebA):
        message = refused(kind(root=str(tmp_path), download=True))
        assert "no network" in message
        assert str(tmp_path) in message
    assert "nothing to download" in refused(ImageFolder(root=str(tmp_path), download=True))


def test_twice_the_same_set_is_not_guessed_at(tmp_path):
    packed(tmp_path / "cats_vs_dogs_a.zip", pets("kaggle"))
    packed(tmp_path / "cats_vs_dogs_b.zip", pets("kaggle"))
    message = refused(CatsVsDogs(root=str(tmp_path)))
    assert "cats_vs_dogs_a.zip, cats_vs_dogs_b.zip" in message


def test_pictures_beside_folders_are_not_guessed_at(tmp_path):
    files = {name: encoded(picture(1)) for name in ("a.jpg", "x/b.jpg", "x/c.jpg")}
    assert "1 of 3" in refused(ImageFolder(root=str(folder(tmp_path / "data", files))))


@pytest.mark.parametrize("name", ["../out.jpg", "/abs.jpg", "a/../../out.jpg", "C:/x.jpg", "..\\out.jpg"])
def test_a_zip_that_points_out_of_itself_is_refused(name, tmp_path):
    files = {**pets("kaggle"), name: encoded(picture(1))}
    assert "points out of it" in refused(CatsVsDogs(root=str(packed(tmp_path / "bad.zip", files))))


def test_a_zip_that_was_cut_off(tmp_path):
    path = packed(tmp_path / "cats_vs_dogs.zip", pets("kaggle"))
    path.write_bytes(path.read_bytes()[:-100])
    assert "no whole zip" in refused(CatsVsDogs(root=str(tmp_path)))


BAD = {
    "empty": b"",
    "text": b"<html>404</html>",
    "cut": encoded(picture(1, 64, 64))[:400],
    "bomb": None,
    "floats": encoded(Image.new("F", (8, 8), 0.5), "TIFF"),
}


def bomb() -> bytes:
    """The header of a picture of 40,000 x 40,000 pixels, without them."""
    content = io.BytesIO()
    Image.new("1", (8, 8)).save(content, "PNG")
    raw = bytearray(content.getvalue())
    raw[16:24] = (40_000).to_bytes(4, "big") * 2
    raw[29:33] = __import__("zlib").crc32(raw[12:29]).to_bytes(4, "big")
    return bytes(raw)


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("kind", BAD)
def test_single_bad_pictures_are_counted_named_and_skipped(kind, form, tmp_path, capsys):
    content = bomb() if kind == "bomb" else BAD[kind]
    files = {f"x/{number:03}.jpg": encoded(picture(number, 8, 8)) for number in range(150)}
    files |= {f"y/{number:03}.jpg": encoded(picture(number, 8, 8)) for number in range(150)}
    files["y/007.jpg"] = content
    root = str((folder if form == "folder" else packed)(tmp_path / f"data.{form}", files))
    data = ImageFolder(root=root, size=8, held_out=0)
    images, labels = everything(data)
    assert len(images) == 299
    assert labels.bincount().tolist() == [150, 149]
    assert images[157].float().mean() == pytest.approx(float(images[8].float().mean())), "rows closed up"
    lines = [line for line in capsys.readouterr().out.splitlines() if "skipped" in line]
    assert len(lines) == 1
    assert "1 of 300" in lines[0]
    assert "y/007.jpg" in lines[0]
    strict = refused(ImageFolder(root=root, size=8, held_out=0, most_broken=0.0))
    assert "y/007.jpg" in strict
    assert "most_broken" in strict


def test_too_many_bad_pictures_are_refused(tmp_path, cache_folder):
    files = {f"{number}.jpg": encoded(picture(number)) for number in range(98)} | {
        "a.jpg": b"",
        "b.jpg": b"x",
    }
    message = refused(ImageFolder(root=str(folder(tmp_path / "data", files)), size=8, held_out=0))
    assert "2" in message
    assert "1%" in message
    assert not [path for path in (cache_folder / "pictures").iterdir() if path.is_dir()]


def test_a_member_that_was_damaged_in_its_zip(tmp_path):
    files = {f"{number}.png": encoded(picture(number), "PNG") for number in range(200)}
    path = packed(tmp_path / "data.zip", files)
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("5.png").header_offset + 60
    raw = bytearray(path.read_bytes())
    raw[place : place + 8] = b"\0" * 8
    path.write_bytes(raw)
    assert len(everything(ImageFolder(root=str(path), size=8, held_out=0))[0]) == 199


TABLES = {
    "a name too few": (lambda text: text.replace("000007.jpg", "999999.jpg"), "000007.jpg"),
    "cut off": (lambda text: text[: len(text) // 2], "rows"),
    "no numbers": (lambda text: text.replace("000003.jpg 1 1 -1", "000003.jpg 1 x -1"), "000003.jpg"),
    "a column too few": (lambda text: text.replace("000003.jpg 1 1 -1", "000003.jpg 1 1"), "000003.jpg"),
}


@pytest.mark.parametrize("how", TABLES)
def test_a_table_that_disagrees_with_the_pictures(how, tmp_path):
    damage, word = TABLES[how]
    files = faces()
    files["list_attr_celeba.txt"] = damage(files["list_attr_celeba.txt"].decode()).encode()
    root = str(folder(tmp_path / "data", files))
    message = refused(CelebA(root=root, attributes=["Male"]))
    assert "list_attr_celeba.txt" in message
    assert word in message
    everything(CelebA(root=root, size=8))


def test_an_unknown_attribute_is_answered_with_those_there_are(tmp_path):
    root = str(folder(tmp_path / "data", faces()))
    assert "Smiling" in refused(CelebA(root=root, attributes=["Smilling"]))
    shutil.rmtree(root)
    root = str(folder(tmp_path / "data", {n: c for n, c in faces().items() if "attr" not in n}))
    assert "list_attr_celeba.txt" in refused(CelebA(root=root, attributes=["Smiling"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    archive=st.booleans(),
    damages=st.lists(
        st.tuples(st.integers(0, 10**6), st.binary(min_size=0, max_size=20)), min_size=1, max_size=5
    ),
    cut=st.integers(0, 2000),
)
def test_whatever_is_damaged_there_is_a_sentence_and_no_poisoned_cache(archive, damages, cut, tmp_path):
    files = {f"{kind}/{n}.png": encoded(picture(n), "PNG") for kind in "xy" for n in range(4)}
    root = tmp_path / ("data.zip" if archive else "data")
    shutil.rmtree(root, ignore_errors=True)
    target = packed(root, files) if archive else folder(root, files) / "x" / "1.png"
    original = target.read_bytes()
    raw = bytearray(original)
    for place, content in damages:
        raw[place % len(raw) : place % len(raw) + len(content)] = content
    target.write_bytes(raw[: len(raw) - cut % 50])
    try:
        images, *_ = everything(ImageFolder(root=str(root), size=8, held_out=0, most_broken=0.5))
        assert images.shape[1:] == (3, 8, 8)
    except Refused as error:
        lines = str(error).splitlines()
        assert 1 <= len(lines) <= 3
    target.write_bytes(original)
    images, labels = everything(ImageFolder(root=str(root), size=8, held_out=0))
    clean = torch.stack([torch.tensor(Transform(8, 3)(c)) for _, c in sorted(files.items())])
    assert torch.equal(images, clean.movedim(-1, 1))
    assert labels.tolist() == [0] * 4 + [1] * 4


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]), st.data())
def test_a_damaged_picture_is_broken_or_has_the_right_shape(kind, data):
    raw = bytearray(encoded(picture(3), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    try:
        assert Transform(8, 3)(bytes(raw)).shape == (8, 8, 3)
    except Broken as error:
        assert str(error)  # noqa: PT017


def test_the_cache_is_where_it_was_asked_for(monkeypatch, tmp_path):
    assert cache_home() == tmp_path / "cache"
    monkeypatch.delenv("GANLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert cache_home() == tmp_path / "xdg" / "ganlab"
