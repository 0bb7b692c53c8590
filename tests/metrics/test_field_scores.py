"""sFID and the Fréchet distance within each class, from images to numbers, beside scipy's matrix roots."""

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, write
from PIL import Image
from scipy.linalg import sqrtm
from scored_games import Places, digits, game
from torch import Tensor

from ganlab.callbacks import Evaluation
from ganlab.data import Digits, ImageFolder
from ganlab.errors import Refused
from ganlab.metrics import Classifier, Pixels
from ganlab.metrics.given_images import GivenImages
from ganlab.metrics.names import hash_of, measured
from ganlab.metrics.reference import kept_indices, prepare_reference
from ganlab.metrics.scorer import Scorer


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def distance(x: Tensor, y: Tensor) -> float:
    """The formula with scipy's root of the product."""
    a, b = x.double().numpy(), y.double().numpy()
    s, t = np.cov(a.T), np.cov(b.T)
    difference = a.mean(0) - b.mean(0)
    return float(difference @ difference + np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(s @ t)).real)


def all_of(items: Any, count: int) -> Tensor:
    return items[torch.arange(count) * len(items) // count][0]


# sFID


def test_sfid_is_the_distance_of_spatial_features(cache_home: Path) -> None:
    data, scorer = digits(), Scorer(Places(4), ("fid", "sfid"), 300)
    reals, floor = prepare_reference(scorer, data, "train")
    train, fakes = (all_of(items, len(items)) for items in data.splits)
    fakes = all_of(data.splits.held_out, floor["samples"])
    extractor = Places(4)
    sides = [extractor(images) for images in (train, fakes)]
    assert floor[f"sfid{len(fakes)}_pixels4"] == pytest.approx(
        distance(*(side.spatial for side in sides)), rel=1e-8
    )
    assert floor[f"fid{len(fakes)}_pixels4"] == pytest.approx(
        distance(*(side.features for side in sides)), rel=1e-6
    )
    observed = scorer.observe([(torch.arange(len(fakes)), fakes)], len(fakes))
    from_cache, _ = prepare_reference(scorer, data, "train")
    assert from_cache is not reals
    assert scorer.score(from_cache, observed) == scorer.score(reals, observed)
    plain, _ = prepare_reference(Scorer(Places(4), ("fid",), 300), data, "train")
    assert plain.spatial is None, "nobody asked for it, and no cache may say otherwise"


def test_sfid_needs_an_extractor_with_places() -> None:
    with pytest.raises(Refused, match=r"sfid needs features that keep places apart.*\nClassifier does not"):
        Scorer(Classifier("digits"), ("fid", "sfid"), 10)


@pytest.mark.parametrize(
    ("name", "score", "suffix"),
    [
        ("sfid50k", "sfid", ""),
        ("cmmd30k_clip", "cmmd", "_clip"),
        ("fid10k_dinov2", "fid", "_dinov2"),
        ("class_fid300_worst_digits", "class_fid", "_digits"),
        ("class_fid10k", "class_fid", ""),
    ],
)
def test_names_are_known_again(name: str, score: str, suffix: str) -> None:
    known = measured(name)
    assert known is not None
    assert (known.score, known.suffix, known.value.better, known.value.scale) == (score, suffix, "min", "log")


# Within classes


def picture(label: str, number: int, shade: int) -> bytes:
    """Noise whose middle depends on the class."""
    source = np.random.default_rng([len(label), number, shade])
    pixels = source.integers(0, 80, (8, 8, 3)) + 20 * "abc".index(label[0]) + shade
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def pictures(path: Path, shade: int, names: tuple[str, ...] = ("a", "b", "c"), each: int = 30) -> Path:
    for name in names:
        (path / name).mkdir(parents=True)
        for number in range(each):
            (path / name / f"{number}.png").write_bytes(picture(name, number, shade))
    return path


def evaluated(folder: Path, *arguments: str | Path) -> Any:
    return here("evaluate", *arguments, "--json", folder=folder)


CLASS_FID = (
    "--scores",
    "class_fid,fid",
    "--extractor.class_path",
    "Pixels",
    "--extractor.init_args.size",
    "2",
)


@pytest.mark.parametrize("kind", ["folders", "a zip", "ImageFolder"])
def test_the_distance_within_each_class(kind: str, tmp_path: Path) -> None:
    fakes, reals = pictures(tmp_path / "fakes", 5, each=25), pictures(tmp_path / "reals", 40)
    reference: tuple[str | Path, ...] = ("--reference", reals)
    if kind == "a zip":
        with zipfile.ZipFile(tmp_path / "reals.zip", "w") as archive:
            for path in reals.rglob("*.png"):
                archive.write(path, path.relative_to(tmp_path))
        reference = ("--reference", tmp_path / "reals.zip")
    elif kind == "ImageFolder":
        text = f"data: {{class_path: ImageFolder, init_args: {{root: {reals}, size: 8, held_out: 0.0}}}}\n"
        reference = ("--reference", write(tmp_path, text, "data.yaml"))
    answer = evaluated(tmp_path, fakes, *reference, *CLASS_FID)
    assert answer.code == 0, answer
    values = {name: each["value"] for name, each in json.loads(answer.out)["scores"].items()}
    kept = GivenImages(reals)
    chosen = kept_indices(90, 75)
    expected = []
    sides = []
    for given, indices in ((kept, chosen), (GivenImages(fakes), torch.arange(75))):
        images = torch.empty(given.total, 3, 8, 8, dtype=torch.uint8)
        # References are known by their pixels, in whatever order their files lie.
        by_pixels = given is kept and kind != "ImageFolder"
        for index, batch in given.sorted_batches() if by_pixels else given.batches():
            images[index] = batch
        classes = given.sorted_classes if by_pixels else given.classes
        assert classes is not None
        assert classes.names == ("a", "b", "c")
        sides.append((Pixels(2)(images[indices]).features, classes.labels[indices]))
    for number in range(3):
        expected.append(distance(*(features[labels == number] for features, labels in sides)))
    assert values["class_fid75_pixels2"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert values["class_fid75_worst_pixels2"] == pytest.approx(max(expected), rel=1e-5)


def test_labelled_data_and_its_floor(tmp_path: Path) -> None:
    """Digits' classes are called by their numbers; the same images under the next number are far off."""
    data = Digits()
    images, labels = data.splits.held_out[torch.arange(200)]
    for shift, folder in enumerate((tmp_path / "right", tmp_path / "wrong")):
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            (name := folder / str((label + shift) % 10)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(name / f"{number}.png")
    rows = []
    for folder in ("right", "wrong"):
        scores = ("--scores", "fid,class_fid", "--extractor", "Classifier", "--extractor.dataset", "digits")
        answer = evaluated(tmp_path, folder, "--reference", "Digits", *scores)
        assert answer.code == 0, answer
        rows.append(json.loads(answer.out))
    right, wrong = ([each["value"] for each in row["scores"].values()] for row in rows)
    floor = [value for name, value in rows[0]["floor"].items() if "class_fid" in name]
    assert right[0] == pytest.approx(wrong[0], rel=1e-6), "the same images"
    assert floor[0] < floor[1]
    assert right[1] < 3 * floor[0] < wrong[1] / 3


REFUSALS = {
    "flat fakes": ("flat", "reals", "the fakes tell none"),
    "an npz": ("array.npz", "reals", "the fakes tell none"),
    "flat reals": ("fakes", "flat", "the reals tell none"),
    "other classes": ("others", "reals", "The fakes are of the classes a, b, cc and the reals of a, b, c"),
    "one class": ("one", "reals", "the fakes tell none"),
    "unlabelled data": (
        "fakes",
        "flat.yaml",
        "class_fid needs labelled data, and ImageFolder has no classes",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_tells_no_classes_is_refused(kind: str, tmp_path: Path) -> None:
    pictures(tmp_path / "fakes", 5, each=2), pictures(tmp_path / "reals", 40, each=2)
    pictures(tmp_path / "others", 5, ("a", "b", "cc"), each=2), pictures(tmp_path / "one", 5, ("a",), each=2)
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "0.png").write_bytes(picture("a", 0, 0))
    (tmp_path / "flat" / "1.png").write_bytes(picture("a", 1, 0))
    write(tmp_path, "data: {class_path: ImageFolder, init_args: {root: flat, held_out: 0.0}}\n", "flat.yaml")
    np.savez(tmp_path / "array.npz", np.zeros((3, 8, 8, 3), np.uint8))
    what, reference, sentence = REFUSALS[kind]
    answer = here("evaluate", what, "--reference", reference, *CLASS_FID, folder=tmp_path)
    assert answer.code == 2, answer
    assert sentence in answer.err
    assert len(answer.err.splitlines()) <= 3


def test_games_tell_no_classes_yet() -> None:
    evaluation = Evaluation(Pixels(), ("class_fid",), 10)
    with pytest.raises(Refused, match="a game's samples tell none"):
        evaluation.setup(SimpleNamespace(datamodule=digits()), game(), "fit")  # type: ignore[arg-type]


def test_a_class_with_one_sample_has_no_distance(tmp_path: Path) -> None:
    fakes = pictures(tmp_path / "fakes", 5, each=3)
    for number in (0, 1):
        (fakes / "b" / f"{number}.png").unlink()
    answer = evaluated(tmp_path, fakes, "--reference", pictures(tmp_path / "reals", 40), *CLASS_FID)
    assert answer.code == 0, answer
    row = json.loads(answer.out)
    assert row["scores"]["class_fid7_pixels2"]["value"] is None
    assert "few" in row["reasons"]["class_fid7_pixels2"]
    assert row["scores"]["fid7_pixels2"]["value"] > 0


def test_a_folder_of_classes_names_them(tmp_path: Path) -> None:
    data = ImageFolder(root=str(pictures(tmp_path / "in", 0, each=4)), size=8)
    assert data.class_names == ("a", "b", "c")


def test_the_same_pictures_in_other_folders_are_another_reference(tmp_path: Path) -> None:
    fakes, reals = pictures(tmp_path / "fakes", 5, each=25), pictures(tmp_path / "reals", 40)
    contracts = []
    for _ in range(2):
        answer = evaluated(tmp_path, fakes, "--reference", reals, *CLASS_FID)
        assert answer.code == 0, answer
        contracts.append(json.loads(answer.out)["contract"])
        moved = min((reals / "a").iterdir())
        moved.rename(reals / "b" / f"moved-{moved.name}")
    assert contracts[0]["data"] == contracts[1]["data"]
    assert hash_of(contracts[0], "class_fid75_pixels") != hash_of(contracts[1], "class_fid75_pixels")
