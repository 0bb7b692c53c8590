"""`ganlab export --onnx`: the file draws the same images for any number of latents, or is not written."""

import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from command_line import REPOSITORY, here, refused, write
from later import seldom
from trained_runs import (
    CONDITIONAL,
    CONDITIONAL_CONFIG,
    GAME,
    LARGER_NETWORKS,
    MY_GENERATOR,
    NETWORKS,
    POINTS,
    defined_classes,
    export_run,
    import_for_test,
    train_run,
)

import ganlab
from ganlab.game.gan import GAN

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")

CLOSE = 1e-5  # the largest difference for networks as small as these; an export allows more
RETURN = "return (self.layer(latent) + self.hidden).tanh().unflatten(1, self.shape)"
# What a generator returns, and a part of the message.
UNFIT = {
    "by how many there are": ("(images * len(latent)).tanh()", "other images"),
    "by values": ("(images * float(latent.abs().mean())).tanh()", "other images"),
    "for so many alone": ("images.tanh().reshape(len(latent), 1, 8, 8)", "cannot be written"),
    "what ONNX has not": ("torch.special.i0(images).tanh()", "cannot be written"),
    "no numbers": ("images.tanh() + (torch.nan if len(latent) == 5 else 0.0)", "other images"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    return train_run(home, GAME.replace("NETWORK", NETWORKS["linear"]))


def run_onnx(folder: Path, **inputs: torch.Tensor) -> torch.Tensor:
    """The images that the exported file draws of these inputs."""
    file = folder / "generator.onnx"
    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == [*inputs]
    assert [each.name for each in session.get_outputs()] == ["images"]
    for each in (*session.get_inputs(), *session.get_outputs()):
        assert each.shape[0] == "n", each
    (images,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return torch.from_numpy(images)


def assert_same(game: GAN, folder: Path, *, raw: bool = False) -> None:
    for count in (1, 2, 70):
        latents = game.latents(count, seed=count)
        expected, images = game.generate(latents, raw=raw).float(), run_onnx(folder, latents=latents.float())
        assert images.dtype == torch.float32
        torch.testing.assert_close(images, expected, atol=CLOSE, rtol=0)


# The same images

AT_ONCE = [("residual", "32"), ("batch", "bf16-mixed")]
LATER = [
    *((network, "32") for network in NETWORKS | LARGER_NETWORKS if network != "residual"),
    ("residual", "64-true"),
]


@pytest.mark.parametrize(("network", "precision"), [*AT_ONCE, *seldom(LATER, slow=LATER[::3])])
def test_a_file_draws_what_the_run_draws(network: str, precision: str, tmp_path: Path) -> None:
    config = GAME.replace("NETWORK", (NETWORKS | LARGER_NETWORKS)[network])
    run = train_run(tmp_path, config, "--trainer.precision", precision)
    game = ganlab.load(run)
    out = export_run(run, tmp_path / "export", "--onnx")
    assert_same(game, out)
    average, other = (game.generate(game.latents(2, seed=0), raw=raw) for raw in (False, True))
    assert (average - other).abs().max() > 100 * CLOSE, "else the test could not tell which one was written"
    assert torch.equal(ganlab.load(out).sample(3, seed=0), game.sample(3, seed=0))


def test_the_raw_generator_is_written_where_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    assert_same(ganlab.load(run), export_run(run, tmp_path / "export", "--onnx", "--raw"), raw=True)


def test_a_generator_of_points_is_written(home: Path, tmp_path: Path) -> None:
    run = train_run(home, POINTS, name="points")
    assert_same(ganlab.load(run), export_run(run, tmp_path / "export", "--onnx"))


@pytest.mark.parametrize("inputs", [("latents", "labels"), ("labels",)], ids=" and ".join)
def test_labels_are_an_input_beside_latents(
    inputs: tuple[str, ...], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = CONDITIONAL
    if "latents" in inputs:
        text = text.replace("self.shades(label)", "(self.shades(label) + latent[:, :1])")
    write(home, text, "my_conditional.py")
    run = train_run(home, CONDITIONAL_CONFIG, name="mine")
    out = export_run(run, tmp_path / "export", "--trust_code", "--onnx")
    monkeypatch.syspath_prepend(run / "code")
    classes = defined_classes(import_for_test(monkeypatch, "my_conditional"))
    game, labels = ganlab.load(run, classes=classes), torch.tensor([3, 1, 4, 1, 9, 0])
    values = {"latents": game.latents(6, seed=0), "labels": labels}
    images = run_onnx(out, **{name: values[name] for name in inputs})
    expected = game.generate(values["latents"], condition=labels)
    torch.testing.assert_close(images, expected, atol=CLOSE, rtol=0)
    assert len(images.unique()) == (6 if "latents" in inputs else 5)
    assert "`labels` (int64, n) to" in (out / "README.md").read_text()


# What lies in the folder


def test_the_card_describes_the_file_where_there_is_one(run: Path, tmp_path: Path) -> None:
    out, without = export_run(run, tmp_path / "export", "--onnx"), export_run(run, tmp_path / "without")
    card = (out / "README.md").read_text()
    assert "`latents` (float32, n × 4) to `images` (float32, n × 1 × 8 × 8)" in card
    assert "onnx" not in (without / "README.md").read_text()
    names = {path.name for path in without.iterdir()}
    assert {path.name for path in out.iterdir()} == {*names, "generator.onnx"}


def test_a_file_holds_no_paths_of_this_machine(run: Path, tmp_path: Path) -> None:
    content = (export_run(run, tmp_path / "export", "--onnx") / "generator.onnx").read_bytes()
    for path in (REPOSITORY, tmp_path, run, Path(torch.__file__).parent):
        assert str(path).encode() not in content


# What is refused


@pytest.mark.parametrize(
    "case",
    # The others are refused by the same two sentences.
    [
        pytest.param(case, marks=() if case in ("by values", "what ONNX has not") else pytest.mark.slow)
        for case in UNFIT
    ],
)
def test_a_file_that_does_not_draw_the_same_is_not_kept(
    case: str, home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result, words = UNFIT[case]
    images = "images = self.layer(latent).unflatten(1, self.shape)"
    write(home, MY_GENERATOR.replace(RETURN, f"{images}\n        return {result}"), "my_generator.py")
    run = train_run(home, GAME.replace("NETWORK", "my_generator.MyGenerator"), name="other")
    arguments = ("export", run, "--out", "export", "--trust_code")
    message = refused(here(*arguments, "--onnx", folder=tmp_path), tmp_path)
    assert "MyGenerator" in message
    assert words in message
    assert capfd.readouterr().out == "", "torch's exporter must not print"
    assert not [*tmp_path.iterdir()]
    assert here(*arguments, folder=tmp_path).code == 0


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(
    package: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    answer = here("export", run, "--out", "export", "--onnx", folder=tmp_path)
    assert refused(answer, tmp_path) == f'ganlab: --onnx needs {package}: pip install "ganlab[onnx]"\n'
    assert not [*tmp_path.iterdir()]
    export_run(run, tmp_path / "export")
