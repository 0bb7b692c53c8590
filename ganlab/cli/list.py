"""`ganlab list`: what there is to choose from."""

import argparse
import ast
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

PACKAGE = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="ganlab list", description="What games are put together from, and the experiments there are."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--networks", action="store_true", help="the networks alone, with their sizes by default arguments"
    )
    parser.add_argument("--shape", type=Shape, default=(3, 64, 64), help="of the samples; 3,64,64 by default")
    options = parser.parse_args(arguments[1:])
    as_json = options.json
    if options.networks:
        return networks(options.shape, as_json)
    kinds = everything()
    if as_json:
        print(json.dumps(kinds, indent=2))
        return 0
    console = Console()
    for kind, entries in kinds.items():
        table = Table(
            title=kind, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2)
        )
        for name, line in entries.items():
            table.add_row(Text(name), Text(line))
        console.print(table, "")
    return 0


def Shape(text: str) -> tuple[int, ...]:  # noqa: N802, its name is in argparse's message
    return tuple(int(number) for number in text.split(","))


def networks(shape: tuple[int, ...], as_json: bool) -> int:
    """Print the sizes of all networks for samples of this shape."""
    from ganlab.cli.network_sizes import sizes  # It needs torch, which takes seconds to import.

    found = sizes(shape)
    if as_json:
        print(json.dumps({"shape": shape, "networks": found}, indent=2))
        return 0
    title = f"networks, for samples of {' x '.join(map(str, shape))}"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2))
    for column in ("", "parameters", "GFLOP a sample"):
        table.add_column(column, justify="right" if column else "left")
    for name, size in found.items():
        if refused := size.get("refused"):
            table.add_row(Text(name), Text("–"), Text(str(refused)))
        else:
            table.add_row(Text(name), f"{size['parameters']:,}", f"{int(size['operations']) / 1e9:.3f}")
    Console().print(table, "", "By default arguments, of one forward pass; a multiply-add is two operations.")
    return 0


def everything() -> dict[str, dict[str, str]]:
    """For each kind of thing the names there are, each with a line about it."""
    return {
        "variants": classes("variants", "GAN"),
        "losses": classes("losses.py", "Loss"),
        "penalties": classes("penalties.py", "Penalty"),
        "regularisers": classes("regularisers", "Regulariser"),
        "fidelity": classes("fidelity.py", "Fidelity"),
        "networks": classes("networks", "Module"),
        "data": classes("data", "StreamData"),
        "experiments": experiments(),
    }


def classes(place: str, root: str) -> dict[str, str]:
    """The public subclasses of `root` in a package or file, from the source: torch takes seconds to load."""
    package = PACKAGE / place
    files = sorted(package.rglob("*.py")) if package.is_dir() else [package]
    nodes = [
        node for file in files for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)
    ]
    parents = {node.name: [ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases] for node in nodes}

    def descends(name: str) -> bool:
        return name == root or any(descends(parent) for parent in parents.get(name, ()))

    public = (package / "__init__.py").read_text().partition("__all__")[2] if package.is_dir() else ""
    listed = [node for node in nodes if descends(node.name) and (not public or f'"{node.name}"' in public)]
    listed = [node for node in listed if node.name != root]
    return {node.name: _first_line(node) for node in sorted(listed, key=lambda node: node.name)}


def _first_line(node: ast.ClassDef) -> str:
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def experiments() -> dict[str, str]:
    """The files in ./experiments, else in `experiments` of the checkout from which ganlab is installed."""
    candidates = (Path.cwd() / "experiments", PACKAGE.parent / "experiments")
    folder = next((candidate for candidate in candidates if candidate.is_dir()), None)
    files = sorted(folder.glob("*/*.yaml")) if folder else []
    return {f"{file.parent.name}/{file.stem}": _header(file) for file in files}


def _header(file: Path) -> str:
    first = file.read_text().split("\n", 1)[0]
    return first.lstrip("# ") if first.startswith("#") else ""
