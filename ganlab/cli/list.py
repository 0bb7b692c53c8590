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
        prog="ganlab list", description="The variants, networks, data and experiments there are."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args(arguments[1:]).json
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


def everything() -> dict[str, dict[str, str]]:
    """For each kind of thing the names there are, each with a line about it."""
    return {
        "variants": classes("variants", "GAN"),
        "networks": classes("networks", "Module"),
        "data": classes("data", "StreamData"),
        "experiments": experiments(),
    }


def classes(package: str, root: str) -> dict[str, str]:
    """The package's public subclasses of `root`, from the source text: importing torch would take seconds."""
    files = sorted((PACKAGE / package).rglob("*.py"))
    nodes = [
        node for file in files for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)
    ]
    parents = {node.name: [ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases] for node in nodes}

    def descends(name: str) -> bool:
        return name == root or any(descends(parent) for parent in parents.get(name, ()))

    public = (PACKAGE / package / "__init__.py").read_text().partition("__all__")[2]
    listed = [node for node in nodes if descends(node.name) and f'"{node.name}"' in public]
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
