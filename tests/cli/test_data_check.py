"""`ganlab data check`: what it prints, draws and refuses."""

import os
import re
from pathlib import Path

import pytest
from fuzzing import within
from PIL import Image
from sets import encoded, faces, folder, packed, pets, picture

from ganlab.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganlab.cli.data_check.SECONDS", 0.05)


def run_command(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main.main(["data", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_counts_sizes_classes_and_broken_files_are_told(tmp_path, capsys):
    files = pets("kaggle", each=120) | {"train/cat.200.jpg": b"broken"}
    root = folder(tmp_path / "pets", files)
    code, out, _ = run_command(capsys, "check", "CatsVsDogs", "--root", root, "--size", 16, "--held_out", 0)
    assert code == 0
    assert str(root) in out
    assert "241, 20 x 16 pixels" in out
    assert "240 images, 2 classes of 120, 120" in out
    assert "3 x 16 x 16" in out
    assert re.search(r"broken +skipped: cat\.200\.jpg", out)
    assert re.search(r"throughput +[\d,]+ images/s", out)
    assert re.search(r"fingerprint [0-9a-f]{64}", out)
    (cache,) = re.findall(r"cache (\S+) ", out)
    assert Path(cache).is_dir()
    sheet = Image.open(tmp_path / "catsvsdogs.png")
    assert sheet.width == sheet.height > 8 * 60, "64 pictures, each enlarged to be seen"


def test_an_experiment_tells_its_data(tmp_path, capsys):
    folder(tmp_path / "celeba", faces(count=80))
    (tmp_path / "mine.yaml").write_text(
        "model: {class_path: HingeGAN}\ndata: {class_path: CelebA, init_args: {root: celeba, size: 8}}\n"
        "trainer: {max_steps: 5}\nevaluation: {extractor: Pixels}\n"
    )
    code, out, err = run_command(capsys, "check", "--config", "mine.yaml", "--out", "faces.png")
    assert code == 0, err
    assert "CelebA" in out
    assert (tmp_path / "faces.png").exists()


@pytest.mark.parametrize(("side", "source"), [("left", (255, 0, 0)), ("right", (0, 0, 255))])
def test_a_pair_is_told_and_shown_as_source_and_made(tmp_path, capsys, side, source):
    red, blue = (encoded(Image.new("RGB", (8, 8), colour), "PNG") for colour in ("red", "blue"))
    root = folder(
        tmp_path / "pairs", {f"{name}.png": red if name[0] == "a" else blue for name in ("a/1", "b/1")}
    )
    options = "--size", 8, "--held_out", 0, "--batch_size", 64
    code, out, err = run_command(capsys, "check", "Pairs", "--root", root, *options, "--source", side)
    assert code == 0, err
    made, told = ("b/1.png", "a/1.png") if side == "left" else ("a/1.png", "b/1.png")
    assert f"{made} is made from {told}" in out
    sheet = Image.open(tmp_path / "pairs.png")
    assert sheet.getpixel((0, 0)) == source
    assert {sheet.getpixel((x, 0)) for x in range(sheet.width)} >= {(255, 0, 0), (0, 0, 255)}


def test_few_pictures_are_shown_more_than_once(tmp_path, capsys):
    root = folder(tmp_path / "few", {f"{number}.png": encoded(picture(number), "PNG") for number in range(3)})
    code, _, err = run_command(capsys, "check", "ImageFolder", "--root", root, "--held_out", 0)
    assert code == 0, err


REFUSALS = {
    "no folder": (["check", "CatsVsDogs", "--root", "nowhere"], "nowhere"),
    "no such class": (["check", "CatsVsDgos", "--root", "."], "CatsVsDogs"),
    "no such option": (["check", "Digits", "--szie", "3"], "size"),
    "no such verb": (["chekc"], "ganlab data check"),
    "nothing": ([], "ganlab data check"),
    "no class": (["check"], "ImageFolder"),
    "options alone": (["check", "--root", "."], "ganlab data check CLASS"),
    "a zip": (["check", "pictures.zip"], "ImageFolder"),
    "a folder": (["check", "pictures"], "ImageFolder"),
    "a pipe": (["check", "pipe"], "ImageFolder"),
    "a missing zip": (["check", "nope.zip"], "ImageFolder"),
    "a missing path": (["check", "no/where"], "ImageFolder"),
    "a picture of no format": (["check", "Digits", "--out", "digits.xyz"], "--out"),
    "a picture in no folder": (["check", "Digits", "--out", "no/where.png"], "no folder"),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_what_cannot_be_checked_is_refused(how, capsys):
    arguments, word = REFUSALS[how]
    folder(Path("pictures"), {"1.png": encoded(picture(1), "PNG")})
    packed(Path("pictures.zip"), {"1.png": encoded(picture(1), "PNG")})
    os.mkfifo("pipe")
    with within(10):
        code, out, err = run_command_or_parser(capsys, arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) <= 3
    assert word in err


def run_command_or_parser(capsys, arguments: list[str]) -> tuple[int, str, str]:
    """The parser raises SystemExit for wrong arguments."""
    try:
        return run_command(capsys, *arguments)
    except SystemExit as exit_:
        out, err = capsys.readouterr()
        return int(exit_.code or 0), out, err
