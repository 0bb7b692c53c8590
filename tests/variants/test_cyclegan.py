"""CycleGAN and NICE-GAN: their terms against known answers, and samples in both directions."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, run_folders
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import ganlab
from ganlab.data import Digits, Unpaired
from ganlab.errors import Refused
from ganlab.game.turn import Turn
from ganlab.metrics import L1
from ganlab.metrics.extractors.extractor import NoFeatures
from ganlab.metrics.scorer import Scorer
from ganlab.networks import Several
from ganlab.penalties import R1
from ganlab.sampling.plan import fake_batches, refuse_without_reals
from ganlab.testing import SHAPE, SpeckPairs, new, play
from ganlab.variants import NICEGAN, CycleGAN, Pix2Pix


class Plus(nn.Module):
    """Translates by adding a number."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(amount))

    def forward(self, latent: Tensor, source: Tensor) -> Tensor:
        return source + self.amount


class Mean(nn.Module):
    """Judges by the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return self.slope * images.flatten(1).mean(1)


def adding(there: float, back: float, **arguments: Any) -> CycleGAN:
    ways = {"there": partial(Plus, there), "back": partial(Plus, back)}
    players = {
        "generator": Several(networks=ways),
        "discriminator": Several(networks={"target": Mean, "source": Mean}),
    }
    game = new(CycleGAN, **players, **{"pool_size": 0, "latent_size": 0, **arguments})
    assert isinstance(game, CycleGAN)
    play(game, SpeckPairs(batch_size=4), steps=1)
    for way, amount in (("there", there), ("back", back)):
        game.generator[way].amount.data.fill_(amount)  # type: ignore[index]
    game.discriminator.requires_grad_(False)
    for critic in game.discriminator.networks.values():  # type: ignore[union-attr, operator]
        critic.slope.data.fill_(1.0)
    return game


def turn_of(game: CycleGAN, target: float, source: float) -> Turn:
    target_pictures, source_pictures = (torch.full((4, *SHAPE), value) for value in (target, source))
    draws = game._draws(0, 4)
    draws.restart(slice(0, 4))
    return Turn(game, (target_pictures, source_pictures), draws, generating=True, penalised=False)


def test_a_generators_terms_are_the_papers() -> None:
    game = adding(0.3, -0.1, cycle_weight=10.0, identity_weight=5.0)
    terms = game.generator_terms(turn_of(game, target=0.2, source=-0.5))
    # There and back, and back and there, a picture gains 0.3 - 0.1; each way alone adds what it adds.
    expected = {
        "cycle": 10 * (0.2 + 0.2),
        "identity": 5 * (0.3 + 0.1),
        "generator": (-0.5 + 0.3 - 1) ** 2 + (0.2 - 0.1 - 1) ** 2,
    }
    assert {name: pytest.approx(float(value), abs=1e-6) for name, value in terms.items()} == expected


def test_each_critic_judges_its_own_domain() -> None:
    game = adding(0.3, -0.1)
    turn = turn_of(game, target=0.2, source=-0.5)
    (term,) = game.discriminator_terms(turn).values()
    reals = (0.2 - 1) ** 2 + (-0.5 - 1) ** 2
    fakes = (-0.5 + 0.3) ** 2 + (0.2 - 0.1) ** 2
    assert float(term) == pytest.approx((reals + fakes) / 2, abs=1e-6)


def test_critics_are_shown_what_was_made_before() -> None:
    game = adding(0.0, 0.0, pool_size=4)
    for pool in game.pools.values():
        pool.stored.zero_()
    first, later = (turn_of(game, target=value, source=-value) for value in (0.1, 0.9))
    game.discriminator_terms(first)
    stored = {domain: set(pool.images.flatten(1)[:, 0].tolist()) for domain, pool in game.pools.items()}
    game.discriminator_terms(later)
    for domain, pool in game.pools.items():
        now = {round(value, 4) for value in pool.images.flatten(1)[:, 0].tolist()}
        assert now <= {0.1, -0.1, 0.9, -0.9}, domain
        assert stored[domain] & set(pool.images.flatten(1)[:, 0].tolist())


def test_samples_go_in_both_directions() -> None:
    game, sources = adding(0.3, -0.1), torch.zeros(2, *SHAPE)
    for direction, amount in (("there", 0.3), ("back", -0.1)):
        game.go(direction)
        made = game.sample(2, seed=0, raw=True, condition=sources)
        assert torch.allclose(made, torch.full_like(made, amount))
    with pytest.raises(Refused, match="goes there and back: no direction is 'up'"):
        game.go("up")


@pytest.mark.parametrize("direction", ["there", "back"])
def test_the_cycle_error_is_what_the_way_there_and_back_changes(direction: str) -> None:
    """Of every sample beside its own source, over several blocks; 0.3 - 0.1 is 25.5 of 255 levels."""
    game, data = adding(0.3, -0.1), Sources()
    game.go(direction)
    game.meet(data)
    scorer = Scorer(NoFeatures(), ("l1_cycle", L1(crop=1, of="cycle"), "l1_source"), 553)
    batches = [*fake_batches(game, 553, seed=0, scorer=scorer)]
    seen = scorer.observe(batches, 553)
    # Bytes are rounded on both ways: 38.25 levels there, 12.75 back.
    rounded = 38 - 13 if direction == "there" else -13 + 38
    assert set(seen.gathered["l1_cycle"].flatten().tolist()) == {float(rounded)}
    assert seen.gathered["l1_crop1_cycle"].shape == (553, 1)
    assert seen.gathered["l1_source"].max() > 30, "sources are no targets"
    assert game.direction == direction


class Sources(SpeckPairs):
    """Dark sources, each with a level of its own, that stay within the levels there are on both ways."""

    def load(self) -> tuple[Any, Any]:
        levels = (torch.arange(553) % 61 + 60).to(torch.uint8)
        columns = (levels.flip(0) // 3, levels)
        items = TensorDataset(*(column[:, None, None, None].expand(-1, *SHAPE) for column in columns))
        return items, items


def test_a_game_without_a_way_back_has_no_cycle_error() -> None:
    game = new(Pix2Pix)
    game.meet(SpeckPairs())
    with pytest.raises(Refused, match=r"l1_cycle needs a game that goes there and back[^$]*Pix2Pix goes one"):
        refuse_without_reals(Scorer(NoFeatures(), ("l1_cycle",), 4), game)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"conditional": False}, "leave conditional out"),
        ({"shape": None}, "needs their shape"),
        ({"penalty_terms": [R1()]}, "penalty_terms would reach one"),
    ],
    ids=["untold", "no shape", "penalised"],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        new(CycleGAN, **arguments)


@pytest.mark.parametrize("kind", [CycleGAN, NICEGAN])
@pytest.mark.parametrize(
    ("player", "names"), [("generator", "there and back"), ("discriminator", "target and source")]
)
def test_one_network_cannot_play_both_ways(kind: type[CycleGAN], player: str, names: str) -> None:
    with pytest.raises(Refused, match=f"plays with {names}, not with one Linear"):
        new(kind, **{player: nn.Linear(2, 2)})


def test_critics_without_an_encoder_have_none_to_share() -> None:
    critics = Several(networks={"target": Mean, "source": Mean})
    with pytest.raises(Refused, match="EncodingDiscriminators"):
        new(NICEGAN, discriminator=critics)


def test_a_generator_decodes_what_the_critic_of_its_sources_encodes() -> None:
    game = new(NICEGAN)
    for way, domain in (("there", "source"), ("back", "target")):
        assert game.generator[way].encoder is game.discriminator[domain].encoder  # type: ignore[index]
    critics = game.discriminator.networks.values()  # type: ignore[union-attr, operator]
    encoders = {id(p) for critic in critics for p in critic.encoder.parameters()}
    assert not encoders & {id(p) for p in game.learns("generator").values()}
    assert encoders <= {id(p) for p in game.learns("discriminator").values()}


CONFIG = """
model:
  class_path: CycleGAN
  init_args:
    generator:
      class_path: Several
      init_args:
        networks:
          there: &way {class_path: ResNetTranslator, init_args: {width: 4, blocks: 1}}
          back: *way
    discriminator:
      class_path: Several
      init_args:
        networks:
          target: &critic {class_path: PatchGANDiscriminator, init_args: {width: 4, layers: 1}}
          source: *critic
data:
  class_path: Unpaired
  init_args: {of: {class_path: Digits, init_args: {size: 8}}, source: 4, target: 9, batch_size: 8}
trainer: {max_steps: 2, accelerator: cpu}
evaluation: {extractor: Pixels, samples: 20}
"""


@pytest.mark.slow
def test_the_commands_score_and_draw_the_way_back(tmp_path: Path) -> None:
    (tmp_path / "cycle.yaml").write_text(CONFIG)
    assert here("fit", "--config", "cycle.yaml", folder=tmp_path).code == 0
    (run,) = run_folders(tmp_path)
    score = ("evaluate", run, "--samples", "20", "--scores", "fid,fid_source,l1_cycle", "--json")
    there, back = (here(*score, *more, folder=tmp_path) for more in ((), ("--direction", "back")))
    assert there.code == back.code == 0, (there, back)
    for answer in (there, back):
        values = {name: each["value"] for name, each in json.loads(answer.out)["scores"].items()}
        assert values.keys() == {"fid20_pixels", "fid20_source_pixels", "l1_20_cycle"}
        assert all(value > 0 for value in values.values())
    assert "direction" in back.out
    assert "direction" not in there.out
    assert (
        here("sample", run, "--direction", "back", "--out", "back.npz", "--count", "5", folder=tmp_path).code
        == 0
    )
    game = ganlab.load(run)
    data = Unpaired(of=Digits(size=8), source=4, target=9).turned()
    game.go("back")
    game.meet(data)
    drawn = game.medium(made := game.sample(5, seed=0)).stored(made)
    assert torch.equal(
        torch.from_numpy(next(iter(np.load(tmp_path / "back.npz").values()))).movedim(-1, 1), drawn
    )
    answer = here("sample", run, "--direction", "up", "--out", "up.png", folder=tmp_path)
    assert answer.code == 2
    assert "goes there and back" in answer.err
