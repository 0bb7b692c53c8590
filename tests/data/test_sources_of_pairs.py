"""Sources of pairs that are no pictures like those that are made: label maps, other channels, 16 bits."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, run_folders, write
from PIL import Image
from sets import encoded, folder, picture
from torch import Tensor

import ganlab
from ganlab.data import ImageFolder, Pairs
from ganlab.errors import Refused
from ganlab.media import LabelMap
from ganlab.media.label_maps import COLOURS
from ganlab.sampling.sources import read_sources
from ganlab.testing import new
from ganlab.variants import Pix2Pix

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
CLASSES, SIZE = 4, 32


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


def numbers(seed: int, side: int = SIZE) -> np.ndarray:
    """Labels in blocks of 8 pixels."""
    blocks = np.random.default_rng(seed).integers(0, CLASSES, (side // 8, side // 8))
    return np.kron(blocks, np.ones((8, 8))).astype(np.uint8)


def label_file(labels: np.ndarray, mode: str = "L") -> bytes:
    image = Image.fromarray(labels.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        image.putpalette([*range(255, -1, -1)] * 3)
    return encoded(image, "PNG")


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def labelled(root: Path, mode: str = "L", count: int = 6, **others: bytes) -> str:
    files = {f"A/{n}.png": label_file(numbers(n), mode) for n in range(count)}
    files |= {f"B/{n}.jpg": encoded(picture(n, SIZE, SIZE)) for n in range(count)}
    return str(folder(root, {**files, **{f"A/{name}.png": content for name, content in others.items()}}))


def columns(data: Any, split: str = "train") -> tuple[Tensor, ...]:
    data.prepare_data()
    rows = getattr(data.splits, split)
    return rows[torch.arange(len(rows))]


# Label maps


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_the_numbers_of_a_label_map_are_its_values_whatever_colours_they_have(
    mode: str, tmp_path: Path
) -> None:
    data = Pairs(root=labelled(tmp_path / "set", mode), size=SIZE, source_classes=CLASSES, held_out=0)
    made, source = columns(data)
    assert made.shape == (6, 3, SIZE, SIZE)
    expected = torch.from_numpy(np.stack([numbers(n) for n in range(6)]))[:, None]
    assert torch.equal(source, expected)
    _, played = data.played((made, source))
    assert played.shape[1:] == data.media[1].shape == (CLASSES, SIZE, SIZE)
    assert torch.equal(played.argmax(1, keepdim=True), expected.long())
    assert played.sum(1).unique().tolist() == [1]
    assert torch.equal(data.media[1].stored(played), source)
    as_pictures = Pairs(root=str(tmp_path / "set"), size=SIZE, held_out=0)
    assert as_pictures.fingerprint != data.fingerprint


def test_a_label_map_that_is_resized_holds_no_labels_between_its_own(tmp_path: Path) -> None:
    wide = np.zeros((60, 90), np.uint8)
    wide[:, 45:] = 3
    files = {"A/1.png": label_file(wide), "B/1.png": encoded(Image.new("RGB", (30, 20)), "PNG")}
    data = Pairs(root=str(folder(tmp_path, files)), size=8, source_classes=4, held_out=0)
    _, source = columns(data)
    assert source[0, 0].unique(dim=0).tolist() == [[0, 0, 0, 0, 3, 3, 3, 3]]


def test_labels_have_colours_of_their_own_on_a_sheet() -> None:
    assert COLOURS.unique(dim=0).shape == (256, 3)
    assert COLOURS[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    stored = torch.tensor([[[[0, 1], [2, 3]]]], dtype=torch.uint8)
    medium = LabelMap((4, 2, 2))
    for items in (stored, medium.played(stored)):
        pixels = np.asarray(medium.sheet(items))[::32, ::32]
        assert pixels.reshape(4, 3).tolist() == COLOURS[:4].tolist()


WRONG = {
    "a class too many": ({"5": label_file(np.full((8, 8), 4))}, r"A/5\.png .*label 4, and the 4 classes"),
    "colours": ({"5": encoded(picture(5, 8, 8), "PNG")}, r"A/5\.png .*mode RGB, and label maps are grey"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_label_is_refused_and_never_skipped(kind: str, tmp_path: Path) -> None:
    others, words = WRONG[kind]
    root = labelled(tmp_path / "set", **others)
    with pytest.raises(Refused, match=words) as refusal:
        columns(Pairs(root=root, size=8, source_classes=CLASSES, held_out=0, most_broken=1.0))
    assert len(str(refusal.value).splitlines()) <= 3
    with pytest.raises(Refused, match=words.replace("A/", "")):
        read_sources(Path(root) / "A", LabelMap((CLASSES, 8, 8)))


def test_label_maps_are_files_of_their_own(tmp_path: Path) -> None:
    root = str(folder(tmp_path, {"1.png": encoded(Image.new("L", (16, 8)), "PNG")}))
    with pytest.raises(Refused, match="files of their own"):
        columns(Pairs(root=root, source_classes=2))
    with pytest.raises(Refused, match="leave source_channels or source_classes out"):
        Pairs(source_classes=2, source_channels=1)


RUN = """\
model:
  class_path: Pix2Pix
  init_args:
    generator: {class_path: %s}
    discriminator: {class_path: PatchGANDiscriminator, init_args: {width: 4, layers: 2}}
data:
  class_path: Pairs
  init_args: {root: set, size: 32, batch_size: 2, source_classes: 4, held_out: 0.4, flip: true}
trainer: {max_steps: 2, accelerator: cpu}
samples: {count: 2}
"""
GENERATORS = {
    "UNetGenerator": "UNetGenerator, init_args: {width: 4}",
    "ResNetTranslator": "ResNetTranslator, init_args: {width: 4, blocks: 1}",
}


@pytest.mark.parametrize("generator", GENERATORS)
def test_photographs_are_made_from_label_maps_from_a_file_of_settings(generator: str, tmp_path: Path) -> None:
    labelled(tmp_path / "set", count=12)
    config = write(tmp_path, RUN % GENERATORS[generator])
    answer = here("fit", "--config", config, folder=tmp_path)
    assert answer.code == 0, answer
    (run,) = run_folders(tmp_path)
    game = ganlab.load(run)
    assert game.media[1].plain() == LabelMap((4, 32, 32)).plain()
    mine = folder(tmp_path / "mine", {f"{n}.png": label_file(numbers(n, 64), "P") for n in (30, 31)})
    for options in (("--out", "made"), ("--beside", "--out", "both"), ("--out", "sheet.png")):
        answer = here("sample", run, "--given", "mine", *options, folder=tmp_path)
        assert answer.code == 0, answer
    stored = torch.from_numpy(np.stack([numbers(n, 64)[::2, ::2] for n in (30, 31)]))[:, None]
    expected = game.media[0].stored(game.sample(2, seed=0, given=stored)).movedim(1, -1)
    for number, path in enumerate(sorted((tmp_path / "made").iterdir())):
        assert path.stem == f"{30 + number}"
        assert abs(np.asarray(Image.open(path)).astype(int) - expected[number].int().numpy()).max() <= 1
    colours = np.asarray(Image.open(tmp_path / "both" / "30.png"))[1:64:2, 1:64:2]
    assert np.array_equal(colours, COLOURS[stored[0, 0].long()].numpy())
    write(mine, "", "32.png").write_bytes(label_file(np.full((8, 8), 9)))
    answer = here("sample", run, "--given", "mine", "--out", "none", folder=tmp_path)
    assert answer.code == 2
    assert "32.png cannot be used (--given): it holds the label 9, and the 4 classes are 0 to 3" in answer.err


# Other channels, and 16 bits


def test_sources_have_channels_of_their_own(tmp_path: Path) -> None:
    bands = np.random.default_rng(0).integers(256, size=(4, 8, 8, 6), dtype=np.uint8)
    files = {f"A/{n}.npy": npy(band) for n, band in enumerate(bands)}
    photographs = {f"B/{n}.png": encoded(picture(n, 8, 8), "PNG") for n in range(4)}
    root = str(folder(tmp_path / "set", files | photographs))
    data = Pairs(root=root, size=8, source_channels=6, held_out=0)
    made, source = columns(data)
    assert torch.equal(source.movedim(1, -1), torch.from_numpy(bands))
    assert made[2].movedim(0, -1).tolist() == np.asarray(picture(2, 8, 8)).tolist()
    assert data.media[1].shape == (6, 8, 8)
    given = read_sources(tmp_path / "set" / "A", data.media[1])
    assert torch.equal(given.items, source)
    game = new(Pix2Pix, media=data.media)
    assert game.drawable_source is None, "its sheets show what is made alone"
    grey = Pairs(root=root, size=8, source="right", channels=1, source_channels=3, held_out=0)
    with pytest.raises(Refused, match=r"shape \(8, 8, 6\), not height x width x 1"):
        columns(grey)


def test_a_grey_half_is_the_source_of_a_coloured_one(tmp_path: Path) -> None:
    both = Image.new("RGB", (16, 8), (10, 100, 200))
    root = str(folder(tmp_path, {"1.png": encoded(both, "PNG")}))
    made, source = columns(Pairs(root=root, size=8, source_channels=1, held_out=0))
    assert made[0, :, 0, 0].tolist() == [10, 100, 200]
    assert source.shape == (1, 1, 8, 8)
    assert source.unique().tolist() == [84]


DEEP = {0: 0, 128: 0, 129: 1, 257: 1, 0x00FF: 1, 32896: 128, 0xFF00: 254, 65535: 255}


@pytest.mark.parametrize("form", ["PNG", "TIFF", "npy"])
def test_all_16_bits_count_and_none_is_cut(form: str, tmp_path: Path) -> None:
    """Known answers: the nearest of value / 257, so that 255 is nearly black, and 65,535 is white."""
    files = {}
    for number, value in enumerate(DEEP):
        deep = np.full((8, 8), value, np.uint16)
        name = "npy" if form == "npy" else form.lower()
        files[f"A/{number}.{name}"] = npy(deep) if form == "npy" else encoded(Image.fromarray(deep), form)
        files[f"B/{number}.png"] = encoded(picture(number, 8, 8), "PNG")
    root = str(folder(tmp_path / "set", files))
    _, source = columns(Pairs(root=root, size=8, source_channels=1, held_out=0))
    assert source[:, 0, 0, 0].tolist() == [*DEEP.values()]
    assert source.flatten(1).unique(dim=1).shape[1] == 1
    if form != "npy":
        data = ImageFolder(root=str(tmp_path / "set" / "A"), size=8, channels=1, held_out=0)
        assert torch.equal(columns(data)[0], source)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy(np.zeros((8, 8, 2), np.uint8)), r"its source: shape \(8, 8, 2\)"),
        (npy(np.zeros((8, 8, 1), np.float32)), "float32, not whole numbers"),
        (npy(np.zeros((8, 8, 1), np.uint8))[:-1], "no whole array"),
        (npy(np.array([{}], object)), "no whole array"),
        (
            encoded(Image.fromarray(np.full((8, 8), 70_000, np.int32)), "TIFF"),
            "values 70000 to 70000 are none of 16 bits",
        ),
        (
            encoded(Image.fromarray(np.full((8, 8), -1, np.int32)), "TIFF"),
            "values -1 to -1 are none of 16 bits",
        ),
    ],
    ids=["channels", "fractions", "cut", "objects", "32 bits", "below 0"],
)
def test_numbers_of_another_kind_are_refused(content: bytes, words: str, tmp_path: Path) -> None:
    suffix = "npy" if content.startswith(b"\x93") else "tif"
    files = {f"A/1.{suffix}": content, "B/1.png": encoded(picture(1, 8, 8), "PNG")}
    with pytest.raises(Refused, match=words):
        columns(Pairs(root=str(folder(tmp_path, files)), size=8, source_channels=1, held_out=0))
