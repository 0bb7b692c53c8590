"""Short error messages for misspelt keys and classes, with the nearest known names."""

import difflib
import inspect
import re
import sys
import textwrap
import traceback
from collections.abc import Iterable
from types import FrameType

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from ganlab.class_paths import accepted

# Lines of the parser's message that do not say what a user should change.
NOISE = re.compile(
    r"Does not validate|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value|Expected a path but"
    r"|^\s*(- )?Problem with"
)
FACTORY = re.compile(r"Type <class '[\w.]+'> expects a function or a callable class: ")
# Modules of Lightning and torch that check what a user chose, and the option that their errors are about.
CHECKS = {
    "lightning.fabric.utilities.seed": "seed_everything",
    "lightning.fabric.accelerators.xla": "trainer.accelerator",
    "lightning.fabric.accelerators": "trainer.devices",
    "lightning.pytorch.accelerators": "trainer.accelerator",
    "lightning.pytorch.callbacks.timer": "trainer.max_time",
    "lightning.pytorch.loops.training_epoch_loop": "trainer.max_steps",
    "lightning.pytorch.strategies": "trainer.strategy",
    "lightning.pytorch.trainer.connectors.accelerator_connector": "trainer.accelerator",
    "lightning.pytorch.trainer.connectors": "trainer",
    "lightning.pytorch.trainer.setup": "trainer",
    "lightning.pytorch.trainer.trainer": "trainer",
    "torch.optim": "",
}
REJECTIONS = (ValueError, TypeError, ImportError, ArithmeticError)
ADVICE = {
    "trainer.accelerator": "Use auto, or one that this machine has.",
    "trainer.devices": "Use auto, or a number of at least 1: of GPUs, or of processes on CPUs.",
    "trainer.limit_train_batches": "Training data are one endless stream: use a whole number of batches.",
    "trainer.strategy": "Use auto: it is ganlab.training.TwoPlayers wherever there are several processes.",
    "trainer.val_check_interval": "Training data are one endless stream: use a whole number of batches.",
}
UNFIT = "Error(s) in loading state_dict"
NO_MEMORY = re.compile(r"can't allocate memory|calculation overflowed|multiplication overflow|out of memory")


def objection(error: BaseException) -> str:
    """What Lightning or torch objects to in a user's choice, in at most three lines; else ""."""
    out_of_memory = isinstance(error, RuntimeError) and NO_MEMORY.search(str(error))
    if out_of_memory or isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"There is not enough memory: {_shortened(error)}\nUse smaller networks, pictures or batches."
    if isinstance(error, RuntimeError) and str(error).startswith(UNFIT):
        return f"The checkpoint's weights do not fit this game: {_shortened(error)}"
    frames, module = _raised_in(error)
    is_parsers = module.startswith("jsonargparse") and isinstance(error, ValueError)
    if is_parsers and (not error.__cause__ or _raised_in(error.__cause__)[1].startswith("jsonargparse")):
        # Of a class among other types. What a user's own constructor raises keeps its traceback.
        return explain(str(error), ()).removeprefix("ganlab: ")
    option = next((option for prefix, option in CHECKS.items() if module.startswith(prefix)), None)
    if not isinstance(error, MisconfigurationException) and (
        option is None or not isinstance(error, REJECTIONS)
    ):
        return ""
    if module.startswith("lightning.pytorch.trainer"):
        known = inspect.signature(Trainer.__init__).parameters
        words = (name for word in re.findall(r"\w+", str(error)) for name in (word, f"{word}s"))
        option = next((f"trainer.{word}" for word in words if word in known), option)
    owner = option or type(frames[-1].f_locals.get("self", error)).__name__
    advice = ADVICE.get(owner)
    return f"{owner}: {_shortened(error)}" + (f"\n{advice}" if advice else "")


def _raised_in(error: BaseException) -> tuple[list[FrameType], str]:
    """The frames that an error came through, and the name of the module that raised it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames, frames[-1].f_globals["__name__"] if frames else ""


def _shortened(error: BaseException) -> str:
    """An error's message in at most two lines."""
    text = " ".join(str(error).replace("`", "").split())
    return "\n".join(textwrap.wrap(text, 90, max_lines=2, placeholder=" …"))


def explain(message: str, keys: Iterable[str]) -> str:
    """The parser's error message in at most three lines; `keys` are the options that the parser accepts."""
    message = FACTORY.sub("", message)
    where = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    owners = re.findall(r"class_path[ =]'([^']+)'", message)
    if option := re.search(r"Option '([^']+)' is not accepted", message):
        owner = owners[-1] if owners else ""
        known = accepted(owner) if owner else ()
        if option[1] in known:
            return f"ganlab: {owner.rsplit('.', 1)[-1]} is told its {option[1]}: leave it out ({where})."
        return _answer(f"{owner.rsplit('.', 1)[-1]} has no argument", option[1], known, where)
    if option := re.search(r"unrecognized arguments: -*([^\s=]+)|does not accept option '([^']+)'", message):
        return _option(option[1] or option[2], keys)
    if name := re.search(r"dot import path string: (\S+)", message):
        return _answer("There is no class", name[1], _classes(where), where)
    if name := re.search(r"module '(\S+)' has no attribute '([^']+)'", message):
        known = [key for key, value in vars(sys.modules[name[1]]).items() if isinstance(value, type)]
        return _answer(f"The module '{name[1]}' has no", name[2], known, where)
    if module := re.search(r"No module named '([^']+)'", message):
        return (
            f"ganlab: There is no module '{module[1]}', which {where or 'the configuration'} names.\n"
            "It was looked for in the current folder, beside the configuration file, and among packages."
        )
    causes = [line.strip(" -") for line in message.splitlines() if line.strip() and not NOISE.search(line)]
    causes = [
        cause
        for cause in causes
        if not cause.startswith("Parser key") or cause.count(":") > 1 or len(causes) == 1
    ]
    return f"ganlab: {where + ': ' if where and where not in causes[0] else ''}" + "\n".join(causes[:3])


def _option(name: str, keys: Iterable[str]) -> str:
    """If the first part of a key is unknown, the part is what is misspelt."""
    known, first = set(keys), name.partition(".")[0]
    roots = {key.partition(".")[0] for key in known}
    return _answer(
        "There is no option", name if first in roots else first, known if first in roots else roots, ""
    )


def _answer(problem: str, name: str, known: Iterable[str], where: str) -> str:
    known = sorted(set(known))
    lower = {candidate.lower(): candidate for candidate in known}
    near = [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    first = f"ganlab: {problem} '{name}'" + (f" ({where})." if where else ".")
    second = (
        f"Nearest: {', '.join(near)}."
        if near
        else f"Known: {', '.join(known[:12])}{', …' if len(known) > 12 else '.'}"
    )
    return f"{first}\n{second}\nAll of them: ganlab list, ganlab fit --help, ganlab fit --model.help NAME."


def _classes(where: str) -> list[str]:
    """The classes that may be given at this key by their bare names."""
    from lightning.pytorch import callbacks, loggers
    from torch import optim

    from ganlab import data, metrics, networks, variants
    from ganlab.game.gan import GAN

    known = {
        "model": [*variants.__all__, *(variant.__name__ for variant in GAN.__subclasses__())],
        "generator": networks.__all__,
        "discriminator": networks.__all__,
        "networks": networks.__all__,
        "generator_optimizer": dir(optim),
        "discriminator_optimizer": dir(optim),
        "generator_scheduler": dir(optim.lr_scheduler),
        "discriminator_scheduler": dir(optim.lr_scheduler),
        "data": data.__all__,
        "extractor": metrics.__all__,
        "logger": loggers.__all__,
        "callbacks": callbacks.__all__,
    }
    return known.get(where.rpartition(".")[2], [])
