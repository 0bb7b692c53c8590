"""Scores of clips: what they say of real ones, of frozen and of shuffled ones, and of known motions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ganlab.data import MovingDigits
from ganlab.data.sets.moving_digits import drawn
from ganlab.errors import Refused
from ganlab.metrics import Centred, Classifier, Consistency, FrameFID, Motion, MovingPixels, Pixels
from ganlab.metrics.motion import centres
from ganlab.metrics.statistics import frechet, gaussian_of, sums_of


@pytest.fixture(scope="module")
def clips() -> Tensor:
    data = MovingDigits()
    items: Any = data.splits.held_out
    return items[torch.arange(150)][0]


@pytest.fixture(scope="module")
def others() -> Tensor:
    return MovingDigits().splits.train[torch.arange(150)][0]


def frozen(clips: Tensor) -> Tensor:
    """One frame of each clip, as a clip that stands still."""
    at = torch.randint(clips.shape[1], (len(clips),), generator=torch.Generator().manual_seed(0))
    return clips[torch.arange(len(clips)), at][:, None].expand_as(clips)


def shuffled(clips: Tensor) -> Tensor:
    source = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(clips.shape[1], generator=source) for _ in clips])
    return clips[torch.arange(len(clips))[:, None], order]


def value(score: Any, real: Tensor, fake: Tensor) -> list[float]:
    return list(score.compare(score.count(real), score.count(fake)))


def digit() -> Centred:
    return Centred(Classifier("digits"), 16)


def clip_fid(real: Tensor, fake: Tensor) -> float:
    seen = [gaussian_of(sums_of(MovingPixels()(side).features)) for side in (real, fake)]
    return frechet(*seen)


def test_real_motion_is_uniform_and_as_fast_as_that_of_others(clips: Tensor, others: Tensor) -> None:
    error, speed, distance = value(Motion(), others, clips)
    assert error < 0.05
    assert 1.3 < speed < 1.6, "the mean of 0.5 to 2.5, less what walls take"
    assert distance < 0.1


def test_frozen_clips_have_no_speed_and_shuffled_ones_no_uniform_motion(
    clips: Tensor, others: Tensor
) -> None:
    real = value(Motion(), others, clips)
    still = value(Motion(), others, frozen(clips))
    assert still[:2] == [0, 0]
    assert still[2] > 20 * real[2], "which frozen clips do not hide"
    mixed = value(Motion(), others, shuffled(clips))
    assert mixed[0] > 50 * real[0]
    assert mixed[2] > 20 * real[2]


def test_the_error_of_known_motions() -> None:
    point = torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    steps = torch.arange(12)

    def moving(rows: Tensor, columns: Tensor) -> Tensor:
        return drawn(point, 16 * torch.stack([rows, columns], -1)[None], 40)

    motion = partial(value, Motion())
    straight = moving(5 + steps, 3 + 3 * steps)
    assert motion(straight, straight) == pytest.approx([0, 10**0.5, 0], abs=1e-6)
    thrown = moving(20 - (steps - 6).abs(), 3 + 2 * steps)
    assert motion(straight, thrown)[0] == pytest.approx(0, abs=1e-6), "a wall is no error"
    few = steps[:8]
    falling = moving(few * (few + 1) // 2, 3 + few)
    assert motion(straight, falling)[0] == pytest.approx(0.5, abs=1e-6), "a pixel down, and none across"
    jumping = moving(10 + 4 * (steps % 2), 3 + steps * 0)
    assert motion(straight, jumping)[:2] == pytest.approx([4, 4], abs=1e-6), "8 down, and 0 across"


def test_centres_are_those_of_what_is_bright() -> None:
    frame = torch.full((2, 3, 9, 11), 10, dtype=torch.uint8)
    frame[0, :, 2:5, 6] = 250
    assert centres(frame).tolist() == [[3, 6], [4, 5]], "the middle, where nothing is"


@pytest.mark.parametrize("make", [Pixels, pytest.param(digit, marks=pytest.mark.slow)])
def test_frames_are_as_real_in_any_order(make: Any, clips: Tensor, others: Tensor) -> None:
    score = FrameFID(make())
    (real,) = value(score, others, clips)
    (mixed,) = value(score, others, shuffled(clips))
    assert mixed == pytest.approx(real, rel=1e-6)
    (dark,) = value(score, others, clips // 2)
    assert dark > 5 * real


def test_distances_of_clips_see_what_those_of_frames_do_not(clips: Tensor, others: Tensor) -> None:
    real = clip_fid(others, clips)
    assert clip_fid(others, shuffled(clips)) > 5 * real
    assert clip_fid(others, frozen(clips)) > 5 * real


@pytest.mark.slow
def test_a_digit_that_stays_what_it_is_is_consistent(clips: Tensor) -> None:
    score = Consistency(digit())
    (real,) = value(score, clips, clips)
    assert real > 0.95
    assert value(score, clips, shuffled(clips)) == pytest.approx([real])
    assert value(score, clips, frozen(clips)) == [1]
    changing = clips[torch.arange(len(clips))[:, None] - torch.arange(16), torch.arange(16)]
    (mixed,) = value(score, clips, changing)
    assert 0.15 < mixed < 0.4, "the largest of ten classes among 16 draws"


def test_the_digit_is_seen_wherever_it_is() -> None:
    data = MovingDigits()
    items: Any = data.splits.held_out
    clips, labels = items[torch.arange(30)]
    frames, known = clips.flatten(0, 1), labels.repeat_interleave(16)

    def accuracy(extractor: Any) -> float:
        logits = extractor(frames).logits
        assert logits is not None
        return (logits.argmax(1) == known).float().mean().item()

    assert accuracy(digit()) > 0.9 > 0.5 > accuracy(Classifier("digits"))


@pytest.mark.parametrize("make", [Motion, FrameFID, partial(Consistency, Classifier("digits"))])
def test_grey_clips_are_coloured_ones(make: Callable[[], Any], clips: Tensor) -> None:
    score, some = make(), clips[:20]
    assert torch.allclose(score.count(some), score.count(some.expand(-1, -1, 3, -1, -1)))
    assert torch.equal(MovingPixels()(some).features, MovingPixels()(some.expand(-1, -1, 3, -1, -1)).features)


@pytest.mark.parametrize("make", [Motion, FrameFID, partial(Consistency, Classifier("digits"))])
def test_portions_add_and_pictures_are_refused(make: Callable[[], Any], clips: Tensor) -> None:
    score = make()
    parts = [score.count(part) for part in clips[:50].split(30)]
    assert torch.allclose(sum(parts), score.count(clips[:50]))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="bytes of shape"):
        score.count(clips[:, 0])


def test_a_classifier_is_needed_for_classes(clips: Tensor) -> None:
    with pytest.raises(Refused, match="Pixels gives no logits"):
        Consistency(Pixels()).count(clips[:2])
    with pytest.raises(Refused, match="three frames"):
        Motion().count(clips[:, :2])


def test_contracts_tell_the_extractor_and_names_its_suffix() -> None:
    score = Consistency(digit())
    assert score.names("1k", "") == ["consistency1k_digits_centred16"]
    own = score.parameters()
    assert own["extractor"]["square"] == 16
    assert own["extractor"]["of"]["name"] == "digits"
    assert own["values"] == [["consistency{n}_digits_centred16", "max", "raw"]]
    assert own != Consistency(Centred(Classifier("digits"), 14)).parameters()
    assert FrameFID().names("10", "") == ["frame_fid10_pixels"]


def test_the_square_around_the_centre_is_what_is_seen() -> None:
    picture = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    picture[0, 0, 15:19, 1:5] = torch.arange(100, 116, dtype=torch.uint8).view(4, 4)
    seen = Centred(Pixels(4), 4)(picture).features
    assert torch.allclose(seen, Pixels(4)(picture[:, :, 15:19, 1:5]).features)
    at_the_edge = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    at_the_edge[0, 0, 0, 0] = 255
    (row,) = Centred(Pixels(4), 4)(at_the_edge).features.view(1, 4, 4)
    assert row.nonzero().tolist() in ([[1, 1]], [[2, 2]])
