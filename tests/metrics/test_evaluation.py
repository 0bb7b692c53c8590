"""Scores as users meet them: the callback, the command, names and contracts, and what they leave alone."""

import json
import os
import re
import sys
import zipfile
from math import isnan
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from commands import Command, end_all
from fuzzing import within
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from scored_games import ALL, Places, digits, game, scored
from sets import encoded, folder
from several_processes import together

from ganlab.callbacks import Evaluation
from ganlab.cli import main
from ganlab.data import Digits, Gaussians, Rows, StackedMNIST
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.metrics import Classifier, Extractor, Pixels, Points, StackedClassifier
from ganlab.metrics.contract import short
from ganlab.metrics.given_images import GivenImages
from ganlab.metrics.names import hash_of
from ganlab.metrics.reference import beside_floor, contract_of, part_of, prepare_reference
from ganlab.metrics.registry import TABLE
from ganlab.metrics.scorer import Scorer
from ganlab.networks import DCGANDiscriminator, MLPDiscriminator, MLPGenerator
from ganlab.sampling.plan import fake_batches
from ganlab.system.processes import on_rank_zero, shares
from ganlab.testing import assert_same, play, state
from ganlab.variants import HingeGAN, NonSaturatingGAN


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]


# Training is left alone


@pytest.mark.parametrize("steps", [12, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("variant", [NonSaturatingGAN, HingeGAN])
def test_evaluation_changes_nothing_in_training(variant, steps, tmp_path):
    states, randoms = [], []
    for every in (None, steps // 4):
        callbacks = [Evaluation(Pixels(), ("fid", "kid"), 60, every)] if every else []
        played = game(variant=variant)
        trainer = play(played, digits(), steps=steps, callbacks=callbacks, default_root_dir=tmp_path)
        states.append(state(played, trainer))
        randoms.append(torch.get_rng_state())
        assert all(module.training for module in played.generator.modules())
    assert_same(*states, what="evaluation")
    assert torch.equal(*randoms)
    assert [line["step"] for line in lines(tmp_path)] == [steps // 4 * number for number in range(1, 5)]


# What is scored


def scores_of_three_blocks() -> tuple[dict, dict, dict]:
    """By one process or by several, of which then one has twice what another has."""
    scorer = Scorer(Classifier("digits"), ALL, 553)
    reals, floor = prepare_reference(scorer, digits(), "train")
    fakes = scorer.observe(fake_batches(game(), 553, 0), 553, part=part_of(floor, 553))
    beside = on_rank_zero(lambda: beside_floor(scorer, reals, fakes, floor))
    return on_rank_zero(lambda: scorer.score(reals, fakes)[0]), floor, beside


@pytest.mark.slow
def test_two_processes_score_what_one_does(tmp_path):
    (tmp_path / "two").mkdir()
    alone, (first, second) = scores_of_three_blocks(), together(scores_of_three_blocks, 2, tmp_path / "two")
    assert first == second
    for several, one in zip(first, alone, strict=True):
        assert several == pytest.approx(one, rel=1e-6, abs=1e-9)


def seen_of_two_given_images() -> list:
    """What is added up, by more processes than there are images, with features that are kept and without."""
    pictures = np.arange(2 * 16 * 16 * 3, dtype=np.uint8).reshape(2, 16, 16, 3)
    np.savez(path := Path(f"{os.environ['GANLAB_CACHE']}-{os.getpid()}.npz"), pictures)
    chosen = (Pixels(), "fid"), (Pixels(), "kid"), (Places(), "sfid")
    observed = [Scorer(extractor, (s,), 2).observe(GivenImages(path).batches(), 2) for extractor, s in chosen]
    sums = [moments for each in observed for moments in (each.moments, each.spatial) if moments]
    assert len(sums) == 4
    return [*((each.mean, each.covariance) for each in sums), *(each.rows or () for each in observed)]


def test_a_process_without_an_image_waits_for_the_others(tmp_path):
    (tmp_path / "three").mkdir()
    alone, several = seen_of_two_given_images(), together(seen_of_two_given_images, 3, tmp_path / "three")
    for each in several:
        torch.testing.assert_close(each, alone, rtol=1e-12, atol=0)


def test_the_batch_changes_no_score():
    scorer = Scorer(Classifier("digits"), ALL, 250)
    reals, _ = prepare_reference(scorer, digits(), "train")
    source = torch.Generator().manual_seed(0)
    fakes = torch.randint(256, (250, 1, 16, 16), generator=source, dtype=torch.uint8)
    small, large = (
        scorer.score(reals, scorer.observe(((index, fakes[index]) for index in shares(250, batch)), 250))[0]
        for batch in (64, 100)
    )
    assert large == pytest.approx(small, rel=1e-6, abs=1e-9)


def test_samples_follow_from_seed_and_number_alone():
    played = game()
    few, many = (torch.cat([images for _, images in fake_batches(played, count, 3)]) for count in (300, 700))
    assert few.dtype == torch.uint8
    assert torch.equal(few, many[:300])
    assert len(many.flatten(1).unique(dim=0)) == 700, "no sample comes twice"
    other = torch.cat([images for _, images in fake_batches(played, 300, 4)])
    assert not torch.equal(other, few)
    torch.manual_seed(5)
    assert torch.equal(few, torch.cat([images for _, images in fake_batches(played, 300, 3)]))
    raw = torch.cat([images for _, images in fake_batches(played, 300, 3, raw=True)])
    assert torch.equal(raw, few), "before training the average is the generator"


def spoilt(how: str, reals: torch.Tensor) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    if how == "noise":
        shaken = reals + 25 * torch.randn(reals.shape, generator=source)
        return shaken.round().clamp(0, 255).to(torch.uint8)
    if how == "uniform":
        return torch.randint(256, reals.shape, generator=source, dtype=torch.uint8)
    return reals[:1].expand_as(reals)


def test_known_answers():
    """Floor < some noise < half of the classes, and far below noise alone or one image."""
    data = Digits()
    scorer = Scorer(Classifier("digits"), ("fid", "precision_recall", "density_coverage"), 300)
    reals, floor = prepare_reference(scorer, data, "train")
    held_out, labels = data.splits.held_out[torch.arange(300)]
    half = held_out[labels < 5]

    def scores(images: torch.Tensor) -> dict:
        like = Scorer(scorer.extractor, scorer.chosen, len(images))
        values, _ = like.score(reals, like.observe([(torch.arange(len(images)), images)], len(images)))
        return {name.partition(str(len(images)))[0]: value for name, value in values.items()}

    of_spoilt = {
        how: scores(spoilt(how, held_out.float() if how == "noise" else held_out))
        for how in ("noise", "uniform", "one image")
    }
    assert floor["samples"] == 300
    assert floor["fid300_digits"] < of_spoilt["noise"]["fid"] < scores(half)["fid"]
    for bad in ("uniform", "one image"):
        assert of_spoilt[bad]["fid"] > 2 * scores(half)["fid"]
        assert of_spoilt[bad]["coverage"] < scores(held_out)["coverage"] / 10, "however precise it may be"
        assert of_spoilt[bad]["recall"] < 0.01
    assert scores(held_out)["coverage"] > 0.5


def test_modes_of_gaussians_are_counted():
    data = Gaussians()
    scorer = Scorer(Points(), ("modes",), 20_000)
    reals, _ = prepare_reference(scorer, data, "train")
    points = data.splits.train[torch.arange(20_000)][0]
    values, _ = scorer.score(reals, scorer.observe([(torch.arange(20_000), points)], 20_000))
    assert values["modes20k_points"] == values["full_modes20k_points"] == 8
    assert values["high_quality20k_points"] == pytest.approx(1 - np.exp(-4.5), abs=0.003)
    assert values["mode_kl20k_points"] < 1e-3
    shape = {"shape": (2,), "hidden": (8,)}
    toy = NonSaturatingGAN(
        generator=MLPGenerator(latent_size=2, bounded=False, **shape),
        discriminator=MLPDiscriminator(**shape),
        latent_size=2,
    )
    assert scored(toy, scorer, data)["modes20k_points"] < 8
    with pytest.raises(Refused, match="modes"):
        scored(game(), Scorer(Pixels(), ("modes",), 50), digits())


def test_stacked_digits_are_named_channel_by_channel(tmp_path, monkeypatch):
    import sets

    monkeypatch.setenv("GANLAB_DATA", str(sets.digits(tmp_path / "data")))
    data = StackedMNIST(count=60)
    images, _ = data.splits.train[torch.arange(60)]
    single, stacked = Classifier("mnist"), StackedClassifier()
    seen = stacked(images)
    assert seen.features.shape == (60, 3 * single.dim)
    for channel in range(3):
        own = single(images[:, channel : channel + 1])
        assert torch.allclose(seen.logits[:, 10 * channel : 10 * channel + 10], own.logits, atol=1e-4)
    names = data.modes(seen.features, seen.logits)
    expected = {tuple(row) for row in seen.logits.unflatten(1, (3, 10)).argmax(2).tolist()}
    assert set(names.nearest.tolist()) == {100 * a + 10 * b + c for a, b, c in expected}


# Names and contracts


class Odd(Extractor):
    """Three pixels."""

    name, suffix = "odd", "_odd"

    def protocol(self):
        return {"resize": None}

    def see(self, images):
        from ganlab.metrics.extractors.extractor import Seen

        return Seen(images.flatten(1)[:, :3].float(), None)


@pytest.mark.parametrize(("count", "name"), [(10_000, "10k"), (50_000, "50k"), (2_500, "2500"), (300, "300")])
def test_counts_are_short(count, name):
    assert short(count) == name


def test_names_tell_samples_and_every_deviation():
    assert Scorer(Classifier("digits"), ("fid",), 10_000).names("fid") == ["fid10k_digits"]
    assert Scorer(Pixels(), ("precision_recall",), 500).names("precision_recall") == [
        "precision500_k3_pixels",
        "recall500_k3_pixels",
    ]
    every = [(score, name) for score in ALL for name in Scorer(Odd(), ALL, 10).names(score)]
    assert len({name for _, name in every}) == len(every)
    assert all(name.endswith("_odd") == TABLE[score].of_features for score, name in every)


def test_one_contract_for_all_training_seeds_and_another_for_any_difference():
    base = {
        "scorer": Scorer(Pixels(), ("fid",), 100),
        "data": digits(),
        "split": "train",
        "fakes": "ema",
        "seed": 0,
    }
    changes = [
        {"scorer": Scorer(Pixels(), ("fid",), 101)},
        {"scorer": Scorer(Pixels(4), ("fid",), 100)},
        {"scorer": Scorer(Classifier("digits"), ("fid",), 100)},
        {"data": Digits(size=32)},
        {"split": "held_out"},
        {"fakes": "raw"},
        {"seed": 1},
    ]
    contracts = [contract_of(**(base | change)) for change in [{}, *changes]]
    assert len({contract.hash for contract in contracts}) == len(contracts)
    again = contract_of(
        **(base | {"data": Digits(size=16, seed=7, batch_size=3), "scorer": Scorer(Pixels(), ALL, 100)})
    )
    assert again.hash == contracts[0].hash
    assert str(contracts[0]) == "100 · pixels · train 1,497 · ema"
    json.dumps(contracts[0].plain(), allow_nan=False)


class Published(Pixels):
    """Pixels that pass for the published network."""

    published = True

    def __init__(self, suffix: str = "") -> None:
        super().__init__()
        self.suffix = suffix


@pytest.mark.parametrize(
    ("extractor", "reals", "name"),
    [
        (Published(), 70_000, "fid50k_full"),
        (Published("_clean"), 70_000, "fid50k_full_clean"),
        (Published(), 50_000, "fid50k"),
        (Published(), None, "fid50k"),
        (Classifier("mnist"), 60_000, "fid50k_mnist"),
    ],
)
def test_the_published_networks_fid_of_more_reals_is_called_full(extractor, reals, name):
    scorer = Scorer(extractor, ("fid", "kid"), 50_000, reals)
    assert scorer.names("fid") == [name]
    assert scorer.names("kid")[0] == f"kid50k{extractor.suffix}", "it is taken against as many reals"
    assert next(iter(scorer.directions)) == name


def test_runs_and_records_use_the_name_that_tells_the_reals(tmp_path):
    evaluation = Evaluation(Published(), ("fid",), 100, 2)
    play(game(), digits(), steps=2, callbacks=[evaluation], default_root_dir=tmp_path)
    (row,) = lines(tmp_path)
    assert row["scores"].keys() == {"fid100_full"}
    assert row["floor"].keys() == {"samples", "fid100_full"}
    assert evaluation.best == row["scores"]["fid100_full"]


class Nameless(Odd):
    suffix = ""


def test_what_is_not_published_has_a_suffix():
    with pytest.raises(Refused, match="Nameless has no suffix"):
        Scorer(Nameless(), ("fid",), 100)


def test_nothing_is_judged_by_precision_or_density():
    scorer = Scorer(Pixels(), ("precision_recall", "density_coverage"), 100)
    assert scorer.directions == {"recall100_k3_pixels": "max", "coverage100_k5_pixels": "max"}


def test_fid_infinity_of_too_few_samples_is_refused(tmp_path, capsys):
    with pytest.raises(Refused, match="10,000 samples, not 500"):
        Scorer(Pixels(), ("fid", "fid_infinity"), 500)
    assert Scorer(Pixels(), ("fid", "fid_infinity"), 10_000).of(500).chosen == ("fid",)
    images = forms(tmp_path)[2]
    code, _, err = asked(
        capsys, images, "--reference", images, "--extractor", "Pixels", "--scores", "fid_infinity"
    )
    assert code == 2
    assert "10,000 samples, not 40" in err


# Contracts of before, by ganlab 0.1: what they say has not changed, and neither has their hash.
KNOWN = {
    "a13a15cac5fa18922b6737bbb3365ade2a50862853172e26cf51a4a827bbac9e": (Pixels, lambda: Digits(size=16)),
    "dd985f6f64edbd1e760c20ae6964abb8e9f42140588a611e7890caf89ef691a9": (Points, Gaussians),
}


@pytest.mark.parametrize("known", KNOWN)
def test_the_hash_of_an_unchanged_protocol_stays(known):
    extractor, data = KNOWN[known]
    scorer = Scorer(extractor(), ("fid",), 100)
    assert contract_of(scorer, data(), "train", fakes="ema", seed=0).hash == known


# The real floor, like for like


@pytest.mark.slow
def test_a_floor_of_fewer_images_stands_beside_scores_of_as_many():
    """And both are those that an evaluation of as many samples has: all 1,497 reals' features are kept."""
    many, few = (Scorer(Classifier("digits"), ALL, count) for count in (1500, 300))
    (reals, floor), (reals_of_few, floor_of_few) = (
        prepare_reference(s, digits(), "train") for s in (many, few)
    )
    part = part_of(floor, 1500)
    seen = many.observe(fake_batches(game(), 1500, 0), 1500, part=part)
    beside = beside_floor(many, reals, seen, floor)
    expected, _ = few.score(reals_of_few, few.observe(fake_batches(game(), 300, 0), 300))
    assert beside == pytest.approx({"samples": 300, **expected}, rel=1e-6, abs=1e-9)
    assert floor == pytest.approx(floor_of_few, rel=1e-9)
    assert floor.keys() == beside.keys()
    alone = many.observe(fake_batches(game(), 1500, 0), 1500)
    assert many.score(reals, seen) == many.score(reals, alone)
    assert part_of(floor_of_few, 300) is None
    assert beside_floor(few, reals_of_few, few.observe(fake_batches(game(), 300, 0), 300), floor_of_few) == {}
    moments = Scorer(Classifier("digits"), ("fid",), 1500)
    of_moments = moments.observe(fake_batches(game(), 1500, 0), 1500, part=part)
    fid = beside_floor(moments, reals, of_moments, floor)["fid300_digits"]
    assert fid == pytest.approx(beside["fid300_digits"], rel=1e-6)


def test_of_given_images_the_part_is_spread_over_all():
    assert (part_of({"samples": 3}, 9, in_order=True) // 3).tolist() == [0, 1, 2]
    assert part_of({"samples": 3}, 9).tolist() == [0, 1, 2]
    assert part_of({}, 9) is None


@pytest.mark.parametrize("samples", [250, 400])
def test_a_run_prints_and_records_score_and_floor_of_one_number_of_samples(samples, tmp_path, capsys):
    evaluation = Evaluation(Classifier("digits"), ("fid", "kid"), samples, 2)
    play(game(), digits(), steps=4, callbacks=[evaluation], default_root_dir=tmp_path)
    out = capsys.readouterr().out
    for row in lines(tmp_path):
        floor, beside = row["floor"], row["beside_floor"]
        assert floor["samples"] == min(samples, 300)
        if samples == 250:
            assert beside == {}
            assert floor.keys() - {"samples"} == row["scores"].keys()
            continue
        assert beside.keys() == floor.keys()
        pair = f"fid300_digits {beside['fid300_digits']:.4g} (floor {floor['fid300_digits']:.4g})"
        assert pair in out
    assert out.count("real floor (250 held-out images)") == (samples == 250)
    assert "floor (300" not in out
    assert not [line for line in out.splitlines() if "400" in line and "floor" in line]


def test_the_command_sets_each_floor_beside_a_score_of_as_many(run, capsys):
    before = len(lines(run))
    code, out, _ = asked(capsys, run, "--samples", 400, "--scores", "fid,kid")
    assert code == 0
    rows = {
        line.split()[0]: line.split()[1:] for line in out.splitlines() if re.match(r" *(fid|kid)\d", line)
    }
    assert len(rows["fid400_digits"]) == 1, "no floor"
    row = lines(run)[before]
    value, floor = (row[part]["fid300_digits"] for part in ("beside_floor", "floor"))
    assert rows["fid300_digits"] == [f"{value:.5g}", f"{floor:.5g}"]
    code, out, _ = asked(capsys, run, "--samples", 120, "--json")
    answer = json.loads(out)
    assert answer["beside_floor"] == {}
    assert answer["floor"].keys() - {"samples"} == answer["scores"].keys()
    assert lines(run)[-1]["floor"] == answer["floor"], (
        "a row of an evaluation by hand does not lose the floor"
    )


# The cache of real statistics


class Counted(Pixels):
    """Counts the images that it is given."""

    def __init__(self, size: int = 8) -> None:
        super().__init__(size)
        self.images = 0

    def see(self, images):
        self.images += len(images)
        return super().see(images)


def test_reals_are_extracted_once_and_again_when_anything_differs(cache_home):
    def extracted(size: int = 8, split: str = "train", data: StreamData | None = None) -> int:
        extractor = Counted(size)
        reals, _ = prepare_reference(Scorer(extractor, ("fid", "kid"), 50), data or digits(), split)
        answers.append(reals)
        return extractor.images

    answers: list = []
    floor = 50
    assert extracted() == 1497 + floor
    assert extracted() == 0
    for name in ("mean", "covariance"):
        assert torch.equal(getattr(answers[0].moments, name), getattr(answers[1].moments, name))
    assert torch.equal(answers[0].factor, answers[1].factor)
    assert torch.equal(answers[0].rows.features, answers[1].rows.features)
    assert extracted(size=4) == 1497 + floor
    assert extracted(split="held_out") == 300 + floor
    assert extracted(split="held_out") == 0
    changed = digits()
    changed.splits.train.images[5, 3, 3] ^= 1
    assert extracted(data=changed) == 1497 + floor
    assert extracted() == 0


@pytest.mark.parametrize(("split", "samples"), [("train", 200), ("held_out", 600)])
def test_a_set_that_alternates_is_taken_from_all_over(split, samples):
    """As MNIST does, whose images come from two groups of writers in turn; the reals here, then the floor."""
    dark = torch.tensor([0, 200], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 16, 16, 1)
    data = digits()
    data.load = lambda: (Rows(dark.repeat(600, 1, 1, 1)), Rows(dark.repeat(300, 1, 1, 1)))
    _, floor = prepare_reference(Scorer(Pixels(), ("kid",), samples), data, split)
    assert abs(floor[f"kid{samples}_pixels"]) < 0.05


def test_scores_by_some_of_the_reals_tell_how_these_were_chosen():
    some, all_reals = (
        contract_of(Scorer(Pixels(), ("fid", "kid"), count), digits(), "train", fakes="ema", seed=0).plain()
        for count in (100, 2000)
    )
    assert some["parameters"] == {"kid": {"reals": "one by chance of each of as many parts"}}
    assert hash_of(some, "fid100_pixels") == some["hash"] != hash_of(some, "kid100_pixels")
    assert "parameters" not in all_reals


DAMAGES = {
    "cut": lambda raw: raw[: len(raw) // 2],
    "empty": lambda raw: b"",
    "text": lambda raw: b"x" * 99,
    "zeroed": lambda raw: bytes(len(raw)),
    "zeros at the end": lambda raw: raw[:-1000] + bytes(1000),
    "a bit": lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_statistics_are_made_again(damage, cache_home):
    scorer = Scorer(Pixels(), ("fid",), 50)
    first, _ = prepare_reference(scorer, digits(), "train")
    (path,) = (cache_home / "statistics").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    again, _ = prepare_reference(scorer, digits(), "train")
    for name in ("mean", "covariance"):
        assert torch.equal(getattr(first.moments, name), getattr(again.moments, name))
    assert torch.equal(first.factor, again.factor)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    "content", [b'{"samples": 50, "fid50_pixels": 0.0}', b"[]", b"", b"{}", bytes(40), b'{"samples"', b"1"]
)
def test_a_damaged_floor_is_made_again(content, cache_home):
    scorer = Scorer(Pixels(), ("fid",), 50)
    _, first = prepare_reference(scorer, digits(), "train")
    (path,) = (cache_home / "floors").iterdir()
    path.write_bytes(content)
    assert prepare_reference(scorer, digits(), "train")[1] == first


@pytest.mark.parametrize("kind", ["pipe", "link in a circle", "folder"])
def test_what_is_no_file_among_cached_statistics(kind, cache_home):
    scorer = Scorer(Pixels(), ("fid",), 50)
    first, _ = prepare_reference(scorer, digits(), "train")
    (path,) = (cache_home / "statistics").iterdir()
    path.unlink()
    {"pipe": os.mkfifo, "folder": Path.mkdir, "link in a circle": lambda path: path.symlink_to(path)}[kind](
        path
    )
    with within(10):
        if kind == "folder":
            with pytest.raises(Refused, match=r"GANLAB_CACHE"):
                prepare_reference(scorer, digits(), "train")
        else:
            again, _ = prepare_reference(scorer, digits(), "train")
            assert torch.equal(first.moments.covariance, again.moments.covariance)


def sums_of_statistics() -> tuple[float, float]:
    reals, _ = prepare_reference(Scorer(Pixels(), ("fid", "kid"), 50), digits(), "train")
    assert reals.rows is not None
    return float(reals.moments.covariance.sum()), float(reals.rows.features.sum())


def test_two_processes_that_race_leave_one_valid_file(cache_home, tmp_path):
    first, second = together(sums_of_statistics, 2, tmp_path, group=False)
    assert first == second
    assert len(list((cache_home / "statistics").iterdir())) == 1
    extractor = Counted()
    prepare_reference(Scorer(extractor, ("fid", "kid"), 50), digits(), "train")
    assert extractor.images == 0


# Bad generators


class Broken(torch.nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(latent), 1, 16, 16)


def broken(value):
    discriminator = DCGANDiscriminator(shape=(1, 16, 16), width=4)
    return NonSaturatingGAN(generator=Broken(value), discriminator=discriminator, latent_size=8)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_get_no_score(value):
    with pytest.raises(Refused, match="no numbers"):
        scored(broken(value), Scorer(Classifier("digits"), ("fid",), 200), digits())


def test_a_collapsed_generator_is_scored_or_given_a_reason():
    bad = broken(0.3)
    scorer = Scorer(Classifier("digits"), ALL, 200)
    reals, floor = prepare_reference(scorer, digits(), "train")
    seen = scorer.observe(fake_batches(bad, 200, 0), 200)
    values, reasons = scorer.score(reals, seen)
    assert values["fid200_digits"] > 50 * floor["fid200_digits"]
    assert values["recall200_k3_digits"] < 0.01
    assert values["coverage200_k5_digits"] < 0.01
    assert {name for name, value in values.items() if value is None} == reasons.keys()
    assert all(reasons.values())


def test_points_that_are_no_numbers_have_no_score():
    scorer = Scorer(Points(), ("fid", "modes"), 100)
    reals, _ = prepare_reference(scorer, Gaussians(), "train")
    points = torch.full((100, 2), torch.nan)
    values, reasons = scorer.score(reals, scorer.observe([(torch.arange(100), points)], 100))
    assert set(values.values()) == {None}
    assert "finite" in reasons["fid100_points"]


# The callback


def test_scores_reach_the_log_the_records_and_whoever_monitors_them(tmp_path):
    played = game()
    evaluation = Evaluation(Classifier("digits"), ("fid", "kid"), 100, 5)
    monitor = ModelCheckpoint(
        tmp_path / "monitored", monitor="fid100_digits", every_n_train_steps=5, save_top_k=1
    )
    trainer = play(
        played,
        digits(),
        steps=12,
        callbacks=[evaluation, monitor],
        default_root_dir=tmp_path,
        enable_checkpointing=True,
    )
    evaluations = lines(tmp_path)
    assert [line["step"] for line in evaluations] == [5, 10, 12]
    assert [line["images"] for line in evaluations] == [40, 80, 96]
    values = [line["scores"]["fid100_digits"] for line in evaluations]
    assert float(trainer.callback_metrics["fid100_digits"]) == pytest.approx(values[-1])
    assert float(monitor.best_model_score) == pytest.approx(min(values[:2]))
    assert evaluation.best == min(values)
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] == evaluations[values.index(min(values))]["step"]
    assert len({line["contract"]["hash"] for line in evaluations}) == 1
    assert evaluations[0]["contract"]["data"]["fingerprint"] == digits().fingerprint


def test_without_an_extractor_nothing_is_scored(tmp_path):
    play(game(), digits(), steps=2, callbacks=[Evaluation()], default_root_dir=tmp_path)
    assert not (tmp_path / "scores.jsonl").exists()


# The command


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "small.yaml").write_text(
        "model:\n  class_path: HingeGAN\n  init_args:\n    latent_size: 4\n"
        "    generator: {class_path: MLPGenerator, init_args: {hidden: [16]}}\n"
        "    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}\n"
        "data: {class_path: Digits, init_args: {size: 16, batch_size: 8}}\n"
        "trainer: {max_steps: 4, accelerator: cpu}\n"
        "evaluation:\n  extractor: {class_path: Classifier, init_args: {dataset: digits}}\n"
        "  samples: 120\n  scores: [fid, kid]\n  every_n_steps: 2\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("GANLAB_CACHE", str(home / "cache"))
        patch.setattr(sys, "path", sys.path[:])
        assert main.main(["fit", "--config", "small.yaml", "--runs", str(home / "runs")]) == 0
    return next((home / "runs").glob("*/*/*"))


def asked(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main.main(["evaluate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_repeats_the_callbacks_scores(run, capsys):
    trained = [line for line in lines(run) if "checkpoint" not in line]
    assert [line["step"] for line in trained] == [2, 4]
    code, out, _ = asked(capsys, run, "--samples", 120, "--scores", "fid,kid", "--json")
    assert code == 0
    answer = json.loads(out)
    assert {name: score["value"] for name, score in answer["scores"].items()} == pytest.approx(
        trained[-1]["scores"]
    )
    assert answer["contract"]["hash"] == trained[-1]["contract"]["hash"]
    assert lines(run)[-1]["scores"] == pytest.approx(trained[-1]["scores"])
    code, out, _ = asked(capsys, run / "checkpoints" / "best.ckpt", "--samples", 120, "--raw")
    assert code == 0
    assert "fid120_digits" in out
    assert "120 · digits · train 1,497 · raw" in out


def test_validate_gives_the_same_numbers(run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (newest,) = (run / "checkpoints").glob("step-*.ckpt")
    assert main.main(["validate", "--config", str(run / "config.yaml"), "--ckpt_path", str(newest)]) == 0
    out = capsys.readouterr().out
    trained = [line for line in lines(run) if "checkpoint" not in line][-1]["scores"]["fid120_digits"]
    printed = re.search(r"^\W*fid120_digits\W+([\d.]+)", out, re.MULTILINE)
    assert printed, out
    assert float(printed[1]) == pytest.approx(trained, rel=1e-6)


def pictures(count: int = 40) -> dict[str, bytes]:
    source = np.random.default_rng(0)
    grey = [np.repeat(source.integers(0, 256, (16, 16, 1), dtype=np.uint8), 3, 2) for _ in range(count)]
    images = [Image.fromarray(image) for image in grey]
    return {f"{number:03}.png": encoded(image, "PNG") for number, image in enumerate(images)}


def forms(tmp_path: Path) -> list[Path]:
    """The same images as a folder, a zip and an npz."""
    files = pictures()
    home = folder(tmp_path / "images", files)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    arrays = [np.array(Image.open(path)) for path in sorted(home.iterdir())]
    np.savez(tmp_path / "images.npz", np.stack(arrays))
    return [home, tmp_path / "images.zip", tmp_path / "images.npz"]


def test_anybodys_images_are_scored_in_any_form(tmp_path, capsys):
    by_form = []
    for form in forms(tmp_path):
        how = (
            "--extractor",
            "Classifier",
            "--extractor.dataset",
            "digits",
            "--scores",
            "fid,precision_recall",
        )
        code, out, _ = asked(capsys, form, "--reference", "Digits", *how, "--json")
        assert code == 0
        answer = json.loads(out)
        by_form.append({name: score["value"] for name, score in answer["scores"].items()})
        assert answer["contract"]["fakes"] == "given"
        assert answer["contract"]["samples"] == 40
    assert by_form[0].keys() == {"fid40_digits", "precision40_k3_digits", "recall40_k3_digits"}
    assert by_form[0] == pytest.approx(by_form[1])
    assert by_form[0] == pytest.approx(by_form[2])
    code, out, _ = asked(
        capsys, tmp_path / "images.npz", "--reference", tmp_path / "images", "--extractor", "Pixels", "--json"
    )
    assert json.loads(out)["scores"]["fid40_pixels"]["value"] == pytest.approx(0, abs=1e-6)


REFUSALS = {
    "nothing there": (["nowhere"], "nowhere"),
    "no reference": (["images.npz", "--extractor", "Pixels"], "--reference"),
    "no weights": (["images.npz", "--reference", "Digits"], "GANLAB_INCEPTION_WEIGHTS"),
    "no such score": (
        ["images.npz", "--reference", "Digits", "--scores", "fdi", "--extractor", "Pixels"],
        "fid",
    ),
    "no pictures": (["empty", "--reference", "Digits", "--extractor", "Pixels"], "no pictures"),
    "other channels": (["images.npz", "--reference", "Digits", "--extractor", "Pixels"], "channels"),
    "no classes": (
        ["images.npz", "--reference", "images", "--extractor", "Pixels", "--scores", "is"],
        "Pixels",
    ),
    "floats": (["floats.npz", "--reference", "images", "--extractor", "Pixels"], "uint8"),
    "pickled": (["pickled.npz", "--reference", "images", "--extractor", "Pixels"], "npz"),
}


@pytest.mark.slow
def test_a_run_on_two_processes_is_scored_as_its_checkpoint_is(tmp_path, capsys):
    """Though each process has seen other images, and so has other running means in its normalisations."""
    (tmp_path / "two.yaml").write_text(
        "model:\n  class_path: NonSaturatingGAN\n  init_args:\n"
        "    generator: {class_path: DCGANGenerator, init_args: {width: 4}}\n"
        "    discriminator: {class_path: DCGANDiscriminator, init_args: {width: 4}}\n"
        "data: {class_path: Digits, init_args: {size: 16, batch_size: 4}}\n"
        'trainer: {max_steps: 6, accelerator: cpu, devices: 2, precision: "32"}\n'
        "evaluation: {extractor: Pixels, samples: 503, scores: [fid, kid], every_n_steps: 3}\n"
    )
    training = Command("fit", "--config", "two.yaml", folder=tmp_path)
    try:
        assert training.end(timeout=300).code == 0, training.err
    finally:
        end_all()
    (run,) = tmp_path.glob("runs/*/*/*")
    code, out, _ = asked(capsys, run, "--samples", 503, "--scores", "fid,kid", "--json")
    assert code == 0
    again = {name: score["value"] for name, score in json.loads(out)["scores"].items()}
    trained = lines(run)
    assert [line["step"] for line in trained[:2]] == [3, 6]
    for name, value in trained[1]["scores"].items():
        assert again[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


@pytest.mark.parametrize("how", REFUSALS)
def test_what_cannot_be_scored_is_refused(how, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("GANLAB_INCEPTION_WEIGHTS", raising=False)
    forms(tmp_path)
    (tmp_path / "empty").mkdir()
    np.savez("floats.npz", np.zeros((4, 8, 8, 3)))
    np.savez("pickled.npz", np.array([{}], dtype=object))
    arguments, word = REFUSALS[how]
    code, out, err = asked(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) <= 3
    assert word in err


@pytest.mark.parametrize(
    ("reference", "extractor", "nearest"),
    [("Digits", "Pixel", "Pixels, MovingPixels"), ("Digit", "Pixels", "Digits, MovingDigits")],
)
def test_a_misspelt_class_is_answered_with_the_nearest(reference, extractor, nearest, tmp_path, capsys):
    images = forms(tmp_path)[0]
    with pytest.raises(SystemExit, match="2"):
        asked(capsys, images, "--reference", reference, "--extractor", extractor)
    assert f"Nearest: {nearest}." in capsys.readouterr().err


def test_missing_weights_stop_a_run_before_it_begins(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    config = str(run.parents[3] / "small.yaml")
    assert (
        main.main(["fit", "--config", config, "--evaluation.extractor", "Inception", "--runs", "runs"]) == 2
    )
    assert "GANLAB_INCEPTION_WEIGHTS" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*"))


def test_rows_are_the_reals_as_networks_see_them():
    """A sanity check of the reals' side: the mean of Pixels is the mean of the images."""
    data = digits()
    assert isinstance(data.splits.train, Rows)
    reals, _ = prepare_reference(Scorer(Pixels(), ("fid",), 50), data, "train")
    expected = data.splits.train.images.float().mean() / 255
    assert float(reals.moments.mean.mean()) == pytest.approx(float(expected), rel=1e-5)
    assert not isnan(float(reals.factor.sum()))


def test_what_others_scored_is_no_evaluation_of_the_run_itself(tmp_path):
    rows = [{"step": 5}, {"step": 10, "checkpoint": "step-000000010.ckpt"}]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    trainer = SimpleNamespace(
        default_root_dir=tmp_path, ckpt_path="a.ckpt", is_global_zero=True, global_step=7, max_steps=20
    )
    evaluation = Evaluation(Pixels(), samples=40, every_n_steps=5)
    evaluation.on_train_start(trainer, game())
    assert evaluation.scored_at == 5
