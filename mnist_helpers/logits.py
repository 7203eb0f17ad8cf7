"""What networks return, checked and as probabilities; without PyTorch, whose import takes long."""

from __future__ import annotations

import numpy as np


def check_logits(logits: np.ndarray, count: int, name: str) -> None:
    """Refuse what is not ten finite numbers for each image.

    Raises
    ------
    ValueError
    """
    if logits.shape != (count, 10):
        raise ValueError(
            f"the network {name} returned logits of shape {list(logits.shape)} for {count} images: "
            f"expected [{count}, 10]"
        )
    if not np.isfinite(logits).all():
        raise ValueError(
            f"the network {name} returned numbers that are not finite: its weights are damaged, or "
            "its training diverged"
        )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits ``[N, 10]`` into probabilities ``[N, 10]``, float32."""
    from scipy import special

    return special.softmax(logits, axis=-1)
