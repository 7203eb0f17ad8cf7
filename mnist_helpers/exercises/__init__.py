"""Self-checks of the notebooks' exercises: one module for the engine, one for each notebook."""

from . import (  # noqa: F401 - each registers its checks
    architecture,
    dataset,
    gpu_training,
    gpu_training_state,
    learning,
    misclassification_analysis,
    prediction,
    scaling_out,
    serving,
    serving_endpoint,
    tuning,
    your_own_handwriting,
)
from .engine import check, compare, hint_for, list_exercises, use

__all__ = ["check", "compare", "hint_for", "list_exercises", "use"]
