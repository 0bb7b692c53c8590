"""Train the classifier of spoken digits that ships: python scripts/train_sound_extractors.py --root FSDD

FSDD is a folder or zip of the Free Spoken Digit Dataset (recordings/{digit}_{speaker}_{take}.wav). It takes
some minutes on one core, and is the same bit for bit on the same hardware and versions. `--speaker NAME`
prints the accuracy for a speaker whom it never heard instead, and writes nothing.
"""

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from train_extractors import digest_of, standardise, without_more

from ganlab.data import Waveforms
from ganlab.metrics.extractors.sounds import FOLDER, LENGTH, RATE, SoundNet, loudness

NAME, TAKES = "spoken_digits", [0, 1, 2, 3, 4]
BATCH, LEARNING_RATE, EPOCHS, SEED, BLOCK = 64, 4e-3, 25, 0, 500
MOVED, FASTER = 0.1, 0.12  # shares of the length and of the speed
NOTHING = 8  # sounds of noise, and as many that are played backwards, beside each batch of the data's

Pair = tuple[Tensor, Tensor]


def parts(root: str, held_out: dict[str, list[int | str]]) -> tuple[Pair, Pair]:
    pattern = "{label}_{speaker}_{take}"
    data = Waveforms(root=root, rate=RATE, length=LENGTH, pattern=pattern, held_out=held_out)
    data.setup("fit")
    train, rest = ((split[torch.arange(len(split))]) for split in data.splits)  # type: ignore[arg-type, index]
    return (train[0], train[1]), (rest[0], rest[1])


def augment(sounds: Tensor) -> Tensor:
    """Moved in time, faster or slower, and with noise of random strength, as numbers of 16-bit levels."""
    moved = torch.zeros_like(sounds, dtype=torch.float32)
    for sound, out in zip(sounds.float(), moved, strict=True):
        speed = 1 + FASTER * (2 * torch.rand(()).item() - 1)
        changed = interpolate(
            sound[None], scale_factor=1 / speed, mode="linear", recompute_scale_factor=True
        )[0]
        start = int(MOVED * LENGTH * (torch.rand(()).item() - 0.3))
        changed = torch.nn.functional.pad(changed, (start, max(0, LENGTH - changed.shape[1] - start)))
        out.copy_(changed[:, :LENGTH])
    below = 10 ** (-(15 + 60 * torch.rand(len(sounds), 1, 1)) / 20)
    return moved + below * moved.abs().amax(2, keepdim=True) * torch.randn_like(moved)


def nothing(count: int) -> Tensor:
    """Silence, and noise of random colour that rises and falls."""
    noise = torch.randn(count, LENGTH // 2 + 1, dtype=torch.complex64)
    slope = torch.arange(1, LENGTH // 2 + 2) ** -(1.5 * torch.rand(count, 1))
    sounds = torch.fft.irfft(noise * slope, LENGTH)
    ends = torch.rand(count, 1).clamp(min=0.1)
    sounds = sounds * (torch.arange(LENGTH) < ends * LENGTH) / sounds.abs().amax(1, keepdim=True)
    return (sounds * 30_000 * torch.randint(4, (count, 1)).clamp(max=1))[:, None]


def backwards(sounds: Tensor) -> Tensor:
    """The first half of each sound's time, backwards."""
    first, rest = sounds.chunk(2, 2)
    return torch.cat([first.flip(2), torch.zeros_like(rest)], 2)


def train(sounds: Tensor, labels: Tensor, epochs: int = EPOCHS) -> SoundNet:
    """A classifier that had two classes more in training, of sounds that are none of the data's."""
    torch.manual_seed(SEED)
    classes = int(labels.max()) + 1
    network, more = SoundNet(classes + 2), torch.tensor([classes, classes + 1]).repeat_interleave(NOTHING)
    steps = -(-len(sounds) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=epochs * steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(sounds)).split(BATCH):
            turned = backwards(sounds[chosen.roll(1).repeat(NOTHING)[:NOTHING]])
            heard = torch.cat([augment(torch.cat([sounds[chosen], turned])), nothing(NOTHING)])
            cross_entropy(network(loudness(heard))[1], torch.cat([labels[chosen], more])).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return without_more(network, classes)


def seen(network: SoundNet, sounds: Tensor) -> tuple[Tensor, Tensor]:
    features, logits = zip(*(network(loudness(block)) for block in sounds.split(BLOCK)), strict=True)
    return torch.cat(features), torch.cat(logits)


def accuracy(network: SoundNet, sounds: Tensor, labels: Tensor) -> float:
    return (seen(network, sounds)[1].argmax(1) == labels).double().mean().item()


def ship(root: str, folder: Path) -> None:
    start = time.perf_counter()
    (sounds, labels), held_out = parts(root, {"take": [*TAKES]})
    network = train(sounds, labels)
    standardise(network, seen(network, sounds)[0])
    state = network.state_dict()
    record = {
        "dataset": NAME,
        "data": "Free Spoken Digit Dataset, CC BY-SA 4.0",
        "accuracy": f"{accuracy(network, *held_out):.4f}",
        "held_out": f"{len(held_out[0])} (takes 0 to 4)",
        "trained_on": str(len(sounds)),
        "epochs": str(EPOCHS),
        "seed": str(SEED),
        "sha256": digest_of(state),
        "torch": torch.__version__,
        "command": "python scripts/train_sound_extractors.py",
    }
    path = folder / f"{NAME}.safetensors"
    save_file(state, path, metadata=record)
    path.chmod(0o644)  # safetensors writes files that only their owner can read
    print(f"{NAME}: accuracy {record['accuracy']} on {record['held_out']} sounds, ", end="")
    print(f"sha256 of the tensors {record['sha256']}, {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", required=True, help="folder or zip of the recordings")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the weights are written")
    parser.add_argument("--speaker", help="hold out this speaker, and write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.speaker is None:
        ship(arguments.root, arguments.folder)
        return
    (sounds, labels), held_out = parts(arguments.root, {"speaker": [arguments.speaker]})
    print(f"{arguments.speaker}, never heard: accuracy {accuracy(train(sounds, labels), *held_out):.4f}")


if __name__ == "__main__":
    main()
