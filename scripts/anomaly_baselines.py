"""What is to be beaten on anomalies: python scripts/anomaly_baselines.py mnist [--root FOLDER] [--tested 500]

For each class of a set, once as the only normal one (OneClass) and once as the only abnormal one (LeaveOut),
the AUROC of

- nearest: the distance of pixels to the nearest of the training pictures.
- pca: what is left of a picture when it is projected on the first components of the training pictures.
- forest: an isolation forest on the features of a classifier of the set. It has seen all classes with their
  labels, which nobody has who seeks anomalies: a bound, and no rival.

They are trained on pictures of what is normal, and tested on the held-out ones that `ganlab anomaly RUN
--count N` tests. With --runs a column follows for each game, of what that command has recorded of its runs:
the mean over seeds. The mean over classes stands in the last row.
"""

import argparse
from typing import cast

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ganlab import data
from ganlab.comparison.read import find_run_folders
from ganlab.data.order import FiniteItems
from ganlab.metrics import Classifier
from ganlab.metrics.contract import short
from ganlab.runs.status import SCORES
from ganlab.system.row_files import Records
from ganlab.system.untrusted import yaml_config
from ganlab.tasks.tested import of_data

SETS = {"digits": "Digits", "mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
COMPONENTS = 30
SEED = 0


def flat(pictures: Tensor) -> np.ndarray:
    return pictures.flatten(1).numpy() / 255


def nearest(train: Tensor, tested: Tensor) -> np.ndarray:
    return torch.cdist(torch.tensor(flat(tested)), torch.tensor(flat(train))).min(1).values.numpy()


def left_over(train: Tensor, tested: Tensor) -> np.ndarray:
    pca = PCA(COMPONENTS, random_state=SEED).fit(flat(train))
    rebuilt = pca.inverse_transform(pca.transform(flat(tested)))
    return ((flat(tested) - rebuilt) ** 2).mean(1)


def isolated(train: np.ndarray, tested: np.ndarray) -> np.ndarray:
    return -IsolationForest(random_state=SEED).fit(train).score_samples(tested)


def recorded(folder: str | None, tested: int) -> dict[str, dict[tuple[str, ...], list[float]]]:
    """By game and normal classes the AUROC of all runs that were tested on so many pictures."""
    found: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for run in find_run_folders([folder]) if folder else []:
        game = yaml_config(run / "config.yaml", [])["model"]["class_path"].rpartition(".")[2]
        newest = {}
        for row in Records(run / SCORES).read():
            if (score := row.get("scores", {}).get(f"auroc{short(tested)}")) is not None:
                newest[tuple(row["contract"]["data"]["normal"])] = score
        for normal, score in newest.items():
            found.setdefault(game, {}).setdefault(normal, []).append(score)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", choices=SETS)
    parser.add_argument("--root", help="the folder of the set")
    parser.add_argument("--trained", type=int, default=2000, help="on so many normal pictures at most")
    parser.add_argument("--tested", type=int, default=500, help="so many, spread over the held-out ones")
    parser.add_argument("--runs", help="a folder of runs that `ganlab anomaly` has tested, each below it")
    arguments = parser.parse_args()
    games = recorded(arguments.runs, arguments.tested)
    given = {} if arguments.dataset == "digits" else {"root": arguments.root, "size": 32}
    whole = getattr(data, SETS[arguments.dataset])(**given)
    extractor = Classifier(dataset=arguments.dataset)
    print(", ".join(["set-up, nearest, pca, forest", *games]))
    for kind, name in ((data.OneClass, "normal"), (data.LeaveOut, "abnormal")):
        rows = []
        for number in range(whole.classes):
            stream = kind(of=whole, **{name: [number]})
            stream.setup("fit")
            items = cast(FiniteItems, stream.splits.train)
            train = items[torch.linspace(0, len(items) - 1, min(arguments.trained, len(items))).long()][0]
            tested = of_data(stream).first(arguments.tested)
            features = [extractor(part).features.numpy() for part in (train, tested.pictures)]
            scores = nearest(train, tested.pictures), left_over(train, tested.pictures), isolated(*features)
            rows.append([roc_auc_score(tested.abnormal, each) for each in scores])
            normal = tuple(tested.data["normal"])
            rows[-1] += [np.mean(of_runs.get(normal, [np.nan])) for of_runs in games.values()]
            print(f"{name} {number}, " + ", ".join(f"{value:.3f}" for value in rows[-1]), flush=True)
        print(f"{name}, mean, " + ", ".join(f"{value:.3f}" for value in np.nanmean(rows, 0)), flush=True)


if __name__ == "__main__":
    main()
