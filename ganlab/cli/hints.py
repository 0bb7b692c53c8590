"""Short error messages for misspelt keys and classes, with the nearest known names."""

import difflib
import re
import sys
from collections.abc import Iterable

from ganlab.class_paths import accepted

# Lines of the parser's message that do not say what a user should change.
NOISE = re.compile(
    r"Does not validate|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value|Expected a path but"
    r"|^\s*(- )?Problem with"
)


def explain(message: str, keys: Iterable[str]) -> str:
    """The parser's error message in at most three lines; `keys` are the options that the parser accepts."""
    where = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    owners = re.findall(r"class_path[ =]'([^']+)'", message)
    if option := re.search(r"Option '([^']+)' is not accepted", message):
        owner = owners[-1] if owners else ""
        known = accepted(owner) if owner else ()
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
