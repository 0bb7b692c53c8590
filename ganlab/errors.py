from importlib.util import find_spec


class Refused(Exception):
    """What was asked for cannot work. At most three lines say what was wrong, where, and what to do."""


class Failed(RuntimeError):
    """An error during a run, described in at most three lines."""


def refuse_missing(what: str, extra: str, *modules: str) -> None:
    """Refuse `what` if it needs modules that are missing, and name the extra that installs them."""
    if missing := [module for module in modules if find_spec(module) is None]:
        raise Refused(f'{what} needs {" and ".join(missing)}: pip install "ganlab[{extra}]"')
