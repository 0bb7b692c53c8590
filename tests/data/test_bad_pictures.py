"""Pictures that cannot be used, refused on the command line in a sentence, and those that only seem so."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import here, refused, run_folders, write
from PIL import Image
from sets import encoded, folder, picture

from ganlab.data import ImageFolder
from ganlab.media import Pictures
from ganlab.sampling.sources import read_sources

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


def png(width: int = 16, height: int = 16) -> bytes:
    return encoded(picture(1, width, height), "PNG")


def deep(value: int) -> bytes:
    return encoded(Image.fromarray(np.full((16, 16), value, np.int32)), "TIFF")


TRANSLATION = """\
model:
  class_path: Pix2Pix
  init_args:
    generator: {class_path: UNetGenerator, init_args: {width: 4}}
    discriminator: {class_path: PatchGANDiscriminator, init_args: {width: 4, layers: 1}}
data: {class_path: DATA, init_args: {ARGUMENTS}}
trainer: {max_steps: 1, accelerator: cpu}
samples: {count: 2}
"""
PAIRS = TRANSLATION.replace("DATA", "Pairs").replace("ARGUMENTS", "root: set, size: 16, held_out: 0")
OF_FOLDER = "{class_path: ImageFolder, init_args: {root: set, size: 16, held_out: 0}}"
UNPAIRED = TRANSLATION.replace("DATA", "Unpaired").replace("ARGUMENTS", f"of: {OF_FOLDER}")
SMALLER = TRANSLATION.replace("DATA", "Downscaled").replace(
    "ARGUMENTS", f"scale: 8, of: {OF_FOLDER.replace('16', '20')}"
)
HALF_THE_SIZE = TRANSLATION.replace("DATA", "Downscaled").replace("ARGUMENTS", f"scale: 2, of: {OF_FOLDER}")
TINY = PAIRS.replace("size: 16", "size: 2")
EMPTY = b""  # of a folder alone

BAD = {
    "a file without its partner": (
        PAIRS,
        {"A/1.png": png(), "B/1.png": png(), "B/2.png": png()},
        "1 have no partner of the same name: B/2.png",
    ),
    "a pair of other proportions": (
        PAIRS,
        {"A/1.png": png(48, 16), "B/1.png": png()},
        "1 (other proportions: 16 x 16 pixels, source 48 x 16)",
    ),
    "pairs of which one folder is empty": (
        PAIRS,
        {"A/1.png": png(), "B/": EMPTY},
        "set/B holds no pictures. A pair lies side by side in one file, or under one name in two",
    ),
    "domains of which one folder is empty": (
        UNPAIRED,
        {"horses/1.png": png(), "zebras/": EMPTY},
        "set/zebras holds no pictures",
    ),
    "more than 16 bits": (PAIRS, {"A/1.tif": deep(70_000), "B/1.png": png()}, "values 70000 to 70000"),
    "pictures that a network halves away": (TINY, {"A/1.png": png(), "B/1.png": png()}, "(3, 2, 2)"),
    "sizes that are no multiple of a scale": (SMALLER, {"1.png": png()}, "no whole multiple of scale 8"),
    "sources smaller than a network takes": (
        HALF_THE_SIZE,
        {"1.png": png()},
        "need the same height and width",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_are_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    settings, files, words = BAD[kind]
    for name in files:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            (tmp_path / "set" / name).mkdir()
    folder(tmp_path / "set", {name: content for name, content in files.items() if content})
    message = refused(here("fit", "--config", write(tmp_path, settings), folder=tmp_path), tmp_path)
    assert words in " ".join(message.split())


GOOD = {
    "a larger source of the same proportions": {"A/1.png": png(48, 32), "B/1.png": png(24, 16)},
    "a size that was rounded": {"A/1.png": png(45, 31), "B/1.png": png(23, 16)},
}


@pytest.mark.parametrize("kind", GOOD)
def test_pairs_of_other_sizes_are_resized_each_by_itself(kind: str, tmp_path: Path) -> None:
    folder(tmp_path / "set", GOOD[kind])
    answer = here("fit", "--config", write(tmp_path, PAIRS), folder=tmp_path)
    assert answer.code == 0, answer
    assert run_folders(tmp_path)


def half_transparent(mode: str) -> bytes:
    image = Image.new(mode, (8, 8), (0,) * len(mode))
    image.paste((200,) * (len(mode) - 1) + (255,), (0, 0, 4, 8))
    return encoded(image, "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white_in_training_and_in_what_is_given(mode: str, tmp_path: Path) -> None:
    folder(tmp_path / "set", {"1.png": half_transparent(mode)})
    data = ImageFolder(root=str(tmp_path / "set"), size=8, held_out=0)
    data.prepare_data()
    (trained,) = data.splits.train[torch.arange(1)]
    assert trained[0, :, 0].tolist() == [[200] * 4 + [255] * 4] * 3
    assert torch.equal(read_sources(tmp_path / "set", Pictures((3, 8, 8))).items, trained)


@pytest.mark.parametrize(("size", "words"), [((1, 1), ""), ((40, 24), "take no picture of 48 x 32 pixels")])
def test_native_pictures_are_enlarged_to_what_networks_take_or_refused(
    size: tuple[int, int], words: str, tmp_path: Path
) -> None:
    folder(tmp_path / "set", {"A/1.png": png(), "B/1.png": png()})
    assert here("fit", "--config", write(tmp_path, PAIRS), folder=tmp_path).code == 0
    (run,) = run_folders(tmp_path)
    folder(tmp_path / "mine", {"1.png": png(*size)})
    answer = here("sample", run, "--given", "mine", "--native", "--out", "made", folder=tmp_path)
    assert re.search(words, answer.err), answer
    assert answer.code == (2 if words else 0), answer
    if not words:
        assert Image.open(tmp_path / "made" / "1.png").size == size
