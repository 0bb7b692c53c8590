"""What must fail late in a run is tried on two samples before its first step, and leaves no trace."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn

from ganlab.callbacks import Preflight
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.testing import Generator, Specks, assert_same, new, play, state
from ganlab.training.trainer import Trainer
from ganlab.variants import HingeGAN


class Counted(Callback):
    steps = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps += 1


class FailsWhenSampled(HingeGAN):
    def fake(self, generator: nn.Module, latent: Tensor, condition: Any) -> Any:
        if not generator.training:
            raise RuntimeError("no samples from this one")
        return super().fake(generator, latent, condition)


class OddReals(HingeGAN):
    def real(self, batch: Any) -> Any:
        if len(batch[0]) > 8:
            raise RuntimeError("no reals from this one")
        return super().real(batch)


class KeepsAnObject(Callback):
    def state_dict(self) -> dict[str, Any]:
        return {"kept": Path}


@pytest.mark.parametrize(
    ("variant", "callbacks", "error", "words"),
    [
        (FailsWhenSampled, [], RuntimeError, "no samples from this one"),
        (OddReals, [], RuntimeError, "no reals from this one"),
        (HingeGAN, [KeepsAnObject()], Refused, "could not be loaded again"),
    ],
)
def test_what_would_fail_later_fails_before_the_first_step(
    variant: type[GAN], callbacks: list[Callback], error: type[Exception], words: str, tmp_path: Path
) -> None:
    counted = Counted()
    settings: Any = {"callbacks": [Preflight(), counted, *callbacks], "default_root_dir": tmp_path}
    with pytest.raises(error, match=words):
        play(new(variant), steps=3, **settings)
    assert counted.steps == 0
    assert [*tmp_path.iterdir()] == []


class Noisy(nn.Module):
    """Draws numbers of its own, even when samples are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Generator()

    def forward(self, latent: Tensor) -> Tensor:
        return self.network(latent + 0.1 * torch.randn_like(latent))


@pytest.mark.parametrize("generator", [Generator, Noisy])
def test_training_is_what_it_is_without_a_trial(generator: type[nn.Module], tmp_path: Path) -> None:
    states = []
    for callbacks in ([], [Preflight()]):
        torch.manual_seed(0)
        game = new(HingeGAN, generator=generator())
        torch.manual_seed(5)
        trainer = play(game, Specks(), steps=4, callbacks=callbacks, default_root_dir=tmp_path)
        states.append(state(game, trainer) | {"drawn": torch.rand(3)})
    assert_same(*states, what="the run with a trial before it")


def test_a_checkpoint_without_room_stops_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where other processes wait for it to be written."""
    met: list[str] = []

    def no_room(self: Trainer, path: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Trainer, "save_checkpoint", no_room)
    monkeypatch.setattr(SingleDeviceStrategy, "barrier", lambda self, name=None: met.append(str(name)))
    play(new(HingeGAN), steps=1, callbacks=[Preflight()], default_root_dir=tmp_path)
    assert "Trainer.save_checkpoint" in met
