"""The classifiers of colour pictures: what they see, what they refuse, how they are trained."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ganlab.errors import Refused
from ganlab.metrics import ColourClassifier
from ganlab.metrics.extractors.colour_classifiers import FOLDER, ColourNet

REPOSITORY = Path(__file__).parents[2]
HERE = [*FOLDER.glob("*.safetensors")]


def script() -> dict[str, Any]:
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    try:
        import train_colour_extractors
    finally:
        sys.path.remove(str(REPOSITORY / "scripts"))
    return vars(train_colour_extractors)


def pictures(count: int, side: int = 64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("path", HERE, ids=lambda path: path.stem)
def test_the_weights_have_their_record_and_their_datas_licence(path: Path) -> None:
    extractor = ColourClassifier(path.stem)
    assert path.stat().st_size < 1_000_000
    assert extractor.record["sha256"] == script()["digest_of"](load_file(path))
    assert extractor.record["data"] in (FOLDER / "LICENCE.md").read_text()
    assert float(extractor.record["accuracy"]) > float(extractor.record["most_frequent"]) + 0.05
    assert extractor.suffix == f"_{path.stem}"
    assert ColourClassifier(str(path)).identity() == extractor.identity()


def test_it_gives_features_and_logits_of_each_kind_and_none_of_attributes() -> None:
    features, logits, _ = ColourClassifier("cats_vs_dogs")(pictures(3))
    assert logits is not None
    assert (features.shape, logits.shape) == ((3, 64), (3, 2))
    assert ColourClassifier("celeba")(pictures(3)).logits is None


def test_other_sizes_are_resized_and_a_grey_picture_is_one_of_three_equal_channels() -> None:
    extractor = ColourClassifier("cats_vs_dogs")
    large = pictures(2, 32).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert extractor(large).features.shape == (2, 64)
    grey = pictures(2)[:, :1]
    assert torch.equal(extractor(grey).features, extractor(grey.expand(-1, 3, -1, -1)).features)
    with pytest.raises(Refused, match="1 or 3 channels, not 4"):
        extractor(torch.zeros(1, 4, 64, 64, dtype=torch.uint8))


def test_weights_of_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no classifier of that name is here, but of .*cats_vs_dogs"):
        ColourClassifier("birds")
    save_file(ColourNet(2).state_dict(), tmp_path / "mine.safetensors")
    torch.save(ColourNet(2).state_dict(), tmp_path / "mine.pt")
    for path in tmp_path.iterdir():
        with pytest.raises(Refused, match=r"was not written by .* take the extractor Module"):
            ColourClassifier(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_it_is_trained_to_tell_kinds_or_attributes_with_standardised_features(several: bool) -> None:
    functions = script()
    labels = torch.arange(240) % 2
    images = (pictures(240) // 2) + (labels * 127).byte()[:, None, None, None]
    if several:
        labels = torch.stack([labels, labels, 1 - labels], 1)
    network = functions["train"](images, labels, 8)
    right, most = functions["accuracy"](network, images, labels)
    assert right > 0.95
    assert most == 0.5
    before = functions["seen"](network, images)[1]
    functions["standardise"](network, functions["seen"](network, images)[0])
    features, logits = functions["seen"](network, images)
    assert torch.allclose(logits, before, atol=1e-3)
    assert torch.allclose(features.mean(0), torch.zeros(64), atol=1e-3)
    assert torch.allclose(features.std(0), torch.ones(64), atol=1e-3)
