"""One image in, one digit out.

PyTorch is imported when an `MNISTPredictor` is made: it takes longer than all the rest of a first
prediction, and `PretrainedPredictor` does without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .compare import ArrayEquality
from .logits import check_logits, softmax
from .numbers import Row, segment_rows
from .preprocess import Box, ImageLike, to_mnist
from .runtime import end_before_fork, saved_about, start_session

if TYPE_CHECKING:
    import torch
    from torch import nn

PRETRAINED_WEIGHTS = Path(__file__).parent / "weights" / "fast.safetensors"
PRETRAINED_ONNX = PRETRAINED_WEIGHTS.with_suffix(".onnx")  # the same network
PRETRAINED_NAME = "fast (pretrained)"
CONFIDENCE_THRESHOLD = 0.9


def is_confident(confidence: float | np.ndarray) -> bool | np.ndarray:
    """Return whether a confidence reaches `CONFIDENCE_THRESHOLD`: the one place with the rule.

    Ask it of the confidence as it was computed, before it is rounded for display: 0.89997 is shown
    as 0.9 but is not confident.

    Parameters
    ----------
    confidence : float or ndarray of floats
        In [0, 1].

    Returns
    -------
    bool or ndarray of bool

    Examples
    --------
    >>> is_confident(0.9), is_confident(0.89997)
    (True, False)
    >>> is_confident(np.array([0.5, 0.95])).tolist()
    [False, True]
    """
    reached = np.asarray(confidence, np.float64) >= CONFIDENCE_THRESHOLD
    return reached if reached.ndim else bool(reached)


@dataclass(frozen=True, eq=False)
class Prediction(ArrayEquality):
    """What the network predicts for an image; unpacks into ``digit, confidence, probs``.

    It can be indexed as it unpacks (``prediction[0]`` is the digit), and equals another one if
    all four attributes are equal.

    Parameters
    ----------
    digit : int
        The most probable digit, 0 to 9.
    confidence : float
        Its calibrated probability, in [0, 1].
    probs : ndarray of shape [10], dtype float32
        The probability of each digit.
    image : ndarray of shape [28, 28], dtype uint8
        The preprocessed image.
    """

    digit: int
    confidence: float
    probs: np.ndarray = field(repr=False)
    image: np.ndarray = field(repr=False)

    @property
    def is_confident(self) -> bool:
        """Whether the confidence reaches `CONFIDENCE_THRESHOLD`; if not, a human should look."""
        return bool(is_confident(self.confidence))

    def __iter__(self) -> Iterator:
        return iter((self.digit, self.confidence, self.probs))

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int | slice) -> Any:
        return (self.digit, self.confidence, self.probs)[index]


@dataclass(frozen=True)
class NumberPrediction:
    """Digits that are written in a row, and the marks between them.

    Parameters
    ----------
    text : str
        The digits from left to right, with a minus ``-``, a point ``.`` or a comma ``,`` where they
        are written: ``"2026"``, ``"-3.5"``. Numbers are not interpreted: ``"1,250"`` stays so.
    predictions : list of Prediction
        One for each digit.
    boxes : list of (left, top, right, bottom)
        Where each digit stands, in pixels of the upright image.
    confidence : float
        The calibrated probability that all of `text` is correct, in [0, 1].
    """

    text: str
    predictions: list[Prediction] = field(repr=False)
    boxes: list[Box]
    confidence: float

    @property
    def digits(self) -> str:
        """The digits of `text` alone."""
        return "".join(str(prediction.digit) for prediction in self.predictions)

    @property
    def is_confident(self) -> bool:
        """Whether the confidence reaches `CONFIDENCE_THRESHOLD`; if not, a human should look."""
        return bool(is_confident(self.confidence))


class Predictor(ABC):
    """Predicts the digit in any image: MNIST's preprocessing, then a network."""

    @abstractmethod
    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities ``[N, 10]``, float32, for uint8 images ``[N, 28, 28]``."""

    def predict(self, image: ImageLike) -> Prediction:
        """Predict the digit in an image of any kind that `to_mnist` takes.

        Raises
        ------
        BlankImageError
            If there is nothing in the image.
        ValueError, OSError
            If it is not an image, or cannot be read; see `to_mnist`.
        """
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Iterable[ImageLike]) -> list[Prediction]:
        """Predict many images at once; the first that cannot be decoded raises, as in `predict`."""
        return self._predict_preprocessed([to_mnist(image) for image in images])

    def predict_number(self, image: ImageLike) -> NumberPrediction:
        """Predict several digits that are written in a row.

        Of several rows it is the largest, by the area of its digits' boxes; `predict_rows` returns
        all of them.

        Raises
        ------
        BlankImageError, ValueError, OSError
            As `predict`.

        Examples
        --------
        >>> from mnist_helpers.strokes import draw_strokes, pen_strokes
        >>> row = np.hstack([np.asarray(draw_strokes(pen_strokes(digit))) for digit in (4, 2)])
        >>> MNISTPredictor().predict_number(row).text
        '42'
        """
        (row,) = segment_rows(image, self.predict_proba, largest=True)
        return _to_number(row)

    def predict_rows(self, image: ImageLike) -> list[NumberPrediction]:
        """Predict the numbers in all rows of an image, from top to bottom.

        Raises
        ------
        BlankImageError, ValueError, OSError
            As `predict`.

        Examples
        --------
        >>> from mnist_helpers.strokes import draw_strokes, pen_strokes
        >>> sheets = [np.asarray(draw_strokes(pen_strokes(digit))) for digit in (4, 2)]
        >>> [number.text for number in MNISTPredictor().predict_rows(np.vstack(sheets))]
        ['4', '2']
        """
        return [_to_number(row) for row in segment_rows(image, self.predict_proba)]

    def _predict_preprocessed(self, images: list[np.ndarray]) -> list[Prediction]:
        """Predict preprocessed images."""
        if not images:
            return []
        probabilities = self.predict_proba(np.stack(images))
        return [
            _to_prediction(image, probs) for image, probs in zip(images, probabilities, strict=True)
        ]


def _to_prediction(image: np.ndarray, probs: np.ndarray) -> Prediction:
    return Prediction(int(probs.argmax()), float(probs.max()), probs, image)


def _to_number(row: Row) -> NumberPrediction:
    predictions = [
        _to_prediction(image, probs) for image, probs in zip(row.images, row.probs, strict=True)
    ]
    text = row.write([prediction.digit for prediction in predictions])
    return NumberPrediction(text, predictions, row.boxes, row.probability)


class MNISTPredictor(Predictor):
    """Predicts the digit in any image: MNIST's preprocessing, then a network.

    Parameters
    ----------
    checkpoint : path, default=None
        A file that `load_checkpoint` reads. If None, the pretrained weights of
        ``fast``.
    device : str or torch.device, default="auto"
        See `choose_device`.
    model : nn.Module or str, default=None
        A network to predict with, of `build_model` or one of your own; see `wrap_model`. With
        `checkpoint`, the one that is filled from it; see `load_checkpoint`.

    Examples
    --------
    >>> from mnist_helpers.strokes import draw_strokes, pen_strokes
    >>> draw_strokes(pen_strokes(7)).save("digit.png")
    >>> predictor = MNISTPredictor()
    >>> digit, confidence, probs = predictor.predict("digit.png")
    >>> digit, confidence > 0.9, probs.shape
    (7, True, (10,))
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        device: str | torch.device = "auto",
        *,
        model: nn.Module | str | None = None,
    ) -> None:
        from torch import nn

        from .checkpoints import Checkpoint, load_checkpoint
        from .device import choose_device
        from .wrapping import model_name, wrap_model

        if checkpoint is None and isinstance(model, nn.Module):
            model = wrap_model(model)
            self.checkpoint = Checkpoint(model, model_name(model))
        else:
            self.checkpoint = load_checkpoint(checkpoint or PRETRAINED_WEIGHTS, model)
        self.device, _ = choose_device(device)
        self.model = self.checkpoint.model

    @property
    def model(self) -> nn.Module:
        """The network. To change its weights, assign it again: predictions use a fused copy.

        One that is set is put on the predictor's device, and into evaluation mode. One of your own
        comes back wrapped: ``predictor.model.network`` is what was set. Of the previous
        `checkpoint` only the temperature stays, though it was fitted to the previous network.
        """
        return self._model

    @model.setter
    def model(self, model: nn.Module) -> None:
        from .checkpoints import Checkpoint
        from .models import Classifier, fuse_batchnorm
        from .wrapping import model_name, to_device, wrap_model

        model = wrap_model(model)
        if model is not self.checkpoint.model:
            temperature = self.checkpoint.temperature
            self.checkpoint = Checkpoint(model, model_name(model), temperature=temperature)
        self._model = to_device(model, self.device).eval()
        self._fused = fuse_batchnorm(model) if isinstance(model, Classifier) else model

    def __repr__(self) -> str:
        return f"MNISTPredictor({self.checkpoint.name}, on {self.device})"

    def predict_proba(self, images: np.ndarray | torch.Tensor) -> np.ndarray:
        """Return the calibrated probabilities for preprocessed images.

        Parameters
        ----------
        images : uint8 array or tensor of shape [N, 28, 28] or [N, 1, 28, 28]

        Returns
        -------
        ndarray of shape [N, 10], dtype float32

        Raises
        ------
        ValueError
            If the images have another shape or dtype, or the network does not return ten finite
            numbers for each.
        """
        import torch

        from .data import EVAL_BATCH_SIZE

        if not torch.is_tensor(images):
            images = np.asarray(images)
        elif images.dtype == torch.uint8:  # NumPy lacks some of PyTorch's other types
            images = images.cpu().numpy()
        shape = list(images.shape)
        if images.dtype != np.uint8 or shape[1:] not in ([28, 28], [1, 28, 28]):
            raise ValueError(
                "images must be uint8 of shape [N, 1, 28, 28] or [N, 28, 28], "
                f"not {images.dtype} of shape {shape}"
            )
        pixels = images.reshape(len(images), 1, 28, 28)
        starts = range(0, max(1, len(pixels)), EVAL_BATCH_SIZE)
        logits = np.concatenate([self._logits(pixels[at : at + EVAL_BATCH_SIZE]) for at in starts])
        logits = logits / self.checkpoint.temperature
        check_logits(logits, len(pixels), self.checkpoint.name)
        return softmax(logits)

    def _logits(self, pixels: np.ndarray) -> np.ndarray:
        """Return float32 logits ``[N, 10]`` for uint8 pixels ``[N, 1, 28, 28]``."""
        import torch

        from .onnx import OnnxNetwork

        if isinstance(self._fused, OnnxNetwork):  # without PyTorch: faster for a single image
            return self._fused.logits(pixels)
        with torch.inference_mode():
            return self._fused(torch.tensor(pixels, device=self.device)).float().cpu().numpy()


class PretrainedPredictor(Predictor):
    """Predicts with the pretrained weights of ``fast`` on ONNX Runtime, without PyTorch.

    The digits are those of `MNISTPredictor`, the probabilities equal but for rounding (2e-6). The
    network is fixed, and computes on the CPU.

    Attributes
    ----------
    about : dict
        What `export_onnx` kept with the network: ``model``, ``parameters``, ``temperature``, …

    Raises
    ------
    ImportError
        If the extra ``serve`` is not installed.
    ValueError
        If the file is damaged.
    """

    def __init__(self) -> None:
        self.session: Any = None  # to be started, see _running
        end_before_fork(self)
        self.about = saved_about(self._running(), PRETRAINED_ONNX)

    def __reduce__(self) -> tuple[type[PretrainedPredictor], tuple[()]]:
        """Have a copy in another process start a session of its own."""
        return PretrainedPredictor, ()

    def _running(self) -> Any:
        """Return the session, started again after a fork."""
        session = self.session
        if session is None:
            self.session = session = start_session(PRETRAINED_ONNX.read_bytes(), PRETRAINED_ONNX)
        return session

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities for preprocessed images.

        Parameters
        ----------
        images : uint8 array of shape [N, 28, 28] or [N, 1, 28, 28]

        Returns
        -------
        ndarray of shape [N, 10], dtype float32
        """
        (logits,) = self._running().run(None, {"images": images.reshape(-1, 1, 28, 28)})
        check_logits(logits, len(images), PRETRAINED_NAME)
        return softmax(logits / self.about["temperature"])
