"""Runs with many regularisers at once, by the command."""

from pathlib import Path

import pytest
import torch
import yaml
from command_line import SMALL, here
from regularised_games import AT_ONCE, NAMES

import ganlab


# CHAIN judges by chance, which ApproximatedPenalty refuses.
@pytest.mark.slow
@pytest.mark.parametrize("names", [[n for n in NAMES if n != "CHAIN"], ["ADA", "CHAIN"]], ids=len)
def test_it_is_loaded_and_exported(names: list[str], tmp_path: Path) -> None:
    file, settings = tmp_path / "all.yaml", yaml.safe_load(SMALL)
    model = settings["model"]
    model["class_path"] = "HingeGAN"
    model["init_args"]["discriminator"] = {
        "class_path": "DCGANDiscriminator",
        "init_args": {"width": 4, "normalization": "none"},
    }
    model["init_args"]["regularisers"] = [
        {"class_path": name, "init_args": AT_ONCE.get(name, {})} for name in names
    ]
    file.write_text(yaml.safe_dump(settings))
    answer = here("fit", "--config", file, "--runs", tmp_path / "runs", folder=tmp_path)
    assert answer.code == 0, answer.err
    (run,) = (tmp_path / "runs" / "digits" / "all").iterdir()
    game = ganlab.load(run)
    assert [type(each).__name__ for each in game.regularisers] == names
    assert float(game.regularisers[names.index("ADA")].overfitting.strength) > 0
    exported = here("export", run, "--out", tmp_path / "exported", folder=tmp_path)
    assert exported.code == 0, exported.err
    assert torch.equal(ganlab.load(tmp_path / "exported").sample(3, seed=0), game.sample(3, seed=0))
