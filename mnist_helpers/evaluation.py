"""How good a network is, and where it fails: metrics, errors, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from .compare import ArrayEquality
from .data import EVAL_BATCH_SIZE, Batches, Digits
from .logits import check_logits, softmax
from .wrapping import model_name, wrap_model

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Evaluation(ArrayEquality):
    """A network's logits for N labeled images, and the metrics that follow from them.

    Parameters
    ----------
    labels : ndarray of shape [N], dtype int64
        True digits.
    logits : ndarray of shape [N, 10], dtype float32
        The network's outputs, before softmax.
    source : str, default=""
        Where the images come from.

    Examples
    --------
    >>> logits = np.eye(10, dtype=np.float32)[[3, 5]]
    >>> evaluation = Evaluation(np.array([3, 4]), logits)
    >>> evaluation.predictions.tolist(), evaluation.accuracy
    ([3, 5], 0.5)
    """

    labels: np.ndarray
    logits: np.ndarray
    source: str = ""

    @cached_property
    def probs(self) -> np.ndarray:
        """Softmax of the logits: float32 ``[N, 10]``, rows summing to 1."""
        return softmax(self.logits)

    @cached_property
    def predictions(self) -> np.ndarray:
        """The most probable digit for each image: int64 ``[N]``."""
        return self.logits.argmax(1)

    @cached_property
    def losses(self) -> np.ndarray:
        """Cross-entropy of each image in nats: float32 ``[N]``."""
        return cross_entropy(self.logits, self.labels)

    @property
    def correct(self) -> np.ndarray:
        """Whether each image was classified correctly: bool ``[N]``."""
        return self.predictions == self.labels

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.losses.mean())

    @property
    def accuracy(self) -> float:
        """Share of images that were classified correctly, in [0, 1]."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's 95% interval, see `accuracy_interval`."""
        return accuracy_interval(int(self.correct.sum()), len(self.labels))

    @cached_property
    def confusion(self) -> np.ndarray:
        """Counts, int64 ``[10, 10]``: row = true digit, column = predicted digit."""
        from sklearn.metrics import confusion_matrix

        return confusion_matrix(self.labels, self.predictions, labels=range(10))

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """Precision, recall, F1 and number of images (``support``) of each digit."""
        import pandas as pd
        from sklearn.metrics import precision_recall_fscore_support

        columns = precision_recall_fscore_support(
            self.labels, self.predictions, labels=range(10), zero_division=0
        )
        names = ("precision", "recall", "f1", "support")
        return pd.DataFrame(dict(zip(names, columns, strict=True))).rename_axis("digit")

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"Evaluation(accuracy {self.accuracy:.2%} [{low:.2%}, {high:.2%}], "
            f"{int((~self.correct).sum())} errors in {len(self.labels):,}, loss {self.loss:.4f})"
        )


@torch.inference_mode()
def evaluate(model: nn.Module, digits: Digits, batch_size: int = EVAL_BATCH_SIZE) -> Evaluation:
    """Evaluate a network on labeled digits, in float32.

    Parameters
    ----------
    model : nn.Module
        Of `build_model`, or one of your own that takes images ``[N, 1, 28, 28]`` and returns logits
        ``[N, 10]``; see `wrap_model`. Left in the mode in which it came.
    digits : Digits
    batch_size : int, default=256
        Images at a time; changes memory and speed, not the result.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If there are no images, or one has no label; or if the network takes no such images, or
        does not return ten finite numbers for each.

    See Also
    --------
    misclassified : the errors as a table.
    calibration : confidence against accuracy.

    Examples
    --------
    >>> from mnist_helpers.models import build_model
    >>> from mnist_helpers.synthetic import synthetic_digits
    >>> result = evaluate(build_model("tiny"), synthetic_digits(20))
    >>> result.logits.shape, 0 <= result.accuracy <= 1
    ((20, 10), True)
    """
    if len(digits) == 0:
        raise ValueError("there are no images to evaluate on")
    if (digits.labels < 0).any():
        raise ValueError(f"{digits.source} has images without labels: nothing to compare with")
    logits = predict_logits(model, digits, batch_size)
    return Evaluation(digits.labels.cpu().numpy(), logits, digits.source)


@torch.inference_mode()
def predict_logits(
    model: nn.Module, digits: Digits, batch_size: int = EVAL_BATCH_SIZE
) -> np.ndarray:
    """Return the network's logits for each image, as float32 ``[N, 10]``."""
    model = wrap_model(model)
    device = next(chain(model.parameters(), model.buffers())).device
    training = model.training
    model.eval()
    batches = Batches(digits.to(device), batch_size, shuffle=False)
    outputs = torch.cat([model(images).float() for images, _ in batches])
    model.train(training)
    logits = outputs.cpu().numpy()
    check_logits(logits, len(digits), model_name(model))
    return logits


def cross_entropy(logits: np.ndarray, labels: np.ndarray, smoothing: float = 0) -> np.ndarray:
    """Return the cross-entropy in nats of each row of logits ``[N, 10]``: float32 ``[N]``.

    `smoothing` is the share of a label that is spread evenly over the ten digits.
    """
    losses = nn.functional.cross_entropy(
        torch.from_numpy(logits),
        torch.from_numpy(np.asarray(labels)),
        reduction="none",
        label_smoothing=smoothing,
    )
    return losses.numpy()


def accuracy_interval(correct: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval for an accuracy measured on `total` images.

    Parameters
    ----------
    correct, total : int
        Images classified correctly, and images in total.
    level : float, default=0.95
        Confidence level: how often such intervals contain the true accuracy.

    Returns
    -------
    low, high : float
        In [0, 1].

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22, 1927, page 209.

    Examples
    --------
    >>> low, high = accuracy_interval(97, 100)
    >>> round(low, 3), round(high, 3)
    (0.915, 0.99)
    """
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def misclassified(evaluation: Evaluation) -> pd.DataFrame:
    """List the misclassified images, the highest loss first.

    Parameters
    ----------
    evaluation : Evaluation
        As `evaluate` returns it.

    Returns
    -------
    DataFrame
        ``index`` (position in the split), ``label``, ``predicted``, ``confidence`` (probability of
        the predicted digit) and ``loss`` (cross-entropy in nats).

    Examples
    --------
    >>> logits = np.eye(10, dtype=np.float32)[[3, 5]]
    >>> errors = misclassified(Evaluation(np.array([3, 4]), logits))
    >>> errors[["index", "label", "predicted"]].to_numpy().tolist()
    [[1, 4, 5]]
    """
    import pandas as pd

    wrong = np.flatnonzero(~evaluation.correct)
    table = pd.DataFrame(
        {
            "index": wrong,
            "label": evaluation.labels[wrong],
            "predicted": evaluation.predictions[wrong],
            "confidence": evaluation.probs[wrong].max(1),
            "loss": evaluation.losses[wrong],
        }
    )
    return table.sort_values("loss", ascending=False, ignore_index=True)


@dataclass(frozen=True, eq=False)
class Calibration(ArrayEquality):
    """How well a network's confidence matches its accuracy.

    Parameters
    ----------
    table : DataFrame
        One row per bin of confidence: ``low``, ``high`` (its bounds), ``confidence`` and
        ``accuracy`` (means; NaN in an empty bin), ``count``.
    ece : float
        Expected calibration error in [0, 1]: the mean gap between confidence and accuracy,
        weighted by count.
    """

    table: pd.DataFrame
    ece: float


def calibration(probs: np.ndarray, labels: np.ndarray, bins: int = 15) -> Calibration:
    """Compare confidence with accuracy, bin by bin.

    Parameters
    ----------
    probs : ndarray of shape [N, 10]
        Rows of probabilities.
    labels : ndarray of shape [N]
        True digits.
    bins : int, default=15
        Number of equal bins over [0, 1].

    Returns
    -------
    Calibration

    Examples
    --------
    >>> probs = np.full((4, 10), 0.2 / 9)
    >>> probs[:, 3] = 0.8
    >>> round(calibration(probs, np.array([3, 3, 3, 1])).ece, 3)
    0.05

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural networks",
    ICML 2017, equation 3.
    """
    import pandas as pd

    probs, labels = np.asarray(probs), np.asarray(labels)
    if probs.ndim != 2 or len(probs) != len(labels) or not len(labels):
        raise ValueError(
            f"expected probabilities [N, 10] and N labels, got {probs.shape} and {labels.shape}"
        )
    confidence, correct = probs.max(1), probs.argmax(1) == labels
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(bin_of, confidence, bins) / counts
        accuracy = np.bincount(bin_of, correct, bins) / counts
    gaps = np.abs(mean_confidence - accuracy)[counts > 0]
    table = pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "confidence": mean_confidence,
            "accuracy": accuracy,
            "count": counts,
        }
    )
    return Calibration(table, float((gaps * counts[counts > 0]).sum() / len(labels)))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature by which to divide logits, so that confidence matches accuracy.

    Parameters
    ----------
    logits : ndarray of shape [N, 10]
        Of images that the network was not trained on (the validation split).
    labels : ndarray of shape [N]

    Returns
    -------
    float
        The temperature with the lowest cross-entropy; above 1 for an overconfident network.

    Notes
    -----
    The true digit's target is (N + 1) / (N + 2) and not 1, and the other nine share the rest:
    where every image is classified correctly, no confidence would be too high otherwise.

    Examples
    --------
    >>> logits = 10 * np.eye(10, dtype=np.float32)[[0, 1, 2, 3]]
    >>> fit_temperature(logits, np.array([0, 1, 2, 4])) > 1  # confident, and wrong once
    True

    References
    ----------
    Guo et al. 2017 (see `calibration`), section 4.2. The targets: J. Platt, "Probabilistic outputs
    for support vector machines", Advances in Large Margin Classifiers, 1999, section 2.2.
    """
    from scipy.optimize import minimize_scalar

    smoothing = 10 / 9 / (len(labels) + 2)  # a tenth of it returns to the true digit

    def mean_loss(log_temperature: float) -> float:
        cooled = logits / np.float32(np.exp(log_temperature))
        return float(cross_entropy(cooled, labels, smoothing).mean())

    return float(np.exp(minimize_scalar(mean_loss, bounds=(-3, 3), method="bounded").x))
