"""The watchdog reports a game that goes wrong while it can still be stopped, and no other game."""

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from later import seldom
from lightning.pytorch import Callback
from torch import Tensor, nn

from ganlab.callbacks import Evaluation, Watchdog
from ganlab.callbacks.watch.likeness import Likeness, Reals, Within, look, reals_of
from ganlab.callbacks.watch.samples import SampleHistory
from ganlab.data import Digits
from ganlab.data.stream import StreamData
from ganlab.game.conditions import LabelFrequencies
from ganlab.game.gan import GAN
from ganlab.game.stages import Stage
from ganlab.media import Labels
from ganlab.metrics import Pixels, Points
from ganlab.metrics.observed import Observed
from ganlab.metrics.observed import Reals as KnownReals
from ganlab.metrics.statistics import frechet, gaussian
from ganlab.networks import DCGANDiscriminator, DCGANGenerator
from ganlab.seeds import seed_for
from ganlab.testing import SpeckPairs, Specks, new, play, state
from ganlab.variants import R3GAN, WGAN, HingeGAN, NonSaturatingGAN, Pix2Pix, RelativisticGAN

SHAPE = {"shape": (1, 16, 16)}


def digits(variant: type[GAN], *, generator: nn.Module | None = None, rate: float = 2e-4, **game: Any) -> GAN:
    torch.manual_seed(0)
    players = {
        "generator": generator or DCGANGenerator(latent_size=16, width=8, **SHAPE),
        "discriminator": DCGANDiscriminator(width=8, normalization="none", **SHAPE),
    }
    optimizer = {"discriminator_optimizer": lambda p: torch.optim.Adam(p, lr=rate, betas=(0.0, 0.99))}
    return variant(latent_size=16, **{**players, **optimizer, **game})


def watched(
    game: GAN, folder: Path, *, steps: int, every: int, data: StreamData | None = None, **arguments: Any
) -> dict[str, Any]:
    """The verdict on a run that is scored every so many steps."""
    folder.mkdir(exist_ok=True)
    callbacks = [
        Watchdog(every_n_steps=every, **arguments),
        Evaluation(Pixels(), samples=200, every_n_steps=every),
    ]
    data = data or Digits(size=16, batch_size=32)
    play(game, data, steps=steps, callbacks=callbacks, default_root_dir=folder, log_every_n_steps=5)
    return json.loads((folder / "verdict.json").read_text())


class Still(nn.Module):
    """Makes one image, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.randn(1, 16, 16))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.image.tanh().expand(len(latent), 1, 16, 16) + 0 * latent.sum()


class Copies(nn.Module):
    """Makes ten training images, whatever it is given and whatever it learns."""

    def __init__(self) -> None:
        super().__init__()
        data = Digits(size=16, batch_size=32)
        data.prepare_data()
        data.setup("fit")
        self.register_buffer("images", data.played((data.splits.train[torch.arange(10) * 100][0],))[0])
        self.idle = nn.Parameter(torch.zeros(1))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        number = (latent[:, 0].abs() * 10_000).long() % 10
        return self.images[number] + 0 * self.idle  # type: ignore[index]


@pytest.mark.parametrize("variant", [HingeGAN, NonSaturatingGAN, R3GAN])
def test_a_generator_of_one_image_is_named_within_three_evaluations(variant: Any, tmp_path: Path) -> None:
    verdict = watched(digits(variant, generator=Still()), tmp_path, steps=91, every=30)
    (alarm, *_) = verdict["alarms"]
    assert alarm["symptom"] == "few"
    assert alarm["step"] <= 91
    assert verdict["collapsed"]
    assert verdict["verdict"].startswith("collapsed to about 1 distinct sample at 320 images")


def test_a_generator_of_ten_images_is_named_with_their_number(tmp_path: Path) -> None:
    verdict = watched(digits(HingeGAN, generator=Copies()), tmp_path, steps=91, every=30)
    assert verdict["alarms"][0]["symptom"] == "few"
    assert verdict["collapsed"]
    assert re.match("collapsed to about (9|10) distinct samples at 320 images", verdict["verdict"])
    assert re.search("about (9|10) of them distinct, of as many reals 137", verdict["verdict"])


class StillOfClass(nn.Module):
    """Makes one image of each class, whatever the latent."""

    def __init__(self) -> None:
        super().__init__()
        self.images = nn.Embedding(10, 256)

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return self.images(label).tanh().unflatten(1, (1, 16, 16)) + 0 * latent.sum()


def told(generator: nn.Module, **game: Any) -> GAN:
    """A game on digits that is told which."""
    torch.manual_seed(0)
    judge = DCGANDiscriminator(width=8, normalization="none", condition=Labels(10), **SHAPE)
    return digits(HingeGAN, generator=generator, discriminator=judge, conditional=True, **game)


def test_a_generator_of_one_image_a_class_is_named_with_their_numbers(tmp_path: Path, capsys: Any) -> None:
    verdict = watched(told(StillOfClass()), tmp_path, steps=91, every=30)
    assert verdict["alarms"][0]["symptom"] == "alike"
    assert verdict["verdict"].startswith("collapsed to about 10 distinct samples in 10 classes at 320 images")
    assert "of as many reals 137; of a class 1, of reals 15" in verdict["verdict"]
    told_of = "samples of a class look alike, far more than reals do: about 10 distinct samples in 10 classes"
    assert told_of in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("ignores", [True, False])
def test_a_game_whose_generator_ignores_the_latent_is_named_and_no_other(
    ignores: bool, tmp_path: Path
) -> None:
    class WithoutLatent(DCGANGenerator):
        def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
            return super().forward(0 * latent, condition)

    torch.manual_seed(0)
    kind = WithoutLatent if ignores else DCGANGenerator
    generator = kind(latent_size=16, width=8, condition=Labels(10), conditioning="normalization", **SHAPE)
    verdict = watched(told(generator), tmp_path, steps=600, every=60)
    names = [alarm["symptom"] for alarm in verdict["alarms"]]
    assert names[:1] == ["alike"] if ignores else names == []
    assert verdict["collapsed"] is ignores


@pytest.mark.parametrize("both", [False, True])
def test_a_generator_that_does_not_learn_is_named(both: bool, tmp_path: Path) -> None:
    still: Any = lambda parameters: torch.optim.Adam(parameters, lr=0.0)  # noqa: E731
    game = digits(NonSaturatingGAN, rate=0.0 if both else 2e-4, generator_optimizer=still)
    verdict = watched(game, tmp_path, steps=70, every=20)
    assert verdict["verdict"].startswith("not learning at ")
    assert verdict["collapsed"]
    assert verdict["alarms"][0]["symptom"] == "still"


def test_a_generator_that_rests_is_not_said_not_to_learn(tmp_path: Path) -> None:
    game = digits(NonSaturatingGAN, stages=[Stage(60, "discriminator")])
    verdict = watched(game, tmp_path, steps=70, every=20)
    assert not verdict["alarms"], verdict


def test_a_discriminator_that_plays_alone_has_not_won(tmp_path: Path) -> None:
    game = digits(NonSaturatingGAN, rate=1e-3, stages=[Stage(5), Stage(145, "discriminator")])
    watchdog = Watchdog(every_n_steps=50)
    settings: dict[str, Any] = {"callbacks": [watchdog], "default_root_dir": tmp_path, "log_every_n_steps": 2}
    play(game, Digits(size=16, batch_size=32), steps=155, **settings)
    assert not watchdog.symptoms.alarms
    assert len(watchdog.terms.losses) == 3 + 2, "a loss of each log in whose steps the generator played"


class Seldom(NonSaturatingGAN):
    """Its generator plays in each fifth step, and never in one before a look."""

    def generator_terms(self, turn: Any) -> Any:
        return {} if self.global_step % 5 else super().generator_terms(turn)


def test_a_generator_that_plays_now_and_then_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, add = [], SampleHistory.add

    def noted(history: SampleHistory, *look: Any) -> Any:
        seen.append(look[-1])
        return add(history, *look)

    monkeypatch.setattr(SampleHistory, "add", noted)
    data, watchdog = Digits(size=16, batch_size=8), Watchdog(every_n_steps=10)
    play(digits(Seldom), data, steps=30, callbacks=[watchdog], default_root_dir=tmp_path)
    assert seen == [1, 10, 20, 30]


@pytest.mark.parametrize("stop", [23, 28, 31])
def test_whether_a_generator_has_moved_is_known_after_a_resume(stop: int, tmp_path: Path) -> None:
    class Save(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == stop:
                trainer.save_checkpoint(tmp_path / "stopped.ckpt")

    def train(resume: Path | None = None) -> list[float]:
        watchdog = Watchdog(every_n_steps=10)
        game = digits(NonSaturatingGAN, stages=[Stage(25), Stage(50, "discriminator")])
        settings: dict[str, Any] = {"callbacks": [watchdog, Save()], "default_root_dir": tmp_path}
        play(game, Digits(size=16, batch_size=8), steps=41, resume=resume, **settings)
        return watchdog.terms.losses + watchdog.samples.recent

    straight = train()
    assert train(tmp_path / "stopped.ckpt") == straight


def test_a_run_too_short_to_learn_is_called_neither_healthy_nor_collapsed(tmp_path: Path) -> None:
    verdict = watched(digits(HingeGAN), tmp_path, steps=2, every=500)
    assert verdict["verdict"].startswith("finished, far from the floor (fid200_pixels ")
    assert not verdict["collapsed"]


@pytest.mark.parametrize("variant", seldom([HingeGAN, NonSaturatingGAN, R3GAN], [NonSaturatingGAN]))
def test_a_discriminator_gone_wild_is_named_within_three_evaluations(variant: Any, tmp_path: Path) -> None:
    verdict = watched(digits(variant, rate=0.2), tmp_path, steps=901, every=300)
    assert verdict["alarms"], verdict
    assert verdict["verdict"].startswith(("not learning", "diverged", "collapsed")), verdict


@pytest.mark.parametrize(
    "variant", seldom([HingeGAN, NonSaturatingGAN, R3GAN, RelativisticGAN], [HingeGAN, R3GAN])
)
def test_a_game_that_learns_raises_no_alarm(variant: Any, tmp_path: Path) -> None:
    verdict = watched(digits(variant), tmp_path, steps=600, every=100)
    assert (verdict["collapsed"], verdict["alarms"]) == (False, [])
    assert verdict["verdict"].startswith("finished, ")


def test_training_is_left_as_it_was(tmp_path: Path) -> None:
    plain, observed = new(HingeGAN), new(HingeGAN)
    expected = state(plain, play(plain, Specks(), steps=6))
    watchdog = Watchdog(every_n_steps=2)
    trainer = play(observed, Specks(), steps=6, callbacks=[watchdog], default_root_dir=tmp_path)
    result = state(observed, trainer)
    assert all(torch.equal(expected[name], result[name]) for name in expected)


# Samples


def reals(data: StreamData, game: GAN, count: int = 30) -> Tensor:
    images, *_ = data.splits.train[torch.arange(count)]
    return game.real((data.played((images,))[0],))


def looked(watchdog: Watchdog, game: GAN, data: StreamData, series: list[Tensor]) -> list[str]:
    """What holds in the end, after a look at each of these samples."""
    for samples in series:
        game.sample = lambda count, seed, samples=samples: samples  # type: ignore[assignment,misc]
        watchdog._judge_samples(game, data)
    return watchdog.symptoms.present()


def test_samples_are_compared_with_their_own_beginning() -> None:
    game, data = new(HingeGAN), Specks()
    noise = 3 * torch.randn(30, 1, 8, 8)
    target = reals(data, game).flip(0)
    shares = [0.0, 0.01, 0.03, 0.06, 0.09, 0.12, 0.15, 0.2]
    slowly = [(1 - share) * noise + share * target for share in shares]
    assert looked(Watchdog(), game, data, slowly) == []
    assert looked(Watchdog(), game, data, [noise] * 8) == ["still", "stalled"]
    shaking = [noise + 0.3 * torch.randn_like(noise) for _ in range(8)]
    assert looked(Watchdog(), game, data, shaking) == ["stalled"]
    assert looked(Watchdog(), game, data, [noise, *slowly[1:], *[slowly[-1]] * 3]) == ["still"]
    assert "away" in looked(Watchdog(), game, data, [noise, target, target, *[noise] * 3])


def test_samples_that_grow_fewer_are_named() -> None:
    game, data = new(HingeGAN), Specks()
    noise, target = 3 * torch.randn(30, 1, 8, 8), reals(data, game).flip(0)
    few = target[:3].repeat(10, 1, 1, 1)
    falling = [noise, target, target, *(few + 0.01 * torch.randn_like(few) for _ in range(6))]
    assert "lost" in looked(watchdog := Watchdog(), game, data, falling)
    assert watchdog.verdict().startswith("collapsed to about 3 distinct samples at ")


class Kinds(Specks):
    """Thirty images of as many kinds as asked for."""

    def __init__(self, *, classes: int) -> None:
        super().__init__(images=30)
        self.classes = classes

    def load(self) -> tuple[Any, Any]:
        train, _ = super().load()
        images, _ = train.tensors
        return torch.utils.data.TensorDataset(images, torch.arange(30) % self.classes), None


def of_each_class(images: Tensor, labels: Tensor, told: Tensor, some: int) -> Tensor:
    """Of the class that each sample is told one of so many images, in turn."""
    drawn = []
    for number, label in enumerate(told.tolist()):
        known = images[labels == label]
        drawn.append(known[number % min(some, len(known))])
    return torch.stack(drawn)


@pytest.mark.parametrize("classes", [1, 3, 10])
@pytest.mark.parametrize("conditional", [True, False])
def test_samples_of_a_class_that_are_one_are_named_where_a_class_is_told(
    conditional: bool, classes: int
) -> None:
    data = Kinds(classes=classes)
    data.setup("fit")
    game = new(HingeGAN, conditional=conditional)
    game.meet(data)
    labels = LabelFrequencies(data.label_counts).batch(torch.arange(30), seed_for("watchdog"))[1]
    target = reals(data, game)
    noise = 3 * torch.randn(30, 1, 8, 8)

    def end(some: int) -> list[str]:
        made = of_each_class(target, torch.arange(30) % classes, labels, some)
        return looked(Watchdog(), game, data, [noise, *(made + 1e-4 * torch.randn_like(made),) * 8])

    assert ("alike" in end(1)) is conditional
    assert "alike" not in end(30)


@pytest.mark.parametrize(
    ("of_class", "distance", "named"),
    [
        pytest.param([1.1, 1.12, 1.15, 1.15, 1.2], 0.1, True, id="few that stay"),
        pytest.param([1.1, 1.2, 1.4, 1.8, 2.2], 0.1, False, id="few that become more"),
        pytest.param([4.0, 5.0, 5.0, 5.0, 5.0], 0.1, False, id="a third of the reals"),
        pytest.param([1.1, 1.12, 1.15, 1.15, 1.2], 0.5, False, id="still far from the reals"),
    ],
)
def test_a_game_near_the_reals_with_one_sample_a_class_is_named(
    of_class: list[float], distance: float, named: bool
) -> None:
    rows, history = torch.randn(40, 4), SampleHistory()
    known = Reals(rows, 1.0, 0.5, 137.0, Within(10, 15.0, 0.6))
    watchdog = Watchdog()
    for look_number, distinct in enumerate([1.0, *of_class]):
        away = distance if look_number else 1.4
        seen = Likeness(rows + look_number, away, 1.0, 10 * distinct, Within(10, distinct, 0.1))
        for symptom, holds in history.add(seen, known, look_number).items():
            watchdog.symptoms.count(symptom, holds, look_number)
    assert ("alike" in watchdog.symptoms.present()) is named


def test_classes_of_one_real_each_ask_for_no_other() -> None:
    data = Kinds(classes=30)
    data.setup("fit")
    game = new(HingeGAN, conditional=True)
    game.meet(data)
    target = reals(data, game)
    labels = LabelFrequencies(data.label_counts).batch(torch.arange(30), seed_for("watchdog"))[1]
    series = [3 * torch.randn_like(target), *[target[labels]] * 8]
    assert "alike" not in looked(Watchdog(), game, data, series)


def test_a_game_that_is_told_nothing_is_looked_at_as_ever() -> None:
    """Nothing else is drawn for it, and nothing else is seen, though the data have labels."""
    data = Specks()
    data.setup("fit")
    game = new(HingeGAN)
    game.meet(data)
    before = torch.get_rng_state()
    known = reals_of(game, data)
    assert known
    seen = look(game, known)
    assert seen
    assert torch.equal(torch.get_rng_state(), before)
    assert known.within is seen.within is None
    assert torch.equal(seen.rows, game.sample(256, seed=seed_for("watchdog")).flatten(1).double())
    history = SampleHistory()
    history.add(seen, known, 1)
    assert "alike" not in history.add(seen, known, 2)


@pytest.mark.parametrize(("kinds_made", "named"), [(1, True), (3, False)])
def test_samples_that_are_made_from_sources_may_be_less_diverse_than_reals(
    kinds_made: int, named: bool
) -> None:
    """Which a game that is told nothing may not; one picture for all sources is named in both."""
    paired, plain = SpeckPairs(), Specks()
    for data, game in ((paired, new(Pix2Pix)), (plain, new(HingeGAN))):
        data.setup("fit")
        game.meet(data)
        target = reals(data, game)
        few = target[:kinds_made].repeat(30 // kinds_made, 1, 1, 1)
        series = [3 * torch.randn_like(target), *(few + 1e-5 * torch.randn_like(few) for _ in range(10))]
        assert ("few" in looked(Watchdog(), game, data, series)) == (named or data is plain)


def test_reals_that_are_all_one_ask_for_one_sample() -> None:
    """No sample can be called less diverse than they are, and one that stays far from them is named."""

    class One(Specks):
        def load(self) -> tuple[Any, Any]:
            train, held_out = super().load()
            same = torch.utils.data.TensorDataset(*(t[:1].expand(37, *t.shape[1:]) for t in train.tensors))
            return same, held_out

    game, data = new(HingeGAN), One()
    noise, target = torch.randn(30, 1, 8, 8), reals(data, game)
    shares = torch.linspace(0, 1, 11).tolist()
    learning = [(1 - share) * noise + share * target for share in shares]
    assert looked(watchdog := Watchdog(), game, data, [*learning, *[target] * 5]) == []
    assert watchdog.samples.reals_distinct == pytest.approx(1)
    assert looked(Watchdog(), game, data, [noise] * 8) == ["still", "stalled"]


def test_a_discriminator_that_tells_all_apart_has_won_only_where_samples_are_far_from_reals() -> None:
    game, data = new(HingeGAN), Specks()

    def symptoms(samples: torch.Tensor) -> list[str]:
        watchdog, game.sample = Watchdog(), lambda count, seed: samples  # type: ignore[assignment]
        watchdog._judge_samples(game, data)
        for _ in range(20):
            watchdog._judge_terms(game, {"discriminator": torch.tensor(1e-5)})
        return watchdog.symptoms.present()

    near = reals(data, game)
    assert symptoms(near.flip(0) + 0.01 * torch.randn_like(near)) == []
    assert symptoms(3 * torch.randn_like(near)) == ["won"]
    assert symptoms(0.1 * torch.randn_like(near) - 1) == ["won"]


# Scores, one symptom after another


class Scored(Evaluation):
    """An evaluation that is told its values, and their noise."""

    def __init__(self, *arguments: Any, error: float | None = 0.1, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.error = error

    def noise(self, name: str) -> float | None:
        return self.error

    def tell(self, values: dict[str, float | None]) -> None:
        self.scored_at, self.values = max(self.scored_at, 0) + 1, values
        self.scored_images = 1000 * self.scored_at
        self.comparable = values if self._floor.get("samples", 10_000) == 10_000 else {}


def judged(
    series: list[float],
    *,
    name: str = "fid10k",
    scores: tuple[str, ...] = ("fid",),
    floor: dict[str, Any] | None = None,
    evaluation: Evaluation | None = None,
    **arguments: Any,
) -> tuple[Watchdog, list[str], int | None]:
    """The verdict after each evaluation, a thousand images apart, and when the run was stopped."""
    watchdog, verdicts, stopped = Watchdog(**arguments), [], None
    told: Any = evaluation or Scored(Points(), scores=scores)
    told._floor = floor or {}
    trainer: Any = SimpleNamespace(callbacks=[told], should_stop=False)
    for number, value in enumerate(series, 1):
        told.tell({name: value})
        watchdog._judge_scores(trainer)
        verdicts.append(watchdog.verdict())
        stopped = stopped or (number if trainer.should_stop else None)
    return watchdog, verdicts, stopped


def kinds(verdicts: list[str]) -> set[str]:
    return {verdict.split(" at ")[0].split(",")[0] for verdict in verdicts}


def test_a_score_far_above_its_best_is_named_with_its_history() -> None:
    _, (*sound, last), _ = judged([90, 49, 60, 150, 151, 160])
    assert kinds(sound[:4]) == {"not finished"}
    assert last == "diverged at 4 k images (the score is far above its best); best fid10k 49 at 2 k, now 160"


def test_one_bad_evaluation_is_an_accident() -> None:
    _, verdicts, _ = judged([90, 49, 200, 60, 50])
    assert kinds(verdicts) == {"not finished"}


def test_noise_and_the_floor_explain_a_ratio() -> None:
    near = [9.0, 0.2, *[0.9] * 20]
    assert judged(near, evaluation=Scored(Points(), error=0.2))[2] is None
    assert judged(near, evaluation=Scored(Points(), error=0.1))[2] == 7
    assert judged(near, floor={"samples": 10_000, "fid10k": 0.4})[2] is None
    assert judged(near, floor={"samples": 10_000, "fid10k": 0.2})[2] == 7
    assert judged(near, evaluation=Scored(Points(), error=None))[2] is None


@pytest.mark.parametrize(
    ("name", "scores", "series"),
    [
        # Of noise at first, and of a run whose FID fell from 62 to 3.9.
        ("density10k_k5", ("density_coverage",), [0.72, *[0.13] * 20]),
        ("kid10k", ("kid",), [0.1, 1e-5, *[3e-4] * 20]),
        ("kid10k", ("kid",), [0.1, -1e-5, *[3e-4] * 20]),
        ("fid_infinity10k", ("fid_infinity",), [60.0, 0.001, *[0.3] * 20]),
        ("is10k", ("is",), [9.0, *[2.0] * 20]),
        ("precision10k_k3", ("precision_recall",), [0.9, *[0.1] * 20]),
        ("class_distance10k", ("classes",), [0.9, 0.001, *[0.02] * 20]),
    ],
)
def test_shares_and_scores_near_nothing_stop_no_run(
    name: str, scores: tuple[str, ...], series: list[float]
) -> None:
    watchdog, _, stopped = judged(
        series, name=name, scores=scores, evaluation=Scored(Pixels(), scores=scores)
    )
    assert stopped is None
    assert watchdog.symptoms.present() == []


def test_healthy_runs_at_a_true_kid_of_almost_nothing_go_on() -> None:
    source = torch.Generator().manual_seed(0)
    falls = torch.logspace(-1, -3.5, 10)
    stops = 0
    for _ in range(100):
        noisy = 3e-4 * (1 + torch.randn(30, generator=source))
        series = [*falls.tolist(), *noisy.tolist()]
        stops += judged(series, name="kid10k", scores=("kid",))[2] is not None
    assert stops <= 1


class Drawn(Evaluation):
    """Scores what is given, so that the noise is its own."""

    def tell(self, values: dict[str, float | None]) -> None:
        fakes = torch.randn(200, 2, generator=self.source, dtype=torch.float64)  # type: ignore[attr-defined]
        self._moments = gaussian(fakes)
        assert self._reals
        values = {"fid200": frechet(self._reals.moments, self._moments, self._reals.factor)}
        self.scored_at, self.values = max(self.scored_at, 0) + 1, values
        self.scored_images = 1000 * self.scored_at


def test_healthy_runs_whose_fid_is_all_noise_go_on() -> None:
    stops = 0
    for seed in range(40):
        evaluation: Any = Drawn(Points(), samples=200)
        evaluation.source = source = torch.Generator().manual_seed(seed)
        reals = torch.randn(2000, 2, generator=source, dtype=torch.float64)
        evaluation._reals = KnownReals.of(Observed(gaussian(reals), None))
        stops += judged([0.0] * 40, evaluation=evaluation)[2] is not None
    assert stops == 0


@pytest.mark.parametrize(
    ("shift", "width", "within"),
    # Where the fakes are as the reals the distance has no slope, and its noise is overstated.
    [(1.0, 1.0, 0.1), (0.0, 2.0, 0.1), (0.5, 0.3, 0.1), (0.0, 1.0, 0.5)],
)
def test_the_noise_of_a_fid_is_its_spread_over_draws(shift: float, width: float, within: float) -> None:
    source = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.5, 2, 6, dtype=torch.float64)

    def drawn(count: int) -> Tensor:
        return scale * torch.randn(count, 6, generator=source, dtype=torch.float64)

    evaluation, values, errors = Evaluation(Points(), samples=500), [], []
    evaluation._reals = reals = KnownReals.of(Observed(gaussian(drawn(5000)), None))
    for _ in range(1000):
        evaluation._moments = gaussian(shift + width * drawn(500))
        values.append(frechet(reals.moments, evaluation._moments, reals.factor))
        if len(errors) < 20:
            errors.append(evaluation.noise("fid500"))
    spread = float(torch.tensor(values).std())
    assert float(torch.tensor(errors).mean()) == pytest.approx(spread, rel=within)


def test_shares_and_counts_are_better_the_greater_they_are() -> None:
    _, verdicts, _ = judged(
        [0.2, 0.5, 0.9, 0.1, 0.1],
        name="recall10k_k3",
        evaluation=Scored(Pixels(), scores=("precision_recall",)),
    )
    assert verdicts[-1].startswith("collapsed at 4 k images (fewer and fewer modes or classes are covered)")
    modes = {"name": "modes20k", "scores": ("modes",)}
    assert "modes or classes are covered" in judged([10, 25, 11, 10], **modes)[1][-1]
    assert kinds(judged([10, 25, 20, 18], **modes)[1]) == {"not finished"}
    # The share of samples that are of a wrong class: in the end 34 % are right, where 70 % were.
    classes = {"name": "class_distance10k_mnist", "scores": ("classes",)}
    lost = judged([0.9, 0.3, 0.3, 0.66, 0.66], **classes)[1]
    assert lost[-1].startswith("collapsed at 4 k images (fewer and fewer modes or classes are covered)")
    assert kinds(judged([0.9, 0.3, 0.3, 0.6, 0.6], **classes)[1]) == {"not finished"}
    # A share that is noise at first is none that was lost.
    coverage = {"name": "coverage10k_k5", "scores": ("density_coverage",)}
    assert kinds(judged([0.03, 0.01, 0.01, 0.2], **coverage)[1]) == {"not finished"}


def test_after_so_many_it_is_stopped(tmp_path: Path) -> None:
    class Falling(Scored):
        def _score(self, trainer: Any, model: Any, *, logs: bool) -> None:
            self.scored_at = trainer.global_step
            self.values = {"fid40_pixels": 1.0 if trainer.global_step <= 4 else 10.0}

    def end(stop_after: int | None) -> int:
        callbacks = [Watchdog(stop_after=stop_after), Falling(Pixels(), samples=40, every_n_steps=2)]
        return play(new(WGAN), Specks(), steps=40, callbacks=callbacks, default_root_dir=tmp_path).global_step

    assert end(None) == 40
    # The fifth bad score is computed at step 14 and read one step later.
    assert end(5) == 15


@pytest.mark.parametrize(
    ("copied", "samples", "floor", "named"),
    [
        (0.9, 10_000, {"samples": 5000, "copied5k": 0.001}, True),
        (0.09, 10_000, {"samples": 5000, "copied5k": 0.001}, True),
        (0.03, 10_000, {}, True),
        (0.019, 10_000, {"samples": 10_000, "copied10k": 0.0}, False),
        (0.03, 100, {"samples": 100, "copied100": 0.0}, False),
        (0.03, 10_000, {"samples": 5000, "copied5k": 0.028}, False),
    ],
)
def test_more_copies_than_chance_allows_are_memorised(
    copied: float, samples: int, floor: dict[str, Any], named: bool
) -> None:
    evaluation = Scored(Points(), samples=samples)
    watchdog, verdicts, stopped = judged([copied], name="copied10k", floor=floor, evaluation=evaluation)
    assert watchdog.symptoms.present() == ["copied"] * named
    assert verdicts[0].startswith("memorising at 1 k images") == named
    assert stopped is None


# Terms


@pytest.mark.parametrize("near", [False, True])
def test_a_discriminator_that_has_won_look_after_look_is_named_though_samples_come_nearer(near: bool) -> None:
    watchdog, game, data = Watchdog(), new(NonSaturatingGAN), Specks()
    real = reals(data, game)
    for _ in range(25):
        watchdog._judge_terms(game, {"discriminator": torch.tensor(1e-4)})
    series = [real + (0.0 if near else 3.0 - 0.2 * look) for look in range(5)]
    present = looked(watchdog, game, data, series)
    assert ("outplayed" in present) is not near
    assert "won" not in present
    assert "stalled" not in present


def test_a_run_of_before_a_symptom_was_known_goes_on() -> None:
    watchdog = Watchdog()
    state = watchdog.state_dict()
    del state["symptoms"]["counts"]["outplayed"], state["symptoms"]["since"]["outplayed"]
    state["symptoms"]["counts"]["won"] = 4
    watchdog.load_state_dict(state)
    assert watchdog.symptoms.present() == ["won"]


def test_a_discriminator_far_worse_than_one_that_cannot_tell_is_named() -> None:
    watchdog, game = Watchdog(), new(NonSaturatingGAN)
    for step in range(40):
        watchdog._judge_terms(game, {"discriminator": torch.tensor(4.0 if step % 4 else 12.0)})
    assert watchdog.symptoms.present() == []
    for step in range(40):
        watchdog._judge_terms(game, {"discriminator": torch.tensor(0.0 if step % 4 else 100.0)})
    assert watchdog.symptoms.present() == ["misled"]
    assert watchdog.verdict().startswith("diverged at 0 images (the discriminator does far worse")


def test_a_term_has_exploded_if_it_is_far_above_its_own_past() -> None:
    watchdog, game = Watchdog(), new(HingeGAN)
    for _ in range(5):
        watchdog._judge_terms(game, {"drift": torch.tensor(900.0)})
    assert watchdog.symptoms.counts["exploded"] == 0
    for _ in range(3):
        watchdog._judge_terms(game, {"drift": torch.tensor(-1e6)})
    assert "a term has exploded" in watchdog.verdict()


# Verdicts


def test_a_finished_run_is_told_beside_the_floor() -> None:
    def verdict(value: float, **floor: Any) -> str:
        watchdog, _, _ = judged([value], floor=floor)
        watchdog.finished = True
        return watchdog.verdict()

    far = "finished, far from the floor (fid10k 18.3, 42 times that of held-out reals 0.438); best fid10k"
    assert verdict(18.3, fid10k=0.438).startswith(far)
    other = verdict(18.3, samples=300, fid300=0.438)
    assert other.startswith("finished, not judged"), "a floor of fewer samples says nothing"
    near = "finished, near the floor (fid10k 1.5, 3.8 times that of held-out reals 0.4)"
    assert verdict(1.5, fid10k=0.4).startswith(near)
    assert verdict(1.5).startswith("finished, not judged: nothing could be compared with the reals")


def test_what_it_knows_goes_on_with_a_resumed_run() -> None:
    game, data = new(HingeGAN), Specks()
    noise = 3 * torch.randn(30, 1, 8, 8)
    whole, first, rest = Watchdog(), Watchdog(), Watchdog()
    looked(whole, game, data, [noise] * 8)
    looked(first, game, data, [noise] * 4)
    torch.save(first.state_dict(), file := io.BytesIO())
    file.seek(0)
    rest.load_state_dict(torch.load(file, weights_only=True))
    assert looked(rest, game, data, [noise] * 4) == whole.symptoms.present()
    assert rest.verdict() == whole.verdict()
    (old := Watchdog()).load_state_dict({"counts": {"alike": 3}, "diversity": 0.5, "bests": {}})
    assert looked(old, game, data, [noise] * 8) == whole.symptoms.present()
