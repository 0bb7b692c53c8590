"""What is to be beaten on text: python scripts/text_baselines.py [--grammar sums | --root FILE] [SAMPLES.txt]

A row for each of

- real: training lines, the floor.
- n-gram 1 to 5: characters drawn by how often they followed the n - 1 before them, plus `k` for each.
- likelihood: the network of GRUGenerator, trained by the likelihood of each character after the real ones
  before it, and drawn at some temperatures. Most adversarial training of text is worse (Caccia et al. 2020,
  arXiv:1811.02549); a low temperature trades variety for fewer errors, so that one temperature proves little.
- the lines of files that are named, such as `ganlab sample RUN --out SAMPLES.txt --count 3000` writes.

All are compared with held-out lines by the scores that runs have, as many lines on both sides. With --blanks
SHARE the rows say instead which share of held-out blanks is filled in by the very character: by the most
frequent one, and by n-grams from left to right, which look at the known characters on both sides.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from math import log
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from ganlab.data import Blanked, Lines
from ganlab.media.text import PADDING, lines_of, split_lines, tokens_of
from ganlab.metrics.lines import BlankAccuracy, Distinct, NgramJS, SelfBLEU, some_of
from ganlab.networks import GRUGenerator

END = "\0"
ORDERS = (1, 2, 3, 4, 5)
BATCH = 64
SEED = 0


class NgramModel:
    """Shares of characters, or of the end of the line, after the last `order` - 1 ones.

    Args:
        k: Is added to how often each was seen.
    """

    def __init__(self, lines: Sequence[str], order: int, k: float, alphabet: str) -> None:
        self.order, self.k, self.symbols = order, k, alphabet + END
        self.seen: dict[str, Counter[str]] = {}
        for line in lines:
            padded = END * (order - 1) + line + END
            for at in range(len(line) + 1):
                self.seen.setdefault(padded[at : at + order - 1], Counter())[padded[at + order - 1]] += 1

    def share(self, before: str, symbol: str) -> float:
        counts = self.seen.get(self._last(before), Counter())
        return (counts[symbol] + self.k) / (counts.total() + self.k * len(self.symbols))

    def sample(self, length: int, source: torch.Generator) -> str:
        line = ""
        while len(line) < length:
            shares = torch.tensor([self.share(line, symbol) for symbol in self.symbols])
            symbol = self.symbols[int(shares.multinomial(1, generator=source))]
            if symbol == END:
                break
            line += symbol
        return line

    def filled(self, blanked: str, blank: str) -> str:
        """Each blank by what is likeliest there, before the known characters that follow."""
        line = ""
        for at, character in enumerate(blanked):
            known = (blanked + END)[at + 1 : at + self.order].split(blank)[0]
            line += self._likeliest(line, known) if character == blank else character
        return line

    def _likeliest(self, before: str, after: str) -> str:
        def likelihood(symbol: str) -> float:
            text = symbol + after
            return sum(log(self.share(before + text[:at], text[at]) or 1e-300) for at in range(len(text)))

        return max(self.symbols[:-1], key=likelihood)

    def _last(self, before: str) -> str:
        return (END * (self.order - 1) + before)[len(before) :] if self.order > 1 else ""


def by_likelihood(data: Lines, steps: int, width: int) -> GRUGenerator:
    """The recurrent generator, trained without an adversary; its latents are 0."""
    torch.manual_seed(SEED)
    network = GRUGenerator(shape=data.shape, latent_size=1, width=width)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    tokens = data.splits.train[torch.arange(len(data.parts["train"]))][0]
    for _ in range(steps):
        some = tokens[torch.randint(len(tokens), (BATCH,))]
        played = data.text.played(some)
        # A line's end is to be learned, and the padding behind it is not.
        counted = torch.cat([torch.ones(BATCH, 1, dtype=torch.bool), some[:, :-1] != PADDING], 1)
        logits = network.after_real(played, torch.zeros(BATCH, 1))
        loss = cross_entropy(logits, played.argmax(1), reduction="none")[counted].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def drawn(network: GRUGenerator, data: Lines, temperature: float, count: int) -> list[str]:
    torch.manual_seed(SEED)
    cooler = deepcopy(network)
    for parameter in cooler.logits.parameters():
        parameter.div_(temperature)
    return lines_of(torch.cat([data.text.stored(cooler(torch.zeros(n, 1))) for n in portions(count)]))


def portions(count: int) -> Iterator[int]:
    yield from (min(500, count - start) for start in range(0, count, 500))


def rows(data: Lines, chosen: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    train = Counter(line.text for line in data.parts["train"])
    yield "real", some_of(train, chosen.lines)
    for order in ORDERS:
        model, source = (
            NgramModel([*train], order, chosen.k, data.alphabet),
            torch.Generator().manual_seed(SEED),
        )
        yield f"{order}-gram", [model.sample(data.text.length, source) for _ in range(chosen.lines)]
    if chosen.steps:
        network = by_likelihood(data, chosen.steps, chosen.width)
        for temperature in chosen.temperatures:
            yield f"likelihood, {temperature:g}", drawn(network, data, temperature, chosen.lines)
    for path in chosen.samples:
        yield path.stem, split_lines(path.read_bytes())[: chosen.lines]


def of_lines(data: Lines, chosen: argparse.Namespace) -> None:
    held_out = Counter(line.text for line in data.parts["held_out"])
    scores = NgramJS(), SelfBLEU(), Distinct()
    names = [name for score in scores for name in score.names("", "")]
    print("  ".join([f"{'':18}", *names, *(["valid"] if data.root is None else [])]))
    for name, lines in rows(data, chosen):
        values = [value for score in scores for value in score.compare(held_out, Counter(lines))]
        valid = [sum(map(data.valid, lines)) / len(lines)] if data.root is None else []
        heads = [*names, "valid"]
        cells = [f"{value:{len(head)}.4f}" for head, value in zip(heads, values + valid, strict=False)]
        print("  ".join([f"{name:18}", *cells]), flush=True)


def of_blanks(data: Lines, chosen: argparse.Namespace) -> None:
    blanked = Blanked(of=data, share=chosen.blanks)
    assert blanked.splits.held_out
    real = blanked.splits.held_out[torch.arange(len(data.parts["held_out"]))]
    train = [line.text for line in data.parts["train"]]
    most = Counter("".join(train)).most_common(1)[0][0]
    fill: dict[str, Callable[[str], str]] = {"most frequent": lambda line: line.replace("_", most)}
    for order in ORDERS:
        fill[f"{order}-gram"] = partial(NgramModel(train, order, chosen.k, data.alphabet).filled, blank="_")
    print(f"{'':18}  blank_accuracy")
    for name, filled in fill.items():
        made = tokens_of([*map(filled, lines_of(real[1]))], data.text.length)
        print(f"{name:18}  {BlankAccuracy().compare(made, real).mean():14.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", nargs="*", type=Path, help="text files with a sample in each line")
    parser.add_argument("--grammar", default="dates", choices=["dates", "sums"])
    parser.add_argument("--root", help="a text file, or a folder of these")
    parser.add_argument("--length", type=int, help="of lines; what is beyond is cut")
    parser.add_argument("--lines", type=int, default=3000, help="that are scored of each")
    parser.add_argument("--k", type=float, default=0.001, help="added to the counts of n-grams")
    parser.add_argument("--steps", type=int, default=2000, help="of training by likelihood; 0: none")
    parser.add_argument("--width", type=int, default=128, help="of the network")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.25, 1.0, 0.75, 0.5])
    parser.add_argument("--blanks", type=float, help="share of characters that are taken out")
    chosen = parser.parse_args()
    data = Lines(root=chosen.root, grammar=chosen.grammar, length=chosen.length, too_long="cut")
    (of_lines if chosen.blanks is None else of_blanks)(data, chosen)


if __name__ == "__main__":
    main()
