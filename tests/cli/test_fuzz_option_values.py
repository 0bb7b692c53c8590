"""Every integer and float option of `ganlab fit` at 0, -1, NaN and a huge value: it trains, or is refused.

A case is two steps of the smallest experiment in which the option's class takes part.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import pytest
import sets
import yaml
from fuzzing import SHARES, Hangs, said, share_of, state_of, tried
from torch import optim

from ganlab import data, networks, variants
from ganlab.callbacks import Progress, Status
from ganlab.class_paths import argument_types, public_path
from ganlab.cli.experiment import GanCLI
from ganlab.cli.run_folder import RunFolder
from ganlab.game.gan import GAN
from ganlab.metrics import Pixels
from ganlab.training import TwoPlayers

pytestmark = pytest.mark.filterwarnings("ignore")
SMALLEST = """\
model:
  class_path: HingeGAN
  init_args:
    latent_size: 4
    generator: {class_path: MLPGenerator, init_args: {hidden: [8]}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [8]}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 4}}
trainer: {max_steps: 2, log_every_n_steps: 1, accelerator: cpu, precision: '32'}
samples: {every_n_steps: 2, count: 4}
evaluation: {extractor: Pixels, samples: 20}
checkpoints: {every_n_steps: 2, keep: 1}
"""
VALUES = {int: ("0", "-1", ".nan", str(10**12)), float: ("0", "-1", ".nan", "1.0e+30")}
ENDLESS = ("trainer.max_steps", "trainer.fast_dev_run")
# What a run says that a huge number, or one of torch's that is none, has ended.
BAD_NUMBER = ("no checkpoint was written since", "are no numbers, so this checkpoint was not written")
DATA = {
    **dict.fromkeys(("Digits", "Gaussians", "MNIST", "EMNIST", "KMNIST", "FashionMNIST", "CIFAR10"), ""),
    "StackedMNIST": "--data.count 40",
    **dict.fromkeys(("CelebA", "CatsVsDogs"), "--data.size 8"),
    "ImageFolder": "--data.size 8 --data.root files/PetImages",
}
ROOM = 8 * 2**30  # bytes more than what is in use, that a case may ask for


class Case(NamedTuple):
    option: str
    value: str
    before: tuple[str, ...] = ()  # options that bring in the option's class

    def arguments(self) -> list[str]:
        return [*self.before, f"--{self.option}", self.value]


def number(hint: Any) -> tuple[type, bool] | None:
    """Which number an argument takes, and whether it takes a list of them; None if it takes none."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in (int, float):
        return hint, False
    if origin is Annotated:
        return number(inner[0])
    if origin in (Union, UnionType):
        return next(filter(None, map(number, inner)), None)
    if origin is tuple and inner[-1] is ... and inner[0] in (int, float):
        return inner[0], True
    if origin is Literal and isinstance(inner[0], int):
        return int, False
    return None


def of(kind: type, prefix: str, *before: str, base: type = object) -> Iterator[Case]:
    """Every number that a class takes at every value, without what the data or the game fill in.

    Args:
        base: Its arguments are left out, all but one if there are no others.
    """
    filled_in = ("shape", "classes", "seed", "return")
    every = {name: number(hint) for name, hint in argument_types(kind).items() if name not in filled_in}
    numbers = {name: taken for name, taken in every.items() if taken}
    inherited = argument_types(base) if base is not object else {}
    own = {name: taken for name, taken in numbers.items() if name not in inherited}
    for name, (type_, is_list) in (own or dict([*numbers.items()][:1])).items():
        for value in VALUES[type_]:
            yield Case(f"{prefix}.{name}", f"[{value}]" if is_list else value, before)


class Found(Exception):
    """Ends the reading of a command line once its parser is made."""


class Reader(GanCLI):
    def parse_arguments(self, parser: Any, args: Any) -> None:
        raise Found(self._subcommand_parsers["fit"]._actions)


def of_the_parser() -> Iterator[Case]:
    """Every number among the options that take no class."""
    with pytest.raises(Found) as found:
        Reader.read(["fit"], RunFolder())
    for action in found.value.args[0]:
        if taken := number(getattr(action, "_typehint", None) or action.type):
            ends = ("--trainer.max_time", "00:00:00:01") if action.dest in ENDLESS else ()
            for value in VALUES[taken[0]]:
                yield Case(action.dest, value, ends)


def of_classes() -> Iterator[Case]:
    yield from of(GAN, "model")
    for name in variants.__all__:
        yield from of(getattr(variants, name), "model", "--model", name, base=GAN)
    for name in networks.__all__:
        player = "generator" if name.endswith("Generator") else "discriminator"
        yield from of(getattr(networks, name), f"model.{player}", f"--model.{player}", name)
    yield from of(data.Digits, "data")
    for name, size in DATA.items():
        chosen = ("--data", name, "--data.batch_size", "4", *size.split())
        yield from of(getattr(data, name), "data", *chosen, base=data.StreamData)
    others = [
        *((kind, "model.generator_optimizer") for kind in (optim.Adam, optim.SGD, optim.RMSprop)),
        (optim.lr_scheduler.StepLR, "model.generator_scheduler"),
        (Progress, "trainer.callbacks"),
        (Status, "trainer.callbacks"),
        (Pixels, "evaluation.extractor"),
    ]
    for kind, option in others:
        yield from of(kind, option, f"--{option}", public_path(kind))
    yield from of(TwoPlayers, "trainer.strategy", "--config", "strategy.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment, and files of every data set beside it."""
    folder = tmp_path_factory.mktemp("options")
    (folder / "small.yaml").write_text(SMALLEST)
    strategy = {"trainer": {"strategy": {"class_path": "ganlab.training.TwoPlayers"}}}
    (folder / "strategy.yaml").write_text(yaml.safe_dump(strategy))
    sets.digits(folder / "files")
    sets.cifar10(folder / "files")
    sets.folder(folder / "files" / "celeba", sets.faces(count=8))
    sets.folder(folder / "files" / "PetImages", sets.pets("microsoft", each=4))
    return folder


@contextmanager
def little_room() -> Iterator[None]:
    """Within, what asks for much more memory is refused it, instead of filling the machine's."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("part", SHARES)
def test_every_number_trains_or_is_refused(part: int, folder: Path) -> None:
    cases = list(dict.fromkeys([*of_the_parser(), *of_classes()]))
    assert len(cases) > 400
    before = state_of(folder)
    places = {"GANLAB_DATA": str(folder / "files"), "GANLAB_CACHE": str(folder.with_name("cache"))}
    wrong = {}
    for case in share_of(cases, part):
        try:
            with little_room():
                answer = tried("fit", "--config", "small.yaml", *case.arguments(), folder=folder, **places)
            if answer.code == 1:
                assert any(sentence in answer.err for sentence in BAD_NUMBER), answer.err
            elif said(answer) and answer.code == 2:
                left = state_of(folder).items() - before.items() - {("runs", "d")}
                assert not left, "the refusal left something behind"
        except (Exception, Hangs) as error:
            wrong[" ".join(case.arguments())] = f"{type(error).__name__}: {error}"[:400]
        shutil.rmtree(folder / "runs", ignore_errors=True)
        assert state_of(folder) == before, case
    report = [f"{case}: {what}" for case, what in wrong.items()]
    assert not report, "\n".join(report)
