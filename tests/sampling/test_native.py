"""`--native`: a user's own pictures in their own sizes, large ones in tiles without a seam."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn

from ganlab.errors import Refused
from ganlab.fidelity import L1
from ganlab.media import Pictures
from ganlab.networks import MLPDiscriminator, ResNetTranslator, SRResNetGenerator, UNetGenerator
from ganlab.sampling import native
from ganlab.sampling.write import Source
from ganlab.testing import new
from ganlab.variants import Restoration

LARGE, SMALL = (3, 32, 32), (3, 16, 16)


def source_of(generator: type[nn.Module], told: tuple[int, ...], **arguments: Any) -> Source:
    medium = Pictures(told)
    game = new(
        Restoration,
        generator=partial(generator, shape=LARGE, condition=medium, **arguments),
        discriminator=partial(MLPDiscriminator, shape=LARGE),
        fidelity=[L1()],
        latent_size=0,
        media=(Pictures(LARGE), medium),
    )
    return Source(game.eval(), raw=True)


ENLARGING = partial(source_of, SRResNetGenerator, SMALL, width=4, blocks=1)


def pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    folder.mkdir()
    source = np.random.default_rng(0)
    for number, (width, height) in enumerate(sizes):
        pixels = source.integers(256, size=(height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def made(source: Source, mine: Path, out: Path, told: tuple[int, ...]) -> list[np.ndarray]:
    assert native.to_folder(out, source, mine, Pictures(told)) == len([*mine.iterdir()])
    return [np.array(Image.open(path)).astype(int) for path in sorted(out.iterdir())]


def test_pictures_keep_their_own_size_and_name(tmp_path: Path) -> None:
    mine = pictures(tmp_path / "mine", (37, 21), (16, 16), (64, 40))
    enlarged = made(ENLARGING(), mine, tmp_path / "made", SMALL)
    assert [image.shape for image in enlarged] == [(42, 74, 3), (32, 32, 3), (80, 128, 3)]


def test_tiles_have_no_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, mine = ENLARGING(), pictures(tmp_path / "mine", (150, 90))
    (at_once,) = made(source, mine, tmp_path / "whole", SMALL)
    around = native.margin(source, Pictures(SMALL))
    assert around
    monkeypatch.setattr(native, "TILE", 32)
    (tiled,) = made(source, mine, tmp_path / "tiled", SMALL)
    assert abs(tiled - at_once).max() <= 1
    # The test can fail: with less around them, tiles differ where they meet.
    monkeypatch.setattr(native, "margin", lambda *_: 0)
    (seamed,) = made(source, mine, tmp_path / "seamed", SMALL)
    assert abs(seamed - at_once).max() > 8


def test_a_network_that_looks_at_the_whole_is_given_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(ResNetTranslator, LARGE, width=4, blocks=1)
    assert native.margin(source, Pictures(LARGE)) is None
    mine = pictures(tmp_path / "mine", (80, 48))
    (at_once,) = made(source, mine, tmp_path / "whole", LARGE)
    monkeypatch.setattr(native, "TILE", 32)
    (again,) = made(source, mine, tmp_path / "again", LARGE)
    assert np.array_equal(at_once, again)
    assert at_once.shape == (48, 80, 3)


def test_a_network_of_one_size_is_refused(tmp_path: Path) -> None:
    source = source_of(UNetGenerator, LARGE, width=4)
    with pytest.raises(Refused, match="leave\n--native out") as refusal:
        native.to_folder(tmp_path / "made", source, pictures(tmp_path / "mine", (40, 30)), Pictures(LARGE))
    assert len(str(refusal.value).splitlines()) <= 3
    assert not (tmp_path / "made").exists()


def test_a_picture_lies_beside_what_it_became(tmp_path: Path) -> None:
    source = ENLARGING()
    source.beside = True
    (both,) = made(source, pictures(tmp_path / "mine", (70, 64)), tmp_path / "both", SMALL)
    assert both.shape == (128, 2 * 140 + 2, 3)
