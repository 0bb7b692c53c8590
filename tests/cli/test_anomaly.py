"""`ganlab invert` and `ganlab anomaly`: what is written, and what is refused in a sentence."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import here, write
from commands import begun, fit
from PIL import Image

GAME = """\
model:
  class_path: GANomaly
  init_args:
    latent_size: 0
    generator:
      class_path: Rebuilding
      init_args:
        code_size: 8
        encoder: {class_path: MLPDiscriminator, init_args: {hidden: [32]}}
        decoder: {class_path: MLPGenerator, init_args: {hidden: [32]}}
        again: true
    discriminator:
      class_path: Heads
      init_args:
        heads: {features: features}
        network: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data:
  class_path: OneClass
  init_args: {of: {class_path: Digits, init_args: {size: 8}}, normal: [0], batch_size: 16}
trainer: {max_steps: 30, accelerator: cpu}
evaluation: {extractor: Pixels, samples: 20, scores: [l1]}
"""
PLAIN = """\
model:
  class_path: HingeGAN
  init_args:
    latent_size: 8
    generator: {class_path: MLPGenerator, init_args: {hidden: [32]}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 16}}
trainer: {max_steps: 5, accelerator: cpu}
evaluation: {extractor: Pixels, samples: 20}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ganomaly(home: Path) -> Path:
    assert fit("--config", write(home, GAME), folder=home).code == 0
    return begun(home).rename(home / "ganomaly")


@pytest.fixture(scope="module")
def plain(home: Path, ganomaly: Path) -> Path:
    assert fit("--config", write(home, PLAIN), folder=home).code == 0
    return begun(home).rename(home / "plain")


def square(path: Path, value: int, spot: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((8, 8), value, np.uint8)
    pixels[:2, :2] = 255 * spot
    Image.fromarray(pixels).save(path)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """MVTec AD's."""
    root = tmp_path / "bottles"
    for number in range(4):
        square(root / "train" / "good" / f"{number:03}.png", 10 * number)
        square(root / "test" / "good" / f"{number:03}.png", 12 * number)
        square(root / "test" / "spot" / f"{number:03}.png", 8 * number, spot=True)
        square(root / "ground_truth" / "spot" / f"{number:03}_mask.png", 0, spot=True)
    return root


def scores(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))


def test_the_held_out_items_of_the_runs_data_are_tested(ganomaly: Path, tmp_path: Path) -> None:
    answer = here("anomaly", ganomaly, "--out", "found", "--json", folder=tmp_path)
    assert answer.code == 0, answer
    told = json.loads(answer.out)
    assert "normal 0; abnormal 1, 2" in told["pictures"]
    assert told["these normal ones"] == "held out"
    rows = scores(tmp_path / "found")
    normal = sum(row["abnormal"] == "0" for row in rows)
    assert {row["abnormal"] for row in rows} == {"0", "1"}
    assert len(rows) > 200
    assert 0 < told["quality"]["auroc"] <= 1
    assert told["quality"]["f1_of_all"] == pytest.approx(
        2 * (1 - normal / len(rows)) / (2 - normal / len(rows))
    )
    assert len([*(tmp_path / "found" / "heat").glob("*.png")]) == len(rows)
    page = (tmp_path / "found" / "report.html").read_text()
    for words in ("AUROC of pictures", "threshold", "<svg", "data:image", "The least anomalous"):
        assert words in page


def test_a_part_of_them_has_the_scores_of_the_whole(ganomaly: Path, tmp_path: Path) -> None:
    for out, more in (("whole", ()), ("part", ("--count", "60"))):
        assert here("anomaly", ganomaly, "--out", out, *more, folder=tmp_path).code == 0
    whole = {row["name"]: row["score"] for row in scores(tmp_path / "whole")}
    part = {row["name"]: row["score"] for row in scores(tmp_path / "part")}
    assert len(part) == 60
    assert part.items() <= whole.items()


def test_folders_of_mvtecs_layout_are_read_with_their_masks(
    plain: Path, layout: Path, tmp_path: Path
) -> None:
    answer = here("anomaly", plain, layout, "--out", "found", "--steps", "5", "--json", folder=tmp_path)
    assert answer.code == 0, answer
    told = json.loads(answer.out)
    assert told["these normal ones"] == "may have been trained on"
    assert {"auroc", "pixel_auroc", "pixel_aupro"} <= told["quality"].keys()
    assert [row["abnormal"] for row in scores(tmp_path / "found")] == ["0"] * 4 + ["1"] * 4


def test_a_file_of_labels_says_what_is_normal(plain: Path, layout: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    for number, name in enumerate("abcdef"):
        square(flat / f"{name}.png", 20 * number)
    (tmp_path / "labels.csv").write_text(
        "name,label\n" + "".join(f"{n}.png,{'ab' * (n in 'be')}normal\n" for n in "abcdef")
    )
    answer = here(
        "anomaly", plain, flat, "--labels", "labels.csv", "--out", "found", "--steps", "3", folder=tmp_path
    )
    assert answer.code == 0, answer
    assert {row["name"]: row["abnormal"] for row in scores(tmp_path / "found")} == {
        "b": "1",
        "c": "0",
        "e": "1",
        "f": "0",
    }


def spoil(case: str, layout: Path, tmp_path: Path) -> tuple[list[str], str]:
    """Arguments, and words of the sentence by which they are refused."""
    match case:
        case "labels that do not match":
            square(tmp_path / "flat" / "a.png", 3)
            (tmp_path / "labels.csv").write_text("b,normal\n")
            return ["flat", "--labels", "labels.csv"], "says nothing of 1 of 1 pictures"
        case "a label that is none":
            square(tmp_path / "flat" / "a.png", 3)
            (tmp_path / "labels.csv").write_text("a,normal\nb,perhaps\n")
            return ["flat", "--labels", "labels.csv"], "line 2: a line is NAME,normal or NAME,abnormal"
        case "a folder without normals":
            for path in (layout / "train" / "good").iterdir():
                path.unlink()
            (layout / "train" / "good").rmdir()
            return [str(layout)], "has no folder train/good"
        case "a folder that says nothing":
            square(tmp_path / "flat" / "a.png", 3)
            return ["flat"], "which say what is normal"
        case "a mask that is missing":
            (layout / "ground_truth" / "spot" / "002_mask.png").unlink()
            return [str(layout)], "has no mask of test/spot/002"
        case "a mask of another size":
            Image.new("L", (16, 8)).save(layout / "ground_truth" / "spot" / "001_mask.png")
            return [str(layout)], "The mask of test/spot/001 has 16 x 8 pixels, and the picture has 8 x 8"
        case "labels beside folders":
            return [str(layout), "--labels", "labels.csv"], "leave --labels out"
    return [], "do not say what is normal"


CASES = [
    *("labels that do not match", "a label that is none", "a folder without normals"),
    *(
        "a folder that says nothing",
        "a mask that is missing",
        "a mask of another size",
        "labels beside folders",
        "data that say nothing",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_a_sentence(case: str, plain: Path, layout: Path, tmp_path: Path) -> None:
    arguments, words = spoil(case, layout, tmp_path)
    answer = here("anomaly", plain, *arguments, "--out", "found", folder=tmp_path)
    assert answer.code == 2, answer
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "found").exists()


def test_pictures_are_inverted_under_their_names(plain: Path, layout: Path, tmp_path: Path) -> None:
    answer = here(
        "invert", plain, layout / "train" / "good", "--out", "found", "--steps", "5", folder=tmp_path
    )
    assert answer.code == 0, answer
    found = tmp_path / "found"
    assert sorted(path.name for path in found.iterdir()) == [
        *("distances.csv", "latents.npz", "made", "sheet.png"),
    ]
    assert sorted(path.name for path in (found / "made").iterdir()) == [
        f"{number:03}.png" for number in range(4)
    ]
    with np.load(found / "latents.npz") as file:
        assert file["latents"].shape == (4, 8)
    again = here("invert", plain, layout / "train" / "good", "--out", "found", folder=tmp_path)
    assert again.code == 2
    assert "is there already" in again.err


def test_an_encoding_game_inverts_at_once(ganomaly: Path, layout: Path, tmp_path: Path) -> None:
    assert here("invert", ganomaly, layout / "test", "--out", "found", folder=tmp_path).code == 0
    steps = {
        row["step"] for row in csv.DictReader((tmp_path / "found" / "distances.csv").read_text().splitlines())
    }
    assert steps == {"0"}
    assert (tmp_path / "found" / "made" / "spot" / "000.png").is_file()


def test_the_quality_is_in_the_runs_records_and_compared(ganomaly: Path, tmp_path: Path) -> None:
    answer = here("anomaly", ganomaly, "--out", "found", "--json", folder=tmp_path)
    known = json.loads(answer.out)["quality"]
    row = json.loads((ganomaly / "scores.jsonl").read_text().splitlines()[-1])
    tested = row["contract"]["samples"]
    assert row["checkpoint"] == "step-000000030.ckpt"
    assert row["scores"] == {f"{name}{tested}": value for name, value in known.items()}
    compared = here("compare", ganomaly, "--score", "auroc", "--json", "--out", "report", folder=tmp_path)
    assert compared.code == 0, compared
    tables = {table["score"]: table for table in json.loads(compared.out)["tables"]}
    table = tables[f"auroc{tested}"]
    assert table["better"] == "max"
    assert table["rows"][0]["mean"] == pytest.approx(known["auroc"])
    assert "held-out items of Digits (normal 0;" in (tmp_path / "report" / "table.md").read_text()
