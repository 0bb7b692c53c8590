"""A generator as one ONNX file, for whoever has no torch: from latents, and labels, to images.

By torch's older exporter: under torch 2.6 to 2.15 it writes all of ganlab's networks, and needs onnx alone.
The newer one needs onnxscript as well, fails under torch 2.6 on batch norm and on bilinear doubling of any
number of images, and notes in the file where on this machine its code lies.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab.errors import Refused
from ganlab.game.gan import GAN

FILE = "generator.onnx"
# Of the largest number, or of 1: an eighth of a level of grey. Sums in another order put images of 128 pixels
# 1.5e-5 apart at most (all networks, some without any normalisation); another layer is seen by far.
TOLERANCE = 1e-3
TRACED, CHECKED = 2, (1, 5)  # samples: others than it was traced with must do


class _Sampler(nn.Module):
    """The game's average as a function of tensors."""

    def __init__(self, game: GAN) -> None:
        super().__init__()
        self.network, self.fake = game.ema, game.fake

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.fake(self.network, latents, labels)


def write_onnx(folder: Path, game: GAN) -> str:
    """Returned is what the file takes and gives.

    Args:
        game: An exported one; its weights become plain float32.
    """
    name = type(game.ema.network).__name__
    try:
        told = {count: _told(game, count) for count in (TRACED, *CHECKED)}
        wanted = [_made(game, **told[count]).float() for count in CHECKED]
        _export(folder / FILE, game.float(), told[TRACED])
        session = _opened(folder / FILE)
        inputs = [each.name for each in session.get_inputs()]  # but what makes no difference
        found = [session.run(None, {key: told[n][key].numpy() for key in inputs})[0] for n in CHECKED]
    # Anything may go wrong in a network of one's own.
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        raise Refused(
            f"{name} cannot be written as ONNX (--onnx):\n{type(error).__name__}: {reason}"
        ) from error
    for one, other in zip(wanted, map(torch.from_numpy, found), strict=True):
        apart = (one - other).abs().max().item() if one.shape == other.shape else torch.nan
        if not apart <= TOLERANCE * max(1.0, one.abs().max().item()):
            raise Refused(
                f"{FILE} would make other images than {name} does (--onnx), {apart:.2g} apart: what Python\n"
                "decides, by values or by how many there are, is not in such a file. Nothing was written."
            )
    forms = (f"`{key}` ({_form(told[TRACED][key])})" for key in inputs)
    return f"{' and '.join(forms)} to `images` ({_form(wanted[0])})"


def _told(game: GAN, count: int) -> dict[str, Tensor]:
    told = {"latents": game.latents(count, seed=0).float()}
    if type(game).condition is not GAN.condition:
        told["labels"] = torch.arange(count) % 2  # However many classes there are: it has these two.
    return told


def _made(game: GAN, latents: Tensor, labels: Tensor | None = None) -> Tensor:
    return game.generate(latents.to(cast(torch.dtype, game.dtype)), condition=labels)


def _export(file: Path, game: GAN, told: dict[str, Tensor]) -> None:
    sampler = _Sampler(game).eval()
    for layer in sampler.modules():
        for name in [*getattr(layer, "parametrizations", ())]:
            # Spectral norm's own sums are unknown to ONNX, and its weight is fixed by now.
            parametrize.remove_parametrizations(layer, name)
    any_number = {name: {0: "n"} for name in (*told, "images")}
    with _unprinted(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older exporter, and what only the check can tell
        torch.onnx.export(
            sampler,
            (*told.values(),),
            str(file),
            dynamo=False,
            input_names=[*told],
            output_names=["images"],
            dynamic_axes=any_number,
        )


@contextmanager
def _unprinted() -> Iterator[None]:
    """Where torch fails it prints the whole graph, past Python, and its switch for that does not work."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _opened(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Else it takes all of the machine's cores, also those that a job was not given.
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _form(value: Tensor) -> str:
    kind = str(value.dtype).removeprefix("torch.")
    return f"{kind}, {' × '.join(('n', *map(str, value.shape[1:])))}"
