"""Weights & Biases by one line: named, kept in the run's folder, never prompting."""

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlparse


def prepare(trainer: Any, *, name: str) -> None:
    """Fill in what a user of `trainer.logger: WandbLogger` left out."""
    chosen = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    for logger in chosen:
        arguments = getattr(logger, "init_args", None)
        if arguments is None or not logger.class_path.endswith("WandbLogger"):
            continue
        arguments.project = arguments.project or os.environ.get("WANDB_PROJECT", "ganlab")
        arguments.name = arguments.name or name
        if str(arguments.save_dir) in (".", "None"):
            arguments.save_dir = trainer.default_root_dir
        if "WANDB_MODE" not in os.environ and (reason := _unreachable()):
            os.environ["WANDB_MODE"] = "offline"
            later = f"wandb sync {trainer.default_root_dir}/wandb/offline-run-*"
            print(f"Weights & Biases works offline: {reason}. Later: {later}")


def _unreachable() -> str | None:
    server = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    host, port = server.hostname or "", server.port or (80 if server.scheme == "http" else 443)
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if "WANDB_API_KEY" not in os.environ and not (netrc.is_file() and host in netrc.read_text()):
        return "no account is set up here (wandb login)"
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return f"{host} cannot be reached from here"
    return None
