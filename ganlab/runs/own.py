"""Whether a run's configuration and code are as this user's ganlab wrote them: then they may be run.

The last line of config.yaml is a signature of all lines before it and of every file in code/. It holds
wherever the folder is moved to and on every machine with the same home; an alteration breaks it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from ganlab.errors import Refused
from ganlab.runs.user_code import FOLDER
from ganlab.system.signature import is_signed, signed
from ganlab.system.untrusted import read_bytes

CONFIG = "config.yaml"
MARK = b"# signed by ganlab: "


def with_signature(config: str, code: Path) -> bytes:
    """The content of config.yaml, signed together with the code; unsigned if this user can keep no key."""
    text = config.rstrip("\n").encode() + b"\n"
    if signature := signed(_content(text, code)):
        return text + MARK + signature.encode() + b"\n"
    print("ganlab: No key can be kept in your home: to resume this run, add --trust_code.", file=sys.stderr)
    return text


def is_own(run: Path) -> bool:
    text, mark, signature = _config(run).rpartition(MARK)
    try:
        return bool(mark) and is_signed(_content(text, run / FOLDER), signature.decode().strip())
    except (OSError, UnicodeDecodeError):
        return False


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's, and not one in which an experiment is called config.yaml."""
    beside = [folder / name for name in ("checkpoints", "environment.json", FOLDER)]
    config = _config(folder)
    return bool(config) and (MARK in config or any(map(os.path.lexists, beside)))


def refuse_foreign(run: Path, *, trust_code: bool) -> None:
    """Refuse to run what another user, or an edit, has put into a run's folder."""
    if not trust_code and not is_own(run):
        raise Refused(
            f"{run}: {CONFIG} or {FOLDER}/ is not as your ganlab wrote it, and both are programs.\n"
            "If you trust them: --trust_code. Settings are changed by options, not in the file."
        )


def _config(folder: Path) -> bytes:
    """The content of its config.yaml; empty if there is none that can be read."""
    try:
        return read_bytes(folder / CONFIG)
    except OSError:
        return b""


def _content(config: bytes, code: Path) -> bytes:
    """All that is signed of a run; of code that holds more than files and folders no signature ever holds."""
    digest = hashlib.sha256()
    for path in sorted([code, *code.rglob("*")]) if os.path.lexists(code) else ():
        if path.is_dir() and not path.is_symlink():
            continue
        plain = path != code and path.is_file() and not path.is_symlink()
        content = hashlib.sha256(path.read_bytes()).digest() if plain else os.urandom(32)
        name = os.fsencode(path.relative_to(code))
        digest.update(len(name).to_bytes(8, "big") + name + content)
    return b"run\n" + config + digest.digest()


def signature_of(hyperparameters: Any) -> str:
    """Of what a checkpoint is rebuilt from, which is code as well; empty if that is no plain data."""
    content = _plain(hyperparameters)
    return signed(content) if content else ""


def is_own_checkpoint(run: Path | None, checkpoint: dict[str, Any]) -> bool:
    """Whether this user's ganlab wrote both a checkpoint and the run that it lies in."""
    content, signature = _plain(checkpoint.get("hyper_parameters")), checkpoint.get("signature")
    signed_here = bool(content) and isinstance(signature, str) and is_signed(content, signature)
    return signed_here and run is not None and is_own(run)


def _plain(hyperparameters: Any) -> bytes:
    try:
        return b"checkpoint\n" + json.dumps(hyperparameters, sort_keys=True).encode()
    except (TypeError, ValueError, RecursionError):
        return b""
