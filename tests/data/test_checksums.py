"""Caches of the right size with wrong bytes: nothing is trained on them or scored against them."""

import json
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import begun, fit, steps
from sets import encoded, folder, picture

from ganlab.cli import main
from ganlab.data import Digits, ImageFolder
from ganlab.errors import Failed

COUNT = 40


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Pictures, and a cache of them."""
    place = tmp_path_factory.mktemp("made")
    folder(place / "data", {f"{n:02}.png": encoded(picture(n), "PNG") for n in range(COUNT)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANLAB_CACHE", str(place / "cache"))
        pictures(place).prepare_data()
    return place


def pictures(place: Path, **options) -> ImageFolder:
    return ImageFolder(root=str(place / "data"), size=8, held_out=0, batch_size=8, **options)


@pytest.fixture
def cached(made, cache_folder) -> Path:
    shutil.copytree(made / "cache", cache_folder)
    return made


def images_file(cache: Path) -> Path:
    (path,) = cache.rglob("images.bin")
    return path


def zeroed(raw: bytearray) -> None:
    raw[:] = bytes(len(raw))


def flipped(raw: bytearray) -> None:
    raw[len(raw) // 2] ^= 1


def swapped(raw: bytearray) -> None:
    part = len(raw) // 4
    raw[:part], raw[part : 2 * part] = raw[part : 2 * part], raw[:part]


def swapped_within_a_picture(raw: bytearray) -> None:
    raw[:64], raw[64:128] = raw[64:128], raw[:64]


def half_zeroed(raw: bytearray) -> None:
    raw[len(raw) // 2 :] = bytes(len(raw) - len(raw) // 2)


DAMAGES = [zeroed, flipped, swapped, swapped_within_a_picture, half_zeroed]
every_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


def damaged(path: Path, damage) -> None:
    """The file with wrong bytes in it, of the same length and date."""
    raw, status = bytearray(path.read_bytes()), path.stat()
    damage(raw)
    assert len(raw) == status.st_size
    path.write_bytes(raw)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def loaded(data) -> torch.Tensor:
    """All images, in the order of their names."""
    data.prepare_data()
    data.setup("fit")
    return data.splits.train[torch.arange(COUNT)][0]


def sentence(error: BaseException) -> str:
    text = str(error)
    assert len(text.splitlines()) <= 3
    assert "Traceback" not in text
    return text


@every_damage
def test_images_that_are_read_into_memory_are_made_again(damage, cached, cache_folder, capsys):
    expected = loaded(pictures(cached, placement="memory"))
    damaged(images_file(cache_folder), damage)
    assert torch.equal(loaded(pictures(cached, placement="memory")), expected)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "made anew" in lines[0]
    assert torch.equal(loaded(pictures(cached, placement="memory")), expected)
    assert capsys.readouterr().err == "", "the new cache is whole"


@pytest.mark.parametrize(("damage", "workers"), [*((damage, 0) for damage in DAMAGES), (zeroed, 1)])
def test_images_that_are_read_from_disk_stop_the_run_and_the_next_makes_them_again(
    damage, workers, cached, cache_folder
):
    expected = loaded(pictures(cached, placement="disk"))
    damaged(images_file(cache_folder), damage)
    data = pictures(cached, placement="disk", workers=workers)
    data.prepare_data()
    data.setup("fit")
    with pytest.raises(Failed) as error:
        list(islice(data.train_dataloader(), COUNT // 8))
    assert "images.bin is damaged" in sentence(error.value)
    assert "again" in str(error.value)
    assert torch.equal(loaded(pictures(cached, placement="disk")), expected)


def test_a_damaged_cache_that_cannot_be_removed_is_named(cached, cache_folder, monkeypatch):
    damaged(images_file(cache_folder), zeroed)
    data = pictures(cached, placement="disk")
    data.setup("fit")

    def read_only(path, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(Failed, match="remove it"):
        data.splits.train[torch.arange(3)]


def test_a_cache_that_another_process_made_again_is_not_removed(cached, cache_folder):
    whole = images_file(cache_folder).read_bytes()
    damaged(images_file(cache_folder), zeroed)
    data = pictures(cached, placement="disk")
    data.setup("fit")
    images_file(cache_folder).rename(cache_folder / "mapped")
    (next((cache_folder / "pictures").glob("imagefolder*")) / "images.bin").write_bytes(whole)
    with pytest.raises(Failed):
        data.splits.train[torch.arange(3)]
    assert images_file(cache_folder).read_bytes() == whole


def test_each_image_is_compared_once(cached, monkeypatch):
    compared: list[int] = []
    original = np.einsum
    monkeypatch.setattr(np, "einsum", lambda *given: compared.append(len(given[1])) or original(*given))
    data = pictures(cached, placement="disk")
    data.setup("fit")
    for _ in islice(data.train_dataloader(), 3 * COUNT // 8):
        pass
    assert sum(compared) == COUNT


def test_a_cache_without_checksums_is_made_again(cached, cache_folder, capsys):
    expected = loaded(pictures(cached))
    place = images_file(cache_folder).parent
    for file in place.iterdir():
        if file.name != "images.bin":
            file.unlink()
    (place / "info.json").write_text(json.dumps({"shape": [COUNT, 8, 8, 3], "skipped": []}))
    damaged(images_file(cache_folder), zeroed)
    assert torch.equal(loaded(pictures(cached)), expected)
    assert "another version" in capsys.readouterr().err


def other_files(place: Path) -> Iterator[Path]:
    return (file for file in place.iterdir() if file.name != "images.bin")


@every_damage
def test_what_stands_beside_the_images_is_checked_too(damage, cached, cache_folder):
    expected = loaded(pictures(cached))
    for file in other_files(images_file(cache_folder).parent):
        damaged(file, damage)
    assert torch.equal(loaded(pictures(cached)), expected)


def test_the_cache_of_other_pictures_is_not_taken(cached, cache_folder, tmp_path):
    """As if somebody had copied one cache's files over another's."""
    expected = loaded(pictures(cached))
    mine = images_file(cache_folder).parent
    others = {f"{n:02}.png": encoded(picture(n + 50), "PNG") for n in range(COUNT)}
    loaded(pictures(folder(tmp_path / "others" / "data", others).parent))
    (theirs,) = (path.parent for path in cache_folder.rglob("images.bin") if path.parent != mine)
    shutil.copytree(theirs, mine, dirs_exist_ok=True)
    assert torch.equal(loaded(pictures(cached)), expected)


@pytest.mark.parametrize("content", [b"0" * 64, bytes(64), b"", b"x" * 130], ids=len)
def test_a_digest_that_was_garbled_is_taken_again(content, cached, cache_folder):
    expected = pictures(cached).fingerprint
    for known in (cache_folder / "known").iterdir():
        known.write_bytes(content)
    assert pictures(cached).fingerprint == expected


@every_damage
def test_an_array_on_disk_is_made_again_when_it_is_opened(damage, cache_folder, capsys):
    expected = loaded(Digits(size=8, placement="disk"))
    path = max((cache_folder / "arrays").iterdir(), key=lambda path: path.stat().st_size)
    damaged(path, damage)
    assert torch.equal(loaded(Digits(size=8, placement="disk")), expected)
    assert capsys.readouterr().err.count("made anew") == 1


def test_an_array_that_is_damaged_while_it_is_used_stops_the_run(cache_folder):
    data = Digits(size=8, placement="disk")
    expected = loaded(data)[:8]
    path = max((cache_folder / "arrays").iterdir(), key=lambda path: path.stat().st_size)
    with path.open("r+b") as file:
        file.seek(64 * 1000)
        file.write(bytes(64))
    assert torch.equal(data.splits.train[torch.arange(8)][0], expected)
    with pytest.raises(Failed, match="again"):
        data.splits.train[torch.arange(1000, 1001)]


@pytest.mark.slow
def test_training_stops_with_a_sentence_and_goes_on_when_resumed(cached, cache_folder, tmp_path, monkeypatch):
    # The watchdog and the trial look at reals before or at the first step, and would be the first to read it.
    monkeypatch.setattr("ganlab.callbacks.Watchdog._look", lambda *given: {})
    monkeypatch.setattr("ganlab.callbacks.trial.reals_of", lambda *given: None)
    options = [
        *("--data", "ImageFolder", "--data.root", cached / "data", "--data.size", 8, "--data.held_out", 0),
        *("--data.batch_size", 8, "--data.placement", "disk", "--model", "HingeGAN"),
        *("--model.generator", "MLPGenerator", "--model.generator.hidden", "[8]"),
        *("--model.discriminator", "MLPDiscriminator", "--model.discriminator.hidden", "[8]"),
        *("--checkpoints.every_n_steps", 2, "--samples.count", 4, "--trainer.accelerator", "cpu"),
        *("--trainer.max_steps", 8),
    ]
    place = images_file(cache_folder)
    order = pictures(cached, placement="disk")
    order.setup("fit")
    # A picture that is first read in the fourth step.
    number = int(order.train_dataloader().dataset.indices(torch.arange(24, 32))[0])
    with place.open("r+b") as file:
        file.seek(number * 8 * 8 * 3)
        file.write(bytes(8 * 8 * 3))
    answer = fit(*options, folder=tmp_path, GANLAB_CACHE=str(cache_folder))
    assert answer.code == 1, answer.err
    assert f"image {number}" in answer.err
    assert "Traceback" not in answer.err
    run = begun(tmp_path)
    assert steps(run)[0] == 2
    assert fit("--resume", run, folder=tmp_path, GANLAB_CACHE=str(cache_folder)).code == 0
    assert steps(run)[0] == 8


@pytest.mark.slow
def test_data_check_says_it_in_a_sentence(cached, cache_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganlab.cli.data_check.SECONDS", 0.05)
    damaged(images_file(cache_folder), zeroed)
    check = ["data", "check", "ImageFolder", "--root", str(cached / "data"), "--size", "8", "--held_out", "0"]
    assert main.main([*check, "--placement", "disk"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("ganlab: ")
    assert "Traceback" not in err
    assert main.main([*check, "--placement", "disk"]) == 0


# The checksums themselves


@pytest.mark.parametrize("size", [1, 3, 7, 8, 75, 192])
def test_every_change_of_a_byte_and_every_swap_of_words_is_noticed(size):
    from ganlab.data.checksums import checksums

    image = np.random.default_rng(size).integers(0, 256, (1, size), dtype=np.uint8)
    (whole,) = checksums(image)
    for place in range(size):
        for other in (0, 255, image[0, place] ^ 1, image[0, place] ^ 128):
            changed = image.copy()
            changed[0, place] = other
            assert (checksums(changed)[0] == whole) == np.array_equal(changed, image)
    words = image[0, : size // 8 * 8].reshape(-1, 8)
    for first in range(len(words)):
        for second in range(first):
            changed = image.copy()
            parts = changed[0, : size // 8 * 8].reshape(-1, 8)
            parts[[first, second]] = words[[second, first]]
            assert checksums(changed)[0] != whole


def test_checksums_are_the_same_on_every_machine():
    """They are kept in caches."""
    from ganlab.data.checksums import checksums

    image = np.arange(20, dtype=np.uint8)[None]
    weights = [int(weight) | 1 for weight in np.random.PCG64(0).random_raw(3)]
    words = [int.from_bytes(bytes(image[0, at : at + 8]), "little") for at in (0, 8, 16)]
    expected = sum(weight * word for weight, word in zip(weights, words, strict=True)) % 2**64
    assert checksums(image)[0] == expected
    assert weights[0] == 11749869230777074271
