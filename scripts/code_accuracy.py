"""How well InfoGAN's first code tells classes: python scripts/code_accuracy.py RUN... [--classifier mnist]

A row for each run, then the mean and the best of all, for each of

- images: the head guesses the code of held-out images, whose class their label says (the accuracy that papers
  on clustering report). Codes are matched to classes on as many training images.
- kmeans: k-means of as many clusters on the features that the head is given, of the same images.
- samples: of samples the code is known, and the classifier says the class. Codes are matched to classes on
  the first half, and the second half is scored.

Codes and classes are matched one to one by the Hungarian method. Accuracy, normalised mutual information and
adjusted Rand index are told.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningDataModule
from sklearn.cluster import KMeans
from torch import Tensor

import ganlab
from ganlab import data  # noqa: F401
from ganlab.cli.parser import instantiated
from ganlab.data import StreamData
from ganlab.judgements import head, judged
from ganlab.metrics import Classifier
from ganlab.metrics.clusters import ClusterScores, cluster_scores, matching
from ganlab.variants import InfoGAN

BATCH = 500


@torch.no_grad()
def guesses(game: InfoGAN, stream: StreamData, items: Any, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of a split's first images the code that the head guesses, the features that it sees, and the label."""
    kept: list[Tensor] = []
    last = game.discriminator.get_submodule("network.logit")
    hook = last.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].flatten(1)))
    codes, labels = [], []
    for positions in torch.arange(min(count, len(items))).split(BATCH):
        images, label = stream.played(items[positions])
        (said,) = head(judged(game.discriminator(images)).heads, "code")
        codes.append(said[:, : game.codes.categorical[0]].argmax(1))
        labels.append(label)
    hook.remove()
    return torch.cat(codes), torch.cat(kept), torch.cat(labels)


def of_images(game: InfoGAN, stream: StreamData, count: int) -> Iterator[tuple[str, ClusterScores]]:
    train, held_out = (
        guesses(game, stream, items, count) for items in (stream.splits.train, stream.splits.held_out)
    )
    yield "images", cluster_scores(held_out[0], held_out[2], matching(train[0], train[2]))
    means = KMeans(game.codes.categorical[0], n_init=5, random_state=0).fit(train[1].numpy())
    clusters = [torch.from_numpy(means.predict(each[1].numpy())).long() for each in (train, held_out)]
    yield "kmeans", cluster_scores(clusters[1], held_out[2], matching(clusters[0], train[2]))


def of_samples(game: InfoGAN, classifier: Classifier, count: int) -> ClusterScores:
    latents = game.latents(count, seed=0)
    codes = latents[:, -game.codes.size :][:, : game.codes.categorical[0]].argmax(1)
    samples = game.generate(latents)
    pictures = game.medium(samples).stored(samples)
    logits = [classifier(part).logits for part in pictures.split(BATCH)]
    classes = torch.cat([each.argmax(1) for each in logits if each is not None])
    half = count // 2
    return cluster_scores(codes[half:], classes[half:], matching(codes[:half], classes[:half]))


def scores_of(run: Path, classifier: Classifier, count: int) -> dict[str, ClusterScores]:
    game = ganlab.load(run)
    if not isinstance(game, InfoGAN):
        raise SystemExit(f"{run} is a run of {type(game).__name__}, not of InfoGAN.")
    game.eval()
    stream = instantiated(
        "data", LightningDataModule, yaml.safe_load((run / "config.yaml").read_text())["data"]
    )
    return {**dict(of_images(game, stream, count)), "samples": of_samples(game, classifier, count)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--classifier", default="mnist", help="digits, mnist or fashion_mnist")
    parser.add_argument("--count", type=int, default=10_000, help="images of a split, and samples")
    chosen = parser.parse_args()
    classifier, rows = Classifier(chosen.classifier), []
    for run in chosen.runs:
        rows.append(scores_of(run, classifier, chosen.count))
        print(run, *(f"{name} {shown(score)}" for name, score in rows[-1].items()), sep="  ", flush=True)
    for name in rows[0]:
        each = [row[name] for row in rows]
        mean = ClusterScores(*(sum(values) / len(each) for values in zip(*each, strict=True)))
        print(f"{name}: mean {shown(mean)}, best {shown(max(each))}, of {len(each)} runs")


def shown(score: ClusterScores) -> str:
    return f"accuracy {score.accuracy:.3f} nmi {score.nmi:.3f} ari {score.ari:.3f}"


if __name__ == "__main__":
    main()
