"""The floors and the house rules that a reader of syntax trees can check.

Every import counts, also one inside a function, but not those under `if TYPE_CHECKING:`, which never happen.
Imports by name (`import_module`) go unseen, so that only the modules in BY_NAME may use them.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1] / "ganlab"

# Modules, and packages with all they hold; also those that are still to be built.
FLOORS = {
    "maths": {
        "augment",
        "draws",
        "durable",
        "hardware",
        "losses",
        "penalties",
        "recipe",
        "record",
        "refused",
    },
    "parts": {"data", "metrics", "networks"},
    "game": {"checks", "ema", "gan", "portions", "turn"},
    "variants": {"variants"},
    "instruments": {
        "callbacks",
        "checkpoint",
        "csv_logger",
        "exported",
        "loggers",
        "offline_wandb",
        "onnx_file",
        "sample",
        "sealed",
        "slurm",
        "strategy",
        "tensorboard_logger",
        "testing",
        "trainer",
        "trust",
        "user_code",
        "wandb_logger",
    },
    "runs": {
        "comparison",
        "grouping",
        "inference",
        "listing",
        "printed",
        "ranking",
        "report",
        "results",
        "resume",
        "rollback",
        "runs",
        "salvage",
        "settings",
        "standing",
        "suggestions",
        "tables",
        "wandb_runs",
    },
    "doors": {
        "__main__",
        "cli",
        "command",
        "compare",
        "data_check",
        "evaluate",
        "experiment",
        "fit",
        "generate",
        "launch",
        "options",
        "verify_resume",
    },
}
LEVELS = {f"ganlab.{name}": level for level, names in enumerate(FLOORS.values()) for name in names}

LINES, VARIANT_LINES = 300, 80
LONGER = {"ganlab.gan": (350, "the one step and the seams are one idea, read in one go")}
NO_NAMES = {"utils", "helpers", "common", "misc", "base"}
BY_NAME = {
    "ganlab": "lazy, so that `ganlab --help` need not wait for torch",
    "ganlab.cli": "its table of commands, for the same reason",
    "ganlab.recipe": "a class path is data",
}

Sources = dict[str, str]
Findings = Iterator[str]


def sources() -> Sources:
    """The text of each module by its dotted name."""
    found = {}
    for file in sorted(HOME.rglob("*.py")):
        parts = file.relative_to(HOME.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text()
    return found


PACKAGES = {".".join(f.parent.relative_to(HOME.parent).parts) for f in HOME.rglob("__init__.py")}


def level(module: str) -> int | None:
    """A package's level is that of all its modules."""
    return LEVELS.get(".".join(module.split(".")[:2]))


def happening(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from happening(other)
            continue
        yield node
        yield from happening(node)


def imports(module: str, text: str, known: set[str]) -> Iterator[str]:
    """What a module imports; a submodule by its own name: `from ganlab import losses` is ganlab.losses."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    for node in happening(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in known else origin


def graph(texts: Sources) -> dict[str, set[str]]:
    return {module: set(imports(module, text, set(texts))) for module, text in texts.items()}


def inside(graph: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    for module, imported in graph.items():
        for other in sorted(imported):
            if other.split(".")[0] == "ganlab":
                yield module, other


def nodes(texts: Sources, *kinds: type[ast.AST], under: str = "ganlab") -> Iterator[tuple[str, ast.AST]]:
    for module, text in texts.items():
        if f"{module}.".startswith(f"{under}."):
            yield from ((module, node) for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))


# The rules: each yields what breaks it.


def every_module_has_a_floor(texts: Sources) -> Findings:
    for module in texts:
        if module != "ganlab" and level(module) is None:
            yield f"{module} stands on no floor: give it one in FLOORS"


def no_module_has_two_floors(texts: Sources) -> Findings:
    names = [name for floor in FLOORS.values() for name in floor]
    yield from (f"{name} stands on two floors" for name in set(names) if names.count(name) > 1)


def imports_never_point_up(texts: Sources) -> Findings:
    for module, other in inside(graph(texts)):
        here, there = level(module), level(other)
        if here is not None and there is not None and there > here:
            yield f"{module} (floor {here}) imports {other} (floor {there})"


def imports_never_make_a_circle(texts: Sources) -> Findings:
    try:
        TopologicalSorter(graph(texts)).prepare()
    except CycleError as error:
        yield " imports ".join(reversed(error.args[1]))


def the_package_itself_imports_nothing_of_its_own(texts: Sources) -> Findings:
    """Or else every module would stand above all others."""
    yield from (f"ganlab imports {other}" for module, other in inside(graph(texts)) if module == "ganlab")


def the_package_itself_is_imported_by_no_module(texts: Sources) -> Findings:
    """Its names are looked up late, which would hide where they come from."""
    for module, other in inside(graph(texts)):
        if other == "ganlab":
            yield f"{module} imports a name from ganlab: import it from the module that defines it"


def imports_by_name_have_a_reason(texts: Sources) -> Findings:
    for module, node in nodes(texts, ast.Name, ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr  # type: ignore[attr-defined]
        if name in ("import_module", "__import__") and module not in BY_NAME:
            yield f"{module} imports by name"


def imports_stay_in_the_house(texts: Sources) -> Findings:
    for module, imported in graph(texts).items():
        for other in imported:
            if other.split(".")[0] in ("experiments", "scripts", "tests", "conftest"):
                yield f"{module} imports {other}"


def maths_needs_torch_alone(texts: Sources) -> Findings:
    allowed = {"torch", "ganlab", *sys.stdlib_module_names}
    for module, imported in graph(texts).items():
        if level(module) == 0:
            yield from (
                f"{module} imports {other}" for other in imported if other.split(".")[0] not in allowed
            )


def variants_never_import_one_another(texts: Sources) -> Findings:
    for module, other in inside(graph(texts)):
        if module.startswith("ganlab.variants.") and level(other) == LEVELS["ganlab.variants"]:
            yield f"{module} imports {other}"


def variants_derive_from_the_game_directly(texts: Sources) -> Findings:
    classes = list(nodes(texts, ast.ClassDef, under="ganlab.variants"))
    names = {node.name for _, node in classes}  # type: ignore[attr-defined]
    for module, node in classes:
        for base in node.bases:  # type: ignore[attr-defined]
            if ast.unparse(base).split(".")[-1] in names:
                yield f"{module}: {node.name} derives from {ast.unparse(base)}"  # type: ignore[attr-defined]


def variants_write_no_loop(texts: Sources) -> Findings:
    names = {
        "training_step",
        "configure_optimizers",
        "log",
        "log_dict",
        "backward",
        "manual_backward",
        "step",
    }
    for module, node in nodes(texts, ast.FunctionDef, ast.Attribute, under="ganlab.variants"):
        name = node.name if isinstance(node, ast.FunctionDef) else node.attr  # type: ignore[attr-defined]
        owner = ast.unparse(node.value) if isinstance(node, ast.Attribute) else "self"
        if name in names and not (name.startswith("log") and owner != "self"):
            yield f"{module}:{node.lineno} has {name}"  # type: ignore[attr-defined]


def no_module_is_a_drawer(texts: Sources) -> Findings:
    yield from (f"{module} says nothing by its name" for module in texts if module.split(".")[-1] in NO_NAMES)


def nothing_is_asked_whether_it_has_a_name(texts: Sources) -> Findings:
    for module, node in nodes(texts, ast.Name):
        if node.id == "hasattr":  # type: ignore[attr-defined]
            yield f"{module}:{node.lineno} has hasattr"  # type: ignore[attr-defined]


def no_name_is_put_together(texts: Sources) -> Findings:
    for module, node in nodes(texts, ast.Call):
        built = (ast.JoinedStr, ast.BinOp, ast.Call)
        if ast.unparse(node.func) == "getattr" and isinstance(node.args[1], built):  # type: ignore[attr-defined]
            yield f"{module}:{node.lineno} builds a name for getattr"  # type: ignore[attr-defined]


def counts_are_named_for_what_they_count(texts: Sources) -> Findings:
    """No `num_`, except where Lightning's own arguments are repeated."""
    for module, node in nodes(texts, ast.arg, ast.Name, ast.Attribute):
        own = isinstance(node, ast.arg) or isinstance(node.ctx, ast.Store)  # type: ignore[attr-defined]
        name = {ast.arg: "arg", ast.Name: "id", ast.Attribute: "attr"}[type(node)]
        if own and vars(node)[name].startswith("num_") and module != "ganlab.trainer":
            yield f"{module}:{node.lineno} has {vars(node)[name]}"  # type: ignore[attr-defined]


def files_are_short(texts: Sources) -> Findings:
    for module, text in texts.items():
        default = VARIANT_LINES if module.startswith("ganlab.variants.") else LINES
        most, _ = LONGER.get(module, (default, ""))
        if (lines := len(text.splitlines())) > most:
            yield f"{module} has {lines} lines, more than {most}: split it by an idea, or say why in LONGER"


Rule = Callable[[Sources], Findings]
UP = "from ganlab.gan import GAN\n"
PLANTED: list[tuple[Rule, str, str]] = [
    (every_module_has_a_floor, "ganlab.attic", ""),
    (every_module_has_a_floor, "ganlab.attic.box", ""),
    (imports_never_point_up, "ganlab.losses", UP),
    (imports_never_point_up, "ganlab.losses", "import ganlab.gan\n"),
    (imports_never_point_up, "ganlab.losses", "from ganlab import gan\n"),
    (imports_never_point_up, "ganlab.losses", "from . import gan\n"),
    (imports_never_point_up, "ganlab.networks.mlp", "from ..variants.wgan import WGAN\n"),
    (imports_never_point_up, "ganlab.networks", "from ..variants.wgan import WGAN\n"),
    (imports_never_point_up, "ganlab.turn", "def late():\n    from ganlab.variants import WGAN\n"),
    (imports_never_point_up, "ganlab.turn", "if not TYPE_CHECKING:\n    import ganlab.trainer\n"),
    (imports_never_point_up, "ganlab.turn", "if TYPE_CHECKING:\n    ...\nelse:\n    import ganlab.fit\n"),
    (imports_never_make_a_circle, "ganlab.turn", UP),
    (imports_never_make_a_circle, "ganlab.data.stream", "from ganlab.data import Digits\n"),
    (imports_never_make_a_circle, "ganlab.refused", "import ganlab.checks\n"),
    (the_package_itself_imports_nothing_of_its_own, "ganlab", UP),
    (the_package_itself_is_imported_by_no_module, "ganlab.fit", "from ganlab import GAN\n"),
    (the_package_itself_is_imported_by_no_module, "ganlab.fit", "import ganlab\n"),
    (imports_by_name_have_a_reason, "ganlab.losses", "importlib.import_module('ganlab.gan')\n"),
    (imports_stay_in_the_house, "ganlab.testing", "from tests.test_losses import KNOWN\n"),
    (imports_stay_in_the_house, "ganlab.fit", "import scripts.benchmark\n"),
    (maths_needs_torch_alone, "ganlab.losses", "import numpy as np\n"),
    (maths_needs_torch_alone, "ganlab.record", "from lightning.pytorch import Trainer\n"),
    (variants_never_import_one_another, "ganlab.variants.r1gan", "from ganlab.variants.wgan import WGAN\n"),
    (variants_never_import_one_another, "ganlab.variants.r1gan", "from ganlab.variants import WGAN\n"),
    (variants_never_import_one_another, "ganlab.variants.r1gan", "from .wgan import WGAN\n"),
    (variants_derive_from_the_game_directly, "ganlab.variants.r1gan", "class Other(R3GAN): ...\n"),
    (variants_write_no_loop, "ganlab.variants.new", "class New(GAN):\n    def training_step(self): ...\n"),
    (variants_write_no_loop, "ganlab.variants.new", "New.configure_optimizers = None\n"),
    (variants_write_no_loop, "ganlab.variants.new", "def f(self):\n    self.log('a', 1)\n"),
    (variants_write_no_loop, "ganlab.variants.new", "def f(self):\n    loss.backward()\n"),
    (variants_write_no_loop, "ganlab.variants.new", "def f(self):\n    self.optimizers()[0].step()\n"),
    (no_module_is_a_drawer, "ganlab.data.utils", ""),
    (nothing_is_asked_whether_it_has_a_name, "ganlab.gan", "hasattr(GAN, 'loss')\n"),
    (no_name_is_put_together, "ganlab.gan", "getattr(GAN, f'{1}_step')\n"),
    (no_name_is_put_together, "ganlab.gan", "getattr(GAN, 'step' + name)\n"),
    (counts_are_named_for_what_they_count, "ganlab.networks.mlp", "def f(num_blocks): ...\n"),
    (counts_are_named_for_what_they_count, "ganlab.networks.mlp", "self.num_blocks = 1\n"),
    (files_are_short, "ganlab.losses", "\n" * 300),
    (files_are_short, "ganlab.variants.r1gan", "\n" * 60),
    (files_are_short, "ganlab.gan", "\n" * 100),
]  # fmt: skip
RULES = [no_module_has_two_floors, *dict.fromkeys(rule for rule, _, _ in PLANTED)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Rule) -> None:
    assert list(rule(sources())) == []


@pytest.mark.parametrize(
    ("rule", "module", "text"), PLANTED, ids=lambda part: getattr(part, "__name__", None)
)
def test_a_breach_is_found(rule: Rule, module: str, text: str) -> None:
    texts = sources()
    found = list(rule({**texts, module: texts.get(module, "") + "\n" + text}))
    assert any(module in line for line in found), found


def test_a_name_on_two_floors_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FLOORS, "doors", {*FLOORS["doors"], "losses"})
    assert list(no_module_has_two_floors(sources())) == ["losses stands on two floors"]


def test_what_only_a_type_checker_imports_is_free() -> None:
    text = f"if TYPE_CHECKING:\n    {UP}"
    assert list(imports("ganlab.losses", text, set(sources()))) == []


def test_all_modules_are_read() -> None:
    assert len(sources()) == len(list(HOME.rglob("*.py")))
    assert {
        "ganlab",
        "ganlab.gan",
        "ganlab.networks",
        "ganlab.networks.mlp",
        "ganlab.fit",
    } <= sources().keys()


def test_no_exemption_is_left_over() -> None:
    texts = sources()
    for module, (most, reason) in LONGER.items():
        assert LINES < len(texts[module].splitlines()) <= most
        assert reason
    for module in BY_NAME:
        assert "import_module" in texts[module]
