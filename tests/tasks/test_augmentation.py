"""Whether samples help a classifier: samples of known worth, and known answers of the words."""

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from ganlab.data import Digits
from ganlab.data.stream import labels_of
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.media import Pictures
from ganlab.tasks.augmentation import ARMS, Budget, accuracies, mover
from ganlab.tasks.verdicts import Cells, accuracy, findings, gain, interval, table, verdict
from ganlab.testing import new
from ganlab.variants import HingeGAN

SHORT = Budget(steps=80, per_class=20)


class Known(nn.Module):
    """A generator of no training: noise around the mean picture of the class that is told, or noise alone."""

    def __init__(self, means: Tensor, share: float) -> None:
        super().__init__()
        self.means, self.share = nn.Parameter(means), share

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        noise = latent.tanh().unflatten(1, self.means.shape[1:])
        return self.share * self.means[condition] + (1 - self.share) * noise


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 1)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        return self.layer(images.flatten(1)).squeeze(1)


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(size=8, limit=40)
    data.setup("fit")
    return data


def game(data: Digits, share: float) -> GAN:
    whole = Digits(size=8)
    whole.setup("fit")
    items = whole.splits.train
    pictures, labels = whole.played(items[torch.arange(1000)])
    means = torch.stack([pictures[labels == number].mean(0) for number in range(10)])
    players = {"generator": Known(means, share), "discriminator": Judge()}
    played = new(HingeGAN, latent_size=64, conditional=True, **players)
    played.meet(data)
    return played


def test_good_samples_teach_and_noise_does_not(digits: Digits) -> None:
    good, noise = (accuracies(game(digits, share), digits, 0, SHORT)["accuracies"] for share in (0.7, 0.0))
    assert set(good) == set(ARMS)
    assert good["samples"] > 0.7
    assert noise["samples"] < 0.3
    assert noise["reals"] == good["reals"], "reals alone do not depend on samples"
    assert good["both"] > good["reals"], "forty reals are four of a class"


def test_a_seed_gives_the_same_numbers_and_another_seed_others(digits: Digits) -> None:
    short = Budget(steps=20, per_class=5)
    one, again, other = (accuracies(game(digits, 0.5), digits, seed, short) for seed in (0, 0, 1))
    assert one["accuracies"] == again["accuracies"]
    assert one["accuracies"] != other["accuracies"]
    assert (one["reals"], one["held_out"]) == (40, len(digits.splits.held_out))
    assert sorted(labels_of(digits.splits.train).bincount().tolist()) == [4] * 10


@pytest.mark.parametrize("flips", [False, True])
def test_what_comes_into_view_is_black_and_only_what_may_be_is_mirrored(flips: bool) -> None:
    torch.manual_seed(0)
    left = torch.full((200, 1, 16, 16), -1.0)
    left[:, :, 4:12, 3] = 1
    moved = mover(Pictures((1, 16, 16)), flips=flips)(left)
    assert set(moved.unique().tolist()) == {-1.0, 1.0}
    assert moved.ne(left).flatten(1).any(1).sum() > 100
    columns = moved.amax((1, 2)).argmax(1)
    assert columns.unique().tolist() == ([1, 2, 3, 4, 5, 10, 11, 12, 13, 14] if flips else [1, 2, 3, 4, 5])


def test_games_without_classes_are_refused(digits: Digits) -> None:
    untold = new(HingeGAN)
    untold.meet(digits)
    with pytest.raises(Refused, match="tells its samples no class"):
        accuracies(untold, digits, 0, SHORT)


def cells(**arms: list[float]) -> Cells:
    seeds = len(next(iter(arms.values())))
    known: Any = dict.fromkeys(ARMS, [0.5] * seeds) | arms
    return Cells("mnist/told", 100, [{arm: known[arm][seed] for arm in ARMS} for seed in range(seeds)])


def test_an_interval_is_students() -> None:
    values = [0.81, 0.84, 0.90]
    low, high = stats.t.interval(0.95, 2, loc=0.85, scale=stats.sem(values))
    assert interval(values) == pytest.approx((0.85, low, high))
    assert interval([0.7]) == (0.7, None, None)
    assert accuracy([0.99, 0.97, 1.0]).high == 1.0
    assert accuracy(values) == interval(values)


def test_what_seeds_share_is_left_out_of_a_gain() -> None:
    """Each seed draws other reals, which are worth more or less to all arms alike."""
    paired = cells(reals=[0.5, 0.7, 0.9], both=[0.52, 0.721, 0.919])
    found = gain(paired, "both", "reals")
    assert found.mean == pytest.approx(0.02)
    assert verdict(found) == "they help"
    assert verdict(gain(paired, "reals", "both")) == "they harm"
    assert verdict(interval([0.1, -0.1, 0.05])) == "no difference that these seeds show"
    assert verdict(interval([0.1])) == "one seed says nothing"


def test_the_table_and_the_words_say_the_same() -> None:
    rows = [cells(reals=[0.5, 0.52, 0.51], both=[0.45, 0.46, 0.44])]
    text = table(rows)
    assert text.splitlines()[0].count("|") == text.splitlines()[2].count("|") == 3 + len(ARMS) + 1
    assert "| mnist/told | 100 | 3 | 0.5100 [0.4852, 0.5348] |" in text
    beside, moved, alone = findings(rows[0])
    assert "samples beside reals -0.0600" in beside
    assert beside.endswith("they harm.")
    assert "moved reals +0.0000" in moved
    assert "in place of reals -0.0100" in alone
