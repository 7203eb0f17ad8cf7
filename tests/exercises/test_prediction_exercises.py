"""Notebook 05's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import *  # noqa: F403
from PIL import Image
from scipy import ndimage
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mnist_helpers import MNISTPredictor, outputs_folder
from mnist_helpers.exercises import learning, prediction
from mnist_helpers.strokes import draw_strokes, pen_strokes
from mnist_helpers.synthetic import synthetic_digits

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_prediction.ipynb"


def gap(*arguments):
    raise NotImplementedError


def by_the_border(image):
    border = [*image[0], *image[-1], *image[:, 0], *image[:, -1]]
    return np.invert(image) if np.mean(border) > 127 else image.copy()


def crop_by_any(image):
    ink = image >= 64
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def crop_with(threshold=63, more=1, less=0, of_mask=False):
    def answer(image):
        rows, columns = np.nonzero(image > threshold)
        cut = (image > threshold) if of_mask else image
        top, left = rows.min() - less, columns.min() - less
        return cut[top : rows.max() + more, left : columns.max() + more]

    return answer


def crop_exchanged(image):
    columns, rows = np.nonzero(image > 63)
    return image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def sizes(image):
    scale = 20 / max(image.shape)
    return [max(1, round(scale * side)) for side in image.shape]


def fit_with(resample):
    def answer(image):
        height, width = sizes(image)
        return np.asarray(Image.fromarray(image).resize((width, height), resample))

    return answer


def fit_in_torch(mode, **options):
    def answer(image):
        pixels = torch.tensor(image)[None, None].float()
        scaled = F.interpolate(pixels, sizes(image), mode=mode, **options)
        return scaled[0, 0].round().to(torch.uint8).numpy()

    return answer


def fit_to(height, width):
    return lambda image: np.asarray(Image.fromarray(image).resize((width, height)))


def fit_to_nothing(image):
    height, width = (int(20 / max(image.shape) * side) for side in image.shape)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def fit_shrinking_only(image):
    return image if max(image.shape) <= 20 else prediction.fit(image)


def fit_to_floats(image):
    return prediction.fit(image) / 255


def place(image, top, left):
    frame = np.zeros((28, 28), np.uint8)
    frame[top : top + image.shape[0], left : left + image.shape[1]] = image
    return frame


def center_with_scipy(image):
    corner = [
        min(max(int(np.rint(14 - at)), 0), 28 - side)
        for at, side in zip(ndimage.center_of_mass(image), image.shape, strict=True)
    ]
    return place(image, *corner)


def center_in_torch(image):
    ink = torch.tensor(image).float()
    row = (ink.sum(1) @ torch.arange(ink.shape[0]).float()) / ink.sum()
    column = (ink.sum(0) @ torch.arange(ink.shape[1]).float()) / ink.sum()
    top = int((14 - row).round().clamp(0, 28 - ink.shape[0]))
    left = int((14 - column).round().clamp(0, 28 - ink.shape[1]))
    frame = torch.zeros(28, 28, dtype=torch.uint8)
    frame[top : top + ink.shape[0], left : left + ink.shape[1]] = ink.to(torch.uint8)
    return frame


def center_box(image):
    return place(image, (28 - image.shape[0]) // 2, (28 - image.shape[1]) // 2)


def center_exchanged(image):
    row, column = ndimage.center_of_mass(image)
    return place(image, round(14 - column), round(14 - row))


def center_unweighted(image):
    row, column = ndimage.center_of_mass(image > 0)
    return place(image, round(14 - row), round(14 - column))


def center_unlimited(image):
    row, column = ndimage.center_of_mass(image)
    return place(image, round(14 - row), round(14 - column))


def center_by_rolling(image):
    row, column = ndimage.center_of_mass(image)
    return np.roll(place(image, 0, 0), (round(14 - row), round(14 - column)), axis=(0, 1))


def center_wrong_way(image):
    row, column = ndimage.center_of_mass(image)
    return place(image, round(row), round(column))


def proba_one_by_one(model, images):
    model.train(False)
    rows = []
    with torch.inference_mode():
        for image in images:
            logits = model(torch.from_numpy(image).view(1, 1, 28, 28) / 255)
            rows.append(F.softmax(logits, 1)[0].numpy())
    return np.stack(rows)


def proba_with(evaluate=True, gradients=False, scale=255, channel=True, dim=1, softmax=True):
    def answer(model, images):
        batch = torch.tensor(images)
        batch = batch.unsqueeze(1) if channel else batch
        batch = batch / scale if scale else batch
        if evaluate:
            model.eval()
        with torch.set_grad_enabled(gradients):
            logits = model(batch)
        return (logits.softmax(dim) if softmax else logits).detach().numpy()

    return answer


def proba_as_tensor(model, images):
    return torch.tensor(prediction.predict_proba(model, images))


def proba_as_classes(model, images):
    return prediction.predict_proba(model, images).argmax(1)


def split_by_hand(image):
    digits, start = [], None
    for column, has_ink in enumerate([*(image > 63).any(0), False]):
        if has_ink and start is None:
            start = column
        elif not has_ink and start is not None:
            digits.append(image[:, start:column])
            start = None
    return digits


def split_by_label(image):
    parts, count = ndimage.label((image > 63).any(0))
    return [image[:, parts == number] for number in range(1, count + 1)]


def split_with(threshold=63, prepend=False, append=False, more=0, step=1):
    def answer(image):
        ink = (image > threshold).any(axis=0)
        ends = np.flatnonzero(np.diff(ink, prepend=prepend, append=append))
        found = [image[:, a : b + more] for a, b in zip(ends[::2], ends[1::2], strict=False)]
        return found[::step]

    return answer


def split_without_the_first(image):
    return prediction.split(image)[1:]


def split_without_the_last(image):
    return prediction.split(image)[:-1]


def split_into_columns(image):
    return [image[:, at : at + 1] for at in np.flatnonzero((image > 63).any(0))]


def split_into_places(image):
    ends = np.flatnonzero(np.diff((image > 63).any(0), prepend=False, append=False))
    return list(zip(ends[::2], ends[1::2], strict=True))


def center_near(corner):
    def center(image):
        rows, columns = np.indices(image.shape)
        mass = image.sum()
        top, left = corner((rows * image).sum() / mass), corner((columns * image).sum() / mass)
        return place(image, max(top, 0), max(left, 0))

    return center


CORRECT = {
    "05-1": (prediction.light_on_dark, by_the_border),
    "05-2": (prediction.crop, crop_by_any),
    "05-3": (
        prediction.fit,
        fit_with(Image.Resampling.LANCZOS),
        fit_with(Image.Resampling.BILINEAR),
        fit_in_torch("area"),
        fit_in_torch("bilinear", antialias=True),
    ),
    "05-4": (prediction.center, center_with_scipy, center_in_torch),
    "05-5": (prediction.predict_proba, proba_one_by_one),
    "05-6": (prediction.split, split_by_hand, split_by_label),
    "05-7": (["b", "b", "c", "a", "a"], "BBCAA", "b, b, c, a, a"),
}
WRONG = [
    ("05-1", lambda image: image, "inverted"),
    ("05-1", lambda image: -image, "no negative numbers"),
    ("05-1", lambda image: (image < 128).astype(np.uint8), "grays"),
    ("05-1", lambda image: 255.0 - image, "uint8"),
    ("05-1", lambda image: 255 - image, "right already"),
    ("05-1", lambda image: 255 - image if image[0, 0] == 255 else image, "rarely 255"),
    ("05-1", lambda image: image[2:], "expected"),
    ("05-1", lambda image: 255 - image if image[0, 0] > 127 else image, "ink in a corner"),
    ("05-1", lambda image: 254 - image, "125"),
    ("05-1", 255, "function"),
    ("05-2", crop_with(more=0), "add 1"),
    ("05-2", crop_with(more=2, less=1), "smallest"),
    ("05-2", crop_with(threshold=0), "grain"),
    ("05-2", crop_with(of_mask=True), "mask"),
    ("05-2", crop_with(threshold=62), "smallest"),
    ("05-2", crop_with(threshold=127), "Faint ink"),
    ("05-2", lambda image: prediction.crop(image) // 100 * 100, "as they are"),
    ("05-2", lambda x: x[(x > 63).any(1)][:, (x > 63).any(0)], "may have gaps"),
    ("05-2", crop_exchanged, "exchanged|19 rows"),
    ("05-2", lambda image: (7, 26, 4, 16), "not where"),
    ("05-2", lambda image: image[5:20, 5:20], "19 rows"),
    ("05-3", fit_to(20, 20), "stretched"),
    ("05-3", fit_to(9, 20), "exchanged"),
    ("05-3", fit_to(28, 12), "20×20"),
    ("05-3", fit_to(46, 20), "longer side"),
    ("05-3", fit_to(12, 12), "becomes 20×9"),
    ("05-3", fit_to_nothing, "at least 1 pixel"),
    ("05-3", fit_shrinking_only, "enlarged"),
    ("05-3", fit_to_floats, "uint8"),
    ("05-3", fit_with(Image.Resampling.NEAREST), "picked"),
    ("05-3", fit_in_torch("nearest"), "picked"),
    ("05-3", fit_in_torch("bilinear"), "picked"),
    ("05-4", center_box, "box"),
    ("05-4", center_near(lambda place: int(14 - place)), "closer to pixel"),
    ("05-4", center_near(lambda place: round(13.5 - place)), "closer to pixel"),
    ("05-4", center_exchanged, "exchanged"),
    ("05-4", center_unweighted, "weigh"),
    ("05-4", center_wrong_way, "subtract"),
    ("05-4", center_unlimited, "limit top and left"),
    ("05-4", center_by_rolling, "limit top and left"),
    ("05-4", lambda image: image, r"\[28, 28\]"),
    ("05-4", lambda image: center_box(image) / 255, "uint8"),
    ("05-4", lambda image: place(image[:10], 8, 8), "lost"),
    ("05-4", lambda image: place(image, 0, 0), "center of mass is at"),
    ("05-5", proba_with(evaluate=False), "eval"),
    ("05-5", proba_with(gradients=True), "no_grad"),
    ("05-5", proba_with(scale=None), "floats from 0 to 1"),
    ("05-5", proba_with(scale=1.0), "divide by 255"),
    ("05-5", proba_with(scale=255 * 255), "twice"),
    ("05-5", proba_with(channel=False), "unsqueeze"),
    ("05-5", proba_with(dim=0), "dim=1"),
    ("05-5", proba_with(softmax=False), "logits"),
    ("05-5", proba_as_tensor, "NumPy"),
    ("05-5", proba_as_classes, "all ten"),
    ("05-5", lambda model, images: model(images), "torch.tensor"),
    ("05-5", lambda model, images: 2 * prediction.predict_proba(model, images), "sums to 2"),
    ("05-6", split_without_the_first, "first digit"),
    ("05-6", split_without_the_last, "last digit"),
    ("05-6", split_with(threshold=0), "grain"),
    ("05-6", split_with(more=-1), "excludes"),
    ("05-6", split_with(step=-1), "left to right"),
    ("05-6", split_into_columns, "side by side"),
    ("05-6", split_into_places, "not places"),
    ("05-6", lambda image: image, "list"),
    ("05-6", lambda image: [image[:, :20], image[:, 20:]], "columns wide"),
    ("05-6", lambda image: [prediction.crop(part) for part in prediction.split(image)], "all rows"),
    ("05-7", "abcaa", "20×20"),
    ("05-7", "bbca", "5 letters"),
]


def test_the_four_steps_leave_mnist_images_nearly_as_they_are() -> None:
    """They are what made MNIST's images, so on one of them they change little or nothing."""
    for image in synthetic_digits(20).images[:, 0].numpy():
        again = image
        for step in ("light_on_dark", "crop", "fit", "center"):
            again = getattr(prediction, step)(again)
        assert np.abs(again.astype(int) - image).mean() < 12


def cell_with_the_network() -> str:
    """Return the code of the cell in notebook 05 that looks for the learner's checkpoint."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    (source,) = (cell.source for cell in cells if "my_net.pt" in cell.source)
    return source


def run_cell_with(checkpoint: dict | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Run that cell in a project with this state_dict of notebook 02, or without one."""
    monkeypatch.chdir(folder)
    if checkpoint is not None:
        torch.save(checkpoint, outputs_folder("02_learning") / "my_net.pt")
    space = {"MNISTPredictor": MNISTPredictor, "pretrained": MNISTPredictor(device="cpu")}
    exec(cell_with_the_network(), space)
    return space


@pytest.mark.filterwarnings("ignore::mnist_helpers.ForeignWeightsWarning")  # of its 400 images
def test_the_network_that_the_learner_trained_in_02_predicts_a_drawing(
    tmp_path, monkeypatch, capsys
) -> None:
    digits = synthetic_digits(400)
    images = digits.images.float() / 255
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = learning.Net()
        loader = DataLoader(TensorDataset(images, digits.labels), batch_size=50, shuffle=True)
        learning.fit(net, loader, torch.optim.Adam(net.parameters(), lr=2e-3), 10)
    space = run_cell_with(net.state_dict(), tmp_path, monkeypatch)
    assert "Your network" in capsys.readouterr().out
    predictor = space["predictor"]
    assert predictor is space["networks"]["yours"] is not space["pretrained"]
    assert predictor.predict(draw_strokes(pen_strokes(3))).digit == 3
    own = prediction.predict_proba(net, digits.images[:20, 0].numpy())
    wrapped = prediction.predict_proba(predictor.model, digits.images[:20, 0].numpy())
    np.testing.assert_allclose(wrapped, own, atol=1e-5)  # pixels from 0 to 1, as in 02


@pytest.mark.parametrize("checkpoint", [None, nn.Linear(784, 10).state_dict()])
def test_without_a_network_that_fits_the_pretrained_one_predicts_and_says_so(
    checkpoint, tmp_path, monkeypatch, capsys
) -> None:
    space = run_cell_with(checkpoint, tmp_path, monkeypatch)
    assert space["predictor"] is space["pretrained"]
    printed = capsys.readouterr().out
    assert printed.startswith("The pretrained network predicts: ") and "my_net.pt" in printed
