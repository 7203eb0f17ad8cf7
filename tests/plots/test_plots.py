"""Figures are tested by what is drawn: images, texts, bars and points, never pixels."""

from __future__ import annotations

from itertools import pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from mnist_helpers import plots
from mnist_helpers.evaluation import calibration
from mnist_helpers.prediction import NumberPrediction, Prediction


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)


def history(epochs: int, validation: bool = True) -> list[dict]:
    """Losses 1, 1/2, …; the validation loss is lowest in epoch 2, its accuracy highest in 3."""
    rows = []
    for epoch in range(1, epochs + 1):
        row = {
            "epoch": epoch,
            "lr": 0.1,
            "train_loss": 1 / epoch,
            "train_accuracy": 1 - 0.1 / epoch,
        }
        if validation:
            row |= {"val_loss": 0.5 + abs(epoch - 2), "val_accuracy": 0.9 - abs(epoch - 3) / 10}
        rows.append(row)
    return rows


def curves(ax) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in ax.lines}


def titles(axes) -> list[str]:
    return [ax.get_title() for ax in np.ravel(axes)]


def labels_inside_figure(ax) -> bool:
    """Whether axis labels, tick labels and title lie inside the figure."""
    figure = ax.figure
    figure.draw_without_rendering()
    box, whole = ax.get_tightbbox(), figure.bbox
    return box.x0 >= -1 and box.y0 >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1


@pytest.mark.parametrize("kind", ["array", "array with channel", "tensor"])
def test_digits_draws_every_image_as_it_is(images, kind):
    given = {
        "array": images,
        "array with channel": images[:, None],
        "tensor": torch.from_numpy(images)[:, None],
    }[kind]
    axes = plots.plot_digits(given, columns=5)
    drawn = [ax.images[0] for ax in axes.flat if ax.images]
    assert axes.shape == (3, 5) and len(drawn) == len(images)
    for artist, image in zip(drawn, images, strict=True):
        np.testing.assert_array_equal(artist.get_array(), image)
        assert artist.get_clim() == (0, 255)


def test_wrong_predictions_are_marked_by_color_and_text(images):
    axes = plots.plot_digits(images[:3], labels=[1, 2, 3], predictions=[1, 7, 3])
    assert titles(axes) == ["1", "7, not 2", "3"]
    colors = [to_hex(ax.title.get_color()) for ax in axes.flat]
    assert colors[1] == plots.RED and plots.RED not in (colors[0], colors[2])
    framed = [ax.spines["left"].get_visible() for ax in axes.flat]
    assert framed == [False, True, False]


def test_digits_captions(images):
    assert titles(plots.plot_digits(images[:2], labels=[4, 5])) == ["4", "5"]
    assert titles(plots.plot_digits(images[:2], titles=["a", "b"])) == ["a", "b"]
    sure = plots.plot_digits(images[:2], predictions=[4, 5], confidences=[0.5, 1.0])
    assert titles(sure) == ["4  50%", "5  100%"]


@pytest.mark.parametrize("name", ["labels", "predictions", "confidences", "titles"])
def test_digits_refuses_a_length_that_differs(images, name):
    with pytest.raises(ValueError, match=f"12 images, but 2 {name}"):
        plots.plot_digits(images, **{name: [1, 2]})


@pytest.mark.parametrize("shape", [(28, 28), (2, 3, 28, 28), (0, 28, 28)])
def test_digits_refuses_what_are_no_images(shape):
    with pytest.raises(ValueError, match=r"expected images \[N, 28, 28\]"):
        plots.plot_digits(np.zeros(shape))


def test_misclassified_picks_the_images_that_the_table_points_to(images):
    errors = pd.DataFrame(
        {"index": [7, 2], "label": [8, 1], "predicted": [3, 7], "confidence": [0.9, 0.4]}
    )
    axes = plots.plot_misclassified(images, errors)
    np.testing.assert_array_equal(axes.flat[0].images[0].get_array(), images[7])
    np.testing.assert_array_equal(axes.flat[1].images[0].get_array(), images[2])
    assert titles(axes) == ["label 8\npredicted 3, 90%", "label 1\npredicted 7, 40%"]
    with pytest.raises(ValueError, match="no errors"):
        plots.plot_misclassified(images, errors[:0])


def test_pixel_values_writes_each_number_that_is_not_zero():
    image = np.zeros((28, 28), np.uint8)
    image[3, 5], image[20, 9] = 17, 254
    ax = plots.plot_pixel_values(image)
    assert {(*text.get_position(), text.get_text()) for text in ax.texts} == {
        (5, 3, "17"),
        (9, 20, "254"),
    }


def test_class_counts_draws_shares_of_each_split():
    ax = plots.plot_class_counts({"train": [0, 0, 0, 1], "test": [9, 9]})
    train, test = [[bar.get_height() for bar in group] for group in ax.containers]
    assert train == [0.75, 0.25, *[0] * 8] and test == [*[0] * 9, 1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train (4)", "test (2)"]
    assert labels_inside_figure(ax)


def test_class_means_are_means():
    images = np.repeat(np.arange(20, dtype=np.uint8) * 10, 784).reshape(20, 28, 28)
    axes = plots.plot_class_means(images, np.arange(20) % 10)
    assert titles(axes) == [str(digit) for digit in range(10)]
    np.testing.assert_allclose(axes.flat[3].images[0].get_array(), (30 + 130) / 2 / 255)


def test_augmentations_stand_beside_their_originals(images):
    first = torch.from_numpy(images[:2])[:, None]
    axes = plots.plot_augmentations(first, torch.stack([first, 255 - first], dim=1))
    assert axes.shape == (2, 3)
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), images[1])
    np.testing.assert_array_equal(axes[1, 2].images[0].get_array(), 255 - images[1])


def test_steps_are_numbered_named_and_measured():
    steps = {
        "decoded": np.zeros((40, 30, 3), np.uint8),
        "ink on black": np.zeros((40, 30), bool),
        "centered in 28×28": np.zeros((28, 28), np.uint8),
    }
    axes = plots.plot_steps(steps)
    assert titles(axes) == ["1\ndecoded", "2\nink\non black", "3\ncentered\nin 28×28"]
    assert [ax.get_xlabel() for ax in axes.flat] == ["30×40", "30×40", "28×28"]


def test_a_number_has_a_box_and_a_prediction_for_each_digit():
    probs = np.eye(10, dtype=np.float32)
    predictions = [Prediction(digit, 1.0, probs[digit], np.zeros((28, 28))) for digit in (4, 2)]
    number = NumberPrediction("42", predictions, [(5, 10, 25, 50), (30, 12, 52, 50)], 0.9)
    ax = plots.plot_number(np.zeros((60, 80), np.uint8), number)
    assert [box.get_bbox().bounds for box in ax.patches] == [(5, 10, 20, 40), (30, 12, 22, 38)]
    assert [text.get_text() for text in ax.texts] == ["4", "2"]
    assert ax.get_title() == "predicted 42"


def test_captions_of_steps_do_not_overlap():
    names = ["decoded", "ink on black", "digit found", "fitted into 20×20", "centered in 28×28"]
    axes = plots.plot_steps({name: np.zeros((60, 40)) for name in names})
    axes.flat[0].figure.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in axes.flat]
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0


@pytest.mark.parametrize("side", [28, 200])
def test_two_rows_of_steps_do_not_overlap(side: int) -> None:
    above, below = plots.plot_steps({f"style{n}": np.zeros((side, side)) for n in range(10)})
    above[0].figure.draw_without_rendering()
    for upper, lower in zip(above, below, strict=True):
        size = upper.xaxis.label.get_window_extent()
        assert lower.title.get_window_extent().y1 < size.y0


def test_history_draws_the_numbers_and_marks_the_best_epoch():
    rows = history(4)
    loss, accuracy = plots.plot_history(rows)
    assert curves(loss)["training"] == [row["train_loss"] for row in rows]
    assert curves(accuracy)["validation"] == [row["val_accuracy"] for row in rows]
    (star,) = [line for line in loss.lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, 0.5)
    (star,) = [line for line in accuracy.lines if line.get_marker() == "*"]
    assert star.get_xdata()[0] == 3
    assert labels_inside_figure(loss) and labels_inside_figure(accuracy)


def test_history_without_validation():
    loss, _ = plots.plot_history(history(3, validation=False))
    assert list(curves(loss)) == ["training"]


def test_histories_by_name():
    loss, _ = plots.plot_history({"small": history(3), "large": history(2)})
    named = {name: values for name, values in curves(loss).items() if not name.startswith("_")}
    assert {name: len(values) for name, values in named.items()} == {
        "small validation": 3,
        "large validation": 2,
    }


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="empty"):
        plots.plot_history([])


class Handle:
    """Stands for IPython's display handle."""

    def __init__(self) -> None:
        self.updates = 0

    def update(self, _figure) -> None:
        self.updates += 1


def test_live_history_redraws_one_figure_in_one_place(monkeypatch):
    handles = []

    def display(_figure, display_id):
        assert display_id is True
        handles.append(Handle())
        return handles[-1]

    monkeypatch.setattr("IPython.display.display", display)
    live, rows = plots.LiveHistory(), []
    for row in history(3):
        rows.append(row)
        live(rows)
        assert len(live.figure.axes) == 2
    assert len(handles) == 1 and handles[0].updates == 2
    assert curves(live.figure.axes[0])["training"] == [row["train_loss"] for row in rows]
    assert plt.get_fignums() == []  # nothing is left for the notebook to show a second time


def test_learning_rates():
    ax = plots.plot_learning_rates([0.1, 0.2, 0.05])
    assert list(ax.lines[0].get_xdata()) == [1, 2, 3]
    assert list(ax.lines[0].get_ydata()) == [0.1, 0.2, 0.05]
    assert ax.get_ylim()[0] == 0


def test_gradient_agreement_draws_a_panel_per_estimate_and_no_more_than_asked_for():
    whole = np.linspace(-1, 1, 50)
    axes = plots.plot_gradient_agreement(whole, {"half": whole / 2, "all": whole}, most=20)
    assert [ax.get_title() for ax in axes] == ["half", "all"]
    for ax, factor in zip(axes, (0.5, 1), strict=True):
        x, y = ax.lines[1].get_data()
        assert len(set(x)) == 20 and np.allclose(y, factor * x)


def test_overhead_follows_the_epochs_in_each_bar():
    table = pd.DataFrame({"workers": [1, 2], "epochs": [4.0, 3.0], "total": [5.0, 12.0]})
    ax = plots.plot_overhead(table)
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [
        (0, 4),
        (0, 3),
        (4, 1),
        (3, 9),
    ]


def test_trials_ended_early_are_hollow():
    rows = {"lr": [0.1, 0.01, 0.02], "batch_size": [64, 64, 256]}
    rows |= {"val_accuracy": [0.9, 0.8, 0.7], "epochs": [3, 1, 3]}
    ax = plots.plot_trials(pd.DataFrame(rows), epochs=3)
    drawn = {tuple(line.get_xdata()): line.get_markerfacecolor() for line in ax.lines}
    assert drawn[(0.01,)] == "none" and "none" not in (drawn[(0.1,)], drawn[(0.02,)])


@pytest.mark.parametrize("rates", [(0.0014, 0.0044), (0.0019, 0.045), (0.0001, 0.1)])
def test_learning_rates_are_labeled_and_do_not_overlap(rates: tuple[float, float]) -> None:
    _, (ax, _) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    trials = {"lr": rates, "batch_size": 64, "epochs": 3, "val_accuracy": [0.97, 0.98]}
    plots.plot_trials(pd.DataFrame(trials), epochs=3, ax=ax)
    ax.legend_.remove()
    ax.figure.draw_without_rendering()
    low, high = ax.get_xlim()
    ticks = [*ax.xaxis.get_major_ticks(), *ax.xaxis.get_minor_ticks()]
    texts = [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
    texts = [text for text in texts if text.get_text()]
    assert len(texts) >= 2
    for left, right in pairwise(texts):
        assert left.get_window_extent().x1 + 4 < right.get_window_extent().x0


def test_hours_stand_at_each_number_of_cores():
    ax = plots.plot_hours([2, 8, 32], [40, 10, 2.5])
    assert [text.get_text() for text in ax.texts] == ["40.0 h", "10.0 h", "2.5 h"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "8", "32"]


def test_architectures_names_every_network():
    table = pd.DataFrame(
        {"macs": [1e6, 1e7], "parameters": [3e4, 4e5]}, index=["fast", "conv3_nopool"]
    )
    ax = plots.plot_architectures(table)
    assert sorted(text.get_text() for text in ax.texts) == ["conv3_nopool", "fast"]
    assert ax.collections[0].get_offsets().tolist() == [[1e6, 3e4], [1e7, 4e5]]
    assert labels_inside_figure(ax)


def test_confusion_writes_every_count():
    counts = np.arange(100).reshape(10, 10)
    ax = plots.plot_confusion(counts)
    assert [text.get_text() for text in ax.texts] == [str(count) for count in range(100)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted digit", "true digit")
    assert labels_inside_figure(ax)


def test_confusion_without_its_diagonal_scales_to_the_errors():
    counts = np.diag(np.full(10, 1000))
    counts[4, 9] = 7
    ax = plots.plot_confusion(counts, hide_diagonal=True)
    assert ax.collections[0].get_clim()[1] == 7
    assert sum(text.get_text() == "1000" for text in ax.texts) == 10
    flawless = plots.plot_confusion(np.diag(np.full(10, 1000)), hide_diagonal=True)
    assert flawless.collections[0].get_clim() == (0, 1)


@pytest.mark.parametrize("shape", [(10,), (10, 9)])
def test_confusion_refuses_what_is_not_square(shape):
    with pytest.raises(ValueError, match="expected a square matrix"):
        plots.plot_confusion(np.zeros(shape, int))


def test_per_class_bars_are_precision_and_recall():
    table = pd.DataFrame({"precision": np.linspace(0.9, 0.99, 10), "recall": np.full(10, 0.95)})
    ax = plots.plot_per_class(table)
    precision, recall = ([bar.get_height() for bar in group] for group in ax.containers)
    assert precision == list(table["precision"]) and recall == list(table["recall"])


def test_ticks_of_accuracies_say_where_they_stand():
    values = pd.DataFrame(
        {"precision": np.linspace(0.989, 0.999, 10), "recall": np.full(10, 0.995)}
    )
    rows = [{"epoch": n, "train_loss": 1, "train_accuracy": 0.98 + n / 1000} for n in range(1, 12)]
    for ax in (plots.plot_per_class(values), plots.plot_history(rows)[1]):
        ax.figure.canvas.draw()
        for place, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
            assert float(label.get_text().rstrip("%")) / 100 == pytest.approx(place, abs=1e-9)


def test_calibration_draws_only_bins_that_hold_images():
    probs = np.full((4, 10), 0.2 / 9)
    probs[:, 3] = 0.8
    measured = calibration(probs, np.array([3, 3, 3, 5]))
    ax = plots.plot_calibration(measured)
    points = ax.containers[0].lines[0]
    np.testing.assert_allclose(points.get_xydata(), [[0.8, 0.75]], rtol=1e-6)
    assert "5.00%" in ax.get_title()
    (below,) = ax.child_axes
    assert [bar.get_height() for bar in below.patches] == [4]


def test_risk_coverage_answers_the_most_confident_first():
    ax = plots.plot_risk_coverage(
        np.array([0.6, 0.9, 0.8, 0.7]), np.array([False, True, True, True])
    )
    assert list(ax.lines[0].get_xdata()) == [0.25, 0.5, 0.75, 1]
    assert list(ax.lines[0].get_ydata()) == [0, 0, 0, 0.25]


@pytest.mark.parametrize("first_error", [20, 50, 85, 97])
def test_ticks_of_risk_and_coverage_do_not_overlap_in_half_a_figure(first_error: int) -> None:
    correct = np.arange(100) < first_error
    _, (ax, _) = plt.subplots(1, 2, figsize=(8.2, 3.1), layout="constrained")
    plots.plot_risk_coverage(np.linspace(1, 0.5, 100), correct, ax)
    ax.figure.draw_without_rendering()
    low, high = ax.get_xlim()
    texts = [text for text in ax.get_xticklabels() if low <= text.get_position()[0] <= high]
    assert len(texts) >= 2
    for left, right in pairwise(texts):
        assert left.get_window_extent().x1 + 4 < right.get_window_extent().x0


def test_probabilities_highlights_the_most_probable_digit(images):
    probs = np.full(10, 0.04)
    probs[6] = 0.64
    ax = plots.plot_probabilities(probs, images[0])
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], probs)
    blue = [to_hex(bar.get_facecolor()) == plots.BLUE for bar in ax.patches]
    assert blue == [digit == 6 for digit in range(10)]
    beside, _ = ax.figure.axes
    np.testing.assert_array_equal(beside.images[0].get_array(), images[0])
    with pytest.raises(ValueError, match="expected 10 probabilities"):
        plots.plot_probabilities(probs[:9])


def test_saliency_is_white_at_zero(images):
    values = np.zeros((28, 28), np.float32)
    values[4, 4] = -3
    ax = plots.plot_saliency(images[0], values)
    assert ax.images[-1].get_clim() == (-3, 3)


def test_saliency_grid_has_a_column_for_each_kind_of_map(images):
    maps = {"gradient": np.ones((2, 28, 28)), "other": -2 * np.ones((2, 28, 28))}
    axes = plots.plot_saliency_grid(images[:2], maps)
    assert axes.shape == (2, 2)
    assert titles(axes) == ["gradient", "other", "", ""]
    np.testing.assert_array_equal(axes[1, 1].images[0].get_array(), images[1])
    np.testing.assert_array_equal(axes[1, 1].images[1].get_array(), maps["other"][1])
    with pytest.raises(ValueError, match="shorter"):
        plots.plot_saliency_grid(images[:2], {"gradient": maps["gradient"][:1]})


def test_perturbations_show_the_image_the_change_and_the_sum(images):
    before = images[:2] / 255
    after = np.clip(before + 16 / 255, 0, 1)
    axes = plots.plot_perturbations(before, after, ["a 1", "a 2"], ["7", "3"])
    assert axes.shape == (3, 2)
    assert titles(axes) == ["a 1", "a 2", *["± 16 of 255"] * 2, "7", "3"]
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), after[0] - before[0])
    assert axes[1, 0].images[0].get_clim() == (-0.25, 0.25)


def test_filters_share_one_scale_around_zero():
    weights = np.random.default_rng(0).normal(size=(6, 1, 3, 3))
    axes = plots.plot_filters(weights, columns=4)
    bound = np.abs(weights).max()
    drawn = [ax.images[0] for ax in axes.flat if ax.images]
    assert len(drawn) == 6 and all(image.get_clim() == (-bound, bound) for image in drawn)
    with pytest.raises(ValueError, match=r"\[C, 1, k, k\]"):
        plots.plot_filters(weights[:, 0])


def test_feature_maps():
    axes = plots.plot_feature_maps(np.random.default_rng(0).random((5, 7, 7)), columns=3)
    assert sum(bool(ax.images) for ax in axes.flat) == 5
    with pytest.raises(ValueError, match=r"\[C, H, W\]"):
        plots.plot_feature_maps(np.zeros((1, 5, 7, 7)))


def test_maps_are_signed_on_one_scale_or_bright_on_their_own():
    maps = {"small": np.array([[0.0, -1.0]]), "large": torch.tensor([[0.0, 3.0]])}
    signed = [ax for ax in plots.plot_maps(maps, image=np.zeros((28, 28))).flat if ax.images]
    assert titles(signed) == ["image", "small", "large"]
    assert [ax.images[0].get_clim() for ax in signed[1:]] == [(-3, 3), (-3, 3)]
    bright = plots.plot_maps({"a": np.eye(2), "b": 4 * np.eye(2)}, signed=False).flat
    assert [ax.images[0].get_clim() for ax in bright] == [(0, 1), (0, 4)]
    with pytest.raises(ValueError, match=r"'a' is \[1, 2, 2\]"):
        plots.plot_maps({"a": np.zeros((1, 2, 2))})


def test_activation_stds_are_a_line_for_each_network():
    stds = {"small weights": [0.1, 0.01, 0.001], "good": [1.0, 0.9, 1.1]}
    ax = plots.plot_activation_stds(stds)
    assert curves(ax) == stds and ax.get_yscale() == "log"
    assert all(list(line.get_xdata()) == [1, 2, 3] for line in ax.lines)


def test_accuracies_are_drawn_with_their_intervals():
    rows = [("a", 10, 0.5, 0.4, 0.6), ("a", 100, 0.8, 0.7, 0.9), ("b", 10, 0.3, 0.2, 0.5)]
    table = pd.DataFrame(rows, columns=["method", "images", "accuracy", "low", "high"])
    ax = plots.plot_accuracies(table, "images", log=True)
    assert [bars.get_label() for bars in ax.containers] == ["a", "b"]
    assert ax.containers[0].lines[0].get_xydata().tolist() == [[10, 0.5], [100, 0.8]]
    ends = [segment[:, 1].tolist() for segment in ax.containers[0].lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[0.4, 0.6], [0.7, 0.9]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10", "100"]


def test_seed_accuracies_are_dots_with_their_mean():
    ax = plots.plot_seed_accuracies({"tiny": [0.9, 0.92], "fast": [0.95, 0.97]})
    assert [line.get_xydata().tolist() for line in ax.lines[:2]] == [
        [[0.9, 0], [0.92, 0]],
        [[pytest.approx(0.91), 0]],
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["tiny", "fast"]
    assert ax.yaxis_inverted()


def test_embedding_draws_each_digit_at_its_points():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    ax = plots.plot_embedding(points, [3, 3, 8])
    assert [len(group.get_offsets()) for group in ax.collections] == [0, 0, 0, 2, 0, 0, 0, 0, 1, 0]
    with pytest.raises(ValueError, match=r"expected points \[2, 2\]"):
        plots.plot_embedding(points, [1, 2])


def test_a_saved_figure_names_its_data(tmp_path, images) -> None:
    axes = plots.plot_digits(images[:3])
    plots.save_figure(axes, tmp_path / "named.png", title="offline sample (5,000 images)")
    assert axes.flat[0].figure.get_suptitle() == "offline sample (5,000 images)"


def test_names_with_dollars_are_no_formulas(tmp_path, images) -> None:
    name = "cost_$5_$"
    plots.save_figure(plots.plot_digits(images[:3]), tmp_path / "named.png", title=name)


def test_save_figure_writes_a_png_of_axes_grids_and_figures(tmp_path, images):
    for name, draw in {
        "axes": lambda: plots.plot_learning_rates([1, 2]),
        "grid": lambda: plots.plot_digits(images),
        "figure": lambda: plots.plot_learning_rates([1, 2]).figure,
    }.items():
        path = tmp_path / "new" / f"{name}.png"
        plots.save_figure(draw(), path)
        with Image.open(path) as image:
            assert image.format == "PNG" and image.width > 200
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "axes.png",
        "figure.png",
        "grid.png",
    ]


def test_drawing_goes_into_given_axes_and_shows_nothing(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_a, **_k: pytest.fail("plt.show() was called"))
    before = dict(matplotlib.rcParams)
    _, ax = plt.subplots()
    table = pd.DataFrame({"precision": [0.9], "recall": [0.8]})
    for draw in (
        lambda: plots.plot_learning_rates([1, 2], ax=ax),
        lambda: plots.plot_probabilities(np.full(10, 0.1), ax=ax),
        lambda: plots.plot_confusion(np.eye(10, dtype=int), ax=ax),
        lambda: plots.plot_per_class(table, ax=ax),
        lambda: plots.plot_class_counts({"all": [1]}, ax=ax),
    ):
        assert draw() is ax
    assert len(plt.get_fignums()) == 1
    assert dict(matplotlib.rcParams) == before


def test_descent_paths_lie_on_the_contours_of_the_loss() -> None:
    first, second = np.linspace(-1, 1, 5), np.linspace(-2, 2, 9)
    loss = (first[None] - 0.5) ** 2 + (second[:, None] + 1) ** 2
    paths = {"full batch": np.array([[0, 0], [0.2, -0.5]]), "16 images": np.array([[0, 0], [1, 1]])}
    ax = plots.plot_descent_paths(loss, first, second, paths)
    drawn = {line.get_label(): line for line in ax.lines}
    assert drawn["lowest loss"].get_xydata().tolist() == [[0.5, -1.0]]
    for name, path in paths.items():
        assert np.array_equal(drawn[name].get_xydata(), path)


def test_validation_losses_are_a_line_for_each_run_with_its_minimum_marked() -> None:
    losses = {"nothing": [2.0, 0.5, 0.9], "early stopping": [2.0, 0.4]}
    runs = {name: [{"val_loss": loss} for loss in values] for name, values in losses.items()}
    ax = plots.plot_validation_losses(runs)
    lines = [line for line in ax.lines if len(line.get_xdata()) > 1]
    assert {line.get_label(): list(line.get_ydata()) for line in lines} == losses
    stars = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "*"]
    assert stars == [[[2, 0.5]], [[2, 0.4]]]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["nothing", "early stopping"], "the highest last loss comes first"
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 2


def test_a_study_is_drawn_trial_by_trial_and_only_finished_trials_by_rate() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    distributions = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
        "augment": optuna.distributions.CategoricalDistribution([None, "shift"]),
    }
    for state, augment, accuracies in (
        ("COMPLETE", None, [0.8, 0.9]),
        ("COMPLETE", "shift", [0.7, 0.95]),
        ("PRUNED", None, [0.2]),
    ):
        trial = optuna.trial.create_trial(
            state=getattr(optuna.trial.TrialState, state),
            value=accuracies[-1],
            params={"lr": 0.01, "augment": augment},
            distributions=distributions,
            intermediate_values=dict(enumerate(accuracies, 1)),
        )
        study.add_trial(trial)
    left, right = plots.plot_study(study)
    drawn = [line.get_ydata() for line in left.lines]
    assert [list(np.round(errors, 2)) for errors in drawn] == [[0.2, 0.1], [0.3, 0.05], [0.8]]
    assert left.lines[2].get_color() != left.lines[0].get_color()
    points = {line.get_label(): line.get_xydata().tolist() for line in right.lines}
    assert points == {"none": [[0.01, 0.9]], "shift": [[0.01, 0.95]]}
