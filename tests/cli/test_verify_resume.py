"""`ganlab verify-resume` finds state that a checkpoint lacks, and training that is not deterministic."""

from pathlib import Path

import pytest
from command_line import SMALL, here, write
from later import seldom

HONEST = "from ganlab.variants import R3GAN\n\nclass Mine(R3GAN):\n    pass\n"
# Its state is an attribute that is in no checkpoint.
FORGETFUL = """\
from ganlab.variants import R3GAN

class Mine(R3GAN):
    turns = 0

    def penalties(self, turn):
        self.turns += 1
        drift = 1e-3 * self.turns * turn.real_logits.square().mean()
        return super().penalties(turn) | {"drift": drift}
"""
# Draws random numbers that no seed determines.
ERRATIC = """\
import os
from ganlab.variants import R3GAN

class Mine(R3GAN):
    def penalties(self, turn):
        noise = os.urandom(1)[0] * turn.real_logits.square().mean()
        return super().penalties(turn) | {"noise": noise}
"""

pytestmark = pytest.mark.timeout(600)


def verify(folder: Path, module: str, *options: str) -> tuple[int, str]:
    (folder / "my_game.py").write_text(module)
    write(folder, SMALL.replace("R3GAN", "my_game.Mine"), "mine.yaml")
    answer = here("verify-resume", "--config", "mine.yaml", *options, folder=folder)
    assert "Traceback" not in answer.err, answer.err
    assert not (folder / "runs").exists(), "it leaves nothing behind"
    return answer.code, answer.out + answer.err


@pytest.mark.parametrize("devices", seldom(["1", "2"], slow=["1"]))
def test_what_resumes_exactly_is_told_so(devices: str, tmp_path: Path) -> None:
    code, output = verify(tmp_path, HONEST, "--trainer.devices", devices, "--steps", "60")
    assert code == 0, output
    assert "straight, twice" in output
    assert "to the last bit" in output


@pytest.mark.slow
def test_what_a_checkpoint_lacks_is_found(tmp_path: Path) -> None:
    code, output = verify(tmp_path, FORGETFUL, "--steps", "60")
    assert code == 1, output
    assert "straight, twice" in output
    assert "and resumed, the run differs: state_dict." in output


@pytest.mark.slow
def test_resuming_is_not_blamed_for_what_never_repeats_itself(tmp_path: Path) -> None:
    code, output = verify(tmp_path, ERRATIC)
    assert code == 1, output
    assert "Two straight runs differ" in output
    assert "Not even --trainer.deterministic true helps" in output


@pytest.mark.slow
def test_what_does_not_train_is_told_in_its_own_words(tmp_path: Path) -> None:
    code, output = verify(tmp_path, HONEST, "--model.accumulation", "3")
    assert code == 2, output
    assert "cannot be cut into 6 equal parts" in output
    assert verify(tmp_path, HONEST, "--steps", "2")[0] == 2
