"""`ganlab sample --given`: samples made from the user's own sources, by a game of negatives."""

import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, refused, write
from PIL import Image
from torch import Tensor, nn
from trained_runs import NEGATIVES, NEGATIVES_CONFIG, OURS_LABELLED, POINTS, REPAINTED_CONFIG, train_run

import ganlab
from ganlab.data.pictures.decode import Transform
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.media import Medium, Pictures
from ganlab.sampling.sources import read_sources
from ganlab.sampling.write import Source
from ganlab.testing import new
from ganlab.variants import HingeGAN

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")

SIZE, CHANNELS = 8, 3
PICTURES = {  # in the order of names: the mode and the size
    "ship.png": ("RGB", (8, 8)),
    "town/clear.webp": ("RGBA", (16, 16)),
    "town/grey.bmp": ("L", (9, 17)),
    "town/old.jpg": ("RGB", (31, 20)),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("negatives")
    write(home, NEGATIVES, "my_negatives.py")
    return home


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    return train_run(home, NEGATIVES_CONFIG)


@pytest.fixture(scope="module")
def repainted(home: Path) -> Path:
    return train_run(home, REPAINTED_CONFIG, name="repainted")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of pictures of all kinds, and files that are none."""
    folder = tmp_path / "mine"
    chance = np.random.default_rng(0)
    for name, (mode, size) in PICTURES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = chance.integers(256, size=(*size[::-1], len(mode)), dtype=np.uint8).squeeze()
        Image.fromarray(pixels, mode).save(path)
    (folder / "notes.txt").write_text("none")
    (folder / ".hidden.png").write_bytes(b"none")
    return folder


@pytest.fixture(autouse=True)
def _own_code_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user's module, which `ganlab.load` imports, is another file in each test file."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    sys.modules.pop("my_negatives", None)


def as_data_read(folder: Path, names: Any = PICTURES) -> np.ndarray:
    """What data of this size would hold of these pictures."""
    transform = Transform(SIZE, CHANNELS)
    return np.stack([transform((folder / name).read_bytes()) for name in names])


def sample_here(*arguments: str | Path, folder: Path) -> None:
    answer = here("sample", *arguments, folder=folder)
    assert answer.code == 0, answer


def images_in(path: Path) -> np.ndarray:
    with np.load(path) as file:
        assert file.files == ["images"]
        return file["images"]


def test_pictures_of_any_kind_are_read_as_data_read_theirs(run: Path, pictures: Path, tmp_path: Path) -> None:
    sample_here(run, "--given", "mine", "--out", "made.npz", folder=tmp_path)
    assert np.array_equal(images_in(tmp_path / "made.npz"), 255 - as_data_read(pictures))


def test_a_folder_keeps_the_names_of_sources(run: Path, pictures: Path, tmp_path: Path) -> None:
    sample_here(run, "--given", "mine", "--out", "made", folder=tmp_path)
    expected = dict(zip(PICTURES, 255 - as_data_read(pictures), strict=True))
    names = {Path(name).with_suffix(".png") for name in PICTURES}
    assert {path.relative_to(tmp_path / "made") for path in (tmp_path / "made").rglob("*.*")} == names
    for name, pixels in expected.items():
        written = Image.open((tmp_path / "made" / name).with_suffix(".png"))
        assert np.array_equal(np.asarray(written), pixels)


def test_each_picture_lies_beside_its_source(run: Path, pictures: Path, tmp_path: Path) -> None:
    sample_here(run, "--given", "mine", "--out", "made", folder=tmp_path)
    sample_here(run, "--given", "mine", "--beside", "--out", "both", folder=tmp_path)
    made, both = (sorted((tmp_path / out).rglob("*.png")) for out in ("made", "both"))
    assert [path.relative_to(tmp_path / "made") for path in made] == [
        path.relative_to(tmp_path / "both") for path in both
    ]
    for one, other, source in zip(made, both, as_data_read(pictures), strict=True):
        pair, alone = (np.array(Image.open(path)) for path in (other, one))
        times = len(pair) // len(alone)  # Small pictures are shown enlarged.
        source, alone = (each.repeat(times, 0).repeat(times, 1) for each in (source, alone))
        width = alone.shape[1]
        assert np.array_equal(pair[:, :width], source)
        assert np.array_equal(pair[:, -width:], alone)
    answer = here("sample", run, "--given", "mine", "--beside", "--out", "both.npz", folder=tmp_path)
    assert answer.code == 2
    assert "--beside is for the pictures of a folder" in answer.err


def test_pictures_in_their_own_sizes_are_given_into_a_folder(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    sample_here(run, "--given", "mine", "--native", "--out", "made", folder=tmp_path)
    for path in (tmp_path / "made").rglob("*.png"):
        (source,) = pictures.rglob(f"{path.stem}.*")
        with Image.open(path) as made, Image.open(source) as given:
            assert sorted(made.size) == sorted(given.size)  # Some are turned as their file says.
    for options in (("--out", "made.npz", "--given", "mine"), ("--out", "other")):
        answer = here("sample", run, "--native", *options, folder=tmp_path)
        assert answer.code == 2
        assert "--native is for pictures that are given, into a folder" in answer.err


def test_a_zip_and_an_array_hold_the_same_as_a_folder(run: Path, pictures: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for name in PICTURES:
            archive.write(pictures / name, f"top/{name}")
    np.savez(tmp_path / "mine.npz", images=as_data_read(pictures))
    for given in ("mine.zip", "mine.npz"):
        sample_here(run, "--given", given, "--out", f"of_{given}.npz", folder=tmp_path)
        assert np.array_equal(images_in(tmp_path / f"of_{given}.npz"), 255 - as_data_read(pictures))
    sample_here(run, "--given", "mine.zip", "--out", "made", folder=tmp_path)
    assert (tmp_path / "made" / "town" / "old.png").is_file()


def test_one_file_is_one_sample(run: Path, pictures: Path, tmp_path: Path) -> None:
    sample_here(run, "--given", pictures / "town" / "old.jpg", "--out", "made", folder=tmp_path)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["old.png"]
    pixels = np.asarray(Image.open(tmp_path / "made" / "old.png"))
    assert np.array_equal(pixels, 255 - as_data_read(pictures, ["town/old.jpg"])[0])


def test_arrays_of_another_size_are_resized_as_files_are(run: Path, pictures: Path, tmp_path: Path) -> None:
    large = np.asarray(Image.open(pictures / "town" / "clear.webp").convert("RGB"))
    np.savez(tmp_path / "large.npz", large[None])
    Image.fromarray(large).save(tmp_path / "large.png")
    for given in ("large.npz", "large.png"):
        sample_here(run, "--given", given, "--out", f"of_{given}.npz", folder=tmp_path)
    assert np.array_equal(images_in(tmp_path / "of_large.npz.npz"), images_in(tmp_path / "of_large.png.npz"))


def test_sources_are_repeated_in_turn_where_more_are_asked_for(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    sample_here(run, "--given", "mine", "--count", "6", "--out", "made.npz", folder=tmp_path)
    expected = 255 - as_data_read(pictures)
    assert np.array_equal(images_in(tmp_path / "made.npz"), expected[[0, 1, 2, 3, 0, 1]])
    sample_here(run, "--given", "mine", "--count", "6", "--out", "made", folder=tmp_path)
    assert (tmp_path / "made" / "ship-2.png").read_bytes() == (tmp_path / "made" / "ship.png").read_bytes()
    sample_here(run, "--given", "mine", "--count", "2", "--out", "few.npz", folder=tmp_path)
    assert np.array_equal(images_in(tmp_path / "few.npz"), expected[:2])


def enlarged(pixels: np.ndarray) -> np.ndarray:
    return pixels.repeat(8, 0).repeat(8, 1)


def test_a_sheet_shows_the_source_beside_what_is_made(run: Path, pictures: Path, tmp_path: Path) -> None:
    sample_here(run, "--given", "mine", "--out", "sheet.png", folder=tmp_path)
    sheet, sources = np.asarray(Image.open(tmp_path / "sheet.png")), as_data_read(pictures)
    # Two groups of two tiles in a row of the height of one and two rows.
    assert sheet.shape == (2 * 64 + 10, 2 * (2 * 64 + 2) + 10, 3)
    for number, source in enumerate(sources):
        top, left = (number // 2) * 74, (number % 2) * 140
        assert np.array_equal(sheet[top : top + 64, left : left + 64], enlarged(source))
        assert np.array_equal(sheet[top : top + 64, left + 66 : left + 130], enlarged(255 - source))
    assert (sheet[:, 64:66] == 255).all()
    sample_here(run, "--given", "mine", "--out", "walk.gif", "--frames", "3", folder=tmp_path)
    assert (
        Image.open(tmp_path / "walk.gif").size[0] == 2 * 10 * 12 + 16
        or (tmp_path / "walk.gif").stat().st_size
    )


def test_without_sources_a_run_is_told_its_datas_held_out_items(run: Path, tmp_path: Path) -> None:
    sample_here(run, "--out", "plan.npz", folder=tmp_path)
    images = torch.randint(256, (270, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(images_in(tmp_path / "plan.npz"), images[:64].movedim(1, -1).numpy())
    more = here("sample", run, "--count", "261", "--out", "more.npz", folder=tmp_path)
    assert "there is none for sample 260" in refused(more, tmp_path)
    few = shutil.copytree(run, tmp_path / "few")
    config = (few / "config.yaml").read_text()
    assert "held_out: 260" in config
    (few / "config.yaml").write_text(config.replace("held_out: 260", "held_out: 20"))
    sample_here(few, "--trust_code", "--out", "few.npz", folder=tmp_path)
    assert np.array_equal(images_in(tmp_path / "few.npz"), images_in(tmp_path / "plan.npz")[:20])
    sample_here(run, "--count", "2", "--out", "sheet.png", folder=tmp_path)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert np.array_equal(sheet[:64, :64], enlarged(255 - images[0].movedim(0, -1).numpy()))
    assert np.array_equal(sheet[:64, 66:130], enlarged(images[0].movedim(0, -1).numpy()))


def test_a_lone_checkpoint_knows_nothing_to_tell_and_says_what_to_do(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    lone = shutil.copy(run / "checkpoints" / "step-000000002.ckpt", tmp_path / "lone.ckpt")
    trusted = ("--trust_code",)
    code = shutil.copy(run / "code" / "my_negatives.py", tmp_path)
    answer = here("sample", lone, *trusted, "--out", "none.png", folder=tmp_path)
    message = refused(answer, tmp_path)
    assert "--given" in message, code
    assert not (tmp_path / "none.png").exists()
    sample_here(lone, *trusted, "--given", "mine", "--out", "made.npz", folder=tmp_path)
    assert np.array_equal(images_in(tmp_path / "made.npz"), 255 - as_data_read(pictures))


def test_a_game_that_takes_its_condition_from_pictures_themselves_is_given_pictures(
    repainted: Path, pictures: Path, tmp_path: Path
) -> None:
    sources = as_data_read(pictures)
    holed = sources.astype(float)
    holed[:, :, :4] = 127.5
    sample_here(repainted, "--given", "mine", "--out", "made.npz", folder=tmp_path)
    made = images_in(tmp_path / "made.npz").astype(float)
    assert np.abs(made - (255 - holed)).max() <= 0.5
    game = ganlab.load(repainted)
    assert game.source_column == 0
    again = game.sample(4, seed=0, given=torch.from_numpy(sources).movedim(-1, 1))
    assert np.array_equal(game.medium(again).stored(again).movedim(1, -1).numpy(), made)


class TakesBoth(HingeGAN):
    def condition(self, batch: Any) -> Any:
        return {"real": batch[0], "source": batch[1]}


def test_a_condition_of_several_columns_cannot_be_given_in_part() -> None:
    game = new(TakesBoth, media=(Pictures((1, 8, 8)), Pictures((1, 8, 8))))
    with pytest.raises(Refused, match="several columns"):
        game.sample(2, seed=0, given=torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert Source(game).beside_samples(2) is None, "its sheet shows samples alone"


# What is refused


def broken(folder: Path) -> None:
    (folder / "b.png").write_bytes(b"\x89PNG\r\n none")


def numbers(folder: Path, shape: tuple[int, ...] = (4, 8, 8, 3), kind: str = "float32") -> None:
    np.savez(folder / "a.npz", np.zeros(shape, kind))


def twice(folder: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (8, 8)).save(folder / name)


WRONG: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "missing": (lambda folder: None, "nowhere", "There is no"),
    "empty": (lambda folder: None, ".", "no pictures in"),
    "no picture": (lambda folder: (folder / "a.txt").write_text("none"), "a.txt", "a.txt is no whole zip"),
    "broken": (broken, ".", r"b\.png cannot be used"),
    "no bytes": (numbers, "a.npz", "holds float32 of the shape"),
    "channels": (lambda folder: numbers(folder, (4, 8, 8, 1), "uint8"), "a.npz", r"\(1, 8, 8\).*\(3, 8, 8\)"),
    "no array": (lambda folder: (folder / "a.npz").write_text("none"), "a.npz", "no npz of sources"),
    "none in it": (lambda folder: numbers(folder, (0, 8, 8, 3), "uint8"), "a.npz", "holds uint8"),
    "another order": (lambda folder: numbers(folder, (4, 8, 8, 3), ">u2"), "a.npz", "cannot be used"),
    "form": (
        lambda folder: numbers(folder, (4, 8, 8), "uint8"),
        "a.npz",
        r"uint8 of the shape \(n, 8, 8, 3\)",
    ),
    "one name": (twice, ".", r"name of another.*\n.*a\."),
}


@pytest.mark.parametrize("case", WRONG)
def test_sources_that_cannot_be_used_are_refused(case: str, run: Path, tmp_path: Path) -> None:
    make, given, message = WRONG[case]
    (tmp_path / "mine").mkdir()
    make(tmp_path / "mine")
    answer = here("sample", run, "--given", tmp_path / "mine" / given, "--out", "made", folder=tmp_path)
    assert re.search(message, refused(answer, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_games_that_make_nothing_from_sources_refuse_them(
    run: Path, home: Path, pictures: Path, tmp_path: Path
) -> None:
    plain, labelled = train_run(home, POINTS, name="points"), train_run(home, OURS_LABELLED, name="labels")
    for source, options, words in (
        (plain, (), "makes samples from nothing"),
        (labelled, (), "--class K"),
        (run, ("--class", "1"), "leave --class and --classes out"),
        (run, ("--classes", "all"), "leave --class and --classes out"),
    ):
        answer = here("sample", source, "--given", "mine", *options, "--out", "a.npz", folder=tmp_path)
        assert words in refused(answer, tmp_path)


# Other media, and other shapes


class Words(Medium):
    """Bytes of text in files of their own."""

    form = "bytes"
    suffix = ".word"

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return stored.to(dtype)

    def stored(self, items: Tensor) -> Tensor:
        return items.to(torch.uint8)

    @classmethod
    def holds(cls, items: Tensor) -> bool:
        return items.dtype == torch.uint8

    @classmethod
    def read(cls, content: bytes) -> Tensor:
        return torch.tensor([*content], dtype=torch.uint8)


def test_a_users_medium_reads_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "b.WORD").write_bytes(b"dog")
    (tmp_path / "a.word").write_bytes(b"cat")
    (tmp_path / "c.png").write_bytes(b"not")
    with zipfile.ZipFile(tmp_path / "words.zip", "w") as archive:
        for name in ("b.WORD", "a.word", "c.png"):
            archive.write(tmp_path / name, name)
    for path in (tmp_path, tmp_path / "words.zip"):
        sources = read_sources(path, Words((3,)))
        assert [bytes(row.tolist()) for row in sources.items] == [b"cat", b"dog"]
        assert sources.names == ("a", "b")
    with pytest.raises(Refused, match=r"a\.word cannot be used.*shape \(3,\).*\(4,\)"):
        read_sources(tmp_path, Words((4,)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        pytest.param((5, 8, 8), r"\(5, 8, 8\).*npz", id="five channels"),
        pytest.param((1, 8, 8, 8), r"\(1, 8, 8, 8\).*npz", id="volumes"),
    ],
)
def test_pictures_are_no_sources_of_what_they_cannot_hold(
    shape: tuple[int, ...], message: str, pictures: Path
) -> None:
    with pytest.raises(Refused, match=message):
        read_sources(pictures, Pictures(shape))


def test_a_picture_is_cut_to_the_mediums_proportions(tmp_path: Path) -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:30] = 200
    Image.fromarray(pixels).save(tmp_path / "bar.png")
    wide = read_sources(tmp_path, Pictures((3, 4, 8))).items
    assert wide.shape == (1, 3, 4, 8)
    assert (wide > 190).all()
    tall = read_sources(tmp_path, Pictures((1, 8, 4))).items[0, 0]
    assert tall.shape == (8, 4)
    assert tall[0, 0] == 0
    assert tall[4, 2] > 190


def test_a_game_of_unknown_media_takes_its_second_column_from_what_is_given() -> None:
    class Copy(nn.Module):
        def forward(self, latent: Tensor, source: Tensor) -> Tensor:
            return source

    game: GAN = new(HingeGAN, conditional=True, generator=Copy(), discriminator=Copy())
    given = torch.rand(3, 1, 8, 8)
    assert torch.equal(game.sample(4, seed=0, given=given), given[[0, 1, 2, 0]])
    with pytest.raises(Refused, match="--given"):
        game.sample(4, seed=0)


def test_bytes_of_an_encoded_picture_are_never_trusted_for_their_name(run: Path, tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "EPS")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    answer = here("sample", run, "--given", "a.png", "--out", "made.npz", folder=tmp_path)
    assert "cannot be used" in refused(answer, tmp_path)
