"""Gatys's style and content against torchvision's network with random weights: no number here is a score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_scores import Halved, Judge, Repeat
from torch import Tensor
from torch.nn.functional import relu
from torchvision.models.vgg import cfgs, make_layers
from torchvision.transforms.functional import normalize

from ganlab.callbacks import Evaluation
from ganlab.errors import Refused
from ganlab.metrics import VGGContent, VGGStyle, vgg
from ganlab.metrics.extractors.extractor import file_digest
from ganlab.metrics.names import measured
from ganlab.testing import new, play
from ganlab.variants import HingeGAN

NARROW = 16  # times narrower than VGG-19
SHAPE = (3, 24, 20)


def theirs() -> torch.nn.Sequential:
    torch.manual_seed(0)
    widths: list[Any] = [each if each == "M" else each // NARROW for each in cfgs["E"]]
    return make_layers(widths).eval()


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """In the form of the published file, which has a classifier behind the features."""
    state = {f"features.{name}": tensor for name, tensor in theirs().state_dict().items()}
    torch.save({**state, "classifier.0.bias": torch.zeros(4)}, tmp_path / "vgg19.pth")
    return str(tmp_path / "vgg19.pth")


def noise(count: int, *shape: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, *shape), dtype=torch.uint8, generator=source)


def maps(pictures: Tensor, convolution: int) -> np.ndarray:
    """Behind the ReLU of torchvision's convolution of that number: pictures x channels x places."""
    network, colours = theirs(), pictures.float() / 255
    passed = normalize(colours, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for part in network:
        passed = part(passed)
        convolution -= isinstance(part, torch.nn.Conv2d)
        if convolution == 0:
            return relu(passed).flatten(2).detach().double().numpy()
    raise AssertionError


def style(score: VGGStyle, real: Tensor, fake: Tensor) -> float:
    (distance,) = score.compare(score.count(real), score.count(fake))
    return distance


def test_the_style_of_two_pictures_is_the_papers(weights: str) -> None:
    real, fake = noise(1, *SHAPE), noise(1, *SHAPE, seed=1) // 2
    errors = []
    for convolution in (1, 3, 5, 9, 13):
        (one,), (other,) = maps(real, convolution), maps(fake, convolution)
        channels, places = one.shape
        error = ((one @ one.T - other @ other.T) ** 2).sum()
        errors.append(error / (4 * channels**2 * places**2))
    assert style(VGGStyle(weights=weights), real, fake) == pytest.approx(np.mean(errors), rel=1e-4)


def test_the_style_of_a_set_is_the_mean_of_its_gram_matrices(weights: str) -> None:
    score = VGGStyle(layers=["conv2_2"], weights=weights)
    sides = noise(9, *SHAPE), noise(6, *SHAPE, seed=1) // 2
    grams = [np.mean([each @ each.T / each.shape[1] for each in maps(side, 4)], axis=0) for side in sides]
    expected = ((grams[0] - grams[1]) ** 2).sum() / (4 * len(grams[0]) ** 2)
    assert style(score, *sides) == pytest.approx(expected, rel=1e-4)
    portions = score.count(sides[0][:5]) + score.count(sides[0][5:])
    assert torch.allclose(portions, score.count(sides[0]))


def test_content_is_the_papers_for_each_pair(weights: str) -> None:
    made, source = noise(6, *SHAPE), noise(6, *SHAPE, seed=1)
    expected = ((maps(made, 10) - maps(source, 10)) ** 2).mean((1, 2)) / 2
    values = VGGContent(weights=weights).compare(made, (made, source))
    assert values.tolist() == pytest.approx(expected, rel=1e-4)


def test_equal_pictures_have_no_distance(weights: str) -> None:
    pictures = noise(5, *SHAPE)
    assert style(VGGStyle(weights=weights), pictures, pictures) == 0
    assert VGGContent(weights=weights).compare(pictures, (pictures, pictures)).tolist() == [0.0] * 5


def test_shuffled_pixels_keep_style_and_lose_content_if_none_sees_its_neighbours(tmp_path: Path) -> None:
    """By filters that are 0 everywhere but in their middle."""
    centre = torch.zeros(3, 3)
    centre[1, 1] = 1
    state = {
        f"features.{name}": tensor * centre if tensor.ndim > 1 else tensor
        for name, tensor in theirs().state_dict().items()
    }
    torch.save(state, tmp_path / "centres.pth")
    made, order = noise(3, *SHAPE), torch.randperm(24 * 20, generator=torch.Generator().manual_seed(0))
    shuffled = made.flatten(2)[..., order].view_as(made)
    how: dict[str, Any] = {"layers": ["conv1_1", "conv1_2"], "weights": str(tmp_path / "centres.pth")}
    kept, lost = style(VGGStyle(**how), made, shuffled), style(VGGStyle(**how), made, made // 2)
    assert kept < 1e-9 < lost
    assert VGGContent(**how).compare(shuffled, (made, made)).min() > 1e-3


def test_grey_is_three_equal_channels(weights: str) -> None:
    grey = noise(3, 1, 16, 16)
    assert style(VGGStyle(weights=weights), grey, grey.expand(-1, 3, -1, -1)) == 0


def test_a_run_is_scored_and_its_contract_tells_weights_layers_and_direction(
    weights: str, tmp_path: Path
) -> None:
    game = new(HingeGAN, generator=Repeat(), discriminator=Judge(), conditional=True)
    scores = VGGStyle(["conv1_1", "conv3_1"], weights), VGGContent(["conv2_1"], weights)
    play(game, Halved(), steps=1, callbacks=[Evaluation(scores=scores)], default_root_dir=tmp_path)
    row = json.loads((tmp_path / "scores.jsonl").read_text())
    assert row["scores"].keys() == {"vgg_style30_custom", "vgg_content30_custom"}
    assert row["scores"]["vgg_content30_custom"] == 0, "it makes the source again"
    assert row["scores"]["vgg_style30_custom"] > 0
    own = row["contract"]["parameters"]["vgg_style_custom"]
    assert (own["layers"], own["weights"]) == (["conv1_1", "conv3_1"], file_digest(Path(weights)))
    known = measured("vgg_style30_custom", row["contract"])
    assert known
    assert (known.value.better, known.value.scale) == ("min", "log")


@pytest.mark.parametrize("kind", [VGGStyle, VGGContent])
def test_weights_are_found_by_a_variable_or_in_torch_hubs_folder(
    kind: type, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(vgg.PUBLISHED.variable, raising=False)
    with pytest.raises(Refused) as refused:
        kind()
    for place in ("$GANLAB_VGG19_WEIGHTS", "hub/checkpoints/vgg19-dcbb9e9d.pth", vgg.PUBLISHED.url):
        assert place in str(refused.value)
    monkeypatch.setenv(vgg.PUBLISHED.variable, weights)
    assert kind().suffix == "_custom"
    digest = file_digest(Path(weights))
    monkeypatch.setattr(vgg, "PUBLISHED", vgg.PUBLISHED._replace(sha256=digest[:8]))
    assert kind().suffix == ""


def test_building_it_leaves_the_global_generator_alone(weights: str) -> None:
    before = torch.random.get_rng_state()
    VGGStyle(weights=weights)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_it_cannot_be_is_refused(weights: str, tmp_path: Path) -> None:
    state = torch.load(weights)
    torch.save({name: tensor for name, tensor in state.items() if ".5." not in name}, tmp_path / "less.pth")
    with pytest.raises(Refused, match="does not hold the weights of VGG-19"):
        VGGStyle(weights=str(tmp_path / "less.pth"))
    for layers in (["conv6_1"], []):
        with pytest.raises(Refused, match=r"no such layers as .*\n.*conv4_2"):
            VGGContent(layers, weights)
    with pytest.raises(Refused, match="of 16 x 16 pixels or more"):
        VGGStyle(weights=weights).count(noise(1, 3, 15, 40))
    with pytest.raises(Refused, match=r"not torch\.float32"):
        VGGStyle(weights=weights).count(torch.zeros(2, 2))
