"""The report plays and shows files of single samples, whoever wrote them and whatever they hold."""

import os
import re
import wave
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, started
from comparisons import STEPS, comparison
from later import later
from PIL import Image
from test_report import HOSTILE, Page, page_of

from ganlab.comparison import report
from ganlab.comparison.report import played
from ganlab.comparison.result import Comparison

RATE = 8000


def tone(pitch: float, samples: int = RATE // 2) -> np.ndarray:
    return (np.sin(2 * np.pi * pitch * np.arange(samples) / RATE) * 20_000).astype("<i2")


def wav(samples: np.ndarray) -> bytes:
    with wave.open(written := BytesIO(), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return written.getvalue()


def film(side: int = 24, frames: int = 6) -> bytes:
    pictures = [Image.new("RGB", (side, side), (40 * number, 80, 0)) for number in range(frames)]
    pictures[0].save(written := BytesIO(), "GIF", save_all=True, append_images=pictures[1:], duration=50)
    return written.getvalue()


def add(compared: Comparison, group: int, suffix: str, content: Callable[[int, int], bytes]) -> Path:
    """Write files of three samples at each step to the first run of a group; return their folder."""
    folder = compared.groups[group].runs[0].folder
    assert folder
    for step in STEPS:
        for number in range(3):
            path = folder / "samples" / f"step-{step:09d}-{number}{suffix}"
            path.write_bytes(content(step, number))
    return folder / "samples"


def payload(url: str | None) -> bytes:
    return b64decode((url or "").partition(",")[2])


def players(page: Page) -> list[str]:
    return [attributes["data-told"] or "" for attributes in named(page, "div", "players")]


def named(page: Page, tag: str, kind: str) -> list[dict[str, str | None]]:
    return [attributes for attributes in page.elements_named(tag) if attributes.get("class") == kind]


def test_sounds_are_played_as_they_were_written(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    add(compared, 0, ".wav", lambda step, number: wav(tone(step + number)))
    page = page_of(tmp_path / "out", compared)
    sounds = page.elements_named("audio")
    assert len(sounds) == 3 * len(STEPS)
    assert len(players(page)) == len(STEPS)
    assert sounds[-1]["title"] == "sample 2 of hinge after 25.6k images · step 400"
    with wave.open(BytesIO(payload(sounds[-1]["src"]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        assert np.array_equal(np.frombuffer(file.readframes(file.getnframes()), "<i2"), tone(402))


def test_texts_are_shown_and_run_nothing(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    add(compared, 1, ".txt", lambda step, number: f"{HOSTILE} {step} {number}\n  two".encode() + b"\xff")
    text = report.write(tmp_path / "out", compared).read_text()
    page = Page(text)
    assert len(page.elements_named("script")) == 1
    assert not [each for each in page.elements_named("img") if "x.test" in (each["src"] or "")]
    assert page.parts["samples"].count("<script>alert(1)</script>") == 3 * len(STEPS)
    assert "400 2\n  two\ufffd" in page.parts["samples"]


def test_films_move_and_are_shrunk(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    add(compared, 0, ".gif", lambda step, number: film(24 if number else 400))
    page = page_of(tmp_path / "out", compared)
    films = [each for each in page.elements_named("img") if (each["src"] or "").startswith("data:image/gif")]
    assert [(each["width"], each["height"]) for each in films[:2]] == [("160", "160"), ("24", "24")]
    with Image.open(BytesIO(payload(films[1]["src"]))) as moving:
        assert (moving.n_frames, moving.info["duration"]) == (6, 50)


def test_runs_without_sheets_are_shown_by_their_files_alone(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    folder = add(compared, 0, ".txt", lambda step, number: b"some words")
    for sheet in folder.glob("*.png"):
        sheet.unlink()
    page = page_of(tmp_path / "out", compared)
    assert len(players(page)) == len(STEPS)
    assert "No samples on this machine" not in page.parts["samples"]
    assert len([each for each in page.elements_named("img") if "data-from" in each]) == len(STEPS)


def outside(path: Path) -> None:
    secret = path.parents[3] / "secret.txt"
    secret.write_text("hunter2")
    path.unlink()
    path.symlink_to(secret)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


def endless_film(path: Path) -> None:
    """Of more pixels than any memory holds, in a few bytes."""
    path.with_suffix(".gif").write_bytes(film()[:6] + b"\xff\xff\xff\xff" + film()[10:])
    path.unlink()


def film_that_grows(path: Path) -> None:
    """Its first frame has one pixel, and the others as many as no page can hold."""
    contents = []
    for number, side in enumerate((1, 4000, 4000, 4000)):
        Image.new("P", (side, side), number).save(written := BytesIO(), "GIF")
        contents.append(written.getvalue())
    # After the header and the palette of 2 ** (n + 1) colours come the frames, and a byte for their end.
    starts = [13 + 3 * (2 << (content[10] & 7)) for content in contents]
    frames = [content[start:-1] for content, start in zip(contents, starts, strict=True)]
    assert all(frame[:1] == b"," for frame in frames)
    path.with_suffix(".gif").write_bytes(contents[0][: starts[0]] + b"".join(frames) + b";")
    path.unlink()


def garbled_sound(path: Path) -> None:
    path.with_suffix(".wav").write_bytes(wav(tone(1))[:30])
    path.unlink()


def silent_forever(path: Path) -> None:
    """A sound of a rate of 0."""
    path.with_suffix(".wav").write_bytes(wav(tone(1))[:24] + bytes(8) + wav(tone(1))[32:])
    path.unlink()


@pytest.mark.parametrize(
    "spoil",
    later(
        [outside, pipe, huge, endless_film, film_that_grows, garbled_sound, silent_forever],
        [outside, endless_film, garbled_sound],
    ),
)
def test_a_file_that_cannot_be_shown_is_left_out(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs", ("hinge",), 1)
    folder = add(compared, 0, ".txt", lambda step, number: f"words {number}".encode())
    for step in STEPS:
        spoil(folder / f"step-{step:09d}-0.txt")
    page = page_of(tmp_path / "out", compared)
    words = page.parts["samples"]
    assert (words.count("words 0"), words.count("words 1")) == (0, len(STEPS))
    assert "hunter2" not in words
    assert not page.elements_named("audio")


def test_the_page_stays_small_however_much_there_is(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs", tuple(f"group{number}" for number in range(4)), 1)
    noise = np.random.default_rng(0)
    for group in range(4):
        sounds = wav(noise.integers(-9999, 9999, 100_000).astype("<i2"))
        folder = add(compared, group, ".wav", lambda step, number, content=sounds: content)  # type: ignore[misc]
        for step in range(500, 1500, 100):
            (folder / f"step-{step:09d}-0.wav").write_bytes(sounds)
    before = len(report.write(tmp_path / "none", comparison(tmp_path / "without", seeds=1)).read_text())
    path = report.write(tmp_path / "out", compared)
    assert len(re.findall("<audio", path.read_text())) > 0
    assert path.stat().st_size - before < played.BUDGET + 3e6
    for group in range(4):
        add(compared, group, ".txt", lambda step, number: HOSTILE.encode() * 1000)
    assert report.write(tmp_path / "out", compared).stat().st_size - before < played.BUDGET + 3e6


@pytest.mark.slow
def test_in_a_browser_sounds_can_be_played_and_nothing_else_happens(tmp_path: Path) -> None:
    if not CHROMIUM:
        pytest.skip("there is no chromium here (apt-get install chromium)")
    compared = comparison(tmp_path / "runs", ("sounds", "texts", "films"), 1)
    add(compared, 0, ".wav", lambda step, number: wav(tone(step + 100 * number)))
    add(compared, 1, ".txt", lambda step, number: f"{HOSTILE} {step}".encode())
    add(compared, 2, ".gif", lambda step, number: film())
    page = report.write(tmp_path / "out", compared)
    with started() as browser:
        browser.open(page)
        seconds = (
            "Promise.all(all('audio').map(each => new Promise(done => each.readyState ? done(each.duration)"
        )
        seconds += " : each.addEventListener('loadedmetadata', () => done(each.duration)))))"
        assert browser.run(seconds) == [0.5] * 3 * len(STEPS)
        shown = "[...document.querySelectorAll('.players.now')].map(each => each.dataset.told)"
        assert browser.run(shown) == ["25.6k images · step 400"] * 3
        browser.run("slider.value = 1; slider.dispatchEvent(new Event('input'))")
        assert browser.run(shown) == ["12.8k images · step 200"] * 3
        assert browser.run("all('.players pre').length") == 3 * len(STEPS)
        assert browser.run("all('.players.now pre')[0].checkVisibility()") is True
        assert {address.split(":")[0] for address in browser.requests} <= {"file", "data"}
        assert browser.complaints == []
