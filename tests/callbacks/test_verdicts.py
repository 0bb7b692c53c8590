"""Verdicts on whole runs, as `python scripts/verdicts.py` makes them: wrong by design, and healthy ones."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from later import seldom

SCRIPT = Path(__file__).parents[2] / "scripts" / "verdicts.py"
KINDS = {
    "generator's rate 0": "not learning",
    "both rates 0": "not learning",
    "discriminator's rate x 1000": "finished, far from the floor",
    "discriminator's rate x 1000, non-saturating loss": "diverged",
    "generator frozen after 200 steps": "not learning",
    "ten training images, whatever the latent": "collapsed to about 10 distinct samples",
    "all training images, whatever the latent": "memorising",
    "one image, whatever the latent": "collapsed to about 1 distinct sample",
    "one class only": "finished, far from the floor",
    "modes lost at step 500": "collapsed to about 27 distinct samples at 32 k images (samples differ less",
    "the discriminator wins: its rate x 20, minimax loss": "not learning",
    "average broken at step 500": "diverged at 32 k images (samples move away",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verdicts", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.evidence
@pytest.mark.parametrize("name", ["R3GAN, digits, seed 0", "density alone, seed 0"])
def test_a_run_whose_fid_falls_while_density_falls_goes_on_to_its_end(name: str, script: ModuleType) -> None:
    content, ended = script.verdict_on(script.HEALTHY[name](), 1000)
    assert (ended, content["alarms"], content["collapsed"]) == (1000, [], False)
    assert content["verdict"].startswith("finished, far from the floor")


@pytest.mark.parametrize(
    "name",
    seldom(["generator frozen after 200 steps", "modes lost at step 500"], ["modes lost at step 500"]),
)
def test_a_run_that_goes_wrong_half_way_is_named(name: str, script: ModuleType) -> None:
    content, _ = script.verdict_on(script.WRONG[name](), 1000)
    assert content["collapsed"]
    assert content["verdict"].startswith(KINDS[name])


@pytest.mark.evidence
def test_every_run_is_called_what_it_is_and_no_healthy_one_raises_an_alarm(script: ModuleType) -> None:
    results = script.table([], 1000, 2, None)
    for name, kind in KINDS.items():
        assert results[name][0]["verdict"].startswith(kind), name
    sound = [results[name] for name in script.HEALTHY if name in results]
    assert len(sound) >= 20
    assert all(not content["alarms"] and ended == 1000 for content, ended in sound)
