"""Scores of pairs and of a user's own: known answers, names, contracts, refusals, and who knows them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import own_scores
import pytest
import torch
from command_line import here, run_folders
from own_scores import SHAPE, Darker, Gap, Halved, Judge, Levels, Repeat
from scipy.linalg import sqrtm
from several_processes import together
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.data import TensorDataset

from ganlab.callbacks import Evaluation
from ganlab.callbacks.watch.scores import ScoreHistory
from ganlab.comparison.groups import groups
from ganlab.comparison.read import read_run
from ganlab.comparison.tables import compare
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.media import Labels, Pictures
from ganlab.metrics import L1, PSNR, SSIM, FeatureScore, Pixels, SampleScore, Value
from ganlab.metrics.names import hash_of, measured
from ganlab.metrics.reference import contract_of, prepare_reference
from ganlab.metrics.scorer import Scorer
from ganlab.sampling.plan import fake_batches
from ganlab.system.processes import on_rank_zero
from ganlab.testing import Specks, new, play
from ganlab.variants import HingeGAN


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


class FromTheReal(HingeGAN):
    """Is told the real itself."""

    def condition(self, batch: Any) -> Any:
        return batch[0]


class Tagged(Halved):
    """Pictures, and beside each the number of a class."""

    media = Pictures(SHAPE), Labels(2)

    def load(self) -> tuple[Any, Any]:
        return tuple(TensorDataset(part[:][0], torch.zeros(len(part)).long()) for part in super().load())


def source_game() -> GAN:
    return new(HingeGAN, generator=Repeat(), discriminator=Judge(), conditional=True)


def real_game() -> GAN:
    return new(FromTheReal, generator=Repeat(), discriminator=Judge())


def scored(game: GAN, folder: Path, *scores: Any, data: Any = None, **options: Any) -> dict[str, Any]:
    """The row of scores of a run of one step."""
    evaluation = Evaluation(Pixels(), scores, **options)
    play(game, data or Halved(), steps=1, callbacks=[evaluation], default_root_dir=folder)
    return json.loads((folder / "scores.jsonl").read_text().splitlines()[-1])


def sides(count: int, data: Halved | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Real pictures and their sources, as numbers."""
    real, source = (data or Halved()).load()[0][:count]
    return real.double().numpy(), source.double().numpy()


# Known answers


def test_a_game_that_returns_the_real(tmp_path: Path) -> None:
    row = scored(real_game(), tmp_path, "psnr", "ssim", "l1", Darker(), Levels())
    expected = {"ssim30": 1.0, "l1_30": 0.0, "darker30": 0.0, "brighter30": 0.0, "levels30": 0.0}
    assert row["scores"] == {"psnr30": None, **expected}
    assert row["reasons"] == {"psnr30": "some pair's pictures are equal, and their PSNR is infinite"}


def test_a_game_that_returns_the_source(tmp_path: Path) -> None:
    row = scored(source_game(), tmp_path, "psnr", "l1", L1(crop=4), Darker(by=9), Levels())
    real, source = sides(30)
    error = ((real - source) ** 2).mean((1, 2, 3))
    counts = [np.bincount(side.astype(int).ravel(), minlength=256) / side.size for side in (real, source)]
    assert row["scores"] == pytest.approx(
        {
            "psnr30": np.mean(10 * np.log10(255**2 / error)),
            "l1_30": np.abs(real - source).mean(),
            "l1_30_crop4": np.abs(real - source)[..., 4:-4, 4:-4].mean(),
            "darker30_by9": (real - source > 9).mean(),
            "brighter30_by9": 0.0,
            "levels30": np.abs(counts[0] - counts[1]).sum() / 2,
        }
    )
    assert row["floor"].keys() == {"samples", "levels30"}, "reals in place of samples are made from no item"


def test_sources_have_the_distances_that_leaving_them_alone_has(tmp_path: Path) -> None:
    names = ("fid", "kid", "fid_source", "kid_source")
    row = scored(source_game(), tmp_path / "left alone", *names, samples=20)
    values, parameters = row["scores"], row["contract"]["parameters"]
    for name in ("fid20{}_pixels", "kid20{}_pixels", "kid20{}_error_pixels", "kid20{}_all_pixels"):
        assert values[name.format("_source")] == values[name.format("")] > 0
    assert parameters["fid_source"] == {"of": "source"}
    assert hash_of(row["contract"], "fid20_source_pixels") != hash_of(row["contract"], "fid20_pixels")
    assert not any("source" in name for name in row["floor"]), "reals are made from no source"
    made = scored(real_game(), tmp_path / "the real", *names, samples=20)["scores"]
    assert made["fid20_pixels"] != values["fid20_pixels"]
    assert made["fid20_source_pixels"] == values["fid20_source_pixels"]


def test_the_distance_of_sources_is_that_of_their_features(tmp_path: Path) -> None:
    row = scored(source_game(), tmp_path, "fid_source", data=Halved(items=503, held_out=503))
    features = [
        adaptive_avg_pool2d(torch.from_numpy(side), 8).flatten(1).numpy() / 255
        for side in sides(503, Halved(items=503, held_out=503))
    ]
    (mean, covariance), (other, of_other) = ((each.mean(0), np.cov(each.T)) for each in features)
    root = np.trace(sqrtm(covariance @ of_other)).real
    expected = ((mean - other) ** 2).sum() + np.trace(covariance) + np.trace(of_other) - 2 * root
    assert row["scores"] == {"fid503_source_pixels": pytest.approx(expected, rel=1e-5)}


def test_every_pair_counts_whatever_the_portions(tmp_path: Path) -> None:
    data = Halved(items=503, held_out=503)
    row = scored(source_game(), tmp_path, "l1", data=data)
    real, source = sides(503, data)
    assert row["scores"] == {"l1_503": pytest.approx(np.abs(real - source).mean(), rel=1e-12)}


def observed_of_blocks() -> tuple[dict[str, Any], dict[str, Any]]:
    """Of three blocks, of which one of two processes has two; and the floor."""
    data, game = Halved(items=900, held_out=553), source_game()
    game.meet(data)
    scorer = Scorer(
        Pixels(), ("fid", "fid_source", "kid_source", "psnr", "ssim", Darker(), Levels(), Gap()), 553
    )
    reals, floor = prepare_reference(scorer, data, "held_out")
    fakes = scorer.observe(fake_batches(game, 553, 0, scorer=scorer), 553)
    return on_rank_zero(lambda: scorer.score(reals, fakes)[0]), floor


def test_two_processes_score_what_one_does(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    alone, (first, second) = observed_of_blocks(), together(observed_of_blocks, 2, tmp_path / "two")
    assert first == second
    for several, one in zip(first, alone, strict=True):
        exact = {name for name in one if not name.endswith("_pixels")}
        assert {name: several[name] for name in exact} == {name: one[name] for name in exact}
        assert several == pytest.approx(one, rel=1e-6)


def test_a_process_without_a_share_waits_for_the_others(tmp_path: Path) -> None:
    (tmp_path / "four").mkdir()
    alone, several = observed_of_blocks(), together(observed_of_blocks, 4, tmp_path / "four")
    assert several[3][0] == pytest.approx(alone[0], rel=1e-6)


# The reals are those of the items


def test_reals_are_of_the_split_whose_items_samples_are_told(tmp_path: Path) -> None:
    row = scored(source_game(), tmp_path / "held_out", "fid")
    assert (row["contract"]["data"]["split"], row["contract"]["samples"]) == ("held_out", 30)
    assert row["floor"]["samples"] == 30
    row = scored(source_game(), tmp_path / "none", "fid", data=Halved(held_out=None))
    assert (row["contract"]["data"]["split"], row["contract"]["samples"]) == ("train", 50)
    assert row["contract"]["conditions"] == "training items"
    row = scored(new(HingeGAN), tmp_path / "unconditional", "fid", data=Specks(), samples=20)
    assert (row["contract"]["data"]["split"], row["contract"]["samples"]) == ("train", 20)


REFUSALS = {
    "train": (source_game, ("fid",), {"split": "train"}, "not\nof train: leave out split"),
    "more samples than items": (source_game, ("fid",), {"samples": 31}, "none for sample 30"),
    "unconditional": (lambda: new(HingeGAN), ("psnr",), {}, "told nothing of data"),
    "sources of no item": (lambda: new(HingeGAN), ("fid_source",), {}, "fid_source looks at the items"),
    "small pictures": (source_game, (SSIM(crop=1),), {}, "11 x 11 are needed"),
    "channels": (source_game, (PSNR(channels="y"),), {}, "needs red, green and blue"),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_what_cannot_be_scored_is_refused_before_the_first_step(how: str, tmp_path: Path) -> None:
    build, scores, options, words = REFUSALS[how]
    game = build()
    data = None if game.conditional else Specks()
    with pytest.raises(Refused, match=words) as refused:
        scored(
            game,
            tmp_path,
            *scores,
            data=data,
            **options,
        )
    assert len(str(refused.value).splitlines()) <= 3
    assert game.global_step == 0
    assert not (tmp_path / "scores.jsonl").exists()


def test_labels_are_no_item(tmp_path: Path) -> None:
    class Told(HingeGAN):
        def condition(self, batch: Any) -> Any:
            return batch[1]

        def fake(self, generator: Any, latent: Any, condition: Any) -> Any:
            return generator(latent)

        def judge(self, samples: Any, condition: Any) -> Any:
            return self.discriminator(samples)

    with pytest.raises(Refused, match=r"told labels of train"):
        scored(new(Told), tmp_path, "psnr", data=Specks())


def test_labels_are_no_source(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="second column is a picture"):
        scored(real_game(), tmp_path, "fid_source", data=Tagged())


# Names


class Psnr(Levels):
    values = (Value("psnr{n}", "max"),)


class Numberless(Levels):
    values = (Value("levels", "min"),)


class Undirected(Levels):
    values = (Value("levels{n}"),)


class LevelsAgain(Levels):
    values = (Value("levels{n}_most", "max"),)


class Needless(FeatureScore):
    values = (Value("mine{n}", "max"),)

    def compute(self, pair: Any) -> list[float]:
        return [0.0]


class Misspelt(Needless):
    needs = "feature"  # type: ignore[assignment]


class Valueless(Needless):
    needs = "features"
    values = ()


class WithFloor(Darker):
    has_floor = True


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (("psnr", PSNR()), "Two scores are named psnr"),
        ((Levels(), Levels()), "Two scores are named levels"),
        ((Psnr(),), "as ganlab's psnr does"),
        ((Numberless(),), "has {n} in the"),
        ((Undirected(),), "a direction, min or max"),
        ((Levels(), LevelsAgain()), "Two scores are named levels"),
        ((Needless(),), "does not say what it needs"),
        ((Misspelt(),), "does not say what it needs"),
        ((Valueless(),), "has no values"),
        ((WithFloor(),), "has_floor = False"),
        (("my_pears.Levels",), "There is no score my_pears.Levels"),
    ],
    ids=[
        "twice",
        "own twice",
        "ganlab's name",
        "no number",
        "no direction",
        "one beginning",
        "no need",
        "no such need",
        "no values",
        "a floor of pairs",
        "unknown",
    ],
)
def test_scores_that_could_not_be_told_apart_are_refused(chosen: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        Scorer(Pixels(), chosen, 10)
    with pytest.raises(Refused, match=words):
        Evaluation(Pixels(), scores=chosen)


class WithoutFloor(Levels):
    has_floor = False


class OneTooMany(Levels):
    def compare(self, real: Any, fake: Any) -> list[float]:
        return [1.0, 2.0]


def test_a_score_of_samples_may_have_no_floor(tmp_path: Path) -> None:
    row = scored(source_game(), tmp_path, Levels())
    (levels,) = row["scores"].values()
    again = scored(source_game(), tmp_path / "again", WithoutFloor())
    assert [*again["scores"].values()] == [levels]
    assert "levels30" in row["floor"]
    assert "levels30" not in again["floor"]


def test_as_many_numbers_as_values_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="a list with a number for each"):
        scored(source_game(), tmp_path, OneTooMany())


def test_arguments_stand_in_the_name_where_they_are_not_the_default() -> None:
    names = [Scorer(Pixels(), (each,), 100).names(each.name) for each in (PSNR("y", 4), L1(), SSIM(crop=2))]
    assert names == [["psnr100_y_crop4"], ["l1_100"], ["ssim100_crop2"]]
    assert PSNR("y", 4).name == "psnr_y_crop4"
    both = Scorer(Pixels(), ("psnr", PSNR(crop=4)), 100)
    assert both.directions == {"psnr100": "max", "psnr100_crop4": "max"}


# Contracts


def plain_contract(*scores: Any) -> dict[str, Any]:
    scorer = Scorer(Pixels(), scores, 30)
    return json.loads(json.dumps(contract_of(scorer, Halved(), "held_out", fakes="ema", seed=0).plain()))


def test_what_a_score_depends_on_is_in_its_own_hash_alone() -> None:
    bare, contract = plain_contract("fid"), plain_contract("fid", "psnr", PSNR(crop=2), Darker(), Levels())
    assert "parameters" not in bare
    assert contract["hash"] == bare["hash"] == hash_of(contract, "fid30_pixels")
    names = ("psnr30", "psnr30_crop2", "darker30", "levels30")
    assert len({hash_of(contract, name) for name in names} | {contract["hash"]}) == 5
    assert contract["parameters"]["psnr_crop2"] == {"channels": "all", "crop": 2, "range": 255}
    assert hash_of(contract, "psnr30") == hash_of(plain_contract("psnr"), "psnr30")
    assert hash_of(contract, "darker30") == hash_of(plain_contract(Darker()), "darker30")


class Unnamed(Darker):
    """Its argument stands in no name."""

    def __init__(self, by: int = 0) -> None:
        super().__init__(by)
        self.suffix = ""


def test_another_argument_is_another_score() -> None:
    one, other = (hash_of(plain_contract(Unnamed(by)), "darker30") for by in (0, 1))
    assert one != other
    contract = plain_contract(Unnamed())["parameters"]["darker"]
    assert contract["class"].endswith("Unnamed")
    assert contract["values"] == [["darker{n}", "max", "raw"], ["brighter{n}", None, "raw"]]


def test_another_source_file_is_another_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    hashes = []
    for name in ("one_score", "same_score", "other_score"):
        text = Path(own_scores.__file__).read_text() + "\n# changed\n" * (name == "other_score")
        (tmp_path / f"{name}.py").write_text(text)
        own = plain_contract(__import__(name).Levels())["parameters"]["levels"]
        hashes.append(own["source"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_names_are_known_by_the_contract_that_tells_them() -> None:
    contract = plain_contract(Darker(by=3), Gap())
    known = measured("darker30_by3", contract)
    assert known
    assert (known.score, known.value.better, known.value.scale) == ("darker_by3", "max", "raw")
    assert measured("gap30_pixels", contract) == ("gap", Value("gap{n}", "min", "log"), "_pixels")
    assert measured("darker30_by3") is None
    tellings: list[Any] = [None, 5, {}, {"values": 3}, {"values": [["a{n}", "up", "raw"]], "judged": 0}]
    tellings += [{"values": [["a{n}", "max", "raw"]], "judged": 7}, {"values": [[["a{n}"], "max", "raw"]]}]
    for garbled in tellings:
        assert measured("a30", {"parameters": {"a": garbled}}) is None
    lies = {"parameters": {"fid": {"values": [["fid{n}", "max", "raw"]], "judged": 0}}}
    assert measured("fid30_pixels", lies) == measured("fid30_pixels"), (
        "ganlab's own are as the table has them"
    )


# Who knows them


@pytest.mark.parametrize(("before", "after"), [(2.0, False), (-1.0, True)], ids=["more", "less"])
def test_the_best_checkpoint_goes_by_the_scores_own_direction(
    before: float, after: bool, tmp_path: Path
) -> None:
    evaluation = Evaluation(scores=[Darker()])
    evaluation.best = before
    play(source_game(), Halved(), steps=1, callbacks=[evaluation], default_root_dir=tmp_path)
    assert (evaluation.best == evaluation.values["darker30"]) == after
    assert (tmp_path / "checkpoints" / "best.ckpt").exists() == after


def test_the_watchdog_keeps_the_best_by_the_scores_own_direction() -> None:
    scores = ScoreHistory(parameters=Scorer(Pixels(), (Darker(), Gap()), 30).parameters)
    for value in (0.3, 0.5, 0.4):
        assert scores.keep_best("darker30", value, 8)
        assert scores.keep_best("gap30_pixels", value, 8)
        assert not scores.keep_best("brighter30", value, 8)
    assert (scores.bests["darker30"][0], scores.bests["gap30_pixels"][0]) == (0.5, 0.3)
    assert scores.is_first_distance("gap30_pixels")
    assert not scores.is_first_distance("darker30")


def test_scores_of_samples_need_no_extractor(tmp_path: Path) -> None:
    evaluation = Evaluation(scores=[Levels()], samples=20)
    play(new(HingeGAN), Specks(), steps=1, callbacks=[evaluation], default_root_dir=tmp_path)
    row = json.loads((tmp_path / "scores.jsonl").read_text())
    assert row["scores"].keys() == {"levels20"}
    assert row["contract"]["extractor"]["name"] == "no features"
    assert Evaluation(scores=["fid"]).scorer is None


class Broken(SampleScore):
    values = (Value("broken{n}", "min"),)

    def count(self, samples: Any) -> Any:
        return [len(samples)]

    def compare(self, real: Any, fake: Any) -> list[float]:
        return [0.0]


class Short(Darker):
    def compare(self, made: Any, real: Any) -> torch.Tensor:
        return super().compare(made, real)[1:]


@pytest.mark.parametrize(("score", "words"), [(Broken(), "gives a list"), (Short(), r"give 2 for each")])
def test_what_a_score_of_ones_own_does_wrong_is_told_before_the_first_step(
    score: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=words):
        scored(source_game(), tmp_path, score)


# As users meet them


def test_the_example_of_readme_is_a_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (text,) = [each for each in readme.split("```") if "class Levels(SampleScore)" in each]
    (tmp_path / "levels_of_readme.py").write_text(text.removeprefix("python\n"))
    monkeypatch.syspath_prepend(tmp_path)
    shown, own = (
        scored(source_game(), tmp_path / str(number), score)["scores"]
        for number, score in enumerate((__import__("levels_of_readme").Levels(), Levels()))
    )
    assert shown == pytest.approx(own)


CONFIG = """\
model:
  class_path: HingeGAN
  init_args:
    conditional: true
    latent_size: 4
    generator: {class_path: my_scores.Repeat}
    discriminator: {class_path: my_scores.Judge}
data: {class_path: my_scores.Halved, init_args: {batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu}
evaluation:
  extractor: Pixels
  scores:
  - fid
  - my_scores.Levels
  - {class_path: ganlab.metrics.PSNR, init_args: {crop: 4}}
  - {class_path: my_scores.Darker, init_args: {by: 3}}
"""
WITH_CROP = "{class_path: PSNR, init_args: {crop: 4}}"
ASKED = f"[fid, my_scores.Levels, {WITH_CROP}, {{class_path: my_scores.Darker, init_args: {{by: 3}}}}]"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    shutil.copyfile(own_scores.__file__, folder / "my_scores.py")
    (folder / "pairs.yaml").write_text(CONFIG)
    for seed in (0, 1):
        answer = here("fit", "--config", "pairs.yaml", f"--seed_everything={seed}", folder=folder)
        assert answer.code == 0, answer
    return folder


def recorded(home: Path) -> dict[str, Any]:
    return json.loads((run_folders(home)[0] / "scores.jsonl").read_text().splitlines()[0])


def test_a_run_is_scored_by_class_path(home: Path) -> None:
    row, (real, source) = recorded(home), sides(30)
    assert row["scores"]["darker30_by3"] == pytest.approx((real - source > 3).mean())
    assert row["scores"].keys() >= {"fid30_pixels", "levels30", "psnr30_crop4"}


def test_evaluate_repeats_the_scores_of_a_run_and_of_an_export(home: Path) -> None:
    row, run = recorded(home), run_folders(home)[0]
    exported = home / "export"
    assert here("export", run, "--out", exported, folder=home).code == 0
    of_export = (exported, "--trust_code", "--reference", "pairs.yaml", "--extractor", "Pixels")
    for what in ((run,), of_export):
        answer = here("evaluate", *what, "--scores", ASKED, "--json", folder=home)
        assert answer.code == 0, answer
        told = json.loads(answer.out)
        values = {name: score["value"] for name, score in told["scores"].items()}
        assert values == pytest.approx(row["scores"])
        for name in values:
            assert hash_of(told["contract"], name) == hash_of(row["contract"], name)
    answer = here("evaluate", run, "--scores", "fid,fid_source", "--extractor", "Pixels", folder=home)
    assert answer.code == 0, answer
    assert "fid30_source_pixels" in answer.out
    answer = here("evaluate", run, "--scores", "psnr,my_scores.Gap", folder=home)
    assert answer.code == 0, answer
    assert "gap30_pixels" in answer.out
    assert [line.split()[2:] for line in answer.out.splitlines() if "psnr30 " in line] == [[]], "no floor"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--split", "train"), "leave out split"),
        (("--samples", "31"), "none for sample 30"),
        (("--scores", "psnr,PSNR"), "Two scores are named psnr"),
        (("--scores", "my_scores.Judge"), "There is no score my_scores.Judge"),
        (("--scores", "[fid, {class_path"), "no list in YAML"),
    ],
    ids=["train", "too many", "twice", "no score", "no YAML"],
)
def test_evaluate_refuses(options: tuple[str, ...], words: str, home: Path) -> None:
    answer = here("evaluate", run_folders(home)[0], *options, folder=home)
    assert answer.code == 2, answer
    assert words in answer.err
    assert len(answer.err.splitlines()) <= 3


def test_compare_tells_a_users_score_with_its_direction_and_opens_no_class(home: Path) -> None:
    """The file of the class is gone, and so is the copy in each run's folder."""
    runs = []
    for folder in run_folders(home):
        copy = home / "elsewhere" / folder.name
        copy.mkdir(parents=True, exist_ok=True)
        for name in ("config.yaml", "scores.jsonl", "status.json", "clock.csv", "metrics.csv"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, copy / name)
        runs.append(read_run(copy))
    tables = {table.score: table for table in compare(runs).tables}
    directions = {name: (table.better, table.scale) for name, table in tables.items()}
    assert directions["darker30_by3"] == ("max", "raw")
    assert directions["levels30"] == ("min", "raw")
    assert directions["psnr30_crop4"] == ("max", "raw")
    assert "brighter30_by3" not in directions, "it has no direction"
    assert tables["levels30"].floor == recorded(home)["floor"]["levels30"]
    assert len(groups(runs)) == 1
