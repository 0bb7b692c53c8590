"""House rules that can be checked on syntax trees, and that import-linter's contracts find what breaks them.

The contracts themselves stand in pyproject.toml; `scripts/test.sh` runs them on the tree as it is.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "ganlab"
NO_NAMES = {"utils", "helpers", "common", "misc", "base"}
# import-linter does not see an import by name.
BY_NAME = {
    "ganlab": "lazy, so that `ganlab --help` need not wait for torch",
    "ganlab.cli.main": "its table of commands, for the same reason",
    "ganlab.class_paths": "a class path is data",
}

Sources = dict[str, str]
Findings = Iterator[str]


def sources() -> Sources:
    """The text of each module by its dotted name."""
    texts = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(REPOSITORY).with_suffix("").parts
        texts[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text()
    return texts


@cache
def parsed(text: str) -> list[ast.AST]:
    return [*ast.walk(ast.parse(text))]


def nodes(texts: Sources, *kinds: type[ast.AST], under: str = "ganlab") -> Iterator[tuple[str, ast.AST]]:
    for module, text in texts.items():
        if f"{module}.".startswith(f"{under}."):
            yield from ((module, node) for node in parsed(text) if isinstance(node, kinds))


# The rules: each yields what breaks it.


def imports_by_name_have_a_reason(texts: Sources) -> Findings:
    for module, node in nodes(texts, ast.Name, ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr  # type: ignore[attr-defined]
        if name in ("import_module", "__import__") and module not in BY_NAME:
            yield f"{module} imports by name"


def variants_derive_from_the_game_or_their_own_file(texts: Sources) -> Findings:
    classes = list(nodes(texts, ast.ClassDef, under="ganlab.variants"))
    where = {node.name: module for module, node in classes}  # type: ignore[attr-defined]
    for module, node in classes:
        for base in node.bases:  # type: ignore[attr-defined]
            if where.get(ast.unparse(base).split(".")[-1], module) != module:
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


def module_names_say_something(texts: Sources) -> Findings:
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
        defines = isinstance(node, ast.arg) or isinstance(node.ctx, ast.Store)  # type: ignore[attr-defined]
        name = {ast.arg: "arg", ast.Name: "id", ast.Attribute: "attr"}[type(node)]
        if defines and vars(node)[name].startswith("num_") and module != "ganlab.training.trainer":
            yield f"{module}:{node.lineno} has {vars(node)[name]}"  # type: ignore[attr-defined]


def pictures_are_opened_in_named_formats(texts: Sources) -> Findings:
    """Pillow goes by a file's contents, and runs Ghostscript on PostScript."""
    for module, node in nodes(texts, ast.Call):
        names = [keyword.arg for keyword in node.keywords]  # type: ignore[attr-defined]
        if ast.unparse(node.func) == "Image.open" and "formats" not in names:  # type: ignore[attr-defined]
            yield f"{module}:{node.lineno} opens a picture of any format"  # type: ignore[attr-defined]


Rule = Callable[[Sources], Findings]
BREACHES: list[tuple[Rule, str, str]] = [
    (imports_by_name_have_a_reason, "ganlab.losses", "importlib.import_module('ganlab.game.gan')\n"),
    (
        variants_derive_from_the_game_or_their_own_file,
        "ganlab.variants.r1gan",
        "class Other(R3GAN): ...\n",
    ),
    (variants_write_no_loop, "ganlab.variants.new", "class New(GAN):\n    def training_step(self): ...\n"),
    (variants_write_no_loop, "ganlab.variants.new", "New.configure_optimizers = None\n"),
    (variants_write_no_loop, "ganlab.variants.new", "def f(self):\n    self.log('a', 1)\n"),
    (variants_write_no_loop, "ganlab.variants.new", "def f(self):\n    loss.backward()\n"),
    (variants_write_no_loop, "ganlab.variants.new", "def f(self):\n    self.optimizers()[0].step()\n"),
    (module_names_say_something, "ganlab.data.utils", ""),
    (nothing_is_asked_whether_it_has_a_name, "ganlab.game.gan", "hasattr(GAN, 'loss')\n"),
    (no_name_is_put_together, "ganlab.game.gan", "getattr(GAN, f'{1}_step')\n"),
    (no_name_is_put_together, "ganlab.game.gan", "getattr(GAN, 'step' + name)\n"),
    (counts_are_named_for_what_they_count, "ganlab.networks.mlp", "def f(num_blocks): ...\n"),
    (counts_are_named_for_what_they_count, "ganlab.networks.mlp", "self.num_blocks = 1\n"),
    (pictures_are_opened_in_named_formats, "ganlab.media.pictures", "Image.open(file)\n"),
]


@pytest.mark.parametrize(
    "rule", dict.fromkeys(rule for rule, _, _ in BREACHES), ids=lambda rule: rule.__name__
)
def test_rule(rule: Rule) -> None:
    assert list(rule(sources())) == []


@pytest.mark.parametrize(
    ("rule", "module", "text"), BREACHES, ids=lambda part: getattr(part, "__name__", None)
)
def test_a_breach_is_found(rule: Rule, module: str, text: str) -> None:
    texts = sources()
    findings = list(rule({**texts, module: texts.get(module, "") + "\n" + text}))
    assert any(module in line for line in findings), findings


def test_no_exemption_is_left_over() -> None:
    for module in BY_NAME:
        assert "import_module" in sources()[module]


# import-linter

PLANTED = {
    "up": ("losses.py", "from ganlab.game.gan import GAN", "Imports point down"),
    "up, within a function": (
        "game/turn.py",
        "def late():\n    from ganlab.variants import WGAN",
        "Imports point down",
    ),
    "up, for types alone": (
        "data/stream.py",
        "if TYPE_CHECKING:\n    from ganlab.game.gan import GAN",
        "Imports point down",
    ),
    "sideways between rooms that are independent": (
        "checkpoints/onnx.py",
        "import ganlab.loggers.csv",
        "Imports point down",
    ),
    "a room without a floor": ("attic/box.py", "", "Imports point down"),
    "in a circle": ("game/players.py", "from ganlab.game.gan import GAN", "Imports make no circle"),
    "from one variant to another": (
        "variants/r1gan.py",
        "from ganlab.variants.wgan import WGAN",
        "Variants do not import one another",
    ),
    "out of the house": (
        "testing/checks.py",
        "from scripts.benchmark import main",
        "Nothing in ganlab imports scripts, tests or experiments",
    ),
    "of a lazy name": ("cli/fit.py", "from ganlab import GAN", "The package's own lazy names are for users"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(PACKAGE, home / "ganlab", ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", home)
    return home


def broken_contracts(tree: Path) -> list[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    printed = subprocess.run(command, cwd=tree, capture_output=True, text=True).stdout
    assert "Analyzed" in printed, printed
    return [line.removesuffix(" BROKEN") for line in printed.splitlines() if line.endswith(" BROKEN")]


def test_no_contract_is_broken(tree: Path) -> None:
    assert broken_contracts(tree) == []


@pytest.mark.parametrize("how", PLANTED)
def test_a_planted_import_breaks_its_contract(how: str, tree: Path, tmp_path: Path) -> None:
    name, line, contract = PLANTED[how]
    shutil.copytree(tree, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "ganlab" / name
    file.parent.mkdir(exist_ok=True)
    (file.parent / "__init__.py").touch()
    with file.open("a") as opened:
        opened.write(f"\n{line}\n")
    assert contract in broken_contracts(tmp_path)
