"""Write clips of moving digits as they are, frozen and shuffled: python scripts/clip_controls.py --out FOLDER

What `ganlab evaluate` says of each stands beside what it says of a network's clips: frozen ones have the
reals' frames and no motion, shuffled ones the reals' frames and a motion that no law allows.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from ganlab.data import MovingDigits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--count", type=int, default=1000, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the order of shuffled frames")
    arguments = parser.parse_args()
    data = MovingDigits()
    medium = data.video
    real = data.splits.train[torch.arange(arguments.count)][0]
    orders = torch.rand(real.shape[:2], generator=torch.Generator().manual_seed(arguments.seed)).argsort(1)
    clips = {
        "real": real,
        "frozen": real[:, :1].expand_as(real),
        "shuffled": real[torch.arange(len(real))[:, None], orders],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, items in clips.items():
        np.savez_compressed(arguments.out / f"{name}.npz", medium.as_array(items))


if __name__ == "__main__":
    main()
