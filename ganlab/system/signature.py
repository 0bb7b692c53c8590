"""What this user has written is told from what others have, by a signature whose key lies in the home."""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

KEY_SIZE = 32  # bytes


def key_file() -> Path:
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(settings).expanduser() / "ganlab" / "key"


def signed(content: bytes) -> str:
    """The signature of some content by this user's key, which is made now if there is none.

    Empty if no key can be kept.
    """
    key = _read() or _make()
    return hmac.digest(key, content, "sha256").hex() if key else ""


def is_signed(content: bytes, signature: str) -> bool:
    """Whether this user has signed exactly this content."""
    key = _read()
    return bool(key) and hmac.compare_digest(
        hmac.digest(key, content, "sha256").hex().encode(), signature.encode(errors="replace")
    )


def _read() -> bytes:
    with suppress(OSError, RuntimeError):  # Without a home there is no path.
        if len(key := key_file().read_bytes()) == KEY_SIZE:
            return key
    return b""


def _make() -> bytes:
    """A new key; of several processes that make one at once all use the first one's."""
    with suppress(OSError, RuntimeError):
        path = key_file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = path.with_name(f".key.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY_SIZE))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    return _read()
