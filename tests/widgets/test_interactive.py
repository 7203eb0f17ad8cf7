"""The figures with controls, without a browser: a control is set, and what is shown follows."""

from __future__ import annotations

import base64
import io
import time
import warnings
from collections.abc import Callable, Iterator
from html import unescape

import ipywidgets as widgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from nbconvert import HTMLExporter
from PIL import Image

from mnist_helpers.data import Splits
from mnist_helpers.evaluation import Evaluation, misclassified
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.preprocess import to_mnist
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.widgets.canvas import DigitCanvas
from mnist_helpers.widgets.feature_maps import FeatureMaps
from mnist_helpers.widgets.gallery import ANY, ErrorGallery
from mnist_helpers.widgets.kernel import KERNELS, OWN, KernelEditor
from mnist_helpers.widgets.learning_rates import LearningRateExplorer
from mnist_helpers.widgets.shift_rotate import ShiftRotateExplorer
from mnist_helpers.widgets.threshold import ThresholdSlider

VIEW = "application/vnd.jupyter.widget-view+json"
KINDS = ["kernel", "maps", "rates", "gallery", "threshold", "moved", "canvas"]


@pytest.fixture(scope="module")
def errors(digits: Splits) -> pd.DataFrame:
    """Errors of a network that guesses: some of each pair."""
    labels = digits.test.labels.numpy()
    logits = np.random.default_rng(0).normal(size=(len(labels), 10)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 1
    return misclassified(Evaluation(labels, logits))


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    before = plt.get_fignums()
    yield
    assert plt.get_fignums() == before, "a figure was left open"


def build(kind: str, digits: Splits, predictor: MNISTPredictor, errors: pd.DataFrame):
    """Build one of the widgets, and return it with something to do to it."""
    confidence = np.linspace(0, 1, 200)
    if kind == "kernel":
        editor = KernelEditor(digits.test.images[:3])
        return editor, lambda: setattr(editor._weights[4], "value", 3.0)
    if kind == "maps":
        maps = FeatureMaps(predictor)
        return maps, lambda: maps.draw(pen_strokes(3))
    if kind == "rates":
        rates = LearningRateExplorer(
            {0.1: [2.3, 1.0, 0.5], 0.01: [2.3, 2.2, 2.1], 9.0: [2.3, 1e9, 1e12]}
        )
        return rates, lambda: setattr(rates._slider, "index", 0)
    if kind == "gallery":
        gallery = ErrorGallery(digits.test.images, errors)
        return gallery, lambda: setattr(gallery._label, "value", 7)
    if kind == "threshold":
        slider = ThresholdSlider(confidence, confidence > 0.4)
        return slider, lambda: setattr(slider._slider, "value", 0.5)
    if kind == "moved":
        moved = ShiftRotateExplorer(digits.test.images[0], predictor)
        return moved, lambda: setattr(moved._turn, "value", 45)
    canvas = DigitCanvas(predictor)
    return canvas, lambda: canvas.draw(pen_strokes(3))


@pytest.fixture(params=KINDS)
def widget(request, digits, predictor, errors):
    return build(request.param, digits, predictor, errors)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_a_control_changes_image_and_words(widget) -> None:
    shown, change = widget
    image, words = shown.to_png(), shown.alt_text()
    change()
    assert np.abs(pixels(shown.to_png()) - pixels(image)).max() > 50
    assert shown.alt_text() != words


def test_front_ends_may_choose_between_the_widget_and_an_image(widget) -> None:
    shown, change = widget
    change()
    data, metadata = shown._repr_mimebundle_()
    assert data[VIEW]["model_id"] == shown.model_id
    assert base64.b64decode(data["image/png"]) == shown.to_png()
    assert pixels(base64.b64decode(data["image/png"])).std() > 10, "the image is blank"
    assert data["text/plain"] == metadata["image/png"]["alt"] == shown.alt_text()
    assert "children=" not in data["text/plain"]


def test_ipython_displays_the_bundle_and_a_static_page_shows_the_image(widget) -> None:
    from IPython.core.formatters import DisplayFormatter

    shown, change = widget
    change()
    formatter = DisplayFormatter()
    assert not formatter.ipython_display_formatter(shown), "it would print by itself"
    data, metadata = formatter.format(shown)
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("widget", outputs=[output])
    for template in ("lab", "classic"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exporter = HTMLExporter(template_name=template)
            html, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
        assert data["image/png"] in html.replace("\n", "")
        assert shown.model_id not in html
    assert f'alt="{shown.alt_text()}"' in unescape(html), "the classic template has the words, too"


def least_work(do: Callable[[], object]) -> float:
    """Seconds of the processor, which other work on it does not change much; least of three."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        do()
        spent.append(time.process_time() - start)
    return min(spent)


def draw_a_plain_figure() -> None:
    fig, ax = plt.subplots()
    ax.imshow(np.zeros((28, 28)))
    fig.savefig(io.BytesIO())
    plt.close(fig)


def test_an_update_is_no_more_work_than_a_few_plain_figures(widget) -> None:
    shown, change = widget
    change()
    update = shown._show if isinstance(shown, DigitCanvas) else shown._update
    assert least_work(update) < 10 * least_work(draw_a_plain_figure), "at most 4, as written"


def test_every_control_has_a_name(widget) -> None:
    shown, _ = widget
    found = []

    def visit(part) -> None:
        shows_only = isinstance(part, (widgets.HTML, widgets.Image))
        if hasattr(part, "description") and not shows_only:
            found.append(part.description)
        for child in getattr(part, "children", ()):
            visit(child)

    visit(shown)
    assert found and all(found) and len(set(found)) == len(found), found


def test_the_identity_leaves_the_digit_as_it_was(digits: Splits) -> None:
    editor = KernelEditor(digits.test.images[:2])
    editor._preset.value = "identity"
    np.testing.assert_array_equal(editor.result, digits.test.images[0, 0].numpy() / np.float32(255))
    panels = np.split(pixels(editor.to_png())[40:-20, :, 0], [280, 560], axis=1)
    dark = [(panel < 40).mean() for panel in (panels[0], panels[2])]
    assert dark[0] == pytest.approx(dark[1], abs=0.02) and dark[0] > 0.5


def test_every_kernel_by_hand(digits: Splits) -> None:
    image = digits.test.images[0, 0].numpy() / 255
    padded = np.pad(image, 1)
    editor = KernelEditor(image.astype(np.float32))
    for name, kernel in KERNELS.items():
        editor._preset.value = name
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
        expected = (windows * np.array(kernel)).sum((2, 3))
        np.testing.assert_allclose(editor.result, expected, atol=1e-5)
        np.testing.assert_allclose(editor.kernel, kernel)
        assert editor._preset.value == name and f"“{name}”" in editor.alt_text()


def test_kernels_keep_the_brightness_or_are_blind_to_it() -> None:
    sums = {name: np.sum(kernel) for name, kernel in KERNELS.items()}
    edges = {"lower edges": 0, "left edges": 0, "outline": 0}
    assert sums == edges | {"identity": 1, "blur": 1, "sharpen": 1}


def test_an_edited_kernel_is_ones_own(digits: Splits) -> None:
    editor = KernelEditor(digits.test.images[:2], "identity")
    editor._weights[4].value = 2.0
    np.testing.assert_allclose(editor.result, 2 * editor.image, rtol=1e-6)
    assert editor._preset.value == OWN and "to 2.00" in editor.alt_text()
    editor._weights[4].value = 1.0
    assert editor._preset.value == "identity"
    editor.kernel = np.eye(3)
    assert [field.value for field in editor._weights] == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    for wrong in (np.eye(2), [[np.nan] * 3] * 3, "edge"):
        with pytest.raises(ValueError):
            editor.kernel = wrong
    editor._which.value = 1
    np.testing.assert_allclose(editor.image, digits.test.images[1, 0].numpy() / 255, atol=1e-6)


def test_maps_are_those_of_the_drawing(predictor: MNISTPredictor) -> None:
    canvas = FeatureMaps(predictor)
    assert all(not maps.any() for maps in canvas.maps.values()), "nothing is drawn yet"
    canvas.draw(pen_strokes(7))
    assert canvas.prediction.digit == 7 and "Feature maps of a 7" in canvas.alt_text()
    image = torch.from_numpy(canvas.image)[None, None]
    with torch.inference_mode():
        first = predictor.model[:5](image)[0]
    np.testing.assert_allclose(canvas.maps["relu1"], first, atol=1e-5)
    assert {name: maps.shape for name, maps in canvas.maps.items()} == {
        "relu1": (32, 14, 14),
        "relu2": (64, 7, 7),
    }
    drawn = bytes(canvas._mosaics["relu1"].value)
    assert pixels(drawn).shape == (4 * 44, 8 * 44, 3)
    canvas.clear()
    assert not canvas.maps["relu2"].any() and "empty" in canvas.alt_text()
    assert bytes(canvas._mosaics["relu1"].value) != drawn


def test_the_chosen_run_is_in_color() -> None:
    runs = {1.0: [2.3, 9.0, np.inf], 0.1: [2.3, 1.0, 0.4], 0.01: [2.3, 2.2, 2.1]}
    slider = LearningRateExplorer(runs)
    assert [label for label, _ in slider._slider.options] == ["0.01", "0.1", "1"]
    for rate, losses in runs.items():
        slider.rate = rate
        thick = [r for r, line in slider._lines.items() if line.get_linewidth() > 2]
        assert thick == [rate] and f"Learning rate {rate:g}:" in slider.alt_text()
        np.testing.assert_array_equal(slider._each.get_ydata(), losses)
    assert slider._ax.get_ylim() == (0, pytest.approx(1.6 * 2.3))
    slider.rate = 0.1
    assert "loss 2.30 at the first step, 1.23 in the mean of the last 3 of 3" in slider.alt_text()
    for wrong in ({}, {0.1: []}):
        with pytest.raises(ValueError, match="no runs"):
            LearningRateExplorer(wrong)


def test_the_filter_shows_only_the_pair_that_was_asked_for(
    digits: Splits, errors: pd.DataFrame
) -> None:
    gallery = ErrorGallery(digits.test.images, errors, most=16)
    assert len(gallery.shown) == len(errors) > 100
    label, predicted = (int(v) for v in errors.loc[40, ["label", "predicted"]])
    gallery._label.value, gallery._predicted.value = label, predicted
    expected = errors[(errors["label"] == label) & (errors["predicted"] == predicted)]
    pd.testing.assert_frame_equal(gallery.shown, expected)
    captions = [caption.get_text() for caption in gallery._captions]
    assert sum(map(bool, captions)) == min(16, len(expected)) > 0
    assert all(text.startswith(f"{label}, not {predicted}\n") for text in captions if text)
    first = expected.iloc[0]
    assert captions[0].endswith(f"{first['confidence']:.1%}")
    image = digits.test.images[int(first["index"]), 0].numpy() / 255
    np.testing.assert_allclose(gallery._sheet.get_array()[15:43, 3:31], image, atol=1e-6)
    assert pixels(gallery.to_png()).shape == (136, 816, 3), "one row of two"
    gallery.choose()
    assert pixels(gallery.to_png()).shape == (272, 816, 3)
    assert gallery._label.value == ANY and "the first 16 shown" in gallery.alt_text()
    counts = dict((value, text) for text, value in gallery._label.options)
    assert f"({(errors['label'] == 3).sum()} errors)" in counts[3]


def test_a_pair_without_errors_is_said_to_have_none(digits: Splits, errors: pd.DataFrame) -> None:
    gallery = ErrorGallery(digits.test.images, errors)
    gallery.choose(4, 4)
    assert gallery.shown.empty and gallery.alt_text() == f"0 of {len(errors)} errors, " + (
        "true digit 4, predicted 4."
    )
    assert (gallery._sheet.get_array() == 1).all()
    none = ErrorGallery(digits.test.images, errors[:0])
    assert none.alt_text().startswith("0 of 0 errors")


def test_coverage_and_risk_by_hand() -> None:
    confidence = np.array([0.3, 0.5, 0.6, 0.8, 0.95])
    correct = np.array([False, True, False, True, True])
    slider = ThresholdSlider(confidence, correct)
    for threshold, coverage, risk in ((0, 1, 0.4), (0.55, 0.6, 1 / 3), (0.7, 0.4, 0), (1, 0, 0)):
        slider.threshold = threshold
        assert (slider.coverage, slider.risk) == (pytest.approx(coverage), pytest.approx(risk))
        assert f"{coverage:.2%} of 5 images are predicted" in slider.alt_text()
        assert slider._dot.get_data() == ([slider.coverage], [slider.risk])
        low, high = slider._left.get_xlim()
        assert low < coverage <= high, "the dot is out of sight"
    slider.threshold = 0.55
    assert slider._read[0].get_width() == pytest.approx(2 / 3)
    assert slider._handed[0].get_x() == pytest.approx(2 / 3)
    assert slider._texts[1].get_text() == "1 predicted, 1 referred"


@pytest.mark.parametrize("errors", [1, 40])
def test_the_ticks_tell_the_truth(errors: int) -> None:
    """Each label, read as a number, is where its tick stands."""
    slider = ThresholdSlider(np.linspace(0.5, 1, 2000), np.arange(2000) >= errors, 0.5)
    slider.figure.canvas.draw()
    for axis in (slider._left.xaxis, slider._left.yaxis, slider._right.xaxis):
        ticks = [tick for tick in axis.get_major_ticks() if tick.label1.get_text()]
        labels = [float(tick.label1.get_text().rstrip("%")) / 100 for tick in ticks]
        step = np.diff([tick.get_loc() for tick in ticks]).min()
        np.testing.assert_allclose(labels, [tick.get_loc() for tick in ticks], atol=0.01 * step)


def test_a_network_without_errors_has_a_threshold_too() -> None:
    slider = ThresholdSlider(np.array([0.9, 0.99]), np.array([True, True]))
    assert slider.risk == 0 and slider._texts[1].get_text() == "0 predicted, 0 referred"


def test_an_unmoved_digit_is_as_it_was(digits: Splits, predictor: MNISTPredictor) -> None:
    widget = ShiftRotateExplorer(digits.test.images[0], predictor)
    original = digits.test.images[0, 0].numpy()
    np.testing.assert_array_equal(widget.image, original)
    np.testing.assert_allclose(widget.probs, predictor.predict_proba(original[None])[0], atol=1e-6)
    assert [bar.get_height() for bar in widget._bars] == pytest.approx(widget.probs.tolist())


@pytest.fixture(scope="module")
def eight() -> np.ndarray:
    """A digit that can be moved by some pixels without any ink reaching the edge."""
    image = to_mnist(draw_strokes(pen_strokes(8)))
    rows, columns = image.nonzero()
    assert min(*rows, *columns) >= 4 and max(*rows, *columns) <= 23
    return image


def test_moves_and_turns_are_those_that_were_asked_for(
    eight: np.ndarray, predictor: MNISTPredictor
) -> None:
    widget = ShiftRotateExplorer(eight, predictor)
    widget._right.value = 3
    widget._down.value = -2
    expected = np.roll(eight, (-2, 3), axis=(0, 1))
    np.testing.assert_array_equal(widget.image, expected)
    widget.move(turn=90)
    assert np.abs(widget.image.astype(int) - np.rot90(eight, -1)).max() <= 1, "clockwise"
    widget.move(right=3, turn=90)
    turned = np.roll(np.rot90(eight, -1), 3, axis=1).astype(int)
    assert np.abs(widget.image - turned).max() <= 1, "first turned, then moved"
    assert "by 3 pixels to the right and 0 down, turned by 90°" in widget.alt_text()


def test_preprocessing_undoes_a_move(eight: np.ndarray, predictor: MNISTPredictor) -> None:
    widget = ShiftRotateExplorer(eight, predictor)
    unmoved = widget.image.astype(int)
    widget.move(right=4, down=3)
    far = np.abs(widget.image - unmoved).mean()
    widget._preprocess.value = True
    assert np.abs(widget.image - unmoved).mean() < far / 3
    assert widget.probs.argmax() == 8
    black = ShiftRotateExplorer(np.zeros((28, 28), np.uint8), predictor)
    black._preprocess.value = True  # nothing to preprocess: shown as it is
    assert not black.image.any()
