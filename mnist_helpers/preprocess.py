"""How any image is preprocessed into an MNIST image, step by step.

MNIST's images were made in one particular way, and a network that learned from them knows no
other: black and white scans, each digit fitted with its aspect ratio into 20×20 pixels, the
scaling antialiased, and the ink's center of mass moved to the center of 28×28. `to_mnist`
does the same to whatever comes: scans, photos, drawings.

References
----------
Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86, 1998, section III.A.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from .brightness import Brightness
from .decode import BlankImageError, ImageLike, InvalidImageError, decode, name_in_errors
from .lines import remove_lines
from .masks import bounding_box, dilate
from .segment import MIN_CONTRAST, Box, digit_mask, find_sheets

__all__ = [
    "BlankImageError",
    "Box",
    "ImageLike",
    "InvalidImageError",
    "decode",
    "preprocessing_steps",
    "to_mnist",
]

FRAME = 28  # an MNIST image's side
BOX = 20  # the digit's larger dimension in it
DETAIL = 4  # the digit is worked on at this many pixels for one of MNIST's
STROKES = (1.5, 4.0)  # mean stroke widths between which 19 in 20 of MNIST's lie, in pixels
MAX_SHEETS = 3  # that lie on one another
COARSE_SIDE = 64  # at which the paper's brightness is measured
UNEVEN = 6  # standard deviation of the paper's brightness, of 255, from which it is leveled
WINDOWS = (0.4, 0.25, 0.12)  # of the larger dimension: narrower is ink, wider a shadow


def to_mnist(image: ImageLike) -> np.ndarray:
    """Turn any image of a digit into an MNIST image.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image, array or tensor
        A digit in dark ink on a light ground or the other way round, anywhere in the image.
        Arrays and tensors: ``[H, W]``, ``[H, W, 1 or 3 or 4]`` or ``[1 or 3, H, W]``, of uint8,
        uint16, bool, or floats in [0, 1].

    Returns
    -------
    ndarray of shape [28, 28], dtype uint8
        Light ink on black. An image that already is MNIST's comes back bit for bit.

    Raises
    ------
    BlankImageError
        If there is no ink.
    InvalidImageError
        If it is not an image, a damaged one, or far too large.
    FileNotFoundError, PermissionError
        If the file cannot be opened.

    See Also
    --------
    preprocessing_steps : the image after each step.

    Examples
    --------
    >>> sheet = np.full((100, 80), 255, np.uint8)
    >>> sheet[20:80, 38:44] = 0  # a dark upright stroke
    >>> to_mnist(sheet).shape
    (28, 28)
    """
    return list(preprocessing_steps(image).values())[-1]


def preprocessing_steps(image: ImageLike) -> dict[str, np.ndarray]:
    """Return the image after each step on its way to MNIST, by the step's name, in order.

    The last one is what `to_mnist` returns. An image that already is MNIST's has one step.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image, array or tensor
        As for `to_mnist`.

    Returns
    -------
    dict of str to ndarray
        The image after each step, by the step's name, in order.

    Raises
    ------
    BlankImageError, InvalidImageError, OSError
        As for `to_mnist`.

    Examples
    --------
    >>> sheet = np.full((100, 80), 255, np.uint8)
    >>> sheet[20:80, 38:44] = 0  # a dark vertical stroke
    >>> steps = preprocessing_steps(sheet)
    >>> len(steps), list(steps)[-1], list(steps.values())[-1].shape
    (10, 'centered in 28×28', (28, 28))
    """
    decoded = decode(image)
    if is_mnist(decoded):
        return {"already MNIST": decoded}
    gray = to_gray(decoded)
    with name_in_errors(image):
        brightness = Brightness.of(gray)
        sheet = crop_sheet(gray, brightness)
        ink = extract_ink(sheet, brightness if sheet is gray else None)
        brightness = Brightness.of(ink)
        digit = remove_lines(ink, single=True, brightness=brightness)
        mask = digit_mask(digit, single=True, brightness=brightness if digit is ink else None)
    crop = crop_digit(digit, mask)
    strokes = normalize_stroke_width(crop)
    fitted = fit_into_box(strokes)
    return {
        "decoded": decoded,
        "gray": gray,
        "sheet": sheet,
        "ink on black": ink,
        "without lines": digit,
        "digit found": mask,
        "cropped": crop,
        "stroke width": strokes,
        "fitted into 20×20": fitted,
        "centered in 28×28": center(fitted),
    }


def crop_sheet(gray: np.ndarray, brightness: Brightness | None = None) -> np.ndarray:
    """Cut out the sheet that the digit stands on, if something else is around it.

    A sheet may lie on another: paper on a desk, and on it a form's box.
    """
    for _ in range(MAX_SHEETS):
        sheets = find_sheets(gray, brightness)
        if not sheets:
            break
        gray, brightness = sheets[0].crop(gray), None
    return gray


def is_mnist(pixels: np.ndarray) -> bool:
    """Return whether this is an MNIST image already, by what all 70,000 of them have in common.

    They have 28×28 pixels, a larger dimension of 19 or 20, a brightest pixel of 254 or 255, and
    their center of mass within half a pixel of (14, 14).
    """
    if pixels.shape != (FRAME, FRAME) or pixels.max() < 254:
        return False
    profiles = pixels.sum(1), pixels.sum(0)
    inked = [np.flatnonzero(profile) for profile in profiles]
    if max(places[-1] - places[0] + 1 for places in inked) not in (19, 20):
        return False
    return all(abs(_middle(profile) - FRAME / 2) <= 0.55 for profile in profiles)


def to_gray(pixels: np.ndarray) -> np.ndarray:
    """Reduce colors to gray along the direction in which they differ most.

    Plain brightness would lose red ink on green paper. The main direction of the colors (their
    first principal component) is brightness for a usual image, and the ink's color for
    colored ink. Returns uint8 ``[H, W]``.
    """
    if pixels.ndim == 2:
        return pixels
    image = Image.fromarray(pixels)
    colors = np.asarray(image.reduce(1 + max(image.size) // 128)).reshape(-1, 3)
    spread = np.cov(colors, rowvar=False)
    direction = np.linalg.eigh(spread)[1][:, -1]
    if abs(direction.sum()) < 1e-6 or np.allclose(spread, 0):
        direction = np.ones(3)
    direction *= np.sign(direction.sum()) / np.abs(direction).sum()
    darkest = 255 * np.minimum(direction, 0).sum()
    return np.asarray(image.convert("L", (*direction, -darkest)))


def extract_ink(gray: np.ndarray, brightness: Brightness | None = None) -> np.ndarray:
    """Tell ink from paper: uint8 ``[H, W]``, 0 where there is paper, up to 255 for ink.

    The paper is what most of the border and most of the image show. Where its brightness differs
    from place to place, or so much is ink that half of it must be a shadow, the paper is estimated
    everywhere and taken away.
    """
    brightness = brightness or Brightness.of(gray)
    if brightness.span < MIN_CONTRAST:
        raise BlankImageError(
            "the image is empty: all of it has nearly the same brightness. Is there a digit "
            "in it, and is the ink dark enough?"
        )
    light = gray > np.uint8(brightness.threshold)
    border = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    share = border.mean() + brightness.light_share
    paper, threshold = brightness.part(light=share > 1).quantile(0.5), brightness.threshold
    if share > 1:  # the paper is the lighter part
        gray, light, share = 255 - gray, ~light, 2 - share
        paper, threshold = 255 - paper, 255 - threshold
    if share < 0.7 and is_evenly_lit(gray, light, threshold):
        return _subtract_background(np.float32(paper), gray)
    if max(gray.shape) <= 64:  # a drawing or a scan, no photo
        return _subtract_background(estimate_background(gray), gray)
    return correct_illumination(gray)


def is_evenly_lit(gray: np.ndarray, light: np.ndarray, threshold: float) -> bool:
    """Return whether the paper's brightness is nearly the same everywhere, for light ink on dark.

    Measured on a coarse copy, without lines (which are narrow) and away from ink and its gray edge.
    """
    coarse = _downsample(gray)
    within = coarse <= int(coarse.min()) + 2 * UNEVEN  # none deviates by more than half of a range
    if (within | dilate(coarse > threshold)).all():
        return True  # what is lighter is at ink; a cell with this mean has some
    paper = ~dilate(_downsample(light.view(np.uint8) * np.uint8(255)) > 0)
    if within[paper].all():
        return True
    opened = ndimage.grey_opening(coarse, (5, 5), mode="nearest")
    return bool(opened[paper].std(dtype=np.float32) <= UNEVEN)


def _downsample(gray: np.ndarray) -> np.ndarray:
    """Downsample an image to at most `COARSE_SIDE` pixels in width and height, by area."""
    scale = max(1.0, max(gray.shape) / COARSE_SIDE)
    height, width = (max(3, round(side / scale)) for side in gray.shape)
    return np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BOX))


def _subtract_background(level: np.ndarray | np.float32, gray: np.ndarray) -> np.ndarray:
    """Return how much lighter than the paper's level each pixel is: uint8."""
    if np.ndim(level) == 0 and float(level).is_integer():
        return np.maximum(gray, np.uint8(level)) - np.uint8(level)
    return np.clip(np.round(gray - level), 0, 255).astype(np.uint8)


def correct_illumination(gray: np.ndarray) -> np.ndarray:
    """Tell ink from paper where shadows and lamps make the paper's brightness differ.

    How wide the strokes are is not known yet, and in strong shade not even for certain which is
    the ink. So all windows are tried on a smaller copy, for light ink and for dark, and that try
    is taken whose digit has the sharpest outline: strokes have sharp edges, shadows soft ones.

    Raises `BlankImageError` if no outline is sharp.
    """
    image = Image.fromarray(gray)
    small = np.asarray(image.reduce(max(1, -(-max(image.size) // 160))))
    slopes = [ndimage.sobel(small.astype(np.float32), axis, mode="nearest") for axis in (0, 1)]
    edges = np.hypot(*slopes)
    sharp = np.percentile(edges, 99) / 2
    best, step, found = -np.inf, 0.0, (gray, WINDOWS[0])
    # the border suggests that the second is the wrong polarity
    for candidate, copy, trust in ((gray, small, 1.0), (255 - gray, 255 - small, 0.7)):
        for window in WINDOWS:
            outline = _edges_of_outline(copy, window, edges)
            score = trust * (outline - sharp).sum()
            if outline.size and score > best:
                best, found = score, (candidate, window)
                step = outline.mean() / 4  # Sobel's filter adds four up
    if step < MIN_CONTRAST:
        raise BlankImageError(
            "the image is empty: it has shadows, but nothing in it has a sharp edge"
        )
    candidate, window = found
    return _subtract_background(estimate_background(candidate, window), candidate)


def _edges_of_outline(gray: np.ndarray, window: float, edges: np.ndarray) -> np.ndarray:
    """Return how steep the image is along the outline of the digit that a window would find."""
    ink = _subtract_background(estimate_background(gray, window), gray)
    if np.ptp(ink) < MIN_CONTRAST:
        return edges[:0, 0]
    mask = digit_mask(ink)
    return edges[ndimage.maximum_filter(mask, 3) != ndimage.minimum_filter(mask, 3)]


def estimate_background(gray: np.ndarray, window: float = WINDOWS[0]) -> np.ndarray:
    """Estimate the paper's brightness at each pixel, for light ink on dark: float32 ``[H, W]``.

    A gray opening at a coarse scale: the darkest value near each pixel, and the lightest of those
    near it, so that everything narrower than the window, and with it the ink, is leveled. The
    window is a share of the larger dimension.
    """
    coarse = ndimage.median_filter(_downsample(gray).astype(np.float32), 3)
    side = max(3, round(window * max(coarse.shape)))
    level = ndimage.grey_opening(coarse, (side, side), mode="nearest")
    level = ndimage.gaussian_filter(level, side / 4, mode="nearest")
    return np.asarray(Image.fromarray(level).resize(gray.shape[::-1], Image.Resampling.BICUBIC))


def crop_digit(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cut the digit out with nothing around it, and bring it to a working size of 80 pixels.

    Returns float32 in [0, 1] with 0.5 at the threshold between ink and paper.
    """
    rows, columns = bounding_box(mask)
    part = (
        slice(max(rows.start - 1, 0), rows.stop + 1),
        slice(max(columns.start - 1, 0), columns.stop + 1),
    )
    ink, mask = ink[part], mask[part]
    full = Brightness.of(ink[mask]).quantile(0.75)
    near = dilate(mask)  # with the strokes' gray edges
    crop = ink / np.float32(full)
    np.minimum(crop, 1, out=crop)
    crop[~near] = 0
    side = BOX * DETAIL
    scale = side / max(crop.shape)
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    filter_ = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    return np.clip(np.asarray(Image.fromarray(crop).resize(size, filter_)), 0, 1)


def normalize_stroke_width(crop: np.ndarray) -> np.ndarray:
    """Bring strokes wider or thinner than MNIST's to the nearest width that it has.

    A hair-thin pen and a thick marker write the same digit. The width is measured along the
    strokes' middle lines, and added or taken away on both sides, which leaves black and white.
    Other strokes stay as they are: in a small image it is the gray edges that show the form.
    Before that, ink is measured against the darkest ink nearby, so that a stroke does not break
    where the pencil was pressed lightly.

    Returns float32 in [0, 1].
    """
    middle = (slice(2 * DETAIL, -2 * DETAIL),) * 2
    padded = np.zeros([side + 4 * DETAIL for side in crop.shape], np.float32)
    padded[middle] = crop / ndimage.maximum_filter(crop, 6 * DETAIL + 1, mode="constant").clip(0.5)
    crop = padded
    mask = crop >= 0.5
    inner = (slice(2 * DETAIL - 1, 1 - 2 * DETAIL),) * 2  # with one pixel of paper around it
    distance = np.zeros(mask.shape)
    distance[inner] = ndimage.distance_transform_edt(mask[inner])
    width = stroke_width(mask[inner], distance[inner])
    missing = (np.clip(width, STROKES[0] * DETAIL, STROKES[1] * DETAIL) - width) / 2
    if missing == 0:
        return crop
    if missing > 0:
        return (ndimage.distance_transform_edt(~mask) <= missing).astype(np.float32)
    return (distance > min(-missing, width / 4)).astype(np.float32)


def stroke_width(mask: np.ndarray, distance: np.ndarray) -> float:
    """Return the mean width of the strokes in pixels, along their middle lines.

    `distance` has each pixel's distance to the nearest one that is not the digit's.
    """
    from skimage.morphology import skeletonize

    middle = skeletonize(mask)
    return float(2 * distance[middle].mean()) if middle.any() else 0.0


def fit_into_box(strokes: np.ndarray) -> np.ndarray:
    """Scale the digit, aspect ratio kept, to fit 20×20 pixels with antialiased edges: uint8.

    The brightest pixel comes to 255, as MNIST's are, wherever the strokes lie among the pixels. The
    smaller dimension is rarely a whole number of pixels; it is padded up to the next one, since
    rounding it would make a thin 1 half as wide again.
    """
    crop = strokes[bounding_box(strokes >= 0.25)]
    pixel = max(crop.shape) / BOX
    cells = [int(np.ceil(round(side / pixel, 6))) for side in crop.shape]
    missing = [
        max(0, round(count * pixel) - side) for count, side in zip(cells, crop.shape, strict=True)
    ]
    if any(missing):
        crop = np.pad(crop, [(gap // 2, gap - gap // 2) for gap in missing])
    image = Image.fromarray(np.round(255 * crop).astype(np.uint8))
    fitted = np.asarray(image.resize((cells[1], cells[0]), Image.Resampling.BOX))
    return np.round(fitted * (255 / fitted.max())).astype(np.uint8)


def center(fitted: np.ndarray) -> np.ndarray:
    """Place the digit in 28×28 so that its center of mass is in the middle: uint8 ``[28, 28]``."""
    frame = np.zeros((FRAME, FRAME), np.uint8)
    corner = [
        int(np.clip(round(FRAME / 2 - at), 0, FRAME - side))
        for at, side in zip(center_of_mass(fitted), fitted.shape, strict=True)
    ]
    frame[corner[0] : corner[0] + fitted.shape[0], corner[1] : corner[1] + fitted.shape[1]] = fitted
    return frame


def center_of_mass(pixels: np.ndarray) -> tuple[float, float]:
    """Return the row and the column in which the ink has its center of mass."""
    return _middle(pixels.sum(1)), _middle(pixels.sum(0))


def _middle(profile: np.ndarray) -> float:
    """Return where the center of mass of a row's or a column's sums is."""
    return profile @ np.arange(len(profile)) / profile.sum()
