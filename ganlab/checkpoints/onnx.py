"""A generator as one ONNX file, which runs without torch: from latents, and labels, to images.

torch's older exporter is used: under torch 2.6 to 2.15 it writes all of ganlab's networks, and needs onnx
alone. The newer one needs onnxscript as well, fails under torch 2.6 on batch norm and on bilinear doubling of
any number of images, and writes this machine's paths into the file.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.own_noise import draws_noise
from ganlab.media import Labels

FILE = "generator.onnx"
# The largest difference, as a share of the largest value or of 1: an eighth of a grey level. Summing in
# another order changes images of 128 pixels by at most 1.5e-5 (all networks, some without normalisation);
# a layer that differs changes them by far more.
TOLERANCE = 1e-3
TRACED, CHECKED = 2, (1, 5)  # numbers of samples; the file must work for others than it was traced with


class _Sampler(nn.Module):
    """The average of the game's generator as a function of tensors."""

    def __init__(self, game: GAN) -> None:
        super().__init__()
        self.network, self.fake = game.ema.network, game.fake

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.fake(self.network, latents, labels)


def write_onnx(folder: Path, game: GAN) -> str:
    """Write the generator, check the file against it, and return its inputs and output in words.

    Args:
        game: An exported game; its weights become float32, without spectral norm's parametrizations.
    """
    name = type(game.ema.network).__name__
    if (source := game.source_medium) and not isinstance(source, Labels):
        raise Refused(
            f"{name} makes samples from {source.form}, and a file for ONNX takes latents and\n"
            "labels alone: leave --onnx out."
        )
    try:
        inputs = {count: _inputs(game, count) for count in (TRACED, *CHECKED)}
        _refuse_noise(game, inputs[TRACED])
        images = [_generate(game, **inputs[count]).float() for count in CHECKED]
        _export(folder / FILE, game.float(), inputs[TRACED])
        session = _open_session(folder / FILE)
        names = [each.name for each in session.get_inputs()]  # the exporter drops inputs without effect
        outputs = [session.run(None, {key: inputs[n][key].numpy() for key in names})[0] for n in CHECKED]
    except Refused:
        raise
    # A user's own network may raise anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        raise Refused(
            f"{name} cannot be written as ONNX (--onnx):\n{type(error).__name__}: {reason}"
        ) from error
    for ours, theirs in zip(images, map(torch.from_numpy, outputs), strict=True):
        gap = (ours - theirs).abs().max().item() if ours.shape == theirs.shape else torch.nan
        if not gap <= TOLERANCE * max(1.0, ours.abs().max().item()):
            raise Refused(
                f"{FILE} would make other images than {name} does (--onnx), {gap:.2g} apart: what Python\n"
                "decides, by values or by how many there are, is not in such a file. Nothing was written."
            )
    forms = (f"`{key}` ({_form(inputs[TRACED][key])})" for key in names)
    return f"{' and '.join(forms)} to `images` ({_form(images[0])})"


def _inputs(game: GAN, count: int) -> dict[str, Tensor]:
    """Latents, and labels if the game is conditional, by the names of the file's inputs."""
    inputs = {"latents": game.latents(count, seed=0).float()}
    if game.is_conditional:
        inputs["labels"] = torch.arange(count) % 2  # Every conditional game has at least two classes.
    return inputs


@torch.no_grad()
def _refuse_noise(game: GAN, inputs: dict[str, Tensor]) -> None:
    """Refuse a generator that draws random numbers: an ONNX runtime has no seed for each sample's."""
    latents, *labels = inputs.values()
    make = partial(_Sampler(game).eval(), latents.to(cast(torch.dtype, game.dtype)), *labels)
    if draws_noise(make, TRACED, game.device):
        name = type(game.ema.network).__name__
        raise Refused(
            f"{name} draws noise of its own, and a file for ONNX knows no seed and no number of a sample\n"
            "to draw it by: leave --onnx out."
        )


def _generate(game: GAN, latents: Tensor, labels: Tensor | None = None) -> Tensor:
    return game.generate(latents.to(cast(torch.dtype, game.dtype)), condition=labels)


def _export(file: Path, game: GAN, inputs: dict[str, Tensor]) -> None:
    sampler = _Sampler(game).eval()
    for layer in sampler.modules():
        for name in [*getattr(layer, "parametrizations", ())]:
            # ONNX has no operations for spectral norm, and the normalised weight is constant by now.
            parametrize.remove_parametrizations(layer, name)
    any_number = {name: {0: "n"} for name in (*inputs, "images")}
    with _without_output(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # about the older exporter, and about constants, which the check would find
        torch.onnx.export(
            sampler,
            (*inputs.values(),),
            str(file),
            dynamo=False,
            input_names=[*inputs],
            output_names=["images"],
            dynamic_axes=any_number,
        )


@contextmanager
def _without_output() -> Iterator[None]:
    """Silence this process's stdout: where the exporter fails, its C++ code prints the whole graph."""
    sys.stdout.flush()
    stdout = os.dup(1)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _open_session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # By default it uses all of the machine's cores, even those that a job was not given.
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _form(value: Tensor) -> str:
    """`float32, n × 3 × 32 × 32`."""
    kind = str(value.dtype).removeprefix("torch.")
    return f"{kind}, {' × '.join(('n', *map(str, value.shape[1:])))}"
