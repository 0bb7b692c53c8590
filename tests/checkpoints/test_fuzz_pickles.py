"""Hundreds of garbled checkpoints with fixed seeds: no code of theirs runs, no traceback, no hang."""

from __future__ import annotations

import io
import pickle
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import write
from fuzzing import SHARES, result_or_refusal, said, share_of, state_of, tried
from test_broken_checkpoints import WHOLE

import ganlab
from ganlab.checkpoints.checksummed import MARK, MARK_SIZE, _digest, damage

CASES = 3_600
EVERY = 12  # cases that are tried on the command line, too
GLOBALS = [
    (b"torch._utils", b"_rebuild_tensor_v2"),
    (b"collections", b"OrderedDict"),
    (b"torch", b"FloatStorage"),
    (b"torch", b"LongStorage"),
]
DANGEROUS = [
    (b"posix", b"system"),
    (b"os", b"system"),
    (b"subprocess", b"Popen"),
    (b"builtins", b"eval"),
    (b"builtins", b"exec"),
    (b"builtins", b"getattr"),
    (b"builtins", b"__import__"),
    (b"importlib", b"import_module"),
    (b"torch", b"load"),
    (b"torch.hub", b"load"),
    (b"torch.serialization", b"load"),
    (b"torch.jit", b"load"),
    (b"my_trap", b"Net"),
    (b"ganlab.system.processes", b"Popen"),
    (b"numpy", b"load"),
    (b"pickle", b"loads"),
    (b"builtins", b"bytearray"),
    (b"shutil", b"rmtree"),
]
COMMAND = b"touch sprung"
RUNS = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "os.remove"}
_ran: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _ran is not None and event in RUNS:
        _ran.append(f"{event} {arguments}")


sys.addaudithook(_watch)  # which stays until the process ends


def _archive(content: Any) -> dict[str, bytes]:
    torch.save(content, file := io.BytesIO())
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


FILES = _archive(WHOLE)
PICKLE = next(name for name in FILES if name.endswith("data.pkl"))


def bytes_changed(text: bytes, chance: random.Random) -> bytes:
    changed = bytearray(text)
    for _ in range(chance.choice([1, 2, 8, 64])):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def bits_flipped(text: bytes, chance: random.Random) -> bytes:
    changed = bytearray(text)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(text: bytes, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text))] + chance.choice([b"", b".", b"u.", b"\x85R."])


def moved(text: bytes, chance: random.Random) -> bytes:
    """A piece of the pickle at another place, or once more."""
    start, place = chance.randrange(len(text)), chance.randrange(len(text))
    return text[:place] + text[start : start + chance.randrange(1, 200)] + text[place:]


def renamed(text: bytes, chance: random.Random) -> bytes:
    """Another global in place of one that the pickle names."""
    module, name = chance.choice([each for each in GLOBALS if each[0] + b"\n" + each[1] in text])
    return text.replace(module + b"\n" + name, b"\n".join(chance.choice(DANGEROUS)), chance.choice([1, -1]))


def calling(text: bytes, chance: random.Random) -> bytes:
    """A call of something dangerous, in one of the forms that pickles have for it."""
    module, name = chance.choice(DANGEROUS)
    argument = b"X" + len(COMMAND).to_bytes(4, "little") + COMMAND
    by_name = b"c" + module + b"\n" + name + b"\n"
    on_stack = b"".join(b"\x8c" + bytes([len(part)]) + part for part in (module, name)) + b"\x93"
    calls = [
        by_name + argument + b"\x85R",
        on_stack + argument + b"\x85R",
        by_name + argument + b"\x85\x81",
        b"(" + argument + b"i" + module + b"\n" + name + b"\n",
        b"(" + by_name + argument + b"o",
        by_name + b")R}" + argument + b"K\x01sb",
        b"\x80\x02" + by_name + argument + b"Q",
        argument + by_name + b"\x85R",
    ]
    place = chance.choice([2, *(chance.randrange(2, len(text)) for _ in range(3))])
    rest = chance.choice([text[place:], b".", b"0" + text[place:]])
    return text[:place] + chance.choice(calls) + rest


def sizes_changed(text: bytes, chance: random.Random) -> bytes:
    """Other numbers: shapes, strides, offsets and lengths."""
    changed = bytearray(text)
    spots = [index for index, code in enumerate(text[:-5]) if code in b"KMJ"]
    for spot in chance.sample(spots, chance.choice([1, 3, 10])):
        width = {75: 1, 77: 2, 74: 4}[text[spot]]
        number = chance.choice([0, 1, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1, chance.randrange(2**32)])
        changed[spot + 1 : spot + 1 + width] = number.to_bytes(4, "little")[:width]
    return bytes(changed)


def own(text: bytes, chance: random.Random) -> bytes:
    """A pickle by Python's own pickler, of values that no checkpoint holds."""
    values = [
        {**dict.fromkeys(WHOLE), "state_dict": {}, "global_step": 1},
        {"state_dict": {"x": memoryview}, "global_step": 1},
        {"state_dict": {}, "global_step": complex(1, 2)},
        [[]] * 1000,
        {"state_dict": {frozenset([1]): bytearray(9)}, "global_step": 2**70},
        print,
    ]
    return pickle.dumps(chance.choice(values), protocol=chance.randrange(5)) if chance.random() < 0.9 else b""


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    bytes_changed,
    bits_flipped,
    cut,
    moved,
    renamed,
    calling,
    sizes_changed,
    own,
]


def garbled(number: int) -> bytes:
    """The file of a case: a whole checkpoint but for a change, most with a checksum that is right."""
    chance = random.Random(number)
    change, file = CHANGES[number // len(SHARES) % len(CHANGES)], io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, change(content, chance) if name == PICKLE else content)
    content = file.getvalue()
    if chance.random() < 0.1:  # within the archive itself
        return bytes_changed(content, chance)
    if chance.random() < 0.5:
        return content
    content = content[:-2] + MARK_SIZE.to_bytes(2, "little")
    return content + MARK + _digest(io.BytesIO(content), len(content))


def test_the_changes_reach_the_pickle(tmp_path: Path) -> None:
    """Without them the files load, and most changed ones pass the checksum."""
    assert len({garbled(number) for number in range(96)}) > 80
    undamaged = 0
    for number in range(96):
        (tmp_path / "some.ckpt").write_bytes(garbled(number))
        undamaged += damage(tmp_path / "some.ckpt") is None
    assert undamaged > 75


def test_the_canary_sings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    global _ran
    monkeypatch.chdir(tmp_path)
    _ran = ran = []
    pickle.loads(b"cposix\nsystem\nX\x0c\0\0\0touch sprung\x85R.")
    _ran = None
    assert ran == ["os.system (b'touch sprung',)"]
    assert (tmp_path / "sprung").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", SHARES)
def test_garbled_checkpoints_run_nothing(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    global _ran
    write(tmp_path, "open('sprung', 'w')\nclass Net: pass\n", "my_trap.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "step-000000007.ckpt"
    for number in share_of(range(CASES), part):
        path.write_bytes(garbled(number))
        before, _ran = state_of(tmp_path), []
        try:
            result_or_refusal(lambda: ganlab.load(path))
            if number // len(SHARES) % EVERY == 0:
                said(tried("sample", path, "--out", "grid.png", folder=tmp_path))
                (tmp_path / "grid.png").unlink(missing_ok=True)
            ran = [event for event in _ran if "grid.png" not in event]
        finally:
            _ran = None
        assert not ran, number
        assert state_of(tmp_path) == before, number
        assert "my_trap" not in sys.modules, number
