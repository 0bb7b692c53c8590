"""Looks at samples of any medium, read back as W&B's server and TensorBoard's reader have them."""

import shlex
import subprocess
import sys
import wave
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import wandb
from commands import bare
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb_server import Received, serving

from ganlab.loggers import TensorBoard, looks, tensorboard
from ganlab.loggers import wandb as wandb_logger
from ganlab.media import Medium
from ganlab.media.shown import Clip, Film, Lines, Shown, Unreadable

RATE = 8000
TEXT = "<b>two\n  lines</b> & more"


class Whole(Medium):
    """What is written is what is stored, one number after another."""

    form = "16-bit numbers"

    def __init__(self, suffix: str) -> None:
        super().__init__((100,))
        self.suffix = suffix  # type: ignore[misc]

    def played(self, stored: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return stored

    def stored(self, items: torch.Tensor) -> torch.Tensor:
        return items

    @classmethod
    def holds(cls, items: torch.Tensor) -> bool:
        return True

    def write(self, path: Path, item: torch.Tensor) -> None:
        WRITERS[path.suffix](path, item)


def _sound(path: Path, item: torch.Tensor) -> None:
    path.write_bytes(Clip(1, 2, RATE, item.numpy().tobytes()).content())


def _text(path: Path, item: torch.Tensor) -> None:
    path.write_bytes(Lines(f"{TEXT} {int(item[0])}").content())


def _film(path: Path, item: torch.Tensor) -> None:
    frames = [Image.new("RGB", (20, 10), (int(item[0]), 50 * number, 0)) for number in range(3)]
    path.write_bytes(Film(frames, [70, 80, 90]).content())


WRITERS = {".wav": _sound, ".txt": _text, ".gif": _film, ".npy": _text}
ITEMS = torch.arange(200, dtype=torch.int16).view(2, 100)
PICTURE = Image.new("L", (8, 6), 200)


def kept(folder: Path, step: int = 500, items: torch.Tensor = ITEMS) -> list[Path]:
    return [
        file
        for kind in (".wav", ".txt", ".gif")
        for file in looks.keep_files(folder, step, Whole(kind), items)
    ]


# Files of a run


def test_what_is_played_or_read_is_kept_in_files_and_nothing_else(tmp_path: Path) -> None:
    files = kept(tmp_path)
    assert [file.name for file in files[:3]] == [
        "step-000000500-0.wav",
        "step-000000500-1.wav",
        "step-000000500-0.txt",
    ]
    assert looks.keep_files(tmp_path, 500, Whole(".npy"), ITEMS) == []
    assert looks.keep_files(tmp_path, 500, Whole(""), ITEMS) == []
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert (tmp_path / "step-000000500-1.txt").read_text() == f"{TEXT} 100"


def test_a_look_has_a_few_files_of_a_few_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = torch.zeros(100, 100, dtype=torch.int16)
    assert len(looks.keep_files(tmp_path, 1, Whole(".wav"), many)) == looks.MOST_FILES
    size = (tmp_path / "step-000000001-0.wav").stat().st_size
    monkeypatch.setattr(looks, "MOST_BYTES", 3 * size)
    assert len(looks.keep_files(tmp_path, 2, Whole(".wav"), many)) == 3
    monkeypatch.setattr(looks, "MOST_BYTES", 1)
    assert len(looks.keep_files(tmp_path, 3, Whole(".wav"), many)) == 1


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        looks.keep_files(tmp_path, 1, Whole(".wav"), [ITEMS[0], None])  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_looks_are_read_by_step_and_number(tmp_path: Path) -> None:
    many = torch.zeros(12, 100, dtype=torch.int16)
    for step in (20, 3):
        looks.keep_files(tmp_path, step, Whole(".wav"), many)
    sheet = looks.sheet_file(tmp_path, 20)
    PICTURE.save(sheet)
    for name in ("step-x.png", "step-5.mp3", "notes.txt", ".step-000000007.png.host.12", "step-8-0.png"):
        (tmp_path / name).write_text("")
    first, second = looks.looks(tmp_path)
    assert (first.step, first.sheet, second.step, second.sheet) == (3, None, 20, sheet)
    assert [int(file.stem.rpartition("-")[2]) for file in second.files] == [*range(looks.MOST_FILES)]
    assert second.paths[-1] == sheet
    assert looks.looks(tmp_path / "nowhere") == []


# What a file holds


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_sound_is_written_as_it_was_read(width: int) -> None:
    sound = Clip(2, width, 44_100, bytes(range(24 * width % 256 or 1)) * (2 * width))
    whole = sound.samples[: len(sound.samples) - len(sound.samples) % (2 * width)]
    assert Clip.read(sound.content()).samples == whole
    with wave.open(BytesIO(sound.content())) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, width, 44_100)


def test_a_film_keeps_its_frames_and_their_times(tmp_path: Path) -> None:
    _film(tmp_path / "a.gif", ITEMS[1])
    film = Film.read((tmp_path / "a.gif").read_bytes())
    assert (film.durations, [frame.getpixel((0, 0))[1] for frame in film.frames]) == (
        [70, 80, 90],
        [0, 50, 100],
    )
    again = Film.read(film.content())
    assert [frame.tobytes() for frame in again.frames] == [frame.tobytes() for frame in film.frames]


class Broken:
    whole: ClassVar[bytes] = Clip(1, 2, RATE, bytes(100)).content()
    cases: ClassVar[dict[str, tuple[type[Shown], bytes]]] = {
        "an empty sound": (Clip, b""),
        "half a header": (Clip, whole[:20]),
        "a rate of 0": (Clip, whole[:24] + bytes(4) + whole[28:]),
        "no channels": (Clip, whole[:22] + bytes(2) + whole[24:]),
        "a text": (Clip, b"hello"),
        "numbers with fractions": (Clip, whole[:20] + b"\x03\x00" + whole[22:]),
        "an empty film": (Film, b""),
        "another picture": (Film, b"\x89PNG\r\n\x1a\n" + bytes(50)),
        "a huge film": (Film, b"GIF89a\xff\xff\xff\xff\x00\x00\x00" + bytes(100)),
    }


@pytest.mark.parametrize("case", Broken.cases)
def test_damaged_files_are_told_from_whole_ones(case: str) -> None:
    kind, content = Broken.cases[case]
    with pytest.raises(Unreadable):
        kind.read(content)


def test_long_texts_and_films_have_an_end() -> None:
    assert len(Lines.read(b"x" * 10**6).text) < 10**5
    frames = [Image.new("RGB", (2, 2), (number % 256, number // 256, 0)) for number in range(600)]
    with pytest.raises(Unreadable, match="more than 500 frames"):
        Film.read(Film(frames, [20] * 600).content())


# TensorBoard


def test_tensorboard_has_each_kind_as_it_was_written(tmp_path: Path) -> None:
    logger = TensorBoard(str(tmp_path))
    files = kept(tmp_path / "samples")
    tensorboard.log_samples(logger, PICTURE, files, 500, 32_000.0)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0, "audio": 0}).Reload()
    assert sorted(events.Tags()["images"]) == ["films/0", "films/1", "samples"]
    (sound,) = events.Audio("sounds/1")
    assert (sound.step, sound.sample_rate, sound.content_type) == (500, RATE, "audio/wav")
    assert Clip.read(sound.encoded_audio_string).samples == ITEMS[1].numpy().tobytes()
    (film,) = events.Images("films/0")
    assert (film.width, film.height) == (20, 10)
    with Image.open(BytesIO(film.encoded_image_string)) as moving:
        assert (moving.format, moving.n_frames) == ("GIF", 3)
    (text,) = events.Tensors("texts/1/text_summary")
    assert b"".join(text.tensor_proto.string_val).decode() == (
        "<pre>&lt;b&gt;two\n  lines&lt;/b&gt; &amp; more 100</pre>"
    )
    (sheet,) = events.Images("samples")
    drawn = np.asarray(Image.open(BytesIO(sheet.encoded_image_string)).convert("L"))
    assert np.array_equal(drawn, np.asarray(PICTURE))


# Weights & Biases


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Received:
    """What a server received of a look with a sheet, and of one without."""
    home = tmp_path_factory.mktemp("looks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_MODE", "offline")
        wandb.teardown()  # Other tests of this process may have disabled it, which it remembers.
        logger = WandbLogger(save_dir=str(home), project="gans", offline=True)
        wandb_logger.log_samples(logger, PICTURE, kept(home / "samples"), 500, 32_000.0)
        wandb_logger.log_samples(logger, None, kept(home / "samples", 700)[:2], 700, 44_800.0)
        logger.experiment.finish()
    program = shlex.quote(str(Path(sys.executable).with_name("wandb")))
    with serving() as received:
        command = f"{program} sync {home}/wandb/offline-run-*"
        environment = {**bare(home), **received.environment}
        done = subprocess.run(
            command, shell=True, cwd=home, env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    return received


def test_wandb_has_each_kind_over_images(synced: Received) -> None:
    first, second = [row for row in synced.history if "sounds/0" in row]
    assert (first["images"], first["trainer/global_step"]) == (32_000.0, 500)
    assert {
        "samples",
        *(f"{kind}/{n}" for kind in ("sounds", "texts", "films") for n in (0, 1)),
    } < first.keys()
    assert not [name for name in second if name.startswith(("samples", "texts", "films"))]
    for number, item in enumerate(ITEMS):
        sound, film, text = (
            synced.files[first[f"{kind}/{number}"]["path"]] for kind in ("sounds", "films", "texts")
        )
        assert Clip.read(sound).samples == item.numpy().tobytes()
        assert len(Film.read(film).frames) == 3
        assert f"<pre>&lt;b&gt;two\n  lines&lt;/b&gt; &amp; more {int(item[0])}</pre>" in text.decode()


def test_looks_that_wandb_lacks_are_sent_from_the_runs_folder(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,images,generator\n700,44800,1.0\n")
    kept(tmp_path / "samples", 350)
    looks.keep_files(tmp_path / "samples", 900, Whole(".wav"), ITEMS)  # of a step that was undone
    PICTURE.save(looks.sheet_file(tmp_path / "samples", 700))
    rows = dict(wandb_logger._recorded_rows(tmp_path))
    assert {step: sorted(row) for step, row in rows.items()} == {
        350: ["films/0", "films/1", "images", "sounds/0", "sounds/1", "texts/0", "texts/1"],
        700: ["images", "samples"],
    }
    assert rows[350]["images"] == 22_400
