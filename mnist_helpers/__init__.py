"""Handwritten-digit recognition with PyTorch: the helpers behind the notebook series.

Every public name can be imported from here, and is loaded when it is first used, so that
``import mnist_helpers`` itself costs next to nothing:

>>> from mnist_helpers import load_mnist, build_model, train, MNISTPredictor
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "data": (
        "Batches",
        "ConvertedPixelsWarning",
        "Digits",
        "DownloadError",
        "NotMNISTWarning",
        "OfflineSampleWarning",
        "Splits",
        "load_csv",
        "load_mnist",
    ),
    "augment": ("AUGMENTATIONS",),
    "decode": ("BlankImageError", "InvalidImageError"),
    "numbers": ("segment_digits",),
    "preprocess": ("preprocessing_steps", "to_mnist"),
    "models": ("Classifier", "build_model", "list_models"),
    "summary": ("summarize",),
    "recipes": ("RECIPES", "Recipe"),
    "wrapping": ("WrappedModel", "wrap_model"),
    "checkpoints": (
        "Checkpoint",
        "ForeignWeightsWarning",
        "History",
        "load_checkpoint",
        "save_checkpoint",
    ),
    "device": ("choose_device",),
    "training": ("train",),
    "onnx": ("OnnxNetwork", "export_onnx"),
    "evaluation": (
        "Calibration",
        "Evaluation",
        "accuracy_interval",
        "calibration",
        "evaluate",
        "fit_temperature",
        "misclassified",
    ),
    "explain": ("adversarial", "saliency"),
    "tuning": (
        "McNemarResult",
        "lr_range_test",
        "mcnemar",
        "mean_confidence_interval",
        "train_seeds",
    ),
    "prediction": ("MNISTPredictor", "NumberPrediction", "Prediction", "is_confident"),
    "batch": ("BatchProcessor",),
    "plots": (
        "LiveHistory",
        "plot_accuracies",
        "plot_activation_stds",
        "plot_architectures",
        "plot_augmentations",
        "plot_calibration",
        "plot_class_counts",
        "plot_class_means",
        "plot_confusion",
        "plot_descent_paths",
        "plot_digits",
        "plot_embedding",
        "plot_feature_maps",
        "plot_filters",
        "plot_gradient_agreement",
        "plot_history",
        "plot_hours",
        "plot_learning_rates",
        "plot_maps",
        "plot_misclassified",
        "plot_number",
        "plot_overhead",
        "plot_per_class",
        "plot_perturbations",
        "plot_pixel_values",
        "plot_probabilities",
        "plot_risk_coverage",
        "plot_saliency",
        "plot_saliency_grid",
        "plot_seed_accuracies",
        "plot_sheet",
        "plot_steps",
        "plot_study",
        "plot_trials",
        "plot_validation_losses",
        "save_figure",
    ),
    "diagrams": ("show_diagram",),
    "widgets.canvas": ("DigitCanvas",),
    "widgets.feature_maps": ("FeatureMaps",),
    "widgets.gallery": ("ErrorGallery",),
    "widgets.gradient_descent": ("GradientDescentExplorer",),
    "widgets.kernel": ("KernelEditor",),
    "widgets.learning_rates": ("LearningRateExplorer",),
    "widgets.shift_rotate": ("ShiftRotateExplorer",),
    "widgets.source": ("show_source",),
    "widgets.threshold": ("ThresholdSlider",),
    "extras": ("install_extra",),
    "progress": ("elapsed", "progress_bar"),
    "serve": ("Limits", "create_app", "serving"),
    "sheet": ("SheetDigits", "make_sheet", "read_sheet"),
    "scale": ("predict_folder", "train_distributed", "tune"),
    "doctor": ("check_environment",),
    "files": ("outputs_folder", "project_root"),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name when the name is first asked for."""
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
