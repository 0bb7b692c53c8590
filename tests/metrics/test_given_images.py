"""Images from elsewhere: what is given is scored or refused in a sentence, and nothing in it is run."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import here
from fuzzing import within
from PIL import Image
from safetensors.torch import save_file
from sets import encoded, folder, packed, picture
from torch_fidelity.datasets import ImagesPathDataset

from ganlab.errors import Refused
from ganlab.metrics import Pixels
from ganlab.metrics.contract import digest
from ganlab.metrics.extractors.extractor import read_weights
from ganlab.metrics.given_images import GivenImages
from ganlab.metrics.observed import Reals
from ganlab.metrics.reference import kept_indices
from ganlab.metrics.scorer import Scorer

IMAGES = np.arange(4 * 6 * 6 * 3, dtype=np.uint8).reshape(4, 6, 6, 3)
RUN: list[str] = []


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    RUN.clear()


class Evil:
    def __reduce__(self):
        return RUN.append, ("code",)


def npz(**arrays) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def array(header: str, data: bytes = b"") -> bytes:
    """An npy file with this header, whatever it says."""
    padded = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


WHOLE = npz(images=IMAGES)
HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (10000000, 1000, 1000, 3), }"
NONE = {
    "empty": b"",
    "text": b"hello, this is no npz",
    "a pickle": pickle.dumps(Evil()),
    "an npy": array("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }", b"ab"),
    "cut": WHOLE[: len(WHOLE) // 2],
    "no arrays": zipped(),
    "pictures": zipped(**{"a.png": encoded(picture(1), "PNG")}),
    "text in it": zipped(**{"a.npy": b"hello"}),
    "empty in it": zipped(**{"a.npy": b""}),
    "objects": npz(images=np.array([Evil()], dtype=object)),
    "objects of a shape": zipped(
        **{"a.npy": array("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }")}
    ),
    "floats": npz(images=IMAGES / 255),
    "flat": npz(images=IMAGES.reshape(4, -1)),
    "two channels": npz(images=IMAGES[..., :2]),
    "channels first": npz(images=IMAGES.transpose(0, 3, 1, 2)),
    "none of them": npz(images=IMAGES[:0]),
    "no pixels": npz(images=IMAGES[:, :0]),
    "a number": npz(images=np.uint8(3)),
    "strings": npz(images=np.array(["a", "b"])),
    "records": npz(images=np.zeros(3, [("a", "u1"), ("b", "f4")])),
    "larger than any memory": zipped(**{"a.npy": array(HUGE, b"abc")}),
    "a shape below zero": zipped(**{"a.npy": array(HUGE.replace("10000000", "-4"))}),
    "no header": zipped(**{"a.npy": array("{")}),
    "a header that computes": zipped(**{"a.npy": array("[0] * 10**9")}),
    "a header of no bytes": zipped(**{"a.npy": b"\x93NUMPY\x01\x00"}),
    "garbled within": flipped(zipped(**{"a.npy": array(HUGE)}), 60),
}


@pytest.mark.parametrize("suffix", [".npz", ".NPZ"])
@pytest.mark.parametrize("kind", NONE)
def test_what_is_no_npz_of_images(kind, suffix, tmp_path):
    path = tmp_path / f"images{suffix}"
    path.write_bytes(NONE[kind])
    with within(10), pytest.raises(Refused) as error:
        GivenImages(path)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    assert "allow_pickle" not in str(error.value)
    assert RUN == []


def test_a_whole_npz(tmp_path):
    (tmp_path / "images.npz").write_bytes(WHOLE)
    given = GivenImages(tmp_path / "images.npz")
    assert torch.equal(next(iter(given.batches()))[1], torch.from_numpy(IMAGES).movedim(-1, 1))


def nothing(path: Path) -> None:
    pass


THINGS = {
    "missing": nothing,
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link in a circle": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("name", ["images.npz", "images.zip", "images"])
@pytest.mark.parametrize("kind", THINGS)
def test_what_is_no_file(kind, name, tmp_path):
    THINGS[kind](tmp_path / name)
    with within(10), pytest.raises(Refused) as error:
        GivenImages(tmp_path / name)
    assert 1 <= len(str(error.value).splitlines()) <= 3


def test_pictures_that_are_damaged_are_named(tmp_path):
    files = {f"{n}.png": encoded(picture(n, 64, 64), "PNG") for n in range(3)}
    whole = files["1.png"]
    for content in (b"", whole[: len(whole) // 2], b"%!PS-Adobe-3.0 EPSF-3.0\n", flipped(whole, 60)):
        for path in (tmp_path / "in.zip", tmp_path / "in"):
            (packed if path.suffix else folder)(path, files | {"1.png": content})
            with within(10), pytest.raises(Refused, match=r"1\.png is no whole picture"):
                list(GivenImages(path).batches())


# What tells images from others


def saved(path: Path, images: np.ndarray | list, kind: str, order=None) -> Path:
    """The same images in a folder of files of this kind, or in one file, named in this order."""
    order = range(len(images)) if order is None else order
    if kind == "npz":
        np.savez(path.with_suffix(".npz"), np.stack([images[n] for n in order]))
        return path.with_suffix(".npz")
    path.mkdir()
    for place, number in enumerate(order):
        Image.fromarray(images[number]).save(path / f"{place:03}.{kind}")
    return path


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_bytes_of_another_shape_are_other_images(tmp_path):
    wide, tall = (tmp_path / f"{name}.npz" for name in ("wide", "tall"))
    np.savez(wide, noise(16, 8, 8, 3))
    np.savez(tall, noise(16, 8, 8, 3).reshape(16, 16, 4, 3))
    assert GivenImages(wide).identity["fingerprint"] != GivenImages(tall).identity["fingerprint"]
    pixels = ("--extractor", "Pixels", "--json")
    answers = []
    for cache in ("one", "one", "other"):
        for reference in (wide, tall):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("GANLAB_CACHE", str(tmp_path / cache))
                answer = here("evaluate", wide, "--reference", reference, *pixels, folder=tmp_path)
            answers.append(json.loads(answer.out)["scores"]["fid16_pixels"]["value"])
    assert answers[0] < 1e-6 < answers[1], "the cache of one is none of the other"
    assert answers[:2] == answers[2:4] == answers[4:]


@pytest.mark.parametrize("kind", ["png", "bmp", "npz"])
@pytest.mark.parametrize("order", [range(60), range(59, -1, -1)], ids=["sorted", "reversed"])
def test_equal_pixels_are_equal_reals_in_any_form_and_order(kind, order, tmp_path):
    """Also where scores choose some of them by their indices."""
    images, fakes = noise(60, 8, 8, 3), noise(24, 8, 8, 3, seed=1)
    forms = saved(tmp_path / "first", images, "png"), saved(tmp_path / "again", images, kind, order)
    scorer = Scorer(Pixels(4), ("fid", "kid", "precision_recall"), 24)
    seen = scorer.observe([(torch.arange(24), torch.from_numpy(fakes).movedim(-1, 1))], 24)
    first, again = (GivenImages(form) for form in forms)
    assert first.identity == again.identity
    values = []
    for given in (first, again):
        reals = Reals.of(scorer.observe(given.sorted_batches(), 60, kept=kept_indices(60, 24)))
        values.append(scorer.score(reals, seen)[0])
    assert values[0] == pytest.approx(values[1], rel=1e-9, abs=1e-12)
    fewer = saved(tmp_path / "fewer", images[:59], "png")
    assert GivenImages(fewer).identity != first.identity


def test_files_that_are_too_large_to_decode_are_known_by_their_bytes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ganlab.metrics.given.MOST_DECODED", 10)
    forms = [saved(tmp_path / kind, noise(4, 8, 8, 3), kind) for kind in ("png", "bmp", "npz")]
    png, bmp, npz = (GivenImages(form).identity for form in forms)
    assert png["of"] == bmp["of"] == "files"
    assert npz["of"] == "pixels"
    assert png["fingerprint"] != bmp["fingerprint"]
    assert capsys.readouterr().err.count("cannot be told equal") == 2


# Transparency


def see_through(alpha: int = 90) -> np.ndarray:
    images = noise(5, 8, 8, 4)
    images[..., 3] = 255
    images[1:3, :4, :, 3] = alpha
    return images


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_dropped_as_torch_fidelity_does_or_laid_on_white(mode, tmp_path, capsys):
    path = tmp_path / "in"
    path.mkdir()
    for number, image in enumerate(see_through(0 if mode == "P" else 90)):
        Image.fromarray(image).convert(mode).save(path / f"{number}.png")
    files = sorted(path.iterdir())
    theirs = torch.stack([*ImagesPathDataset(list(map(str, files)))])
    dropped, on_white = (GivenImages(path, how) for how in ("drop", "white"))
    ours = [next(iter(given.batches()))[1] for given in (dropped, on_white)]
    assert torch.equal(ours[0], theirs)
    assert torch.equal(ours[0][3:], ours[1][3:])
    white = torch.stack([torch.from_numpy(_on_white(file)) for file in files]).movedim(-1, 1)
    assert torch.equal(ours[1], white)
    assert not torch.equal(ours[1], theirs)
    assert (dropped.told_transparency(), on_white.told_transparency()) == ("drop", "white")
    told = capsys.readouterr().err.splitlines()
    assert sum("2 of 5 pictures of in are transparent" in line for line in told) == 2
    assert dropped.identity["fingerprint"] != on_white.identity["fingerprint"]


def _on_white(file: Path) -> np.ndarray:
    image = Image.open(file).convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def test_alpha_that_hides_nothing_is_none(tmp_path, capsys):
    opaque = saved(tmp_path / "opaque", see_through(255), "png")
    plain = saved(tmp_path / "plain", see_through(255)[..., :3], "png")
    for how in ("white", "drop"):
        given = GivenImages(opaque, how)
        assert given.identity == GivenImages(plain).identity
        assert given.told_transparency() is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("options", "how"), [((), "white"), (("--transparency", "drop"), "drop")])
@pytest.mark.parametrize("side", ["fakes", "reals"])
def test_the_contract_says_what_became_of_transparency_and_the_command_says_it_once(
    options, how, side, tmp_path
):
    saved(tmp_path / "clear", see_through(), "png")
    saved(tmp_path / "plain", noise(9, 8, 8, 3, seed=2), "png")
    sides = ("clear", "plain") if side == "fakes" else ("plain", "clear")
    command = ("evaluate", sides[0], "--reference", sides[1], "--extractor", "Pixels", *options)
    for _ in range(2):  # The second time their digests come from the cache.
        answer = here(*command, folder=tmp_path)
        assert answer.code == 0, answer
        assert answer.err.count("are transparent") == 1
        assert f"transparency {how}" in answer.out
    contract = json.loads(here(*command, "--json", folder=tmp_path).out)["contract"]
    assert contract["transparency"] == how
    assert contract["hash"] == digest({name: value for name, value in contract.items() if name != "hash"})
    plain = here(
        "evaluate", "plain", "--reference", "plain", "--extractor", "Pixels", "--json", folder=tmp_path
    )
    assert "transparency" not in json.loads(plain.out)["contract"]


# Weights


def weights(kind: str, path: Path) -> None:
    whole = {"a": torch.arange(1000.0)}
    save_file(whole, path) if path.suffix == ".safetensors" else torch.save(whole, path)
    raw = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"hello", "cut": raw[:-900], "zeros": bytes(len(raw))}[kind])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("kind", ["empty", "text", "cut", "zeros"])
def test_weights_that_are_damaged(kind, suffix, tmp_path):
    path = tmp_path / f"w{suffix}"
    weights(kind, path)
    with within(10), pytest.raises(Refused) as error:
        read_weights(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "state", [{1: torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1), {"a": {"b": torch.zeros(1)}}, None]
)
def test_weights_that_are_no_state(state, tmp_path):
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(Refused):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_that_were_garbled_anywhere(suffix, tmp_path):
    path, source = tmp_path / f"w{suffix}", np.random.default_rng(0)
    whole = {"a": torch.arange(100.0), "b": torch.ones(3, 4)}
    save_file(whole, path) if suffix == ".safetensors" else torch.save(whole, path)
    raw = path.read_bytes()
    for _ in range(100):
        garbled = bytearray(raw)
        for place in source.integers(0, len(raw), 3):
            garbled[place] = source.integers(256)
        path.write_bytes(garbled)
        with within(10):
            try:
                assert all(isinstance(value, torch.Tensor) for value in read_weights(path).values())
            except Refused as error:
                assert 1 <= len(str(error).splitlines()) <= 3  # noqa: PT017


def test_a_large_picture_is_no_harm(tmp_path):
    content = io.BytesIO()
    Image.new("1", (11_000, 11_000)).save(content, "PNG")
    path = folder(tmp_path / "in", {"a.png": content.getvalue()})
    with pytest.raises(Refused, match="would fill the memory"):
        list(GivenImages(path).batches())


@pytest.mark.parametrize(
    "name",
    ["nope.zip", "nope.npz", "nope.yaml", "nope/folder", "a circle", "a pipe", "x" * 300 + ".zip", "no.yaml"],
)
def test_a_reference_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a circle").symlink_to("a circle")
    os.mkfifo(tmp_path / "a pipe")
    (tmp_path / "no.yaml").write_text("- 1\n")
    (tmp_path / "images").mkdir()
    for number in range(2):
        Image.new("L", (8, 8), number).save(tmp_path / "images" / f"{number}.png")
    answer = here("evaluate", "images", "--reference", name, "--extractor", "Pixels", folder=tmp_path)
    assert answer.code == 2, answer
    assert "reference" in answer.err or "cannot be read" in answer.err
    assert len(answer.err.splitlines()) <= 3
