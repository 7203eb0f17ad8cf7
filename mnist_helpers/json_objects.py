"""Predictions as JSON objects, the same for ``predict --json`` and for REST."""

from __future__ import annotations

from typing import Any

from .prediction import NumberPrediction, Prediction


def to_json_object(found: Prediction | NumberPrediction) -> dict[str, Any]:
    """Return a prediction of a digit or of a number as an object of JSON.

    Parameters
    ----------
    found : Prediction or NumberPrediction

    Returns
    -------
    dict
        Of a digit ``digit``, ``confidence``, ``is_confident`` and ``probabilities``; of a number
        ``text``, ``confidence``, ``is_confident`` and ``digits``, each with its ``box``.
    """
    whole = {"confidence": found.confidence, "is_confident": found.is_confident}
    if isinstance(found, Prediction):
        return {"digit": found.digit} | whole | {"probabilities": found.probs.tolist()}
    pairs = zip(found.predictions, found.boxes, strict=True)
    digits = [to_json_object(one) | {"box": list(box)} for one, box in pairs]
    return {"text": found.text} | whole | {"digits": digits}
