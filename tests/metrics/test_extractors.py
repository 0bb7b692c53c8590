"""Extractors against torch-fidelity and torchmetrics on random weights, so no number here is a FID."""

import importlib
import json
import os
import runpy
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch_fidelity
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import interpolate, pad
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from transformer_weights import clip, dinov2, renamed, write

from ganlab.data import Digits
from ganlab.errors import Refused
from ganlab.media.pictures import quantise
from ganlab.metrics import CLIP, DINOv2
from ganlab.metrics.extractors import inception
from ganlab.metrics.extractors.classifiers import Classifier, LeNet, StackedClassifier, framed
from ganlab.metrics.extractors.extractor import FOLDER, Module, Pixels, Points, file_digest, refuse_taken
from ganlab.metrics.extractors.inception import Inception
from ganlab.metrics.names import measured
from ganlab.metrics.registry import TABLE
from ganlab.testing import assert_same

SCRIPTS = Path(__file__).parents[2] / "scripts"
BENCHMARK = runpy.run_path(str(SCRIPTS / "benchmark_extractors.py"))
TRAINING = runpy.run_path(str(SCRIPTS / "train_extractors.py"))
distance, pictures = BENCHMARK["distance"], BENCHMARK["pictures"]
os.environ.pop("TORCHINDUCTOR_FORCE_DISABLE_CACHES")
SHIPPED = ("digits", "fashion_mnist", "mnist")
LAYERS = ["2048", "logits_unbiased"]


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    BENCHMARK["write_random_weights"](path)
    return str(path)


@pytest.fixture(scope="session")
def ours_and_generator(weights):
    """Ours, and the state of the global generator before and after it was built."""
    before = torch.random.get_rng_state()
    return Inception(weights), before, torch.random.get_rng_state()


@pytest.fixture(scope="session")
def ours(ours_and_generator):
    return ours_and_generator[0]


@pytest.fixture(scope="session")
def theirs(weights):
    return FeatureExtractorInceptionV3("", LAYERS, feature_extractor_weights_path=weights)


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GANLAB_INCEPTION_WEIGHTS", raising=False)
    return tmp_path / "home" / "hub" / "checkpoints"


def noise(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def error(seen, expected):
    return ((seen - expected).square().mean() / expected.square().mean()).sqrt().item()


def message(refused) -> str:
    text = str(refused.value)
    assert len(text.splitlines()) <= 3
    return text


# Inception


def test_one_pass_gives_the_features_and_logits_of_torch_fidelity(ours, theirs):
    a, b = pictures(4, 2, 1), pictures(8, 2, 2)
    with torch.no_grad():
        expected = [theirs(x) for x in (a, b)]
    seen = [ours(x) for x in (a, b)]
    for mine, other in zip(seen, expected, strict=True):
        assert mine.features.dtype == mine.logits.dtype == torch.float32
        assert error(mine.features, other[0]) < 2e-4
        assert error(mine.logits, other[1]) < 2e-4
    truth = distance(expected[0][0], expected[1][0])
    assert distance(seen[0].features, seen[1].features) == pytest.approx(truth, rel=1e-4)


def test_spatial_features_are_the_first_channels_of_the_layer_that_sfid_is_defined_by(ours, theirs):
    """torch-fidelity's table of TensorFlow's names has mixed_6/conv as Mixed_6d.branch1x1."""
    seen = []
    handle = theirs.Mixed_6d.branch1x1.register_forward_hook(lambda *call: seen.append(call[-1].clone()))
    with torch.no_grad():
        theirs(images := pictures(4, 2, 1))
    handle.remove()
    spatial = ours(images).spatial
    assert spatial.dtype == torch.float32
    assert spatial.shape == (2, ours.spatial) == (2, 2023)
    assert error(spatial, seen[0][:, :7].flatten(1)) < 2e-4


def test_torchmetrics_agrees_but_for_its_own_default_resize(ours, weights):
    images = pictures(4, 1, 1)
    features = ours(images).features
    for antialias, agrees in ((False, True), (True, False)):
        other = NoTrainInceptionV3("", ["2048"], weights, antialias=antialias)
        with torch.no_grad():
            assert (error(features, other(images)) < 1e-3) == agrees


class Pictures(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


@pytest.mark.slow
def test_the_distance_of_two_sets_is_that_of_torch_fidelity_and_torchmetrics(ours, weights):
    a, b = pictures(4, 10, 1), pictures(8, 10, 2)
    mine = distance(ours(a).features, ours(b).features)
    settings = {"fid": True, "cuda": False, "cache": False, "verbose": False, "save_cpu_ram": True}
    theirs = torch_fidelity.calculate_metrics(
        input1=Pictures(a),
        input2=Pictures(b),
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=weights,
        **settings,
    )
    assert mine == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    for antialias in (False, True):
        metric = FrechetInceptionDistance(
            NoTrainInceptionV3("", ["2048"], weights, antialias=antialias), antialias=antialias
        )
        metric.update(a, real=True)
        metric.update(b, real=False)
        value = metric.compute().item()
        if antialias:
            assert abs(mine - value) / value > 1e-3
        else:
            assert mine == pytest.approx(value, rel=1e-4)


def test_grey_is_three_equal_channels(ours):
    grey = noise(1, 1, 28, 28)
    assert torch.equal(ours(grey).features, ours(grey.repeat(1, 3, 1, 1)).features)
    with pytest.raises(Refused, match="1 or 3 channels, not 2"):
        ours(noise(2, 2, 8, 8))


def test_all_bytes_survive_the_way_through_floats():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantise(levels / 127.5 - 1), levels)
    assert quantise(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


@pytest.mark.parametrize("height", [1, 24, 32, 299, 400])
@pytest.mark.parametrize("width", [28, 64, 512])
def test_tf1_resizes_to_the_last_bit_as_torch_fidelity(height, width):
    images = noise(2, 3, height, width)
    wanted = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(299, 299), align_corners=False)
    assert torch.equal(inception.tf1(images), wanted)


@pytest.mark.parametrize("size", [24, 32, 400])
def test_clean_resizes_as_an_antialiased_bicubic_of_floats(size):
    images = noise(2, 3, size, size)
    wanted = interpolate(images.double(), (299, 299), mode="bicubic", antialias=True).clamp(0, 255)
    resized = inception.clean(images)
    assert torch.allclose(resized.double(), wanted, atol=1e-3)
    assert (resized != resized.round()).any()
    assert (inception.tf1(images) - resized).abs().max() > 1


def test_every_deviation_has_a_name(weights, monkeypatch):
    def small(path, state):
        return nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.Linear(3, 3))

    monkeypatch.setattr(inception, "network", small)

    def names(**settings):
        extractor = Inception(weights, **settings)
        return extractor.suffix, extractor.identity()

    deviating = {"resize": "clean", "precision": "bf16"}
    named = [names(), names(resize="clean"), names(**deviating)]
    assert [suffix for suffix, _ in named] == ["_custom", "_custom_clean", "_custom_clean_bf16"]
    assert len({str(identity) for _, identity in named}) == 3
    assert named[2][1]["dtype"] == "bfloat16"
    monkeypatch.setattr(inception, "PUBLISHED", file_digest(Path(weights)))
    assert names()[0] == ""
    assert names(**deviating)[0] == "_clean_bf16"


def test_the_published_file_is_known_by_its_whole_hash():
    assert inception.PUBLISHED == "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
    assert all("6726825d" in name for name in inception.CACHED)


def test_bf16_errs_and_still_gives_float32(ours, weights):
    images = pictures(4, 1, 1)
    seen = Inception(weights, precision="bf16")(images)
    assert seen.features.dtype == seen.logits.dtype == torch.float32
    assert 1e-3 < error(seen.features, ours(images).features) < 0.4


@pytest.mark.evidence
def test_compiling_changes_rounding_only(ours, weights, monkeypatch):
    monkeypatch.setattr(inception, "CHUNK", {"cpu": 2})
    images = pictures(4, 3, 1)
    compiled = Inception(weights, compile=True)
    assert compiled.identity() == ours.identity()
    assert error(compiled(images).features, ours(images).features) < 2e-4


def test_neither_batch_nor_emptiness_matters(ours, monkeypatch):
    images = noise(3, 3, 16, 16)
    assert ours(images[:0]).features.shape == (0, 2048)
    whole = ours(images)
    monkeypatch.setattr(inception, "CHUNK", {"cpu": 2})
    assert error(ours(images).features, whole.features) < 1e-4


def test_missing_weights_are_refused_at_once_and_by_every_place(nowhere, monkeypatch):
    monkeypatch.setattr(inception, "network", None)
    began = time.perf_counter()
    with pytest.raises(Refused) as refused:
        Inception()
    assert time.perf_counter() - began < 5
    for place in ("weights", "$GANLAB_INCEPTION_WEIGHTS", str(nowhere), "https://", "pt_"):
        assert place in message(refused)
    assert not nowhere.exists()
    monkeypatch.setenv("GANLAB_INCEPTION_WEIGHTS", "/not/there.pth")
    with pytest.raises(Refused, match=r"/not/there\.pth"):
        Inception()
    with pytest.raises(Refused, match=r"/nor/there\.pth"):
        Inception("/nor/there.pth")


def test_weights_are_found_where_they_are_named_first(nowhere, monkeypatch, tmp_path):
    nowhere.mkdir(parents=True)
    for name in reversed(inception.CACHED):
        (nowhere / name).touch()
        assert inception.find_weights(None) == nowhere / name
    named, given = tmp_path / "named.pth", tmp_path / "given.pth"
    named.touch(), given.touch()
    monkeypatch.setenv("GANLAB_INCEPTION_WEIGHTS", str(named))
    assert inception.find_weights(None) == named
    assert inception.find_weights(str(given)) == given
    with pytest.raises(Refused):
        inception.find_weights(str(tmp_path / "misspelt.pth"))


def test_a_file_that_is_no_inception_is_refused(weights, tmp_path):
    cut, code, other = (tmp_path / f"{name}.pth" for name in ("cut", "code", "other"))
    cut.write_bytes(Path(weights).read_bytes()[:100_000])
    torch.save(nn.Linear(1, 1), code)
    torch.save({"fc.weight": torch.zeros(2)}, other)
    for path in (cut, code, other):
        with pytest.raises(Refused, match=path.name) as refused:
            Inception(str(path))
        message(refused)


def test_building_leaves_the_global_generator_alone(ours_and_generator):
    _, before, after = ours_and_generator
    assert torch.equal(after, before)


# All


@pytest.fixture
def extractors(ours, tmp_path):
    path = tmp_path / "own.safetensors"
    save_file(LeNet().state_dict(), path)
    grey_only = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Upsample(32), LeNet())
    state = tmp_path / "grey.pth"
    torch.save(grey_only.state_dict(), state)
    transformers = [
        DINOv2(write(tmp_path / "dinov2.pth", dinov2())),
        CLIP(write(tmp_path / "clip.bin", renamed(clip().state_dict()))),
    ]
    classifiers = map(Classifier, SHIPPED)
    return [ours, *transformers, Pixels(), Module(grey_only, str(state), "own"), *classifiers]


def test_no_owner_changes_precision_mode_or_gradients(extractors):
    images = noise(1, 1, 32, 32).repeat(1, 3, 1, 1)
    for extractor in extractors:
        before = extractor(images)
        owner = nn.ModuleList([extractor]).to(torch.bfloat16).half().train()
        with torch.autocast("cpu", torch.bfloat16):
            after = owner[0](images)
        torch.set_float32_matmul_precision("medium")
        shortened = extractor(images)
        assert torch.get_float32_matmul_precision() == "medium"
        torch.set_float32_matmul_precision("highest")
        for seen in (after, shortened):
            assert torch.equal(seen.features, before.features)
        assert not any(module.training for module in extractor.modules())
        assert not any(weight.requires_grad for weight in extractor.parameters())
        assert not before.features.requires_grad
        assert before.features.dtype == torch.float32
        assert extractor.dim in (None, before.features.shape[1])


def test_identities_are_plain_and_differ(extractors):
    identities = [extractor.identity() for extractor in extractors]
    assert len({str(identity) for identity in identities}) == len(identities)
    assert len({extractor.suffix for extractor in extractors}) == len(identities)
    for identity in identities:
        assert {"name", "sha256", "resize", "dtype"} <= identity.keys()
        assert all(value is None or isinstance(value, str) for value in identity.values())


@pytest.mark.parametrize("images", [torch.zeros(1, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)])
def test_only_batches_of_bytes_are_seen(images):
    with pytest.raises(Refused, match="stored"):
        Pixels()(images)


def test_pixels_are_block_means_with_their_colours():
    images = noise(2, 3, 32, 32)
    means = images.unfold(2, 4, 4).unfold(3, 4, 4).double().mean((4, 5)) / 255
    assert torch.allclose(Pixels()(images).features.double(), means.flatten(1))
    assert Pixels()(images).logits is None
    assert Pixels(4).identity() != Pixels().identity()
    assert (Pixels().suffix, Pixels(4).suffix) == ("_pixels", "_pixels4")
    with pytest.raises(Refused, match="size"):
        Pixels(0)


def test_a_users_network_is_seen_by_its_weights(tmp_path):
    path = tmp_path / "own.pth"
    torch.save(nn.Conv2d(1, 2, 3).state_dict(), path)
    extractor = Module(nn.Conv2d(1, 2, 3), str(path), "edges")
    images = noise(2, 1, 5, 5)
    network = nn.Conv2d(1, 2, 3)
    network.load_state_dict(torch.load(path))
    assert torch.allclose(extractor(images).features, network(images / 127.5 - 1).flatten(1), atol=1e-5)
    assert extractor(images).logits is None
    assert (extractor.suffix, extractor.sha256) == ("_edges", file_digest(path))
    with pytest.raises(Refused, match=r"own\.pth"):
        Module(nn.Linear(2, 2), str(path), "edges")
    with pytest.raises(Refused, match="no file"):
        Module(nn.Linear(2, 2), str(tmp_path / "none.pth"), "edges")
    for name in ("", "pixels16", "clean", "A b", "mnist"):
        with pytest.raises(Refused, match="named"):
            Module(nn.Conv2d(1, 2, 3), str(path), name)


# A user's network


def identity_of(network: nn.Module, folder: Path, name: str = "own") -> dict:
    torch.save(network.state_dict(), folder / "w.pth")
    return Module(network, str(folder / "w.pth"), name).identity()


NETWORK = """\
import torch
from torch import nn
from steps_of_SUFFIX import pooled


class Net(nn.Module):
    def __init__(self, kind="avg", options=None, act=torch.relu, hidden=0):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.kind, self.options, self._act = kind, options, act
        self.hidden = torch.full((3,), float(hidden))

    def forward(self, images):
        return self._act(pooled(self.conv(images), self.kind)).flatten(1)
"""
STEPS = """\
from torch.nn.functional import avg_pool2d


def pooled(x, kind):
    return avg_pool2d(x, 2)
"""


def own_network(folder: Path, monkeypatch, suffix: str, network: str = NETWORK, steps: str = STEPS) -> type:
    folder.mkdir(exist_ok=True)
    (folder / f"steps_of_{suffix}.py").write_text(steps)
    (folder / f"net_of_{suffix}.py").write_text(network.replace("SUFFIX", suffix))
    monkeypatch.syspath_prepend(folder)
    for name in (f"steps_of_{suffix}", f"net_of_{suffix}"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(f"net_of_{suffix}").Net


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.AvgPool2d(2), nn.MaxPool2d(2)),
        (nn.AvgPool2d(2), nn.AvgPool2d(2, count_include_pad=False)),
        (nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2, mode="bilinear")),
        (nn.LeakyReLU(0.1), nn.LeakyReLU(0.2)),
    ],
)
def test_networks_of_the_same_weights_that_see_other_features_have_other_identities(one, other, tmp_path):
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 2, 3)
    first, second = (identity_of(nn.Sequential(convolution, last), tmp_path) for last in (one, other))
    assert first["sha256"] == second["sha256"]
    assert first != second
    assert identity_of(nn.Sequential(convolution, one), tmp_path) == first


CHOICES = [
    {"kind": "max"},
    {"options": {"a": [1, {"b": 2}]}},
    {"options": {"a": [1, {"b": 3}]}},
    {"act": torch.tanh},
    {"act": partial(nn.functional.leaky_relu, negative_slope=0.3)},
    {"act": partial(nn.functional.leaky_relu, negative_slope=0.4)},
    {"hidden": 1},
    {"options": SimpleNamespace(depth=1)},
    {"options": SimpleNamespace(depth=2)},
]


def test_arguments_belong_to_a_networks_identity(tmp_path, monkeypatch):
    kind = own_network(tmp_path, monkeypatch, "arguments")
    torch.manual_seed(0)
    state = kind().state_dict()
    identities = []
    for choice in [{}, *CHOICES, {}, *CHOICES]:
        network = kind(**choice)
        network.load_state_dict(state)
        identities.append(json.dumps(identity_of(network, tmp_path)))
    half = len(identities) // 2
    assert identities[:half] == identities[half:]
    assert len(set(identities)) == half


def test_code_belongs_to_a_networks_identity_wherever_it_lies(tmp_path, monkeypatch):
    torch.manual_seed(0)
    state = nn.Conv2d(1, 2, 3).state_dict()

    def identity(folder: str, **changed: str) -> dict:
        network = own_network(tmp_path / folder, monkeypatch, "code", **changed)()
        network.conv.load_state_dict(state)
        return identity_of(network, tmp_path)

    first = identity("a")
    assert identity("b") == first
    for changed in ({"steps": STEPS.replace("x, 2", "x, 3")}, {"network": NETWORK + "\nSIZE = 3\n"}):
        other = identity("c", **changed)
        assert other["sha256"] == first["sha256"]
        assert other != first


def test_a_network_without_a_file_is_refused(tmp_path):
    space: dict = {"__name__": "typed_by_hand", "nn": nn}
    exec("class Net(nn.Sequential):\n    pass\n", space)
    with pytest.raises(Refused, match="typed_by_hand"):
        identity_of(space["Net"](nn.Conv2d(1, 1, 1)), tmp_path)


# Names


@pytest.mark.parametrize(
    "name",
    ["full", "std", "clean_bf16", "error", "all", "k3", "k5_own", "points", "bf16", "full2", "mnist_2"],
)
def test_names_that_could_be_read_as_ours_are_refused(name, tmp_path):
    with pytest.raises(Refused, match="named"):
        identity_of(nn.Conv2d(1, 2, 3), tmp_path, name)


@pytest.mark.parametrize("name", ["edges", "resnet_mnist", "my_full", "stdev"])
def test_other_names_are_taken(name, tmp_path):
    assert identity_of(nn.Conv2d(1, 2, 3), tmp_path, name)["name"] == name
    for score, row in TABLE.items():
        for value in row.values:
            known = measured(value.name.format(n="10k") + f"_{name}")
            assert known
            assert known[1:] == (value, f"_{name}")
            # Scores such as psnr_source have the numbers of psnr, and a suffix of their own.
            assert known.score == score or score.startswith(f"{known.score}_")


def test_every_extractor_but_the_published_has_a_suffix_that_is_reserved():
    suffixes = [Points().suffix, Pixels().suffix, Pixels(4).suffix, StackedClassifier().suffix]
    for suffix in [*suffixes, *(Classifier(name).suffix for name in SHIPPED)]:
        with pytest.raises(Refused, match="named"):
            refuse_taken(suffix.removeprefix("_"))


def test_points_are_no_images():
    points = torch.randn(4, 2)
    assert torch.equal(Points()(points).features, points)
    for images in (noise(2, 1, 8, 8), noise(2, 3), torch.randn(2, 3, 8, 8)):
        with pytest.raises(Refused, match="Pixels"):
            Points()(images)


# Classifiers


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_classifier_is_small_and_says_what_it_is(name):
    path = FOLDER / f"{name}.safetensors"
    extractor = Classifier(name)
    assert path.stat().st_size < 1_000_000
    assert (extractor.name, extractor.suffix, extractor.sha256) == (name, f"_{name}", file_digest(path))
    with safe_open(path, framework="pt") as file:
        record = file.metadata()
    assert record["sha256"] == TRAINING["digest_of"](load_file(path))
    assert float(record["accuracy"]) > 0.88


def test_all_that_ship_are_known():
    assert tuple(sorted(path.stem for path in FOLDER.glob("*"))) == SHIPPED
    with pytest.raises(Refused, match="digits, fashion_mnist, mnist"):
        Classifier("letters")


def test_the_digits_classifier_is_as_good_as_it_says_and_standardised():
    extractor = Classifier("digits")
    train, held_out = Digits().load()
    images, _ = train[torch.arange(len(train))]
    features = extractor(images).features
    assert torch.allclose(features.mean(0), torch.zeros(64), atol=1e-3)
    assert torch.allclose(features.std(0), torch.ones(64), atol=1e-3)
    images, labels = held_out[torch.arange(len(held_out))]
    correct = (extractor(images).logits.argmax(1) == labels).double().mean()
    assert f"{correct:.4f}" == extractor.record["accuracy"]


def test_known_answers_of_digits():
    extractor = Classifier("digits")
    train, held_out = (items[torch.arange(len(items))] for items in Digits().load())
    real = extractor(train[0]).features
    floor, noisy, blurred, half, inverted, uniform, single = (
        distance(real, extractor(images).features) for images in TRAINING["spoil"](*held_out).values()
    )
    assert floor < min(noisy, blurred) < max(noisy, blurred) < half < single < min(uniform, inverted)


@pytest.mark.parametrize("name", SHIPPED)
def test_images_of_nothing_lie_as_far_from_the_middle_as_the_data(name):
    """Whose features have mean 0 and mean square 1: an image at 0 would cost a game next to nothing."""
    spread = 80 * torch.randn(20, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    levels = torch.tensor([0, 128, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(-1, 1, 32, 32)
    images = torch.cat([levels, (128 + spread).round().clamp(0, 255).byte()])
    assert Classifier(name)(images).features.square().mean(1).min() > 0.7


def test_training_has_two_classes_more_that_do_not_ship():
    images, labels = noise(40, 1, 28, 28), torch.arange(40) % 4
    network = TRAINING["train"](images, labels, TRAINING["ROWS"]["mnist"]._replace(epochs=1))
    assert network(framed(images, 28))[1].shape == (40, 4)
    torch.manual_seed(0)
    grey, unlike = TRAINING["nothing"](8).split(4)
    assert grey.flatten(1).std(1).max() == 0
    assert unlike.flatten(1).std(1).min() > 0
    assert len(unlike.unique(dim=0)) == 4
    two = TRAINING["halves"](torch.stack([torch.zeros(1, 32, 32), torch.ones(1, 32, 32)]))
    assert two.mean((1, 2, 3)).tolist() == [0.5, 0.5]


def test_standardising_leaves_the_logits_what_they_are():
    torch.manual_seed(0)
    network, images = LeNet().requires_grad_(False), noise(50, 1, 28, 28)
    unequal, before = network(framed(images, 28))
    TRAINING["standardise"](network, unequal)
    features, after = network(framed(images, 28))
    assert torch.allclose(after, before, atol=1e-4)
    assert torch.allclose(features.std(0), torch.ones(64), atol=1e-2)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_images_of_28_pixels_and_their_padded_copies_look_the_same(name):
    small = noise(3, 1, 28, 28)
    padded = pad(small, (2, 2, 2, 2))
    extractor = Classifier(name)
    for mine, other in zip(extractor(small)[:2], extractor(padded)[:2], strict=True):
        assert torch.equal(mine, other)


def test_no_colour_is_scored_as_grey_and_sizes_are_resized():
    extractor, grey = Classifier("digits"), noise(2, 1, 32, 32)
    tinted = grey.repeat(1, 3, 1, 1)
    tinted[1, 2, 5, 5] ^= 128
    with pytest.raises(Refused, match=r"classifier of digits sees no colours[\s\S]*StackedClassifier"):
        extractor(tinted)
    assert torch.equal(extractor(grey).features, extractor(grey.repeat(1, 3, 1, 1)).features)
    with pytest.raises(Refused, match="1 or 3 channels, not 4"):
        extractor(noise(1, 4, 32, 32))
    stacked = StackedClassifier()
    assert not torch.equal(stacked(tinted).features, stacked(grey.repeat(1, 3, 1, 1)).features)
    assert framed(noise(2, 1, 64, 48), 28).shape == (2, 1, 32, 32)


def test_the_package_carries_the_weights():
    folder = FOLDER.relative_to(SCRIPTS.parent / "ganlab")
    assert f'"{folder}/*"' in (SCRIPTS.parent / "pyproject.toml").read_text()


@pytest.mark.slow
def test_a_short_training_again_gives_the_same_weights():
    row = TRAINING["ROWS"]["digits"]._replace(epochs=3)
    reals, held_out = TRAINING["parts"](row, None)
    networks = [TRAINING["train"](*reals, row) for _ in range(2)]
    assert_same(*(network.state_dict() for network in networks), what="the weights")
    assert TRAINING["accuracy"](networks[0], *held_out, row) > 0.8


@pytest.mark.evidence
def test_training_again_gives_the_same_weights_twice(tmp_path):
    command = [sys.executable, SCRIPTS / "train_extractors.py", "digits", "--folder", tmp_path]
    states = []
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
        # Not the files' bytes: safetensors writes metadata in any order.
        states.append(load_file(tmp_path / "digits.safetensors"))
    first, second = states
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    with safe_open(tmp_path / "digits.safetensors", framework="pt") as file:
        assert float(file.metadata()["accuracy"]) > 0.97
