"""Of networks from pictures to pictures, and of discriminators of patches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from ganlab import GAN
from ganlab.checkpoints.rebuild import rebuild
from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Pictures, Points
from ganlab.networks import PatchGANDiscriminator, UNetGenerator
from ganlab.networks.layers import NormalizationKind
from ganlab.testing import assert_same

every_norm = pytest.mark.parametrize("norm", get_args(NormalizationKind))
SMALL = {"width": 8, "max_width": 16}


def unet(shape: tuple[int, ...], sources: int = 2, **arguments: Any) -> nn.Module:
    return UNetGenerator(shape=shape, condition=Pictures((sources, *shape[1:])), **SMALL | arguments)


def pictures(*shape: int, **form: Any) -> Tensor:
    return torch.randn(shape, **form).tanh()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


class TestUNet:
    @pytest.mark.parametrize("size", [(8, 8), (16, 32), (28, 28), (32, 32), (48, 48), (64, 64), (80, 80)])
    @every_norm
    def test_makes_pictures_of_the_sources_size_in_batches_of_one_too(
        self, size: tuple[int, int], norm: str
    ) -> None:
        generator = unet((3, *size), normalization=norm, latent_size=4)
        for count in (1, 2):
            images = generator(torch.randn(count, 4), pictures(count, 2, *size))
            assert images.shape == (count, 3, *size)
            assert images.abs().max() <= 1
            assert images.std() > 0.01
        assert (generator.shape, generator.latent_size) == ((3, *size), 4)

    def test_the_papers_network_for_256_pixels(self) -> None:
        with torch.device("meta"):
            generator = UNetGenerator(
                shape=(3, 256, 256), condition=Pictures((3, 256, 256)), normalization="batch"
            )
            assert generator(torch.zeros(1, 0), torch.zeros(1, 3, 256, 256)).shape == (1, 3, 256, 256)
        # Of the 4x4 kernels of its innermost two layers, 2x2 ever meet a pixel; and two of its layers have
        # neither a bias nor a norm that would subtract it.
        unseen, biases = 2 * 512 * 512 * (16 - 4), 64 + 512
        ours = sum(parameter.numel() for parameter in generator.parameters())
        assert ours + unseen - biases == PAPERS_UNET

    @pytest.mark.parametrize("side", [28, 48, 80, 256])
    def test_a_corner_depends_on_the_source_at_the_other(self, side: int) -> None:
        generator = unet((1, side, side), normalization="none").double()
        source = pictures(1, 2, side, side, dtype=torch.float64).requires_grad_()
        image = generator(torch.empty(1, 0, dtype=torch.float64), source)
        (gradient,) = torch.autograd.grad(image[0, 0, 0, 0], source)
        assert (gradient[0, :, -1, -1] != 0).all()

    def test_fine_detail_goes_round_the_bottom(self) -> None:
        generator = unet((1, 32, 32), normalization="none")
        source = pictures(1, 2, 32, 32)
        before = generator(torch.empty(1, 0), source)
        generator.bottom.register_forward_hook(lambda *_: torch.zeros(1, 16, 1, 1))
        after = generator(torch.empty(1, 0), source)
        assert not torch.equal(before, after)
        moved = source.clone()
        moved[0, 0, 5, 5] += 0.5
        changed = (generator(torch.empty(1, 0), moved) - after).abs()[0, 0]
        assert changed[3:8, 3:8].max() > 0
        assert changed.max() == changed[3:8, 3:8].max()

    def test_without_a_latent_a_source_has_one_picture_and_with_one_many(self) -> None:
        source = pictures(1, 2, 16, 16).expand(3, -1, -1, -1)
        same = unet((1, 16, 16), normalization="none")(torch.empty(3, 0), source)
        assert torch.allclose(same[0], same[1], atol=1e-6)
        other = unet((1, 16, 16), normalization="none", latent_size=5)(torch.randn(3, 5), source)
        assert not torch.allclose(other[0], other[1], atol=1e-3)

    def test_instance_norm_makes_the_same_picture_in_training_and_evaluation(self) -> None:
        generator = unet((1, 16, 16))
        sources, latent = pictures(3, 2, 16, 16), torch.empty(3, 0)
        images = generator(latent, sources)
        assert torch.equal(generator.eval()(latent, sources), images)
        assert torch.allclose(generator(latent[:1], sources[:1]), images[:1], atol=1e-5)

    @pytest.mark.parametrize(("side", "dropped"), [(8, 2), (16, 3), (64, 3)])
    def test_dropout_takes_a_share_of_the_three_coarsest_maps_on_the_way_up(
        self, side: int, dropped: int
    ) -> None:
        generator, shares = unet((1, side, side), dropout=0.4).eval(), []
        for stage in generator.up:
            stage.register_forward_hook(lambda _, __, maps: shares.append((maps == 0).double().mean().item()))
        generator(torch.empty(40, 0), pictures(40, 2, side, side))
        finer = len(generator.up) - dropped
        assert shares == [pytest.approx(0.4, abs=0.05)] * dropped + [0.0] * finer

    def test_dropout_changes_no_weight_and_makes_a_sources_pictures_many(self) -> None:
        source = pictures(1, 2, 16, 16).expand(3, -1, -1, -1)
        generators = []
        for arguments in ({}, {"dropout": 0.5}):
            torch.manual_seed(1)
            generators.append(unet((1, 16, 16), **arguments).eval())
        without, with_dropout = generators
        assert_same(without.state_dict(), with_dropout.state_dict(), what="the weights")
        images = with_dropout(torch.empty(3, 0), source)
        assert not torch.allclose(images[0], images[1], atol=1e-3)
        state = torch.get_rng_state()
        without(torch.empty(3, 0), source)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("share", [-0.1, 1.0, torch.nan])
    def test_a_dropout_that_makes_no_sense_is_refused(self, share: float) -> None:
        with pytest.raises(Refused, match="Dropout: p is"):
            unet((1, 16, 16), dropout=share)

    @every_norm
    def test_every_parameter_learns(self, norm: str) -> None:
        generator = unet((1, 16, 16), normalization=norm, latent_size=3)
        images = generator(torch.randn(6, 3), pictures(6, 2, 16, 16))
        (images * torch.randn_like(images)).sum().backward()
        for name, parameter in generator.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    @pytest.mark.parametrize(
        ("condition", "words"),
        [
            (None, "takes pictures as its condition, not None.\n.*conditional: true"),
            (Labels(3), "not Labels"),
            (Points((2,)), "not Points"),
            (Pictures((3, 8, 16)), r"\(3, 8, 16\), the images are of \(1, 16, 16\)"),
            (Pictures((3, 4, 16, 16)), r"\(3, 4, 16, 16\), the images"),
        ],
    )
    def test_other_conditions_are_refused(self, condition: Medium | None, words: str) -> None:
        with pytest.raises(Refused, match="UNetGenerator.*" + words) as refusal:
            UNetGenerator(shape=(1, 16, 16), condition=condition)
        assert len(str(refusal.value).splitlines()) <= 3

    def test_its_sources_are_missed(self) -> None:
        with pytest.raises(Refused, match="is given none"):
            unet((1, 16, 16))(torch.empty(2, 0))


def patches(shape: tuple[int, ...], **arguments: Any) -> nn.Module:
    return PatchGANDiscriminator(shape=shape, **SMALL | arguments)


CONDITIONS: dict[str, tuple[Medium | None, Callable[[], tuple[Tensor, ...]]]] = {
    "nothing": (None, lambda: ()),
    "pictures": (Pictures((2, 32, 32)), lambda: (pictures(4, 2, 32, 32),)),
    "labels": (Labels(4), lambda: (torch.tensor([0, 1, 3, 2]),)),
}


class TestPatches:
    @pytest.mark.parametrize(("layers", "sees"), [(1, 16), (2, 34), (3, 70), (4, 142)])
    def test_a_logit_sees_as_many_pixels_as_the_paper_says(self, layers: int, sees: int) -> None:
        discriminator = patches((1, 192, 192), layers=layers, normalization="none").double()
        images = pictures(1, 1, 192, 192, dtype=torch.float64).requires_grad_()
        logits = discriminator(images)
        middle = logits.shape[1] // 2
        (gradient,) = torch.autograd.grad(logits[0, middle, middle], images)
        rows = gradient[0, 0].abs().sum(1).nonzero()[:, 0]
        assert rows[-1] - rows[0] + 1 == len(rows) == sees

    @pytest.mark.parametrize(
        ("shape", "layers", "size"),
        [
            ((3, 256, 256), 3, (30, 30)),
            ((3, 64, 64), 3, (6, 6)),
            ((1, 32, 32), 3, (2, 2)),
            ((1, 24, 24), 3, (1, 1)),
            ((1, 28, 33), 2, (5, 6)),
            ((1, 6, 6), 1, (1, 1)),
        ],
    )
    def test_gives_a_map_of_logits(self, shape: tuple[int, ...], layers: int, size: tuple[int, int]) -> None:
        discriminator = patches(shape, layers=layers)
        assert discriminator(pictures(2, *shape)).shape == (2, *size)
        assert discriminator.shape == shape

    def test_the_papers_network(self) -> None:
        with torch.device("meta"):
            discriminator = PatchGANDiscriminator(
                shape=(3, 256, 256), condition=Pictures((3, 256, 256)), normalization="batch"
            )
        assert sum(parameter.numel() for parameter in discriminator.parameters()) == PAPERS_PATCHES

    @pytest.mark.parametrize("kind", CONDITIONS)
    @every_norm
    def test_penalties_reach_every_weight(self, kind: str, norm: str) -> None:
        condition, draw = CONDITIONS[kind]
        discriminator = patches((1, 32, 32), condition=condition, layers=2, normalization=norm)
        images = pictures(4, 1, 32, 32).requires_grad_()
        logits = discriminator(images, *draw())
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        (gradient.square().sum() + logits.square().sum()).backward()
        for name, parameter in discriminator.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    @pytest.mark.parametrize("kind", ["pictures", "labels"])
    def test_the_condition_changes_its_own_samples_logits_alone(self, kind: str) -> None:
        condition, draw = CONDITIONS[kind]
        discriminator = patches((1, 32, 32), condition=condition)
        images, (told,) = pictures(4, 1, 32, 32), draw()
        other = told.clone()
        other[1] = told[2]
        difference = (discriminator(images, told) - discriminator(images, other)).abs().amax((1, 2)) > 1e-5
        assert difference.tolist() == [False, True, False, False]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"layers": 4}, r"layers is 4, too many for images of \(1, 32, 32\).*\nTake at most 3"),
            ({"layers": 10**9}, "layers is 1000000000"),
            ({"layers": 0}, "layers is 0"),
            ({"shape": (1, 5, 64)}, r"shape is \(1, 5, 64\).* 6 pixels"),
            ({"shape": (2,)}, r"shape is \(2,\)"),
            ({"condition": Pictures((1, 16, 16))}, r"\(1, 16, 16\), the images are of \(1, 32, 32\)"),
            ({"condition": Points((2,))}, "cannot take Points"),
            ({"normalization": "instants"}, "'instants'"),
            ({"max_width": 2}, "max_width is 2"),
        ],
        ids=str,
    )
    def test_what_cannot_work_is_refused(self, arguments: dict[str, Any], words: str) -> None:
        with pytest.raises(Refused, match=words) as refusal:
            patches(**{"shape": (1, 32, 32)} | arguments)
        assert len(str(refusal.value).splitlines()) <= 3


# Of the networks that the paper's authors published, for three channels on each side.
PAPERS_UNET = 54_413_955
PAPERS_PATCHES = 2_768_705


class Game(GAN):
    """A game that no file may name by itself, so that it is built without being tried."""


@pytest.mark.parametrize("trusted", [False, True])
def test_plain_hyperparameters_build_them(trusted: bool) -> None:
    facts = {"shape": [1, 32, 32], "condition": Pictures((2, 32, 32)).plain()}
    players = {
        "generator": {"class_path": "ganlab.networks.UNetGenerator", "init_args": {**facts, "width": 4}},
        "discriminator": {"class_path": "ganlab.networks.PatchGANDiscriminator", "init_args": facts},
    }
    path = f"{Game.__module__}.Game"
    game = rebuild({"_class_path": path, **players}, Path("a.ckpt"), classes=[Game], trusted=trusted)
    sources = pictures(2, 2, 32, 32)
    images = game.generator(torch.empty(2, 0), sources)
    assert images.shape == (2, 1, 32, 32)
    assert game.discriminator(images, sources).shape == (2, 2, 2)
