"""Buffers that differ by process; two processes for real: tests/runs/test_resume.py and test_strategy.py."""

from pathlib import Path
from typing import Any

import pytest
import torch
from plain_games import Pooled, plain

from ganlab.errors import Refused
from ganlab.game import per_process
from ganlab.game.gan import GAN
from ganlab.game.terms import NonFiniteError
from ganlab.testing import assert_same, play, state
from ganlab.variants import HingeGAN


def saved(game: GAN, folder: Path) -> dict[str, Any]:
    play(game, steps=2).save_checkpoint(folder / "saved.ckpt")
    return torch.load(folder / "saved.ckpt", weights_only=True)


def named(*names: str) -> GAN:
    return plain(type("Named", (Pooled,), {"per_process": names}))


@pytest.mark.parametrize("name", ["pol", "po", "pool.image", "generator.0.1.weight", "pool.images.0", ""])
def test_a_name_of_no_buffer_is_refused_before_the_first_step(name: str) -> None:
    game = named("pool", name)
    with pytest.raises(Refused, match=rf"Named.per_process names '{name}', which is neither") as refusal:
        play(game, steps=1)
    assert len(str(refusal.value).splitlines()) <= 3
    assert int(game.pool.stored) == 0


@pytest.mark.parametrize("names", [("pool",), ("pool.stored",), ("pool.images", "skipped_steps")])
def test_a_checkpoint_holds_what_is_named(names: tuple[str, ...], tmp_path: Path) -> None:
    content = saved(named(*names), tmp_path)
    (kept,) = content["per_process"]
    every = {"pool": {"pool.images", "pool.stored"}}
    assert kept.keys() == set().union(*(every.get(name, {name}) for name in names))
    for name, value in kept.items():
        assert torch.equal(value, content["state_dict"][name])
        assert value.data_ptr() == content["state_dict"][name].data_ptr(), "the file holds it twice"


def test_a_checkpoint_of_a_game_that_names_nothing_has_no_such_part(tmp_path: Path) -> None:
    assert "per_process" not in saved(plain(HingeGAN), tmp_path)


def test_a_pool_in_one_process_is_resumed_exactly(tmp_path: Path) -> None:
    straight, resumed = (plain(Pooled, size=20, accumulation=2) for _ in range(2))
    expected = state(straight, play(straight, steps=7))
    play(plain(Pooled, size=20, accumulation=2), steps=4).save_checkpoint(tmp_path / "half.ckpt")
    trainer = play(resumed, steps=7, resume=tmp_path / "half.ckpt")
    assert_same(expected, state(resumed, trainer), what="the resumed run")


@pytest.mark.parametrize(
    ("processes", "dealt"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (5, [0, 1, 2, 0, 1])]
)
def test_what_three_processes_kept_is_dealt_in_order(
    processes: int, dealt: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    game = plain(Pooled)
    content = {
        "state_dict": game.state_dict(),
        "per_process": [{"pool.stored": torch.tensor(number)} for number in range(3)],
    }
    loaded = []
    for rank in range(processes):
        monkeypatch.setattr(GAN, "global_rank", rank)
        per_process.restore(game, content)
        loaded.append(int(content["state_dict"]["pool.stored"]))
    assert loaded == dealt


def test_a_bad_number_of_any_process_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everyones(own: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        return [own, {**own, "pool.images": torch.full_like(own["pool.images"], torch.nan)}]

    monkeypatch.setattr(per_process, "everyones", everyones)
    trainer = play(plain(Pooled), steps=1)
    with pytest.raises(NonFiniteError, match=r"'pool\.images of process 1'"):
        trainer.save_checkpoint(tmp_path / "bad.ckpt")
    assert not list(tmp_path.iterdir())
