"""What README tells a user to copy works as it is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    (match,) = [text for text in blocks if containing in text]
    return match


@pytest.mark.slow
def test_the_readers_own_variant(tmp_path: Path) -> None:
    (tmp_path / "my_gan.py").write_text(block("python", "class MyGAN"))
    (tmp_path / "my_gan.yaml").write_text(block("yaml", "my_gan.MyGAN"))
    (tmp_path / "test_my_gan.py").write_text(block("python", "conformance(MyGAN)"))
    (command,) = re.findall(r"^ganlab fit --config my_gan.yaml$", README.read_text(), re.MULTILINE)
    ganlab = Path(sys.executable).parent / "ganlab"
    arguments = [*command.split()[1:], "--trainer.max_steps", "3", "--trainer.accelerator", "cpu"]
    subprocess.run([ganlab, *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    assert list(tmp_path.glob("runs/digits/my_gan/*-seed0/code/my_gan.py"))
    assert list(tmp_path.glob("runs/digits/my_gan/*-seed0/samples/*.png"))
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_gan.py"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(pytest, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout


def test_the_files_that_readme_names_exist() -> None:
    for name in re.findall(r"(?:experiments|scripts|tests)/[\w/]+\.(?:yaml|sh|py|png)", README.read_text()):
        assert (README.parent / name).exists(), name
