"""Copies of training images among samples: by plain sums, with copies put there, and as users meet it."""

import json

import numpy as np
import pytest
import torch
from command_line import here
from scored_games import digits, game
from torch import Tensor

from ganlab.callbacks import Evaluation
from ganlab.data import Digits, Gaussians, Rows
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.metrics import Classifier, Pixels, Points, scores
from ganlab.metrics import copied as module
from ganlab.metrics.copied import TrainingImages
from ganlab.metrics.names import hash_of
from ganlab.metrics.reference import contract_of, prepare_reference
from ganlab.metrics.scorer import Scorer
from ganlab.networks import MLPDiscriminator, MLPGenerator
from ganlab.testing import play
from ganlab.variants import NonSaturatingGAN


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# Against plain sums


def plain_copied(training: np.ndarray, held_out: np.ndarray, samples: np.ndarray) -> float:
    """The definition, image by image."""
    training = np.unique(training, axis=0)

    def ratio(image: np.ndarray) -> float:
        distances = np.sqrt(((training - image) ** 2).sum(1))
        nearest = distances.argmin()
        others = np.sqrt(((np.delete(training, nearest, 0) - training[nearest]) ** 2).sum(1))
        return distances[nearest] / others.min()

    unseen = [r for r in map(ratio, held_out) if r > 0]
    p = np.mean([ratio(image) < np.quantile(unseen, 0.01) for image in samples])
    return max(0.0, (p - 0.01) / 0.99)


@pytest.mark.parametrize("block", [2048, 64])
def test_the_definition_image_by_image(block, monkeypatch):
    monkeypatch.setattr(scores, "BLOCK", block)
    training, held_out = normal(0, 230, 3), normal(1, 150, 3)
    training[[50, 200, 229]] = training[[3, 3, 100]]  # of three equal ones, in several blocks, one is left
    held_out[7] = training[60]
    found = TrainingImages.of(training, held_out)
    assert len(found.features) == 227
    assert len(found.unseen) == 149
    for samples in (normal(2, 170, 3), held_out, training[:90] + 0.02 * normal(3, 90, 3)):
        expected = plain_copied(*(rows.double().numpy() for rows in (training, held_out, samples)))
        assert found.copied(samples) == pytest.approx(expected, abs=1e-12)
    assert found.copied(training[:90] + 0.02 * normal(3, 90, 3)) > 0.5


def test_equal_images_whose_features_were_rounded_are_one_image():
    training = normal(0, 300, 8)
    shaken = training[:40] * (1 + 1e-7 * normal(1, 40, 8))
    found = TrainingImages.of(torch.cat([training, shaken]), normal(2, 200, 8))
    assert torch.equal(found.features, training)
    assert found.copied(shaken) == 1


# Copies that were put there

TRAINING, HELD_OUT, OTHERS = normal(0, 6000, 6), normal(1, 2000, 6), normal(2, 4000, 6)
KINDS = {
    "none": (OTHERS, 0.0, 0.005),
    "1 %": (torch.cat([OTHERS[:3960], TRAINING[:40]]), 0.01, 0.005),
    "10 %": (torch.cat([OTHERS[:3600], TRAINING[:400]]), 0.10, 0.006),
    "10 % with noise": (torch.cat([OTHERS[:3600], TRAINING[:400] + 0.02 * normal(3, 400, 6)]), 0.10, 0.006),
    "all": (TRAINING[:4000], 1.0, 0.0),
    "ten images": (TRAINING[:10].repeat(400, 1), 1.0, 0.0),
    "wider, as poor samples are": (1.5 * OTHERS, 0.0, 0.002),
    "noise": (10 * normal(4, 4000, 6), 0.0, 0.002),
    "one held-out image": (HELD_OUT[:1].repeat(4000, 1), 0.0, 0.0),
}


@pytest.fixture(scope="module")
def found() -> TrainingImages:
    return TrainingImages.of(TRAINING, HELD_OUT)


@pytest.mark.parametrize("kind", KINDS)
def test_the_share_of_copies_that_were_put_there(kind, found):
    samples, expected, error = KINDS[kind]
    copied = found.copied(samples)
    assert copied == pytest.approx(expected, abs=error)
    assert found.alarms(copied, len(samples)) == (expected >= 0.1)


def test_reals_are_no_copies(found):
    """Share and quantile are of 1,000 each, so that three standard deviations of p are 0.0134."""
    assert found.floor() == pytest.approx(0, abs=0.0134)


def test_few_samples_alarm_only_where_intervals_part(found):
    assert not found.alarms(0.1, 10)
    assert found.alarms(0.1, 1000)
    assert not found.alarms(0.019, 10**6)


# As users meet it


class Few(Digits):
    """Digits that hold out fewer."""

    def load(self):
        train, held_out = super().load()
        return train, Rows(held_out.images[:99], held_out.labels[:99])


class Same(Digits):
    """A training set of one image."""

    def load(self):
        train, held_out = super().load()
        return Rows(train.images[:1].repeat(500, 1, 1, 1), train.labels[:500]), held_out


class Leaked(Digits):
    """What is held out is in the training set."""

    def load(self):
        train, _ = super().load()
        return train, train


def points() -> tuple[NonSaturatingGAN, StreamData]:
    sizes = {"shape": (2,)}
    generator, discriminator = MLPGenerator(**sizes, latent_size=2), MLPDiscriminator(**sizes)
    return NonSaturatingGAN(generator=generator, discriminator=discriminator, latent_size=2), Gaussians()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(Few, "Few holds out 99"), (Same, "all are equal"), (Leaked, "0 such among 1497")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_data_that_do_not_tell_copies_are_refused(data, sentence):
    with pytest.raises(Refused, match=sentence) as refusal:
        prepare_reference(Scorer(Pixels(), ("copied",), 100), data(size=16), "train")
    assert len(str(refusal.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("asked", "sentence"), [("gaussians", "Gaussians is an endless stream"), ("few", "holds out 99")]
)
def test_a_run_that_cannot_have_it_is_refused_before_its_first_step(asked, sentence, tmp_path):
    played, data = points() if asked == "gaussians" else (game(), Few(size=16, batch_size=8))
    extractor = Points() if asked == "gaussians" else Pixels()
    with pytest.raises(Refused, match=sentence):
        play(played, data, steps=1, callbacks=[Evaluation(extractor, ("copied",), 50)])
    assert played.images_seen == 0


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("digits", {"fid50_pixels", "copied50_pixels"}),
        ("few", {"fid50_pixels"}),
        ("gaussians", {"fid50_points"}),
        ("by name", {"kid50_pixels", "kid50_error_pixels", "kid50_all_pixels"}),
    ],
)
def test_it_stands_in_the_panel_of_data_that_hold_images_out(asked, names, tmp_path):
    played, data = points() if asked == "gaussians" else (game(), digits())
    data = Few(size=16, batch_size=8) if asked == "few" else data
    chosen = ["kid"] if asked == "by name" else None
    evaluation = Evaluation(Points() if asked == "gaussians" else Pixels(), chosen, 50)
    play(played, data, steps=1, callbacks=[evaluation], default_root_dir=tmp_path)
    (row,) = map(json.loads, (tmp_path / "scores.jsonl").read_text().splitlines())
    assert row["scores"].keys() >= names
    assert ("copied50_pixels" in row["scores"]) == (asked == "digits")
    assert ("copied" in row["contract"].get("parameters", {})) == (asked == "digits")


def test_copies_in_the_training_set_are_seen_where_the_fid_is_blind(tmp_path):
    """Images of the training set have a lower FID than any that were held out."""
    images, _ = Digits().splits.train[torch.arange(1, 1497, 5)]
    np.savez(tmp_path / "copies.npz", images.movedim(1, -1).numpy())
    how = ("--reference", "Digits", "--extractor", "Classifier", "--extractor.dataset", "digits")
    code, out, err = here("evaluate", tmp_path / "copies.npz", *how, "--json", folder=tmp_path)
    assert code == 0, err
    answer = json.loads(out)
    assert answer["scores"]["fid300_digits"]["value"] < answer["floor"]["fid300_digits"]
    assert answer["scores"]["copied300_digits"]["value"] == 1
    assert answer["floor"]["copied300_digits"] == pytest.approx(0, abs=0.03)
    code, out, _ = here("evaluate", tmp_path / "copies.npz", *how, folder=tmp_path)
    assert "about 100% of the samples are copies of training images, as digits sees them" in out
    code, _, err = here(
        "evaluate",
        tmp_path / "copies.npz",
        "--reference",
        tmp_path / "copies.npz",
        *how[2:],
        "--scores",
        "copied",
        folder=tmp_path,
    )
    assert code == 2
    assert "--reference" in err


def test_the_contract_tells_the_numbers_and_keeps_them_from_other_scores():
    extractor, data = Classifier("digits"), Digits()
    alone, beside = (
        contract_of(Scorer(extractor, chosen, 100), data, "train", fakes="ema", seed=0)
        for chosen in (("fid",), ("fid", "copied"))
    )
    assert alone.hash == beside.hash
    assert "parameters" not in alone.plain()
    numbers = beside.plain()["parameters"]["copied"]
    assert (numbers["training_images"], numbers["held_out_images"]) == (1497, 300)
    fewer = Few()
    fewer.load = lambda: (data.splits.train, Rows(data.splits.held_out.images[:200]))
    other = contract_of(
        Scorer(extractor, ("fid", "copied"), 100), fewer, "train", fakes="ema", seed=0
    ).plain()
    other["hash"] = beside.hash
    assert hash_of(other, "fid100_digits") == hash_of(beside.plain(), "fid100_digits") == alone.hash
    assert hash_of(other, "copied100_digits") != hash_of(beside.plain(), "copied100_digits")


def test_its_training_images_are_found_once(monkeypatch):
    scorer, data = Scorer(Pixels(), ("copied",), 100), digits()
    first, floor = prepare_reference(scorer, data, "train")
    monkeypatch.setattr(module, "_own_distances", None)
    again, same = prepare_reference(scorer, data, "train")
    assert floor == same
    for name, value in vars(first.training).items():
        assert torch.equal(value, vars(again.training)[name])
    # They are the training set's, with whichever split the other scores compare.
    held_out, _ = prepare_reference(scorer, data, "held_out")
    assert torch.equal(held_out.training.features, first.training.features)


def test_no_more_training_images_than_so_many_are_compared(monkeypatch):
    monkeypatch.setattr("ganlab.metrics.reference.MOST", 200)
    reals, _ = prepare_reference(Scorer(Pixels(), ("copied",), 100), digits(), "train")
    assert len(reals.training.features) == 200
    assert len(reals.training.unseen) <= 200
