"""`ganlab synthesize` and `sample --per_class`: sets of samples by classes, which data read back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import SMALL, here, write
from commands import begun, fit
from PIL import Image

from ganlab.cli.synthesize import folders_of
from ganlab.data import ImageFolder

EVALUATED = "evaluation: {extractor: Pixels, samples: 20}\n"
TOLD = SMALL.replace("latent_size: 4", "latent_size: 4\n    conditional: true") + EVALUATED


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    assert fit("--config", write(home, TOLD), folder=home).code == 0
    begun(home).rename(home / "told")
    assert fit("--config", write(home, SMALL), folder=home).code == 0
    begun(home).rename(home / "untold")
    return home


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_each_class_has_a_folder_and_the_samples_that_are_drawn_of_it(home: Path, tmp_path: Path) -> None:
    answer = here("synthesize", home / "told", "--per_class", "3", "--out", tmp_path / "made", folder=home)
    assert answer.code == 0, answer
    assert "30 samples of 10 classes" in answer.out
    assert [path.name for path in sorted((tmp_path / "made").iterdir())] == [*"0123456789", "manifest.json"]
    drawn = ("sample", home / "told", "--classes", "all", "--per_class", "3", "--out", tmp_path / "flat")
    assert here(*drawn, folder=home).code == 0
    flat = sorted((tmp_path / "flat").iterdir())
    assert len(flat) == 30
    made = sorted((tmp_path / "made").rglob("*.png"))
    assert len({path.read_bytes() for path in made}) > 20
    assert all((pixels(one) == pixels(other)).all() for one, other in zip(made, flat, strict=True))


def test_the_manifest_says_what_the_samples_are(home: Path, tmp_path: Path) -> None:
    asked = ("--per_class", "2", "--seed", "5", "--raw", "--truncation", "0.5", "--out", tmp_path / "made")
    assert here("synthesize", home / "told", *asked, folder=home).code == 0
    known = json.loads((tmp_path / "made" / "manifest.json").read_text())
    assert known["seed"] == 5
    assert known["fakes"] == "raw"
    assert known["choices"] == {"truncation": 0.5}
    assert known["game"] == "R3GAN"
    assert known["classes"] == {str(digit): str(digit) for digit in range(10)}
    assert known["weights"]["file"] == "step-000000007.ckpt"
    assert known["medium"]["init_args"]["shape"] == [1, 8, 8]
    last = json.loads((home / "told" / "scores.jsonl").read_text().splitlines()[-1])
    assert known["scores"]["contract"] == last["contract"]
    assert str(tmp_path) not in json.dumps(known), "a path of this machine says nothing on another"


def test_data_read_the_set_back_with_its_classes(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    assert here("synthesize", home / "told", "--per_class", "4", "--out", out, folder=home).code == 0
    data = ImageFolder(root=str(out), size=8, channels=1, held_out=0)
    data.setup("fit")
    assert data.class_names == tuple("0123456789")
    images, labels = data.splits.train[torch.arange(40)]
    assert labels.bincount().tolist() == [4] * 10
    by_name = sorted((out / "7").iterdir())
    stored = {image.numpy().tobytes() for image in images[labels == 7]}
    assert {pixels(path).tobytes() for path in by_name} == stored


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("0", "1", "2"), ["0", "1", "2"]),
        (("cat", "dog"), ["cat", "dog"]),
        (("T-shirt/top", "Bag"), ["0_T-shirt_top", "1_Bag"]),
        (("a/b", "a_b"), ["0_a_b", "1_a_b"]),
        (tuple(map(str, range(12))), [f"{number:02d}_{number}" for number in range(12)]),
    ],
    ids=str,
)
def test_folders_have_the_order_of_their_classes(names: tuple[str, ...], expected: list[str]) -> None:
    assert folders_of(names) == expected
    assert sorted(expected) == expected


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("synthesize untold --out made", "R3GAN tells its samples no class"),
        ("synthesize told --out made --per_class 0", "--per_class is 0"),
        ("synthesize told --out told", "is there already"),
        ("sample told --out made --per_class 3", "--per_class is of each of --classes"),
        ("sample told --out made --classes all --count 5 --per_class 3", "in the place of --count"),
        ("sample told --out made --classes all --per_class -1", "--per_class is -1"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(command: str, words: str, home: Path) -> None:
    answer = here(*command.split(), folder=home)
    assert answer.code == 2, answer
    assert words in answer.err
    assert len(answer.err.splitlines()) <= 3
    assert not (home / "made").exists()
