"""Each augmentation against what it may do to an image, read off its results image by image."""

from typing import Any, get_args, get_type_hints

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from ganlab import augment
from ganlab.augment import TABLE, Augmentation, colour, cutout, flip, translation
from ganlab.data import Gaussians
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.networks import MLPDiscriminator, MLPGenerator
from ganlab.regularisers import ADA, BCR
from ganlab.testing import new, play
from ganlab.variants import HingeGAN

MANY = 512

every_augmentation = pytest.mark.parametrize("name", get_args(Augmentation))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def pictures(
    count: int = 4, channels: int = 3, height: int = 8, width: int = 16, dtype: torch.dtype = torch.float64
) -> Tensor:
    return torch.rand(count, channels, height, width, dtype=dtype) + 1


def same(count: int = MANY, **size: int) -> Tensor:
    """The same image many times; no pixel is 0."""
    return pictures(1, **size).expand(count, -1, -1, -1)


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """By a loop over pixels."""
    result = torch.zeros_like(image)
    _, height, width = image.shape
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[:, y, x] = image[:, y - down, x - right]
    return result


class TestEveryAugmentation:
    @every_augmentation
    def test_all_frames_of_a_clip_are_treated_alike(self, name: Augmentation) -> None:
        images = pictures(6)
        torch.manual_seed(1)
        alone = TABLE[name](images)
        torch.manual_seed(1)
        clips = TABLE[name](images[:, None].expand(-1, 5, -1, -1, -1))
        assert clips.shape == (6, 5, 3, 8, 16)
        torch.testing.assert_close(clips, alone[:, None].expand(-1, 5, -1, -1, -1))

    @every_augmentation
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("size", [(1, 1, 8, 8), (5, 3, 8, 16), (2, 4, 7, 9), (3, 2, 1, 1)], ids=str)
    def test_shape_and_dtype_stay(
        self, name: Augmentation, dtype: torch.dtype, size: tuple[int, ...]
    ) -> None:
        images = pictures(*size, dtype=dtype)
        result = TABLE[name](images)
        assert result.shape == images.shape
        assert result.dtype == dtype
        assert result.isfinite().all()

    @every_augmentation
    def test_images_are_only_read(self, name: Augmentation) -> None:
        images = pictures()
        before = images.clone()
        TABLE[name](images)
        assert torch.equal(images, before)

    @every_augmentation
    def test_slopes_are_its_own(self, name: Augmentation) -> None:
        def repeated(images: Tensor) -> Tensor:
            torch.manual_seed(5)
            return TABLE[name](images)

        images = pictures(3, 2, 4, 8).requires_grad_()
        assert torch.autograd.gradcheck(repeated, images)
        assert torch.autograd.grad(repeated(images).sum(), images)[0].abs().sum() > 0

    @every_augmentation
    def test_the_same_seed_gives_the_same_result(self, name: Augmentation) -> None:
        images = same()
        torch.manual_seed(1)
        once = TABLE[name](images)
        assert not torch.equal(TABLE[name](images), once)
        torch.manual_seed(1)
        assert torch.equal(TABLE[name](images), once)
        torch.manual_seed(2)
        assert not torch.equal(TABLE[name](images), once)

    @every_augmentation
    def test_each_image_has_its_own_draw(self, name: Augmentation) -> None:
        """All outcomes occur, without a pattern from image to image."""
        result = TABLE[name](same()).flatten(1)
        outcomes = {"flip": 2, "translation": 3 * 5, "cutout": 9 * 17, "colour": MANY}[name]
        assert 0.9 * outcomes < len(result.unique(dim=0)) <= outcomes
        mark = result @ torch.randn(result.shape[1], dtype=torch.float64)
        place = torch.arange(MANY, dtype=torch.float64)
        for one, other in ((mark[1:], mark[:-1]), (mark[2:], mark[:-2]), (mark, place)):
            assert torch.corrcoef(torch.stack([one, other]))[0, 1].abs() < 0.15

    @every_augmentation
    def test_an_image_is_nothing_to_its_neighbours(self, name: Augmentation) -> None:
        images = pictures()
        other = images.clone()
        other[0] += 1
        torch.manual_seed(3)
        one = TABLE[name](images)
        torch.manual_seed(3)
        assert torch.equal(TABLE[name](other)[1:], one[1:])


class TestColour:
    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Brightness, saturation and contrast, fitted to each image; fails if they do not explain it."""
        images = pictures(MANY)
        result = colour(images)
        level, grey = images.mean((1, 2, 3), keepdim=True), images.mean(1, keepdim=True)
        new_level, new_grey = result.mean((1, 2, 3), keepdim=True), result.mean(1, keepdim=True)

        def factor(after: Tensor, before: Tensor) -> Tensor:
            fitted = (after * before).flatten(1).sum(1) / before.square().flatten(1).sum(1)
            torch.testing.assert_close(after, fitted.view(-1, 1, 1, 1) * before, rtol=1e-9, atol=1e-12)
            return fitted

        contrast = factor(new_grey - new_level, grey - level)
        both = factor(result - new_grey, images - grey)
        return (new_level - level).flatten(), both / contrast, contrast

    def test_is_brightness_saturation_and_contrast(self) -> None:
        for drawn, (low, high) in zip(self.factors(), [(-0.5, 0.5), (0, 2), (0.5, 1.5)], strict=True):
            width = high - low
            assert low <= float(drawn.min()) < low + 0.02 * width
            assert high - 0.02 * width < float(drawn.max()) <= high
            quarters = torch.histc(drawn, 4, low, high) / MANY
            torch.testing.assert_close(quarters, torch.full_like(quarters, 0.25), atol=0.07, rtol=0)

    def test_draws_the_three_apart(self) -> None:
        related = torch.corrcoef(torch.stack(self.factors()))
        assert (related - torch.eye(3, dtype=torch.float64)).abs().max() < 0.15

    def test_an_even_grey_stays_even_and_grey(self) -> None:
        result = colour(torch.full((MANY, 3, 4, 4), 0.3, dtype=torch.float64))
        assert (result - result[:, :1, :1, :1]).abs().max() < 1e-12
        assert (result - 0.3).abs().max() <= 0.5

    def test_an_even_colour_stays_even(self) -> None:
        result = colour(pictures(MANY, 3, 1, 1).expand(-1, -1, 4, 4))
        assert (result - result[:, :, :1, :1]).abs().max() < 1e-12

    def test_a_grey_picture_stays_grey(self) -> None:
        result = colour(pictures(MANY, 1).expand(-1, 3, -1, -1))
        assert (result - result[:, :1]).abs().max() < 1e-12
        assert (result[:, 0] - result[:, 0].mean((1, 2), keepdim=True)).abs().max() > 0.1


class TestTranslation:
    @pytest.mark.parametrize(("height", "width"), [(8, 16), (16, 16), (20, 12)])
    def test_moves_by_up_to_an_eighth_and_fills_with_zeros(self, height: int, width: int) -> None:
        images = same(height=height, width=width)
        reach_y, reach_x = {8: 1, 16: 2, 20: 2, 12: 2}[height], {16: 2, 12: 2}[width]
        moves = [
            (down, right) for down in range(-reach_y, reach_y + 1) for right in range(-reach_x, reach_x + 1)
        ]
        known = torch.stack([shifted(images[0], *move) for move in moves])
        fits = (translation(images)[:, None] == known).flatten(2).all(2)
        assert (fits.sum(1) == 1).all()
        counts = fits.sum(0) * len(moves) / MANY
        assert counts.min() > 0.3
        assert counts.max() < 1.9

    def test_by_the_share_that_is_asked_for(self) -> None:
        images = same(height=8, width=8)
        assert torch.equal(translation(images, share=0.0), images)
        visible = (translation(images, share=1 / 2) != 0).all(1)
        assert visible.any(2).sum(1).min() == visible.any(1).sum(1).min() == 4
        assert visible.any(2).sum(1).max() == visible.any(1).sum(1).max() == 8


class TestCutout:
    @staticmethod
    def sides(length: int, size: int) -> dict[tuple[int, int], int]:
        """Of all intervals whose centre lies in the image: the part inside, by its first and last pixel."""
        starts = range(-(length // 2), size - length // 2 + 1 - length % 2)
        inside = [[place for place in range(s, s + length) if 0 <= place < size] for s in starts]
        return {(part[0], part[-1]): len(part) for part in inside}

    @pytest.mark.parametrize(("height", "width", "share"), [(8, 16, 0.5), (10, 6, 0.5), (9, 9, 1 / 3)])
    def test_removes_one_rectangle_and_nothing_else(self, height: int, width: int, share: float) -> None:
        images = same(2 * MANY, height=height, width=width)
        result = cutout(images, share)
        hole = (result == 0).all(1)
        assert torch.equal(result, torch.where(hole[:, None], 0, images))
        rows, columns = self.sides(round(height * share), height), self.sides(round(width * share), width)
        spans: dict[str, set[tuple[int, int]]] = {"rows": set(), "columns": set()}
        for one in hole:
            y, x = one.any(1).nonzero().flatten().tolist(), one.any(0).nonzero().flatten().tolist()
            assert rows[y[0], y[-1]] == len(y)
            assert columns[x[0], x[-1]] == len(x)
            assert int(one.sum()) == len(y) * len(x)
            spans["rows"].add((y[0], y[-1]))
            spans["columns"].add((x[0], x[-1]))
        assert spans == {"rows": set(rows), "columns": set(columns)}

    def test_takes_half_of_each_side_and_half_of_that_in_a_corner(self) -> None:
        share = (cutout(same(height=16, width=16)) == 0).double().mean((1, 2, 3))
        assert float(share.max()) == 1 / 4
        assert float(share.min()) == 1 / 16

    def test_every_place_can_be_hit_alike_but_for_the_border(self) -> None:
        rate = (cutout(same(4 * MANY, height=8, width=8))[:, 0] == 0).double().mean(0)
        # Of the 9 intervals of length 4, those with starts -2 to 6: 3 cover the first pixel, 4 an inner one.
        cover = torch.tensor([3, 4, 4, 4, 4, 4, 4, 3], dtype=torch.float64) / 9
        torch.testing.assert_close(rate, cover[:, None] * cover, atol=0.04, rtol=0)


class TestFlip:
    def test_mirrors_half_of_the_images_and_leaves_the_others(self) -> None:
        images = pictures(4 * MANY)
        result, mirror = flip(images), torch.arange(images.shape[-1] - 1, -1, -1)
        same = (result == images).flatten(1).all(1)
        turned = (result == images[..., mirror]).flatten(1).all(1)
        assert (same ^ turned).all()
        assert float(turned.double().mean()) == pytest.approx(0.5, abs=0.05)


class TestAugment:
    def test_applies_the_named_ones_in_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(TABLE, "flip", lambda images: 10 * images)
        monkeypatch.setitem(TABLE, "colour", lambda images: images + 1)
        images = pictures()
        torch.testing.assert_close(augment.augment(images, ("flip", "colour")), 10 * images + 1)
        torch.testing.assert_close(augment.augment(images, ("colour", "flip")), 10 * images + 10)
        torch.testing.assert_close(augment.augment(images, ("colour", "colour")), images + 2)

    def test_nothing_named_changes_nothing(self) -> None:
        images = pictures()
        assert augment.augment(images, ()) is images


class TestInTheGame:
    @staticmethod
    def judged(**arguments: Any) -> list[Tensor]:
        """What the discriminator sees of constant reals and fakes, from the check of shapes on."""
        judged: list[Tensor] = []

        class Constant(HingeGAN):
            def real(self, batch: Any) -> Tensor:
                return torch.full_like(batch[0], 1.0)

            def fake(self, generator: Any, latent: Tensor, condition: Any) -> Tensor:
                return super().fake(generator, latent, condition) * 0 + 2.0

            def judge(self, images: Tensor, condition: Any) -> Tensor:
                judged.append(images.detach().clone())
                return super().judge(images, condition)

        play(new(Constant, **arguments), steps=1)
        return judged[1:]

    def test_real_and_fake_are_augmented_alike_in_both_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(TABLE, "flip", lambda images: images + 100)
        assert [float(images.mean()) for images in self.judged(augmentations=["flip"])] == [101, 102, 102]
        assert [float(images.mean()) for images in self.judged()] == [1, 2, 2]

    def test_every_critic_step_and_micro_batch_draws_anew(self) -> None:
        holes = [
            tuple((image == 0).flatten().tolist())
            for images in self.judged(augmentations=["cutout"], critic_steps=2, accumulation=2)
            for image in images
        ]
        assert len(holes) == 2 * 2 * 2 * 4 + 2 * 4
        assert len(set(holes)) > len(holes) / 2


class TestNames:
    @staticmethod
    def parse(value: str) -> Any:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--augmentations", type=get_type_hints(GAN.__init__)["augmentations"])
        return parser.parse_args([f"--augmentations={value}"]).augmentations

    def test_in_the_table_are_taken(self) -> None:
        assert list(self.parse("[colour, translation, cutout, flip]")) == list(TABLE)
        assert list(self.parse("[]")) == []

    @pytest.mark.parametrize("value", ["[blur]", "[colour, color]", "[Flip]", "flip", "[1]"])
    def test_others_are_refused(self, value: str) -> None:
        with pytest.raises(ArgumentError):
            self.parse(value)

    def test_are_those_of_the_functions(self) -> None:
        assert {name: function.__name__ for name, function in TABLE.items()} == {
            name: name for name in get_args(Augmentation)
        }


@pytest.mark.parametrize(
    "how", [{"augmentations": ["flip"]}, {"regularisers": [ADA()]}, {"regularisers": [BCR(["cutout"])]}]
)
def test_points_are_not_augmented(how: dict[str, Any]) -> None:
    points: dict[str, Any] = {"shape": (2,), "hidden": (4,)}
    players = MLPGenerator(**points, latent_size=8), MLPDiscriminator(**points)
    game = HingeGAN(generator=players[0], discriminator=players[1], latent_size=8, **how)
    with pytest.raises(Refused, match=r"augments pictures .*\n.*Points of the shape \(2,\)"):
        play(game, Gaussians(), steps=1)
