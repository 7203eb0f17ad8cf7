"""Every figure of the series: arrays and tables in, matplotlib axes out.

Functions that draw one panel take ``ax=None`` and return the `Axes`; those that draw a grid return
an array of them. Nothing calls ``plt.show()`` or changes matplotlib's settings.
"""

from __future__ import annotations

from .architecture import (
    plot_activation_stds,
    plot_architectures,
    plot_feature_maps,
    plot_filters,
    plot_maps,
)
from .base import BLUE, GRAY, GREEN, ORANGE, RED, save_figure
from .digits import (
    plot_class_counts,
    plot_class_means,
    plot_digits,
    plot_embedding,
    plot_misclassified,
    plot_pixel_values,
)
from .evaluation import (
    plot_accuracies,
    plot_calibration,
    plot_confusion,
    plot_per_class,
    plot_risk_coverage,
    plot_seed_accuracies,
)
from .explanation import plot_perturbations, plot_saliency_grid
from .prediction import plot_number, plot_probabilities, plot_saliency, plot_steps
from .scaling import plot_gradient_agreement, plot_hours, plot_overhead, plot_trials
from .sheets import plot_sheet
from .training import (
    LiveHistory,
    plot_augmentations,
    plot_descent_paths,
    plot_history,
    plot_learning_rates,
    plot_study,
    plot_validation_losses,
)

__all__ = [
    "BLUE",
    "GRAY",
    "GREEN",
    "ORANGE",
    "RED",
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
]
