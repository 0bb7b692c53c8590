"""What samples are told: labels and items, the same wherever a sample is drawn."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganlab.data import Digits
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.game.conditions import ItemsOfSplit, LabelFrequencies
from ganlab.game.gan import GAN
from ganlab.media import Labels, Pictures
from ganlab.metrics import Pixels
from ganlab.metrics.reference import contract_of
from ganlab.metrics.scorer import Scorer
from ganlab.networks import DCGANDiscriminator, DCGANGenerator, Heads, RandomProjection, SharedTrunk
from ganlab.sampling.plan import fake_batches
from ganlab.testing import SHAPE, Discriminator, Generator, SpeckPairs, Specks, conformance, new, play
from ganlab.variants import HingeGAN


class Shades(nn.Module):
    """A generator whose samples are their labels' shades."""

    def __init__(self) -> None:
        super().__init__()
        self.shade = nn.Parameter(torch.zeros(1))
        self.noise = nn.Parameter(torch.zeros(1))

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        shades = label / 10 + self.shade + self.noise * latent[:, 0]
        return shades[:, None, None, None].expand(-1, *SHAPE)


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64 + 3, 1)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        return self.layer(torch.cat([images.flatten(1), one_hot(label, 3).to(images.dtype)], 1)).squeeze(1)


def labelled(**arguments: Any) -> GAN:
    torch.manual_seed(0)
    players = {"generator": Shades(), "discriminator": Judge()}
    return new(HingeGAN, **{**players, "conditional": True, **arguments})


def labels_of(samples: Tensor) -> list[int]:
    return (samples[:, 0, 0, 0] * 10).round().long().tolist()


def told(game: GAN, data: StreamData | None = None) -> GAN:
    data = data or Specks()
    data.setup("fit")
    game.meet(data)
    return game


def test_labels_come_as_often_as_in_the_training_split() -> None:
    counts = [1, 0, 5, 4]
    _, labels = LabelFrequencies(counts).batch(torch.arange(20_000), seed=0)
    shares = labels.bincount(minlength=4) / 20_000
    assert shares.tolist() == pytest.approx([0.1, 0.0, 0.5, 0.4], abs=0.01)
    _, others = LabelFrequencies(counts).batch(torch.arange(20_000), seed=1)
    assert (labels != others).float().mean() > 0.3


def test_a_samples_condition_follows_from_its_seed_and_number_alone() -> None:
    game = told(labelled())
    many = labels_of(game.sample(700, seed=4))
    assert len({*many}) == 3
    for at, count in ((0, 5), (3, 130), (249, 2), (600, 100)):
        assert labels_of(game.sample(count, seed=4, at=at)) == many[at : at + count]
        assert labels_of(game.sample(count, seed=4, at=at, whole=True)) == many[at : at + count]
    batches = torch.cat([pictures for _, pictures in fake_batches(game, 700, 4)])
    shades = Pictures(SHAPE).stored(torch.tensor(many)[:, None, None, None] / 10)
    assert torch.equal(batches[:, :1, :1, :1], shades)


def test_classes_are_given_by_number_or_name_and_repeated_in_turn() -> None:
    game = told(labelled())
    assert labels_of(game.sample(5, seed=0, classes=[2])) == [2] * 5
    assert labels_of(game.sample(5, seed=0, classes=[2, 0])) == [2, 0, 2, 0, 2]
    game.media = (game.media[0], Labels(3, ("ant", "bee", "cat")))
    assert labels_of(game.sample(3, seed=0, classes=["cat", "bee"])) == [2, 1, 2]
    for wrong in (3, -1, "dog"):
        with pytest.raises(Refused, match="There is no class"):
            game.sample(2, seed=0, classes=[wrong])


@pytest.mark.parametrize(("player", "takes"), [("generator", "latents"), ("discriminator", "images")])
def test_a_network_that_takes_no_condition_is_refused_before_the_first_step(player: str, takes: str) -> None:
    network = {"generator": Generator, "discriminator": Discriminator}[player]()
    with pytest.raises(Refused, match=f"takes {takes} and no condition.*\n.*another {player}"):
        play(labelled(**{player: network}), steps=1)


class Untold(Discriminator):
    def __init__(self, *, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.logit = nn.Linear(1, 1)


@pytest.mark.parametrize("wrapping", [partial(Heads, heads={"code": 2}), SharedTrunk, RandomProjection])
def test_a_network_that_wraps_one_without_a_condition_is_refused(wrapping: Any) -> None:
    with pytest.raises(Refused, match="Untold takes images and no condition"):
        play(labelled(discriminator=wrapping(shape=SHAPE, network=Untold)), steps=1)


def test_a_game_that_tells_nothing_refuses_classes() -> None:
    with pytest.raises(Refused, match="tells its networks nothing"):
        new(HingeGAN).sample(2, seed=0, classes=[1])


class Bright(nn.Module):
    """A generator whose samples are twice their source."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.Parameter(torch.zeros(1))

    def forward(self, latent: Tensor, source: Tensor) -> Tensor:
        return 2 * source + 1 + self.noise * latent[:, :1, None, None]


class JudgeOfPairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2 * 64, 1)

    def forward(self, images: Tensor, source: Tensor) -> Tensor:
        return self.layer(torch.cat([images, source], 1).flatten(1)).squeeze(1)


def paired() -> GAN:
    torch.manual_seed(0)
    return labelled(generator=Bright(), discriminator=JudgeOfPairs())


@pytest.mark.parametrize(("held_out", "rule"), [(12, "items of held_out"), (0, "training items")])
def test_sample_i_is_made_of_item_i(held_out: int, rule: str) -> None:
    data = SpeckPairs(held_out=held_out)
    game = told(paired(), data)
    assert game.condition_rule == rule
    sources = data.splits.train[torch.arange(12)][1]
    made = game.sample(12, seed=0)
    assert torch.equal(made, 2 * Pictures(SHAPE).played(sources) + 1)
    assert torch.equal(game.sample(3, seed=9, at=4), made[4:7])
    assert torch.equal(game.sample(12, seed=0, whole=True), made)
    assert torch.equal(game.sample(2, seed=0, given=sources[5:7]), made[5:7])
    with pytest.raises(Refused, match="there is none for sample 39"):
        game.sample(40, seed=0)


class FromTheReal(HingeGAN):
    """Takes its condition from the pictures themselves."""

    def condition(self, batch: Any) -> Any:
        return batch[0] / 2


class OfItsOwn(HingeGAN):
    """Takes its condition from labels, by a method of its own."""

    def condition(self, batch: Any) -> Any:
        return 2 - batch[1]


def test_a_condition_of_a_variants_own_comes_from_labels_or_from_items() -> None:
    items = told(new(FromTheReal, generator=Bright(), discriminator=JudgeOfPairs()))
    assert isinstance(items.conditions, ItemsOfSplit)
    assert items.sample(3, seed=0).shape == (3, *SHAPE)
    labels = told(new(OfItsOwn, generator=Shades(), discriminator=Judge()))
    assert isinstance(labels.conditions, LabelFrequencies)
    assert labels_of(labels.sample(2, seed=0, classes=[0])) == [2, 2]
    assert told(new(HingeGAN)).conditions is None


test_a_labelled_game_conforms = conformance(HingeGAN, conditional=True, generator=Shades, discriminator=Judge)
test_a_game_of_pairs_conforms = conformance(
    HingeGAN, SpeckPairs, conditional=True, generator=Bright, discriminator=JudgeOfPairs
)
DIGIT: dict[str, Any] = {"shape": (1, 8, 8), "condition": Labels(10), "width": 4}
test_a_game_of_labelled_digits_conforms = conformance(
    HingeGAN,
    partial(Digits, size=8, batch_size=8),
    conditional=True,
    generator=partial(DCGANGenerator, **DIGIT, latent_size=8),
    discriminator=partial(DCGANDiscriminator, **DIGIT, normalization="spectral"),
)


@pytest.mark.parametrize("build", [labelled, paired])
def test_a_resumed_run_draws_what_the_straight_one_draws(build: Any, tmp_path: Path) -> None:
    data = Specks if build is labelled else SpeckPairs
    straight, resumed = build(), build()
    play(straight, data(), steps=6)
    play(build(), data(), steps=3).save_checkpoint(tmp_path / "half.ckpt")
    play(resumed, data(), steps=6, resume=tmp_path / "half.ckpt")
    assert torch.equal(straight.sample(9, seed=1), resumed.sample(9, seed=1))


def test_a_checkpoint_holds_frequencies_of_labels_and_no_items(tmp_path: Path) -> None:
    for build, data, held in ((labelled, Specks(), {"counts", "rule"}), (paired, SpeckPairs(), None)):
        play(build(), data, steps=1).save_checkpoint(tmp_path / "one.ckpt")
        content = torch.load(tmp_path / "one.ckpt", weights_only=True)["conditions"]
        assert (content and content.keys()) == held
    counts = {"counts": [13, 12, 12], "rule": "labels of train"}
    assert LabelFrequencies.rebuilt(counts).counts == [13, 12, 12]  # type: ignore[union-attr]
    for garbled in (None, 5, {}, {"counts": 3}, {"counts": []}, {"counts": [1, "a"]}, {"counts": [0, 0]}):
        assert LabelFrequencies.rebuilt(garbled) is None
    for garbled in ({"counts": [float("nan"), 1]}, {"counts": [-1, 2]}, {"counts": [1e400]}):
        assert LabelFrequencies.rebuilt(garbled) is None


def test_a_contract_tells_where_conditions_come_from_and_others_keep_their_hash() -> None:
    scorer, data = Scorer(Pixels(), ("fid",), 100), Specks()
    plain = contract_of(scorer, data, "train", fakes="ema", seed=0)
    told_labels = contract_of(scorer, data, "train", fakes="ema", seed=0, conditions="labels of train")
    assert "conditions" not in plain.plain()
    assert plain.hash != told_labels.hash
    assert str(told_labels).endswith(" · told labels of train")


def test_only_a_game_that_is_told_labels_is_told_a_class() -> None:
    data = Specks()
    data.setup("fit")
    for variant, known in ((HingeGAN, True), (FromTheReal, False)):
        game = new(variant, conditional=known)
        game.meet(data)
        assert (game.told_classes(torch.arange(2), seed=0) is not None) == known
