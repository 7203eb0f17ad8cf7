"""Self-checks of notebook 05, prediction, and the worked solutions behind `use`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from .engine import Hint, exercise, expect_function, recall_hint, solution


@solution("05-1")
def light_on_dark(image):
    """Return light ink on a dark background, whichever way round the image comes."""
    return 255 - image if np.median(image) > 127 else image


@solution("05-2")
def crop(image):
    """Return the smallest rectangle that holds all ink of light ink on black."""
    rows, columns = np.nonzero(image > 63)
    return image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


@solution("05-3")
def fit(image):
    """Scale an image to a longer side of 20 pixels, with its aspect ratio kept."""
    scale = 20 / max(image.shape)
    height, width = (max(1, round(scale * side)) for side in image.shape)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


@solution("05-4")
def center(image):
    """Place an image in 28×28 black pixels, its center of mass at (14, 14)."""
    height, width = image.shape
    rows, columns = np.indices(image.shape)
    top = round(14 - (rows * image).sum() / image.sum())
    left = round(14 - (columns * image).sum() / image.sum())
    top, left = np.clip([top, left], 0, [28 - height, 28 - width])
    frame = np.zeros((28, 28), np.uint8)
    frame[top : top + height, left : left + width] = image
    return frame


@solution("05-5")
def predict_proba(model, images):
    """Return probabilities [N, 10] for uint8 images [N, 28, 28]."""
    batch = torch.tensor(images).unsqueeze(1).float() / 255
    model.eval()
    with torch.no_grad():
        return model(batch).softmax(dim=1).numpy()


@solution("05-6")
def split(image):
    """Cut a row of digits apart at columns without ink; return images from left to right."""
    has_ink = (image > 63).any(axis=0)
    ends = np.flatnonzero(np.diff(has_ink, prepend=False, append=False))
    return [image[:, start:stop] for start, stop in zip(ends[::2], ends[1::2], strict=True)]


@exercise("05-1")
def _polarity(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    dark_ink = np.full((12, 10), 250, np.uint8)
    dark_ink[2:10, 4:7] = 20
    dark_ink[2:10, 3] = 130
    dark_ink[0, 0] = 255
    dark_ink[5, 5] = 0
    got = _image(answer(dark_ink.copy()), dark_ink.shape)
    if np.array_equal(got, dark_ink):
        return "Dark ink on white paper must come back inverted: paper near 0, ink near 255."
    if np.array_equal(got, 0 - dark_ink):
        return "uint8 has no negative numbers: -250 becomes 6, but -0 stays 0. Use 255 - image."
    if set(np.unique(got)) <= {0, 1, 255}:
        return "Keep the grays: 130 becomes 125, neither black nor white."
    if not np.array_equal(got, 255 - dark_ink):
        return f"Where the image is 130, 255 - 130 = 125 was expected, not {got[5, 3]}."
    light_ink = 255 - dark_ink
    if np.array_equal(answer(light_ink.copy()), dark_ink):
        return "Light ink on black is right already: invert only where the paper is light."
    gray_paper = np.full((12, 10), 180, np.uint8)
    gray_paper[2:10, 4:7] = 20
    if np.array_equal(answer(gray_paper.copy()), gray_paper):
        return "Paper in a photo is rarely 255; compare with the middle of the range, 127."
    touching = dark_ink.copy()
    touching[:4, :4] = touching[-4:, -4:] = 20
    if np.array_equal(answer(touching.copy()), touching):
        return "There may be ink in a corner: ask all pixels, as with their mean, or many of them."
    return None if np.array_equal(answer(light_ink), light_ink) else "Light ink on black changed."


@exercise("05-2")
def _crop(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    rng = np.random.default_rng(0)
    image = rng.integers(0, 40, (40, 30)).astype(np.uint8)  # grain of the paper
    image[6, 3:17] = image[26, 3:17] = 63  # the brightest that is no ink
    image[7:26, 4:16] = rng.integers(120, 256, (19, 12))
    image[7], image[25, 4:16], image[12:15] = image[6], 64, image[3:6]  # faint ends, and a gap
    image[7, 4:16] = 64
    expected = image[7:26, 4:16]
    got = answer(image.copy())
    if isinstance(got, (tuple, list)):
        return "Return the part of the image, not where it is: image[top:bottom, left:right]."
    got = np.asarray(got)
    if got.shape == expected.shape and np.isin(got, (0, 1)).all():
        return "Those are True and False: cut the rectangle out of the image, not of the mask."
    if np.array_equal(got, expected):
        return None
    if got.shape in ((18, 11), (18, 12), (19, 11)):
        return "A row or column of ink is missing: a slice excludes its end, so add 1 to max()."
    if got.shape == expected.shape:
        return "The rectangle is right. Keep its pixels as they are, the faint ones too."
    if got.shape == (16, 12):
        return (
            "A digit may have gaps: keep all rows and columns from the first with ink to the last."
        )
    if got.shape == (17, 12):
        return "Faint ink counts: everything above 63."
    if got.shape in ((21, 14), (20, 13), (21, 12)):
        return "There is an empty row or column left: the smallest rectangle was asked for."
    if got.shape == image.shape:
        return "Nothing is cut off: ink is above 63, and the paper's grain lies below that."
    if got.shape == (12, 19):
        return "Rows and columns are exchanged: np.nonzero returns rows first."
    return f"In a trial the ink has 19 rows and 12 columns, yours returns {list(got.shape)}."


@exercise("05-3")
def _fit(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    rng = np.random.default_rng(0)
    noise = (255 * (rng.random((91, 91)) < 0.5)).astype(np.uint8)
    return (
        _why_wrong_size(np.asarray(answer(noise[:, :40].copy())).shape)
        or _why_lost(answer)
        or _why_no_grays(_image(answer(noise.copy()), (20, 20)))
    )


def _why_wrong_size(shape: tuple[int, ...]) -> str | None:
    """Return a hint if an image of 91×40 pixels has not become one of 20×9 (or 20×8)."""
    hints: dict[tuple[int, ...], str] = {
        (20, 20): "The digit is stretched: height and width need the same scale, 20 / longer side.",
        (9, 20): "Height and width are exchanged: PIL's size is (width, height).",
        (8, 20): "Height and width are exchanged: PIL's size is (width, height).",
        (28, 12): "The digit is to fit into 20×20; the frame of 28×28 comes in the next step.",
        (28, 28): "The digit is to fit into 20×20; the frame of 28×28 comes in the next step.",
        (46, 20): "The longer side is to have 20 pixels, not the shorter one.",
        (45, 20): "The longer side is to have 20 pixels, not the shorter one.",
    }
    if shape in ((20, 9), (20, 8)):
        return None
    return hints.get(shape, f"An image of 91×40 becomes 20×9, yours returns {list(shape)}.")


def _why_lost(answer: Callable) -> str | None:
    """Return a hint if a thin 1 or a small digit does not come to 20 pixels."""
    try:
        thin = np.asarray(answer(np.full((200, 3), 255, np.uint8)))
    except Hint as error:
        thin = np.empty(0)
        reason = f" ({error})"
    else:
        reason = f", yours returns {list(thin.shape)}"
    if thin.shape != (20, 1):
        return f"A 1 of 200×3 pixels must keep a width of at least 1 pixel{reason}."
    small = np.asarray(answer(np.full((10, 5), 255, np.uint8)))
    if small.shape != (20, 10):
        return f"A small digit is enlarged: 10×5 becomes 20×10, yours gives {list(small.shape)}."
    if small.max() <= 1:
        return "Keep uint8 values from 0 to 255, not floats from 0 to 1."
    return None


def _why_no_grays(scaled: np.ndarray) -> str | None:
    """Return a hint if pixels were picked, not averaged: their values vary as much as before."""
    if scaled.std() < 55:
        return None
    return (
        "Single pixels are picked, so thin strokes break. Average over all of them: PIL's BOX, or "
        'F.interpolate with mode="area".'
    )


@exercise("05-4")
def _center(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    seven = np.zeros((20, 13), np.uint8)
    seven[:4] = 100
    seven[4:, 6:9] = 250
    got = _image(answer(seven.copy()), (28, 28))
    if abs(int(got.sum()) - int(seven.sum())) > 0.02 * seven.sum():
        return "Some ink is lost or added: all of the image belongs into the frame, once."
    for image in (seven, seven[::-1], seven[:, ::-1]):  # with other fractions of a pixel
        if hint := _why_off_center(_image(answer(image.copy()), (28, 28)), image):
            return hint
    heavy = np.zeros((20, 20), np.uint8)
    heavy[0], heavy[-1, 3] = 255, 80  # nearly all ink in the first row
    try:
        edge = _image(answer(heavy.copy()), (28, 28))
    except Hint as error:
        return f"If most ink is at one end, the image leaves the frame: limit top and left. {error}"
    if int(edge.sum()) != int(heavy.sum()) or not edge[8].any():
        return "If most ink is at one end, the image leaves the frame: limit top and left."
    return None


def _why_off_center(frame: np.ndarray, image: np.ndarray) -> str | None:
    """Return a hint if the center of mass is not within half a pixel of (14, 14)."""
    place = np.array(_center_of_mass(frame))
    if np.abs(place - 14).max() <= 0.51:
        return None
    if np.abs(place - 14).max() < 1.05:
        return (
            "It can come closer to pixel (14, 14): round 14 minus the center of mass to the "
            "nearest number (int() cuts off)."
        )
    height, width = image.shape
    rows, columns = np.nonzero(frame)
    corner = np.array([rows.min(), columns.min()])
    mass = np.array(_center_of_mass(image))
    wrong = {
        "The digit is moved by its center of mass, not to it: subtract that from 14.": mass,
        "That centers the box; more ink has to weigh more.": [(28 - height) / 2, (28 - width) / 2],
        "Row and column are exchanged.": 14 - mass[::-1],
        "Each pixel counts the same there: weigh its position with its value.": (
            14 - np.argwhere(image).mean(0)
        ),
    }
    for hint, other in wrong.items():
        if np.abs(corner - np.asarray(other)).max() <= 0.55:
            return hint
    return f"The center of mass is at ({place[0]:.1f}, {place[1]:.1f}) in a trial, not (14, 14)."


def _center_of_mass(image: np.ndarray) -> tuple[float, float]:
    """Return row and column of the center of mass."""
    rows, columns = np.indices(image.shape)
    return (rows * image).sum() / image.sum(), (columns * image).sum() / image.sum()


@exercise("05-5")
def _probabilities(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28)).astype(np.uint8)
    images[:, 0, 0] = 255
    probe = _Probe()
    probe.train()
    got = answer(probe, images.copy())
    if hint := probe.complaint:
        return hint
    if torch.is_tensor(got):
        return "Return a NumPy array: .numpy() at the end."
    got = np.asarray(got)
    if got.shape != (7, 10):
        return f"Return all ten probabilities of each image: [7, 10] for 7, not {list(got.shape)}."
    logits = _Probe()(torch.from_numpy(images).unsqueeze(1) / 255)
    if np.allclose(got, logits.numpy(), atol=1e-4):
        return "Those are logits: softmax turns them into probabilities."
    if np.allclose(got, logits.softmax(0).numpy(), atol=1e-4):
        return "The columns sum to 1, not the rows: softmax over the ten classes is dim=1."
    if np.allclose(got, logits.softmax(1).numpy(), atol=1e-4):
        return None
    return f"Each row sums to 1 and is the softmax of the logits; yours sums to {got[0].sum():.3g}."


class _Probe(nn.Module):
    """A network whose logits are ten block means; it notes what is wrong with its input."""

    def __init__(self) -> None:
        super().__init__()
        self.complaint: str | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[N, 10]``."""
        self.complaint = self.complaint or self._look_at(images)
        pixels = images.detach().double().reshape(-1, 28, 28)[:, 4:24, 4:24]
        return F.adaptive_avg_pool2d(pixels, (2, 5)).flatten(1) * 20

    def _look_at(self, images: Any) -> str | None:
        """Return a hint about the images, or about how the network is called."""
        if not torch.is_tensor(images):
            raise Hint(f"The network takes a tensor, not a {type(images).__name__}: torch.tensor.")
        if tuple(images.shape[1:]) != (1, 28, 28):
            return (
                f"The network takes [N, 1, 28, 28] and was given {list(images.shape)}: "
                "unsqueeze(1) adds the channel."
            )
        if not images.is_floating_point():
            return f"The network takes floats from 0 to 1, not {images.dtype}: float() / 255."
        if images.max() > 1:
            return "The network takes pixels from 0 to 1: divide by 255."
        if images.max() < 0.1:
            return "The pixels are nearly 0: is something divided by 255 twice?"
        if self.training:
            return "Dropout and BatchNorm must not act as in training: call model.eval() first."
        if torch.is_grad_enabled():
            return "No gradients are needed: compute inside `with torch.no_grad():`."
        return None


@exercise("05-6")
def _split(answer: Callable) -> str | None:
    if hint := expect_function(answer):
        return hint
    rng = np.random.default_rng(0)
    image = rng.integers(0, 40, (20, 40)).astype(np.uint8)
    places = [(0, 9), (12, 15), (16, 25), (31, 40)]  # two touch the border, two are close
    for start, stop in places:
        image[4:16, start:stop] = rng.integers(64, 256, (12, stop - start))
    expected = [image[:, start:stop] for start, stop in places]
    got = answer(image.copy())
    if not isinstance(got, Sequence):
        return "Return a list with an image for each digit."
    parts = [np.asarray(part) for part in got]
    if any(part.ndim != 2 for part in parts):
        return "Return images, not places: image[:, start:stop] for each digit."
    widths = [part.shape[1] for part in parts]
    if len(parts) == 1:
        return "Nothing is cut: the paper's grain lies below 64, and is no ink."
    if len(parts) > 10:
        return "That is an image for each column: columns side by side belong together."
    if widths == [3, 9, 9]:
        return "The first digit is missing: it begins at the left border, without a gap before it."
    if widths == [9, 3, 9]:
        return "The last digit is missing: it ends at the right border, without a gap after it."
    if widths == [9, 9, 3, 9]:
        return "From left to right, please."
    if widths == [8, 2, 8, 8] or widths == [9, 2, 9, 9]:
        return "A column of each digit is missing: a slice excludes its end."
    same = [np.array_equal(part, right) for part, right in zip(parts, expected, strict=False)]
    if len(parts) == len(expected) and all(same):
        return None
    if widths == [9, 3, 9, 9]:
        return (
            "The columns are right. Keep their pixels as they are: all rows, and gray values too."
        )
    return f"In a trial the digits are 9, 3, 9 and 9 columns wide, yours {widths}."


@exercise("05-7")
def _recall(answer: Sequence[str]) -> str | None:
    hints = (
        "1: the box is 20×20, the frame around it 28×28, and proportions are kept.",
        "2: more ink weighs more; MNIST's authors decided so.",
        "3: the ten probabilities always sum to 1, whatever the image shows.",
        "4: uint8 wraps around: -255 becomes 1, and -0 stays 0.",
        "5: a label error is a wrong label, and an adversarial example is made on purpose.",
    )
    return recall_hint(answer, "bbcaa", hints)


def _image(value: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return an image as an array, or raise a hint about its shape or dtype."""
    image = np.asarray(value)
    if image.shape != shape:
        raise Hint(f"An image of {list(shape)} was expected, not {list(image.shape)}.")
    if image.dtype != np.uint8:
        raise Hint(f"Keep uint8, not {image.dtype}: .astype(np.uint8), after rounding.")
    return image
