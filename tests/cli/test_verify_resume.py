"""`ganlab verify-resume` believes nobody: it finds what a checkpoint lacks, and what no resume can mend."""

from pathlib import Path

import pytest
from command_line import SMALL, alone, write

HONEST = "from ganlab.variants import R3GAN\n\nclass Mine(R3GAN):\n    pass\n"
# Counts in an attribute that no checkpoint holds.
FORGETFUL = """\
from ganlab.variants import R3GAN

class Mine(R3GAN):
    turns = 0

    def penalties(self, turn):
        self.turns += 1
        return {"drift": 1e-3 * self.turns * turn.real_logits.square().mean()}
"""
# Draws what nobody seeded.
ERRATIC = """\
import os
from ganlab.variants import R3GAN

class Mine(R3GAN):
    def penalties(self, turn):
        return {"noise": os.urandom(1)[0] * turn.real_logits.square().mean()}
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def verified(folder: Path, module: str, *options: str) -> tuple[int, str]:
    (folder / "my_game.py").write_text(module)
    write(folder, SMALL.replace("R3GAN", "my_game.Mine"), "mine.yaml")
    answer = alone("verify-resume", "--config", "mine.yaml", *options, folder=folder)
    assert "Traceback" not in answer.err, answer.err
    assert not (folder / "runs").exists(), "it leaves nothing behind"
    return answer.code, answer.out + answer.err


def test_what_resumes_exactly_is_told_so(tmp_path: Path) -> None:
    code, told = verified(tmp_path, HONEST, "--trainer.devices", "2", "--steps", "60")
    assert code == 0, told
    assert "straight, twice" in told
    assert "to the last bit" in told


def test_what_a_checkpoint_lacks_is_found(tmp_path: Path) -> None:
    code, told = verified(tmp_path, FORGETFUL, "--steps", "60")
    assert code == 1, told
    assert "straight, twice" in told
    assert "and resumed, the run differs: state_dict." in told


def test_resuming_is_not_blamed_for_what_never_repeats_itself(tmp_path: Path) -> None:
    code, told = verified(tmp_path, ERRATIC)
    assert code == 1, told
    assert "Two straight runs differ" in told
    assert "Not even --trainer.deterministic true helps" in told


def test_what_does_not_train_is_told_in_its_own_words(tmp_path: Path) -> None:
    code, told = verified(tmp_path, HONEST, "--model.accumulation", "3")
    assert code == 2, told
    assert "cannot be cut into 6 equal parts" in told
    assert verified(tmp_path, HONEST, "--steps", "2")[0] == 2
