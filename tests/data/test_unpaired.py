"""Two domains without pairs: which items stand beside which, and what is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sets import encoded, folder, pairs, picture
from torch import Tensor

from ganlab.data import Digits, Gaussians, ImageFolder, Pairs, StreamData, Unpaired
from ganlab.errors import Refused


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


def items(data: StreamData, split: str = "train") -> tuple[Tensor, ...]:
    data.prepare_data()
    rows: Any = getattr(data.splits, split)
    return rows[torch.arange(len(rows))]


def digits(**named: Any) -> Unpaired:
    return Unpaired(of=Digits(size=8), **{"source": 4, "target": 9, **named})


def of_class(number: int, split: str) -> Tensor:
    pictures, labels = items(Digits(size=8), split)
    return pictures[labels == number]


def kinds(pictures: Tensor) -> set[bytes]:
    return {picture.numpy().tobytes() for picture in pictures}


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_targets_stand_beside_sources(split: str) -> None:
    targets, sources = items(digits(), split)
    known = of_class(9, split), of_class(4, split)
    assert kinds(targets) <= kinds(known[0])
    assert kinds(sources) <= kinds(known[1])
    count = max if split == "train" else min
    assert len(targets) == count(map(len, known))
    if split == "train":  # All of both domains are met.
        assert (kinds(targets), kinds(sources)) == tuple(map(kinds, known))
    else:
        assert len(kinds(targets)) == len(kinds(sources)) == len(targets)


def test_classes_are_named_by_number_or_name_and_may_change_places(tmp_path: Path) -> None:
    there, back = items(digits()), items(digits(source=9, target=4))
    assert (kinds(there[0]), kinds(there[1])) == (kinds(back[1]), kinds(back[0]))
    assert all(map(torch.equal, there, items(digits(source="4", target="9"))))


def zoo(root: Path, *folders: str) -> Path:
    numbers = range(6 * len(folders))
    names = [f"{folders[number // 6]}/{number}.png" for number in numbers]
    return folder(
        root, {name: encoded(picture(n, 8, 8), "PNG") for name, n in zip(names, numbers, strict=True)}
    )


@pytest.mark.parametrize("folders", [("horses", "zebras"), ("trainA", "trainB", "testA", "testB")])
def test_two_folders_of_ones_own_are_two_domains(folders: tuple[str, ...], tmp_path: Path) -> None:
    def whole(name: str) -> set[bytes]:
        rows, _ = items(ImageFolder(root=root, size=8, held_out=0))
        first = 6 * folders.index(name) if len(folders) == 2 else 0
        return kinds(rows[first : first + 6]) if len(folders) == 2 else kinds(rows)

    root = str(zoo(tmp_path / "zoo", *folders))
    held_out = {"held_out": 0} if len(folders) == 2 else {}
    data = Unpaired(of=ImageFolder(root=root, size=8, **held_out))
    targets, sources = items(data)
    assert len(targets) == len(kinds(targets)) == len(kinds(sources)) == 6
    assert not kinds(targets) & kinds(sources)
    if len(folders) == 2:
        assert kinds(sources) == whole("horses")
    else:
        assert len(items(data, "held_out")[0]) == 6


def test_pairs_lose_their_partners_in_training_alone(tmp_path: Path) -> None:
    root = str(folder(tmp_path / "maps", pairs(train=30)))
    together = {split: items(Pairs(root=root, size=8), split) for split in ("train", "held_out")}
    data = Unpaired(of=Pairs(root=root, size=8))
    made, source = items(data)
    assert torch.equal(made, together["train"][0])
    assert kinds(source) == kinds(together["train"][1])
    apart = (source != together["train"][1]).flatten(1).any(1)
    assert apart.float().mean() > 0.8
    assert all(map(torch.equal, items(data, "held_out"), together["held_out"]))
    assert data.belong_together("held_out")
    assert not data.belong_together("train")
    assert not digits().belong_together("held_out")


def test_each_column_is_mirrored_by_itself_and_by_its_place_in_the_stream() -> None:
    data = Unpaired(of=Digits(size=8, flip=True), source=4, target=9, batch_size=60)
    model = SimpleNamespace(critic_steps=1, dtype=torch.float32)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    world = {"world_size": 1, "global_rank": 0, "global_step": 0, "strategy": strategy}
    data.trainer = SimpleNamespace(**world, training=True, lightning_module=model)  # type: ignore[assignment]
    data.setup("fit")
    batch = data.splits.train[torch.arange(60)]
    once, again = (data.on_after_batch_transfer(batch, 0) for _ in range(2))
    plain = data.played(batch)
    flipped = [(new != old).flatten(1).any(1) for new, old in zip(once, plain, strict=True)]
    assert all(map(torch.equal, once, again))
    assert not torch.equal(*flipped)
    assert all(15 < int(column.sum()) < 45 for column in flipped)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"of": Digits(size=8)}, "10 classes: name Unpaired's source and target"),
        ({"of": Digits(size=8), "source": 1}, "10 classes: name Unpaired's source and target"),
        ({"of": Digits(size=8), "source": 1, "target": 1}, "are one class"),
        ({"of": Digits(size=8), "source": 1, "target": "seven"}, "no class is seven"),
        ({"of": Digits(size=8), "source": 1, "target": 10}, "no class is 10"),
        ({"of": Gaussians()}, "Gaussians is an endless stream"),
    ],
)
def test_what_cannot_be_two_domains_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        items(Unpaired(**arguments))
    assert len(str(refusal.value).splitlines()) <= 3


def test_a_domain_without_held_out_pictures_is_refused(tmp_path: Path) -> None:
    root = str(zoo(tmp_path / "zoo", "horses", "zebras"))
    with pytest.raises(Refused, match=r"none is of class (horses|zebras)\. Are too few held out"):
        items(Unpaired(of=ImageFolder(root=root, size=8, held_out=0.1)), "held_out")


def test_one_folder_is_no_two_domains(tmp_path: Path) -> None:
    root = str(folder(tmp_path / "flat", {f"{n}.png": encoded(picture(n, 8, 8), "PNG") for n in range(4)}))
    with pytest.raises(Refused, match=r"ImageFolder has neither\.\nOf two folders of pictures, put both"):
        items(Unpaired(of=ImageFolder(root=root, size=8)))


def test_pairs_have_no_classes_to_name(tmp_path: Path) -> None:
    root = str(folder(tmp_path / "maps", pairs()))
    with pytest.raises(Refused, match="without classes: leave source and target out"):
        items(Unpaired(of=Pairs(root=root, size=8), source="left"))
