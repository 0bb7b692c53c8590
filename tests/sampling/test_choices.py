"""What samples may be drawn with: truncation, and the codes of a user's own game."""

import json
import re
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, refused, write
from scipy.stats import kstest, norm, truncnorm, uniform
from torch import Tensor
from torch.nn.functional import one_hot
from trained_runs import train_run

import ganlab
from ganlab.callbacks import Evaluation
from ganlab.data import Digits
from ganlab.errors import Refused
from ganlab.game.draws import Draws
from ganlab.metrics import Pixels
from ganlab.metrics.reference import contract_of
from ganlab.metrics.scorer import Scorer
from ganlab.sampling.plan import fake_batches
from ganlab.testing import Generator, new, play
from ganlab.variants import HingeGAN

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")


def numbers_of(game: HingeGAN, **choices: Any) -> Tensor:
    return game.latents(2_000, seed=3, **choices).flatten()


def test_truncated_latents_have_the_law_of_normal_numbers_drawn_again_until_they_are_within() -> None:
    game = new(HingeGAN)
    for most in (0.05, 0.7, 2.0):
        numbers = numbers_of(game, truncation=most)
        assert numbers.abs().max() <= most
        assert kstest(numbers.double(), truncnorm(-most, most).cdf).pvalue > 0.01
    assert kstest(numbers_of(game).double(), norm.cdf).pvalue > 0.01
    assert kstest(numbers_of(game, truncation=2.0).double(), norm.cdf).pvalue < 0.01


def test_a_far_threshold_changes_nothing_and_a_near_one_keeps_the_order() -> None:
    game = new(HingeGAN)
    plain = numbers_of(game)
    torch.testing.assert_close(numbers_of(game, truncation=30.0), plain, atol=1e-5, rtol=1e-5)
    assert torch.equal(numbers_of(game, truncation=0.5).argsort(), plain.argsort())
    assert numbers_of(game, truncation=1e-6).abs().max() <= 1e-6


def test_uniform_latents_are_truncated_to_uniform_ones() -> None:
    game = new(HingeGAN, latent_distribution="uniform")
    numbers = numbers_of(game, truncation=0.25)
    assert kstest(numbers.double(), uniform(-0.25, 0.5).cdf).pvalue > 0.01
    assert torch.equal(numbers_of(game, truncation=4.0), numbers_of(game))


def test_a_truncated_sample_follows_from_its_seed_and_number_alone() -> None:
    game = new(HingeGAN)
    many = game.sample(300, seed=4, truncation=0.7)
    assert not torch.equal(many, game.sample(300, seed=4))
    for at, count in ((0, 5), (249, 3)):
        torch.testing.assert_close(game.sample(count, seed=4, at=at, truncation=0.7), many[at : at + count])
    (_, batch), (_, last) = fake_batches(game, 300, 4, truncation=0.7)
    assert torch.equal(torch.cat([batch, last])[:250], game.medium(many).stored(many)[:250])


class WithCode(HingeGAN):
    """A latent is noise, and a code that tells the generator something."""

    def latent(self, draws: Draws, *, code: int | None = None) -> Any:
        drawn = draws.integers(3)
        return super().latent(draws), drawn if code is None else torch.full_like(drawn, code)

    def fake(self, generator: Any, latent: Any, condition: Any) -> Tensor:
        noise, code = latent
        return generator(torch.cat([noise[:, 3:], one_hot(code, 3).to(noise.dtype)], 1))


class LikeAPicture(HingeGAN):
    def latent(self, draws: Draws) -> Tensor:
        return draws.uniform(8)


def test_a_games_own_codes_are_chosen_by_name() -> None:
    game = new(WithCode)
    plain, ones = game.latents(300, seed=0), game.latents(300, seed=0, code=1)
    assert torch.equal(plain[0], ones[0])
    assert {*plain[1].tolist()} == {0, 1, 2}
    assert (ones[1] == 1).all()
    both = plain[1] == 1
    drawn = [game.sample(300, seed=0, **choices) for choices in ({}, {"code": 1})]
    assert torch.allclose(drawn[0][both], drawn[1][both], atol=1e-6)
    assert not torch.allclose(drawn[0][~both], drawn[1][~both], atol=1e-6)
    play(new(WithCode), steps=2)


@pytest.mark.parametrize(
    ("build", "known"),
    [
        pytest.param(HingeGAN, ("truncation",), id="base"),
        pytest.param(WithCode, ("code",), id="codes"),
        pytest.param(LikeAPicture, (), id="none"),
    ],
)
def test_a_choice_that_a_game_does_not_know_is_refused(build: type[HingeGAN], known: tuple[str, ...]) -> None:
    game = new(build)
    assert game.known_choices == known
    for unknown in {"truncation", "code", "clases"} - {*known}:
        with pytest.raises(Refused, match=f"{unknown}.*\n*.*{', '.join(known) or 'none'}"):
            game.sample(2, seed=0, **{unknown: 1})


@pytest.mark.parametrize("value", [0, -1, nan, "wide"], ids=str)
def test_a_truncation_that_cannot_be_is_refused(value: Any) -> None:
    with pytest.raises(Refused, match="truncation"):
        new(HingeGAN).sample(2, seed=0, truncation=value)


def test_nothing_is_truncated_where_there_is_no_noise() -> None:
    game = new(HingeGAN, latent_size=0, generator=Generator())
    with pytest.raises(Refused, match="latent_size is 0"):
        game.latents(2, seed=0, truncation=1.0)


# Contracts


def test_choices_stand_in_a_contract_only_if_there_are_any() -> None:
    of = (Scorer(Pixels(), ("fid",), 100), Digits(size=16), "train")
    contracts = [
        contract_of(*of, fakes="ema", seed=0, **choices)  # type: ignore[arg-type]
        for choices in (
            {},
            {"choices": {}},
            {"choices": {"truncation": 0.7}},
            {"choices": {"truncation": 0.5}},
        )
    ]
    # What ganlab 0.1 said of the same protocol.
    known = "a13a15cac5fa18922b6737bbb3365ade2a50862853172e26cf51a4a827bbac9e"
    assert [contract.hash == known for contract in contracts] == [True, True, False, False]
    assert len({contract.hash for contract in contracts}) == 3
    assert "choices" not in contracts[1].plain()
    assert contracts[2].plain()["choices"] == {"truncation": 0.7}
    assert str(contracts[2]).endswith(" · truncation 0.7")


def test_an_evaluation_scores_samples_of_its_choices(tmp_path: Path) -> None:
    game = new(HingeGAN)
    seen = [
        Evaluation(Pixels(), ("fid",), 40, choices=choices)
        for choices in (None, {"truncation": None}, {"truncation": 0.2})
    ]
    for number, evaluation in enumerate(seen):
        game = new(HingeGAN)
        play(
            game,
            Digits(size=8, batch_size=8),
            steps=1,
            callbacks=[evaluation],
            default_root_dir=tmp_path / str(number),
        )
    rows = [json.loads((tmp_path / str(n) / "scores.jsonl").read_text()) for n in range(3)]
    assert rows[0] == rows[1]
    assert rows[0]["scores"] != rows[2]["scores"]
    assert rows[2]["contract"]["choices"] == {"truncation": 0.2}


def test_an_evaluation_by_unknown_choices_is_refused_before_the_first_step(tmp_path: Path) -> None:
    evaluation, game = Evaluation(Pixels(), ("fid",), 40, choices={"code": 1}), new(HingeGAN)
    with pytest.raises(Refused, match=r"'code'.*\n*.*truncation"):
        play(game, Digits(size=8, batch_size=8), steps=1, callbacks=[evaluation], default_root_dir=tmp_path)
    assert game.global_step == 0


# The command line

MY_CODES = '''\
import torch
from torch.nn.functional import one_hot

from ganlab import GAN, losses


class MyCodes(GAN):
    """Three codes beside the noise."""

    loss = losses.hinge

    def latent(self, draws, *, code: int | None = None, truncation: float | None = None):
        noise, drawn = super().latent(draws, truncation=truncation), draws.integers(3)
        return noise, drawn if code is None else torch.full_like(drawn, code)

    def fake(self, generator, latent, condition):
        noise, code = latent
        return generator(torch.cat([noise[:, 3:], 3 * one_hot(code, 3).to(noise.dtype)], 1))
'''
CONFIG = """\
model:
  class_path: my_codes.MyCodes
  init_args:
    latent_size: 7
    generator: {class_path: MLPGenerator, init_args: {hidden: [16]}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu}
evaluation: {extractor: Pixels, scores: [fid], samples: 40, choices: {code: 2, truncation: 0.7}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("codes")
    write(home, MY_CODES, "my_codes.py")
    folder = train_run(home, CONFIG)
    (home / "my_codes.py").unlink()
    return folder


def drawn(source: Path, *options: str, folder: Path) -> np.ndarray:
    answer = here("sample", source, "--out", "a.npz", "--count", "5", "--trust_code", *options, folder=folder)
    assert answer.code == 0, answer
    with np.load(folder / "a.npz") as file:
        return file["images"]


def test_the_command_draws_runs_and_exports_by_their_choices(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(run / "code")
    assert here("export", run, "--out", "mine", folder=tmp_path).code == 0
    chosen = ("--truncation", "0.7", "--choices.code", "2")
    same = [("--choices", "{code: 2, truncation: 0.7}"), ("--choices.truncation=0.7", "--choices.code=2")]
    images = drawn(run, *chosen, folder=tmp_path)
    for options in same:
        assert np.array_equal(drawn(run, *options, folder=tmp_path), images)
    assert np.array_equal(drawn(tmp_path / "mine", *chosen, folder=tmp_path), images)
    for others in (
        (),
        ("--choices.code", "2"),
        ("--truncation", "0.7"),
        ("--choices.code", "1", *chosen[:2]),
    ):
        assert not np.array_equal(drawn(run, *others, folder=tmp_path), images)
    game = ganlab.load(run, trust_code=True)
    samples = game.sample(5, seed=0, code=2, truncation=0.7)
    assert np.array_equal(game.medium(samples).stored(samples).movedim(1, -1).numpy(), images)


def test_a_choice_is_traversed_from_the_same_latents(run: Path, tmp_path: Path) -> None:
    rows = drawn(run, "--traverse", "code=2,0", folder=tmp_path).reshape(5, 2, 8, 8, 1)
    for column, code in enumerate(("2", "0")):
        assert np.array_equal(rows[:, column], drawn(run, "--choices.code", code, folder=tmp_path))
    answer = here(
        *(
            "sample",
            run,
            "--out",
            "a.png",
            "--count",
            "3",
            "--traverse",
            "truncation=0.5,1,2",
            "--trust_code",
        ),
        folder=tmp_path,
    )
    assert answer.code == 0, answer


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--traverse", "code"), "a choice and its values"),
        (("--traverse", "mood=1"), "'mood'"),
        (("--choices.mood", "2"), "'mood'"),
        (("--choices.code", "cat"), "code 'cat'"),
        (("--choices.code", "7"), "what it is told|draws no samples"),
        (("--truncation", "0"), "truncation is 0"),
        (("--choices", "code=3"), "choices"),
        (("--truncation", "0.7", "--choices", "{truncation: 0.5}"), "give one of the two"),
    ],
    ids=[
        "no values",
        "unknown along rows",
        "unknown",
        "no number",
        "too large",
        "nothing left",
        "no mapping",
        "twice",
    ],
)
def test_wrong_choices_are_refused(options: tuple[str, ...], word: str, run: Path, tmp_path: Path) -> None:
    for out in ("a.npz", "pictures"):
        answer = here("sample", run, "--out", out, "--trust_code", *options, folder=tmp_path)
        assert re.search(word, refused(answer, tmp_path))
        assert not [*tmp_path.iterdir()]


def test_a_run_and_a_later_evaluation_by_the_same_choices_have_one_contract(
    run: Path, tmp_path: Path
) -> None:
    (row,) = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    assert row["contract"]["choices"] == {"code": 2, "truncation": 0.7}
    chosen = ("--truncation", "0.7", "--choices.code", "2")
    newest = run / "checkpoints" / "step-000000002.ckpt"
    options = ("--samples", "40", "--scores", "fid", "--json", *chosen)
    answer = here("evaluate", newest, *options, folder=tmp_path)
    assert answer.code == 0, answer
    again = json.loads(answer.out.splitlines()[-1])
    assert again["contract"] == row["contract"]
    assert again["scores"]["fid40_pixels"]["value"] == pytest.approx(row["scores"]["fid40_pixels"])
    drawn(run, folder=tmp_path)
    images = here(
        "evaluate", "a.npz", "--reference", "Digits", "--extractor", "Pixels", *options, folder=tmp_path
    )
    assert "finished items" in refused(images, tmp_path)
