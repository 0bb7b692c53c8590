"""`ganlab list --networks`: the sizes of networks, by hand and by torch."""

import json
from pathlib import Path

import pytest
import torch
from command_line import here
from torch import nn

from ganlab import networks
from ganlab.cli.network_sizes import sizes
from ganlab.media import Pictures
from ganlab.networks import MLPDiscriminator, MLPGenerator, UNetGenerator

MADE_OF_OTHERS = {
    "AroundHole",
    "Composited",
    *("Heads", "MultiScale", "Packed", "Pretrained", "RandomProjection", "Several", "SharedTrunk"),
    *("MoCoGANGenerator", "RandomFrames", "Rebuilding"),
    "ToldSteps",
}


def test_the_sizes_of_a_known_network() -> None:
    found = sizes((1, 2, 3))["MLPDiscriminator"]
    assert found["operations"] == 2 * (6 * 256 + 256 * 256 + 256)
    assert found["parameters"] == 6 * 256 + 256 + 256 * 256 + 256 + 256 + 1


def test_a_convolution_counts_two_for_each_weight_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Halved(nn.Conv2d):
        def __init__(self, *, shape: tuple[int, ...]) -> None:
            super().__init__(shape[0], 5, 4, stride=2, padding=1)

    monkeypatch.setattr(networks, "Halved", Halved, raising=False)
    monkeypatch.setattr(networks, "__all__", ["Halved"])
    assert sizes((3, 8, 6)) == {
        "Halved": {"parameters": 3 * 5 * 16 + 5, "operations": 2 * 3 * 5 * 16 * (4 * 3)}
    }


@pytest.mark.slow
def test_all_networks_are_there_or_say_why_they_are_not() -> None:
    of_all = {shape: sizes(shape) for shape in ((3, 32, 32), (5, 8), (1, 1024), (8, 1, 32, 32), (2,))}
    for of_shape in of_all.values():
        assert of_shape.keys() == {*networks.__all__} - MADE_OF_OTHERS
        for name, size in of_shape.items():
            if "refused" not in size:
                assert size["parameters"] > 0, name
                assert size["operations"] > size["parameters"] / 10, name
    pictures, lines, sounds, clips, points = (
        {name for name, size in of_shape.items() if "refused" not in size} for of_shape in of_all.values()
    )
    assert points == {MLPGenerator.__name__, MLPDiscriminator.__name__}
    assert lines - points == {name for name in networks.__all__ if name.startswith(("GRU", "Text"))}
    assert sounds - lines == {"WaveGANDiscriminator", "WaveGANGenerator"}
    assert clips - points == {"ClipDiscriminator"}
    assert pictures - points == {*networks.__all__} - MADE_OF_OTHERS - sounds - clips
    with torch.device("meta"):
        unet = UNetGenerator(shape=(3, 32, 32), condition=Pictures((3, 32, 32)))
    assert of_all[3, 32, 32]["UNetGenerator"]["parameters"] == sum(each.numel() for each in unet.parameters())


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    listed = json.loads(here("list", "--networks", "--shape", "2", "--json", folder=tmp_path).out)
    assert listed == {"shape": [2], "networks": sizes((2,))}
    table = here("list", "--networks", "--shape", "2", folder=tmp_path)
    assert table.code == 0
    assert "66,817" in table.out
    assert all(name in table.out for name in listed["networks"])
    assert here("list", "--networks", "--shape", "3,a", folder=tmp_path).code == 2
