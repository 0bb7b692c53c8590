from importlib.util import find_spec


class Refused(Exception):
    """What cannot work: at most three lines that say what was wrong, where, and what to do."""


class Failed(RuntimeError):
    """What went wrong while a run was under way, in at most three lines."""


def refuse_missing(what: str, extra: str, *modules: str) -> None:
    """Of what only an extra installs."""
    if missing := [module for module in modules if find_spec(module) is None]:
        raise Refused(f'{what} needs {" and ".join(missing)}: pip install "ganlab[{extra}]"')
