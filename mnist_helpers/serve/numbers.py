"""Numbers that are uploaded."""

from __future__ import annotations

import logging

from ..decode import InvalidImageError
from ..prediction import MNISTPredictor, NumberPrediction
from .microbatch import NetworkError
from .uploads import Limits, check_pixels


def predict_uploaded_number(
    content: bytes, predictor: MNISTPredictor, limits: Limits
) -> NumberPrediction:
    """Predict the number in an uploaded file.

    Raises
    ------
    InvalidImageError, BlankImageError
        If it is not an image in one of `FORMATS`, damaged, too large, or empty.
    NetworkError
        If anything else goes wrong, which is logged.
    """
    try:
        check_pixels(content, limits)
        return predictor.predict_number(content)
    except InvalidImageError:
        raise
    except Exception as error:
        logging.getLogger(__name__).exception("a number could not be predicted")
        words = f"the number could not be predicted: {type(error).__name__}: {error}"
        raise NetworkError(words) from error
