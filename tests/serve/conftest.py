"""What several tests of the server need."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from mnist_helpers import MNISTPredictor


class HeldPredictions(NamedTuple):
    """Predictions that wait: whether one has begun, and what lets them continue."""

    begun: threading.Event
    release: threading.Event


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldPredictions]:
    """Predictors whose predictions wait until they are released."""
    found = HeldPredictions(threading.Event(), threading.Event())
    real = MNISTPredictor.predict_proba

    def slow(self: MNISTPredictor, images: np.ndarray) -> np.ndarray:
        found.begun.set()
        assert found.release.wait(60)
        return real(self, images)

    monkeypatch.setattr(MNISTPredictor, "predict_proba", slow)
    yield found
    found.release.set()
