"""What a training run leaves in its folder: weights, history, metrics, a model card, figures."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checkpoints import Checkpoint
    from .data import Digits, Splits
    from .evaluation import Evaluation
    from .recipes import Recipe


def write_report(
    out: Path, splits: Splits, temperature: float | None = None, shrink: float = 0
) -> Evaluation:
    """Calibrate the trained model, evaluate it on the test set, and write everything down.

    Parameters
    ----------
    out : Path
        Folder of the run, with its ``last.pt``. ``model.safetensors``, ``history.csv``,
        ``metrics.json``, ``README.md`` (the model card) and three figures are written there.
    splits : Splits
        The temperature is fitted on ``splits.val``; metrics are those on ``splits.test``.
    temperature : float, default=None
        The temperature to use instead of fitting one.
    shrink : float, default=0
        How far to shrink BatchNorm's variances towards their mean, in [0, 1].

    Returns
    -------
    Evaluation
        On the test set.
    """
    import pandas as pd

    from . import models
    from .checkpoints import load_checkpoint, save_checkpoint
    from .evaluation import evaluate, fit_temperature
    from .files import atomic_write

    run = load_checkpoint(out / "last.pt")
    models.shrink_variances(run.model, shrink)
    if temperature is not None:
        run.temperature = temperature
    elif len(splits.val):
        validation = evaluate(run.model, splits.val)
        run.temperature = fit_temperature(validation.logits, validation.labels)
    save_checkpoint(
        out / "model.safetensors",
        run.model,
        recipe=run.recipe,
        history=run.history,
        source=run.source,
        temperature=run.temperature,
    )
    test = evaluate(run.model, splits.test)
    with atomic_write(out / "history.csv") as part:
        pd.DataFrame(run.history).to_csv(part, index=False)
    recipe = asdict(run.recipe) if run.recipe else None
    write_json(out / "metrics.json", metrics(test, run) | {"recipe": recipe})
    write_card(out / "README.md", run, test)
    calibrated = replace(test, logits=test.logits / run.temperature)
    draw_figures(out, run.history, splits.test, calibrated)
    return test


def metrics(test: Evaluation, checkpoint: Checkpoint) -> dict:
    """Return the metrics on the test set, as `metrics.json` and ``evaluate --json`` have them.

    Returns
    -------
    dict
        ``model`` (architecture), ``data`` (where the test set is from), ``test_images`` (how many),
        ``test_accuracy``, ``test_accuracy_95_interval`` ([low, high]), ``test_loss``
        (cross-entropy), ``temperature``, ``confusion`` ([10][10], row = label, column =
        prediction).
    """
    return {
        "model": checkpoint.name,
        "data": test.source,
        "test_images": len(test.labels),
        "test_accuracy": test.accuracy,
        "test_accuracy_95_interval": list(test.interval),
        "test_loss": test.loss,
        "temperature": checkpoint.temperature,
        "confusion": test.confusion.tolist(),
    }


def write_json(path: Path, value: dict) -> None:
    """Write a value as JSON."""
    from .files import atomic_write

    with atomic_write(path) as part:
        part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_card(path: Path, run: Checkpoint, test: Evaluation) -> None:
    """Write a model card: what the model is, what it was trained and tested on."""
    from .data import is_sample
    from .files import atomic_write
    from .models import count_parameters

    low, high = test.interval
    rows = {
        "use": "predicts the handwritten digit in a 28×28 image (`MNISTPredictor` takes any image)",
        "architecture": f"`{run.name}`, {count_parameters(run.model):,} parameters",
        "trained on": run.source,
        "test accuracy": f"{test.accuracy:.2%} of {len(test.labels):,} images from {test.source} "
        f"(95% confidence interval {low:.2%} to {high:.2%})",
        "recipe": describe_recipe(run.recipe),
        "temperature": f"{run.temperature:.3f}: logits are divided by it for confidences",
        "versions": ", ".join(f"{name} {version}" for name, version in run.versions.items()),
    }
    if is_sample(test.source):
        rows["beware"] = "**this is not MNIST's test set**: compare the accuracy with no other"
    lines = [f"# Model card: `{run.name}`", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {text} |" for name, text in rows.items()]
    with atomic_write(path) as part:
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


def describe_recipe(recipe: Recipe | None) -> str:
    """Return the recipe in one line."""
    if recipe is None:
        return "unknown"
    return ", ".join(f"{name} {value}" for name, value in asdict(recipe).items())


def describe_result(test: Evaluation) -> str:
    """Return the test accuracy in one sentence."""
    low, high = test.interval
    return (
        f"Test accuracy {test.accuracy:.2%} ({int((~test.correct).sum())} errors in "
        f"{len(test.labels):,} images; 95% confidence interval {low:.2%} to {high:.2%}) on "
        f"{test.source}"
    )
