"""Scores of samples that were told a class, beside known answers."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import here, run_folders, write
from scored_games import game
from several_processes import together
from torch import Tensor, nn

from ganlab.callbacks import Evaluation
from ganlab.data import Digits, Gaussians
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.media import Labels
from ganlab.metrics import Classifier, Extractor, Pixels, Points
from ganlab.metrics.cautions import cautions
from ganlab.metrics.extractors.extractor import Seen
from ganlab.metrics.given_images import GivenImages
from ganlab.metrics.names import measured
from ganlab.metrics.observed import Classes, Observed, Reals
from ganlab.metrics.reference import beside_floor, kept_indices, part_of, prepare_reference
from ganlab.metrics.scorer import Scorer
from ganlab.metrics.statistics import gaussian
from ganlab.networks import DCGANDiscriminator, DCGANGenerator
from ganlab.sampling.plan import fake_batches, fake_classes
from ganlab.system.processes import on_rank_zero
from ganlab.testing import play
from ganlab.variants import HingeGAN

SCORES = ("class_agreement", "class_variance", "class_fid")
SHAPE: Any = {"shape": (1, 16, 16)}


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


def digits() -> Digits:
    return Digits(size=16, batch_size=8)


@cache
def training_items() -> tuple[Tensor, Tensor]:
    items: Any = digits().splits.train
    return items[torch.arange(len(items))]


def told(generator: nn.Module | None = None, data: StreamData | None = None) -> GAN:
    """A game that is told the digit."""
    torch.manual_seed(0)
    generator = generator or DCGANGenerator(**SHAPE, latent_size=8, width=4, condition=Labels(10))
    judge = DCGANDiscriminator(**SHAPE, width=4, condition=Labels(10))
    game = HingeGAN(generator=generator, discriminator=judge, latent_size=8, conditional=True)
    if data:
        game.meet(data)
    return game


class Copies(nn.Module):
    """Makes training images of the class that it is told, as many different ones of each as asked for.

    Args:
        shift: Added to the class that it is told.
    """

    def __init__(self, each: int, shift: int = 0) -> None:
        super().__init__()
        images, labels = training_items()
        chosen = torch.stack([images[labels == number][:each] for number in range(10)])
        self.register_buffer("images", chosen.float() / 127.5 - 1)
        self.idle = nn.Parameter(torch.zeros(1))
        self.each, self.shift = each, shift

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        number = (latent[:, 0].abs() * 10_000).long() % self.each
        return self.images[(label + self.shift) % 10, number] + 0 * self.idle  # type: ignore[index]


def scored(
    images: Tensor, labels: Tensor, *, samples: int | None = None, data: StreamData | None = None
) -> dict[str, Any]:
    """The scores of images that are told to be of these classes, without their number of samples."""
    data = data or digits()
    scorer = Scorer(Classifier("digits"), SCORES, samples or len(images))
    reals, _ = prepare_reference(scorer, data, "train")
    classes = Classes.of([*map(str, range(10))], labels)
    seen = scorer.observe([(torch.arange(len(images)), images)], len(images)).of_classes(classes, None)
    return plain(scorer.score(reals, seen)[0])


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Without their number of samples: of class_variance300_least_digits variance_least."""
    return {re.sub(r"class_(\w+?)\d+k?(\w*)_digits", r"\1\2", name): values[name] for name in values}


# Known answers


def test_reals_are_as_they_are() -> None:
    images, labels = training_items()
    kept = kept_indices(len(images), 600)
    values = scored(images[kept], labels[kept])
    right = Classifier("digits")(images[kept]).logits.argmax(1) == labels[kept]  # type: ignore[union-attr]
    assert values["agreement"] == pytest.approx(float(right.double().mean()))
    assert values["agreement"] > 0.99
    assert values["variance"] == pytest.approx(1, abs=1e-6)
    assert values["variance_least"] == pytest.approx(1, abs=1e-6)
    assert values["fid"] == pytest.approx(0, abs=1e-3)


def test_one_real_a_class_agrees_and_does_not_vary() -> None:
    images, labels = training_items()
    first = torch.tensor([int((labels == number).nonzero()[0]) for number in range(10)])
    values = scored(images[first.repeat(40)], labels[first.repeat(40)])
    assert values["agreement"] == 1
    assert values["variance"] == pytest.approx(0, abs=1e-9)
    assert values["fid"] > 10


def test_one_class_of_one_picture_is_told_by_the_least() -> None:
    images, labels = (column[:1000].clone() for column in training_items())
    images[labels == 3] = images[labels == 3][:1]
    values = scored(images, labels)
    assert values["variance_least"] == pytest.approx(0, abs=1e-9)
    assert 0.7 < values["variance"] < 1.1


def test_classes_in_another_order_agree_by_chance() -> None:
    images, labels = training_items()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    values = scored(images, labels[order])
    assert values["agreement"] == pytest.approx(0.1, abs=0.03)
    assert values["variance"] == values["variance_least"] == 1, (
        "each class holds images of all: more is no merit"
    )
    assert scored(images, (labels + 1) % 10)["agreement"] < 0.01


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 3.0])
def test_the_variance_within_a_class_is_a_ratio(factor: float) -> None:
    """Points of Gaussians, drawn together to each one's centre by a factor s: s² times the variance."""
    data = Gaussians(layout="ring", modes=5, sigma=0.1)
    scorer = Scorer(Points(), ("class_variance",), 2000)
    reals, floor = prepare_reference(scorer, data, "train")
    assert reals.classes
    assert reals.rows
    assert floor == {}, "an endless stream holds nothing out"
    labels = reals.classes.labels
    centres = data.centres[labels]
    points = (centres + factor * (reals.rows.features - centres)).double()
    fakes = Observed(gaussian(points), reals.rows._replace(features=points), classes=reals.classes)
    values, reasons = scorer.score(reals, fakes)
    assert values == pytest.approx(dict.fromkeys(values, min(factor**2, 1)), abs=1e-6)
    assert list(values) == ["class_variance2k_points", "class_variance2k_least_points"]
    assert not reasons
    # The spread is the classes' own, wherever they lie.
    moved = fakes._replace(rows=reals.rows._replace(features=points + 5 * labels[:, None]))
    assert scorer.score(reals, moved)[0] == pytest.approx(values, abs=1e-6)


def test_a_class_of_one_sample_has_no_variance() -> None:
    images, labels = training_items()
    few = torch.cat([(labels != 7).nonzero()[:200, 0], (labels == 7).nonzero()[:1, 0]])
    scorer = Scorer(Classifier("digits"), SCORES, len(few))
    reals, _ = prepare_reference(scorer, digits(), "train")
    classes = Classes.of([*map(str, range(10))], labels[few])
    seen = scorer.observe([(torch.arange(len(few)), images[few])], len(few)).of_classes(classes, None)
    values, reasons = scorer.score(reals, seen)
    absent = {name for name, value in values.items() if value is None}
    assert absent == set(reasons) == {name for name in values if "agreement" not in name}
    assert all("few" in reason for reason in reasons.values())


def test_the_floor_is_that_of_held_out_reals() -> None:
    data = digits()
    held_out: Any = data.splits.held_out
    images, labels = held_out[torch.arange(len(held_out))]
    scorer = Scorer(Classifier("digits"), SCORES, len(images))
    _, floor = prepare_reference(scorer, data, "train")
    assert floor["samples"] == 300
    floor = {name: value for name, value in floor.items() if name != "samples"}
    assert plain(floor) == pytest.approx(scored(images, labels))
    assert plain(floor)["agreement"] == pytest.approx(0.993, abs=0.001), "README tells the classifier's own"
    assert plain(floor)["variance"] == pytest.approx(1, abs=0.15)


# What samples are told


@pytest.mark.parametrize(
    ("each", "shift", "expected"),
    [
        pytest.param(60, 0, (1.0, 1.0, 3.0), id="as told"),
        pytest.param(1, 0, (1.0, 0.0, 99.0), id="one picture a class"),
        pytest.param(60, 1, (0.0, 1.0, 99.0), id="the next class"),
    ],
)
def test_a_games_samples_are_of_the_classes_that_it_tells(
    each: int, shift: int, expected: tuple[float, float, float], tmp_path: Path, capsys: Any
) -> None:
    evaluation = Evaluation(Classifier("digits"), SCORES, 4000)
    play(told(Copies(each, shift)), digits(), steps=1, callbacks=[evaluation], default_root_dir=tmp_path)
    values = plain(evaluation.values)
    agreement, variance, distance = expected
    assert values["agreement"] == pytest.approx(agreement, abs=0.02)
    assert values["variance"] == pytest.approx(variance, abs=0.2 * variance + 1e-9)
    assert values["fid"] < 5 if distance < 5 else values["fid"] > 15
    assert plain(evaluation.floor)["agreement"] == pytest.approx(0.993, abs=0.001)
    row = json.loads((tmp_path / "scores.jsonl").read_text().splitlines()[-1])
    assert row["contract"]["conditions"] == "labels of train"
    assert row["beside_floor"]["class_agreement300_digits"] == pytest.approx(agreement, abs=0.02)
    told_of = capsys.readouterr().err
    assert ("100.0% of the samples look like the class that they were told" in told_of) is (shift == 0)
    assert ("and of reals 99.3%" in told_of) is (shift == 0)


def test_more_agreement_than_the_reals_have_is_told_if_it_is_no_chance() -> None:
    scorer = Scorer(Classifier("digits"), ("class_agreement",), 10_000)
    reals = Reals.of(Observed(gaussian(torch.randn(9, 4)), None))
    name = "class_agreement{}_digits"
    floor = {"samples": 10_000, name.format("10k"): 0.992}
    few = {"samples": 300, name.format("300"): 0.9933}

    def sentences(value: float, beside: dict[str, Any]) -> list[str]:
        return list(cautions(scorer, reals, {name.format("10k"): value}, beside))

    assert sentences(0.999, floor)[0].startswith("99.9% of the samples look like the class")
    assert "caricatures" in sentences(0.999, floor)[0]
    assert sentences(0.992, floor) == sentences(0.9925, floor) == sentences(0.5, floor) == []
    assert sentences(0.997, few) == [], "of 300 reals nobody knows so well"
    assert len(sentences(0.9999, few)) == 1


def scores_of_three_blocks() -> tuple[dict, dict, dict]:
    scorer, data = Scorer(Classifier("digits"), SCORES, 553), digits()
    reals, floor = prepare_reference(scorer, data, "train")
    made, part = told(data=data), part_of(floor, 553)
    fakes = scorer.observe(fake_batches(made, 553, 0), 553, part=part)
    fakes = fakes.of_classes(fake_classes(scorer, made, 0), part)
    beside = on_rank_zero(lambda: beside_floor(scorer, reals, fakes, floor))
    return on_rank_zero(lambda: scorer.score(reals, fakes)[0]), floor, beside


def test_two_processes_score_what_one_does(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    alone, (first, second) = scores_of_three_blocks(), together(scores_of_three_blocks, 2, tmp_path / "two")
    assert first == second
    assert all(len(each) == 5 + ("samples" in each) for each in alone)
    for several, one in zip(first, alone, strict=True):
        assert several == pytest.approx(one, rel=1e-6, abs=1e-9)


def test_classes_go_by_number_whatever_the_order_of_their_names(tmp_path: Path) -> None:
    labels = torch.arange(12)
    assert torch.equal(Classes.of([*map(str, range(12))], labels).logits, labels)
    for name in ("0", "10", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    classes = GivenImages(tmp_path).classes
    assert classes
    assert (classes.names, classes.logits.tolist()) == (("0", "10", "2"), [0, 10, 2])
    with pytest.raises(Refused, match="The label 12 is none of 12 classes"):
        Classes.of([*map(str, range(12))], torch.tensor([3, 12]))


@pytest.mark.parametrize(
    ("name", "score", "value", "suffix"),
    [
        ("class_agreement10k_mnist", "class_agreement", "class_agreement{n}", "_mnist"),
        ("class_variance500", "class_variance", "class_variance{n}", ""),
        ("class_variance500_least_x", "class_variance", "class_variance{n}_least", "_x"),
    ],
)
def test_names_are_known_again(name: str, score: str, value: str, suffix: str) -> None:
    known = measured(name)
    assert known
    assert (known.score, known.value.name, known.suffix) == (score, value, suffix)
    assert (known.value.better, known.value.scale) == ("max", "raw")


# The command


RUN = """
model:
  class_path: HingeGAN
  init_args:
    conditional: true
    latent_size: 4
    generator: {class_path: DCGANGenerator, init_args: {width: 4}}
    discriminator: {class_path: DCGANDiscriminator, init_args: {width: 4}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu}
evaluation:
  extractor: {class_path: Classifier, init_args: {dataset: digits}}
  scores: [class_fid, class_agreement, class_variance]
  samples: 200
"""


def test_run_checkpoint_and_export_have_the_callbacks_scores(tmp_path: Path) -> None:
    write(tmp_path, RUN)
    answer = here("fit", "--config", "small.yaml", folder=tmp_path)
    assert answer.code == 0, answer
    (run,) = run_folders(tmp_path)
    expected = json.loads((run / "scores.jsonl").read_text().splitlines()[0])
    assert expected["scores"]["class_variance200_digits"] is not None
    assert here("export", run, "--out", "mine", folder=tmp_path).code == 0
    chosen = ("--samples", "200", "--scores", "class_fid,class_agreement,class_variance", "--json")
    of_digits = (
        "--extractor",
        "Classifier",
        "--extractor.dataset",
        "digits",
        "--reference",
        run / "config.yaml",
    )
    for what in (run, run / "checkpoints" / "step-000000002.ckpt", tmp_path / "mine"):
        answer = here("evaluate", what, *of_digits, *chosen, folder=tmp_path)
        assert answer.code == 0, answer
        row = json.loads(answer.out)
        values = {name: each["value"] for name, each in row["scores"].items()}
        assert values == pytest.approx(expected["scores"], rel=1e-6), what
        assert row["floor"] == pytest.approx(expected["floor"])
        assert row["contract"]["hash"] == expected["contract"]["hash"]
    table = here("compare", "runs", folder=tmp_path)
    assert "class_agreement200_digits" in table.out
    assert "class_variance200_least_digits" in table.out


# What is refused


class Five(Classifier):
    """A classifier of half of the classes."""

    def see(self, images: Tensor) -> Seen:
        features, logits, _ = super().see(images)
        assert logits is not None
        return Seen(features, logits[:, :5])


class Reversed(Classifier):
    """A classifier whose logits stand in another order."""

    def see(self, images: Tensor) -> Seen:
        features, logits, _ = super().see(images)
        assert logits is not None
        return Seen(features, logits.flip(1))


@pytest.mark.parametrize("score", SCORES)
def test_a_game_that_is_told_nothing_is_refused_before_the_first_step(score: str, tmp_path: Path) -> None:
    evaluation = Evaluation(Classifier("digits"), (score,), 10)
    played = game()
    with pytest.raises(Refused, match="a game's samples tell none") as refusal:
        play(played, digits(), steps=1, callbacks=[evaluation], default_root_dir=tmp_path)
    assert len(str(refusal.value).splitlines()) <= 3
    played.images_per_step = 1
    assert not list(tmp_path.glob("scores.jsonl"))


def test_an_unconditional_run_is_refused_by_the_command(tmp_path: Path) -> None:
    write(tmp_path, RUN.replace("conditional: true", "conditional: false").partition("evaluation:")[0])
    assert here("fit", "--config", "small.yaml", folder=tmp_path).code == 0
    (run,) = run_folders(tmp_path)
    scores = ("--scores", "class_variance", "--extractor", "Pixels", "--samples", "20")
    answer = here("evaluate", run, *scores, folder=tmp_path)
    assert answer.code == 2, answer
    assert "a game's samples tell none" in answer.err
    assert len(answer.err.strip().splitlines()) <= 4


@pytest.mark.parametrize(
    ("extractor", "words"),
    [
        pytest.param(Pixels, "class_agreement needs logits, which Pixels does not give", id="none"),
        pytest.param(lambda: Five("digits"), "with 10 logits, and\nFive gives 5", id="too few"),
        pytest.param(lambda: Reversed("digits"), "Reversed is right\nfor 0%", id="another order"),
        pytest.param(lambda: Classifier("fashion_mnist"), "Classifier is right", id="of other data"),
    ],
)
def test_logits_that_are_not_those_of_the_classes_are_refused_before_the_first_step(
    extractor: Any, words: str, tmp_path: Path
) -> None:
    made: Extractor = extractor()
    evaluation, played = Evaluation(made, ("class_agreement",), 20, every_n_steps=1), told()
    with pytest.raises(Refused) as refusal:
        play(played, digits(), steps=1, callbacks=[evaluation], default_root_dir=tmp_path)
    assert words in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 3
    assert played.trainer.global_step == 0
