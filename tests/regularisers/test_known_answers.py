"""Each regulariser against answers that are known by hand."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from plain_games import Plain, plain, told_labels
from torch import Tensor, nn

from ganlab.augment import TABLE
from ganlab.errors import Refused
from ganlab.judgements import Judged
from ganlab.penalties import squared_norm
from ganlab.regularisers import ADA, BCR, ApproximatedPenalty, LeCam, Regulariser
from ganlab.testing import Specks, new, play
from ganlab.variants import LSGAN, R3GAN, WGAN, HingeGAN, RelativisticGAN


class Shown:
    """A turn that shows samples as they are to a critic."""

    generating, condition = False, None

    def __init__(self, critic: Callable[[Any], Any], real: Tensor, fake: Tensor) -> None:
        self.critic, self.real, self.fake = critic, real, fake
        self.notes: dict[str, Tensor] = {}
        self.passes: list[int] = []

    def seen(self, samples: Tensor) -> Tensor:
        return samples

    def judged_as_seen(self, seen: Tensor, condition: Any) -> Judged:
        self.passes.append(len(seen))
        return Judged(self.critic(seen), None)

    def logits(self, samples: Tensor) -> Any:
        return self.critic(samples)

    @property
    def real_logits(self) -> Any:
        return self.critic(self.real)

    @property
    def fake_logits(self) -> Any:
        return self.critic(self.fake)

    def note(self, name: str, value: Tensor) -> None:
        self.notes[name] = value.detach().mean()


class TestLeCam:
    def test_by_hand(self) -> None:
        """Averages 2 (reals) and 1 (fakes): only a real above 1 and a fake below 2 are moved."""
        lecam = LeCam(weight=0.5, warm_up=0)
        lecam.reals.fill_(2.0)
        lecam.fakes.fill_(1.0)
        turn = Shown(lambda values: values, torch.tensor([4.0, 0.0]), torch.tensor([-1.0, 3.0]))
        assert float(lecam.terms(turn)["lecam"]) == pytest.approx(0.5 * (9 / 2 + 9 / 2))
        turn.generating = True
        assert lecam.terms(turn) == {}

    def test_averages_begin_with_the_first_logits_and_then_decay(self) -> None:
        """What is no number is not among them, also where it comes first."""
        lecam = LeCam(decay=0.9)
        for real, fake in ((torch.inf, 7.0), (3.0, 1.0), (torch.nan, torch.nan), (5.0, 0.0)):
            lecam.after_discriminator_step(
                {"real_logit": torch.tensor(real), "fake_logit": torch.tensor(fake)}, 8
            )
        assert float(lecam.reals) == pytest.approx(0.9 * 3 + 0.1 * 5)
        assert float(lecam.fakes) == pytest.approx(0.9 * 1)
        assert int(lecam.steps) == 2

    def test_the_term_begins_after_its_warm_up(self) -> None:
        logged = [
            play(plain(HingeGAN, regularisers=[LeCam(warm_up=3)]), steps=steps, log_every_n_steps=1)
            for steps in (3, 4)
        ]
        assert [bool(trainer.callback_metrics["lecam"] > 0) for trainer in logged] == [False, True]

    def test_it_refuses_no_loss(self) -> None:
        play(plain(R3GAN, regularisers=[LeCam(warm_up=0)]), steps=1)


class TestADA:
    def test_each_augmentation_is_made_of_each_sample_by_itself(self) -> None:
        """With p = 0.3 one is made of 30 % of samples, both of 9 %."""
        ada = ADA(augmentations=["flip", "cutout"])
        ada.overfitting.strength.fill_(0.3)
        with patch.dict(TABLE, flip=lambda x: x + 1, cutout=lambda x: x + 10):
            counts = ada.seen(torch.zeros(20_000, 1, 1, 1)).flatten().int().bincount(minlength=12)
        shares = [float(counts[place]) / 20_000 for place in (0, 1, 10, 11)]
        assert shares == pytest.approx([0.49, 0.21, 0.21, 0.09], abs=0.015)

    @pytest.mark.parametrize(("strength", "changed"), [(0.0, 0), (1.0, 100)])
    def test_at_its_ends(self, strength: float, changed: int) -> None:
        ada = ADA(augmentations=["colour", "translation"])
        ada.overfitting.strength.fill_(strength)
        samples = torch.rand(100, 1, 8, 8)
        different = (ada.seen(samples) != samples).flatten(1).any(1).sum()
        assert int(different) == pytest.approx(changed, abs=1)

    def test_p_moves_every_fourth_turn_by_the_images_seen(self) -> None:
        """Means 0.9, 0.9, 0.9, 0.1 are 0.7 together: up. With 64 images a turn p moves by 256 of 1,000."""
        ada, path = ADA(kimg=1.0), []
        for sign in (0.9, 0.9, 0.9, 0.1, *[0.9] * 4, *[0.5] * 4, *[-1.0] * 8):
            ada.after_discriminator_step({"overfitting": torch.tensor(sign, dtype=torch.float64)}, 64)
            path.append(float(ada.overfitting.strength))
        assert path[:3] == [0, 0, 0]
        assert path[3::4] == pytest.approx([0.256, 0.512, 0.256, 0, 0])

    @pytest.mark.parametrize(("variant", "boundary"), [(HingeGAN, 0.0), (LSGAN, 0.5)])
    def test_it_counts_reals_beyond_the_losss_boundary(self, variant: type, boundary: float) -> None:
        ada = ADA(augmentations=["flip"])
        play(plain(variant, regularisers=[ada]), steps=1)
        logits = boundary + torch.tensor([0.1, 0.1, 0.1, -0.1])
        turn = Shown(lambda values: values, logits, logits)
        assert ada.terms(turn) == {}
        assert float(turn.notes["overfitting"]) == 0.5
        assert float(turn.notes["ada_p"]) == 0

    @pytest.mark.parametrize("variant", [R3GAN, RelativisticGAN, WGAN])
    def test_it_refuses_losses_whose_logits_have_no_boundary(self, variant: type) -> None:
        with pytest.raises(
            Refused, match=r"ADA reads from each logit if a sample is taken for real"
        ) as refusal:
            play(plain(variant, regularisers=[ADA()]), steps=1)
        assert len(str(refusal.value).splitlines()) <= 3


class TestBCR:
    def test_by_hand(self) -> None:
        """D(x) is the sum of squares, T doubles: D(T(x)) - D(x) is three times D(x)."""
        turn = Shown(
            lambda x: x.square().flatten(1).sum(1), torch.full((5, 1, 2, 2), 0.5), torch.ones(5, 1, 2, 2)
        )
        with patch.dict(TABLE, flip=lambda x: 2 * x):
            terms = BCR(["flip"], real_weight=10, fake_weight=2).terms(turn)
        assert {name: float(term) for name, term in terms.items()} == {"bcr_real": 90, "bcr_fake": 288}

    def test_a_weight_of_0_leaves_its_term_out(self) -> None:
        turn = Shown(lambda x: x.flatten(1).sum(1), torch.ones(2, 1, 2, 2), torch.ones(2, 1, 2, 2))
        assert BCR(fake_weight=0).terms(turn).keys() == {"bcr_real"}
        assert BCR(real_weight=0).terms(turn).keys() == {"bcr_fake"}

    def test_of_several_critics_and_maps_it_is_the_mean(self) -> None:
        def critics(x: Tensor) -> list[Tensor]:
            return [x.flatten(1).sum(1), torch.stack([x, 3 * x], 1).flatten(2).sum(2)]

        turn = Shown(critics, torch.ones(2, 1, 1, 1), torch.ones(2, 1, 1, 1))
        with patch.dict(TABLE, flip=lambda x: x + 1):
            terms = BCR(["flip"], real_weight=1, fake_weight=0).terms(turn)
        assert float(terms["bcr_real"]) == (1 + 4) / 2


class TestApproximatedPenalty:
    """Against (gamma / 2) E |grad D|^2."""

    @pytest.fixture(autouse=True)
    def seeded(self) -> None:
        torch.manual_seed(0)

    @staticmethod
    def ratio(critic: nn.Module, sigma: float, samples: Tensor) -> float:
        """Of the approximated penalty and the exact one."""
        approximated = ApproximatedPenalty(gamma=2.0, sigma=sigma, at="reals")
        terms = approximated.terms(Shown(lambda x: critic(x).squeeze(1), samples, samples))
        exact = squared_norm(points := samples.clone().requires_grad_(), critic(points).squeeze(1)).mean()
        return float(terms["approximated_r1"] / exact)

    def test_of_a_smooth_critic_it_tends_to_the_exact_one(self) -> None:
        """The noise alone leaves 1.5 % of error with 10,000 samples."""
        critic = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 1)).double()
        nn.init.normal_(critic[0].weight)
        samples = torch.randn(10_000, 16, dtype=torch.float64)
        errors = [abs(self.ratio(critic, sigma, samples) - 1) for sigma in (1.0, 0.01)]
        assert errors[1] < 0.05 < errors[0]

    def test_of_a_critic_that_bends_at_the_samples_it_is_another(self) -> None:
        """The sum of relu(x) has torch's slope 0 at 0, as on a flat background, and the penalty is not 0."""
        critic = nn.Sequential(nn.ReLU(), nn.Linear(16, 1, bias=False)).double()
        nn.init.ones_(critic[1].weight)
        samples = torch.zeros(2000, 16, dtype=torch.float64)
        terms = ApproximatedPenalty(2.0, sigma=0.01, at="reals").terms(Shown(critic, samples, samples))
        assert float(terms["approximated_r1"]) > 10
        samples.requires_grad_()
        assert float(squared_norm(samples, critic(samples).squeeze(1)).sum()) == 0

    @pytest.mark.parametrize("at", ["reals", "fakes", "both"])
    def test_both_points_are_judged_in_one_pass_where_it_is_asked_for(self, at: str) -> None:
        turn = Shown(lambda x: x.flatten(1).sum(1), torch.ones(6, 4), torch.ones(6, 4))
        terms = ApproximatedPenalty(at=at).terms(turn)
        expected = {"reals": ["approximated_r1"], "fakes": ["approximated_r2"]}
        assert list(terms) == expected.get(at, ["approximated_r1", "approximated_r2"])
        assert turn.passes == [12] * len(terms)

    def test_what_is_told_in_whole_numbers_is_not_moved(self) -> None:
        levels = torch.arange(4)
        assert torch.equal(ApproximatedPenalty().moved(levels), levels)

    def test_a_share_of_the_batch_is_judged_once_more_with_its_condition(self) -> None:
        judged: list[tuple[int, int]] = []
        game = told_labels(regularisers=[ApproximatedPenalty(share=0.25, at="reals")])
        game.discriminator.register_forward_hook(
            lambda _, given, __: judged.append((len(given[0]), len(given[1])))
        )
        play(game, steps=1)
        assert judged[-4:] == [(8, 8), (8, 8), (4, 4), (8, 8)]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"share": 0.3}, "share is 0.3; it is one of so many samples"),
            ({"sigma": 0.0}, "sigma is 0.0; it must be above 0"),
            ({"sigma": 0.01, "precision": "bf16"}, "differ by rounding alone"),
        ],
    )
    def test_refusals(self, arguments: dict[str, Any], words: str) -> None:
        with pytest.raises(Refused, match=words):
            ApproximatedPenalty(**arguments)

    def test_a_discriminator_with_dropout_is_refused(self) -> None:
        with pytest.raises(Refused, match="Take a discriminator without dropout"):
            new(HingeGAN, regularisers=[ApproximatedPenalty()])

    def test_a_share_that_a_batch_does_not_have_is_refused(self) -> None:
        game = plain(HingeGAN, regularisers=[ApproximatedPenalty(share=0.25)])
        with pytest.raises(Refused, match="multiple of 4"):
            play(game, Specks(batch_size=6), steps=1)


def test_a_users_own_is_a_class_with_what_it_changes() -> None:
    class Clamp(Regulariser):
        def seen(self, samples: Tensor) -> Tensor:
            return samples.clamp(-0.5, 0.5)

    shown: list[float] = []
    game = plain(HingeGAN, discriminator=Plain, regularisers=[Clamp()])
    game.discriminator.register_forward_pre_hook(lambda _, given: shown.append(float(given[0].abs().max())))
    play(game, steps=1)
    assert max(shown) <= 0.5
