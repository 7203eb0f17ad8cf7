"""What a training run leaves behind: metrics, a model card, figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checkpoints import Checkpoint
    from .data import Digits
    from .evaluation import Evaluation
    from .recipes import Recipe


def write_metrics(
    path: Path, test: Evaluation, model: str, recipe: Recipe | None, temperature: float
) -> None:
    """Write the test split's metrics as JSON."""
    from .paths import replacing

    low, high = test.interval
    metrics = {
        "model": model,
        "data": test.source,
        "test_pictures": len(test.labels),
        "test_accuracy": test.accuracy,
        "test_accuracy_95_interval": [low, high],
        "test_loss": test.loss,
        "temperature": temperature,
        "confusion": test.confusion.tolist(),
        "recipe": asdict(recipe) if recipe else None,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def write_card(path: Path, done: Checkpoint, test: Evaluation) -> None:
    """Write a model card: what the network is, what it learnt from, what it was measured on."""
    from .data import is_sample
    from .models import count_parameters
    from .paths import replacing

    low, high = test.interval
    rows = {
        "what": "reads one handwritten digit in a picture of 28×28 (`MNISTPredictor` prepares any)",
        "network": f"`{done.name}`, {count_parameters(done.model):,} parameters",
        "trained on": done.source,
        "test accuracy": f"{test.accuracy:.2%} of {len(test.labels):,} pictures from {test.source} "
        f"(95 % interval {low:.2%} to {high:.2%})",
        "recipe": in_words(done.recipe),
        "temperature": f"{done.temperature:.3f}, by which logits are divided for confidences",
        "versions": ", ".join(f"{name} {version}" for name, version in done.versions.items()),
    }
    if is_sample(test.source):
        rows["beware"] = "**this is not MNIST's test set**: compare the accuracy with no other"
    lines = [f"# Model card: `{done.name}`", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {text} |" for name, text in rows.items()]
    with replacing(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_figures(out: Path, history: list[dict], digits: Digits, test: Evaluation) -> None:
    """Draw training curves, the confusion matrix and sample predictions, titled with their data."""
    import matplotlib

    matplotlib.use("Agg")
    from .plots import plot_confusion, plot_digits, plot_history, save_figure

    title = digits.source
    save_figure(plot_history(history), out / "training_curves.png", title=title)
    save_figure(plot_confusion(test.confusion), out / "confusion_matrix.png", title=title)
    first = slice(0, 20)
    axes = plot_digits(
        digits.images[first],
        labels=test.labels[first],
        predictions=test.predictions[first],
        confidences=test.probs[first].max(1),
    )
    save_figure(axes, out / "sample_predictions.png", title=title)


def in_words(recipe: Recipe) -> str:
    """Return the recipe in one line."""
    return ", ".join(f"{name} {value}" for name, value in asdict(recipe).items())


def verdict(test: Evaluation) -> str:
    """Return the test accuracy in one sentence."""
    low, high = test.interval
    return (
        f"Test accuracy {test.accuracy:.2%} ({int((~test.correct).sum())} errors in "
        f"{len(test.labels):,}; 95 % interval {low:.2%} to {high:.2%}) on {test.source}"
    )
