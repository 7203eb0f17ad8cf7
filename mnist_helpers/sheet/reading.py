"""Reads the photo of a sheet: finds the page, flattens it, cuts out the boxes."""

from __future__ import annotations

import base64
import binascii
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.interpolate import RBFInterpolator

from ..data.digits import Digits
from ..decode import BlankImageError, ImageLike, InvalidImageError, decode_with_scale
from ..preprocess import to_mnist
from .layout import CODE, CODE_PREFIX, LABEL, MARKER, PAGE, PLACES, Box, Layout, place_of
from .opencv import cv2, marker_dictionary

MAX_SIDE = 3600  # pixels: larger photos are reduced to it
PDF_DPI = 200  # at which a page of a PDF is rendered, if it is no larger then
SCALES = (4.0, 12.0)  # fewest and most pixels per millimeter of the flattened page
MIN_MARKERS = 3  # of the eight in the margins
MAX_FOREIGN = 3  # of another sheet's markers, as many as stand in a margin
INK = 0.3  # of the markers' black: what is lighter is paper, or a printed line
MIN_INK = 1.0  # square millimeters: less of it in a box is a speck
INSET = 0.7  # millimeters from a box's line to what is cut out
EDGE = 1.3  # millimeters around what is cut out in which there is only ink and paper
REACH = 1.2  # millimeters around the place where a line should be in which it is looked for


class SheetError(ValueError):
    """The image does not show a sheet of `make_sheet`, or not enough of it."""


@dataclass(frozen=True, eq=False, repr=False)
class SheetDigits(Digits):
    """The digits of a sheet, labeled by the boxes that they stand in.

    Parameters
    ----------
    images, labels, source
        As for `Digits`.
    crops : list of ndarray of shape [H, W], dtype uint8, default=[]
        What was cut out of each digit's box: dark ink on white paper, in even light.
    photo : str, default=""
        The name of the photo's file.
    boxes : list of int, default=[]
        The number of each digit's box, as `boxes` counts them.
    writer : str or None, default=None
        The name on the sheet; None if the code that holds it cannot be read.
    empty, crossed_out : list of int, default=[]
        The boxes that hold no digit, and those that were crossed out.
    """

    crops: list[np.ndarray] = field(default_factory=list)
    photo: str = ""
    boxes: list[int] = field(default_factory=list)
    writer: str | None = None
    empty: list[int] = field(default_factory=list)
    crossed_out: list[int] = field(default_factory=list)


def read_sheet(image: ImageLike) -> SheetDigits:
    """Read the photo or scan of a sheet that `make_sheet` has made.

    The page may be turned, tilted, slightly curled and unevenly lit, and some markers may be
    covered.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image, array or tensor
        The photo, as for `to_mnist`. A path may also be a scan in a PDF, of which the first page is
        read.

    Returns
    -------
    SheetDigits
        The digits with their labels, in the order of the boxes; also their crops, the writer's
        name, and which boxes are empty or crossed out.

    Raises
    ------
    SheetError
        If too few markers are seen; the message says which, and what to do.
    InvalidImageError, OSError
        If the image cannot be decoded or opened.
    ImportError
        If OpenCV is missing; the message says what to install.
    """
    name = os.fspath(image) if isinstance(image, (str, os.PathLike)) else "the image"
    photo = _open(image, name)
    try:
        found = find_markers(photo)
        layout = _layout(found)
        page, scale = flatten(photo, found)
    except SheetError as error:
        raise SheetError(f"{name}: {error}") from None
    return _cut(page, scale, layout, read_writer(page, scale), Path(name).name)


def _open(image: ImageLike, name: str) -> np.ndarray:
    """Return an image as uint8 ``[H, W, 3]``, upright and at most `MAX_SIDE` pixels long."""
    if name.lower().endswith(".pdf"):
        image = _pdf_page(name)
    photo, _ = decode_with_scale(image, MAX_SIDE)
    return photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)


def _pdf_page(path: str) -> Image.Image:
    """Return the first page of a PDF."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        with PdfDocument(path) as document:
            page = document[0]
            return page.render(scale=min(PDF_DPI / 72, MAX_SIDE / max(page.get_size()))).to_pil()
    except PdfiumError as error:
        raise InvalidImageError(f"{path} cannot be read as a PDF: {error}") from error


def find_markers(photo: np.ndarray) -> dict[int, np.ndarray]:
    """Find the markers in a photo.

    Returns
    -------
    dict of int to ndarray of shape [4, 2], dtype float32
        The corners of each marker in pixels, by the marker's number: first the one that is its
        upper left when the page is upright, then clockwise.

    Raises
    ------
    SheetError
        If the markers are those of several sheets.
    """
    cv = cv2()
    parameters = cv.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv.aruco.CORNER_REFINE_SUBPIX
    parameters.adaptiveThreshWinSizeMax = 73
    detector = cv.aruco.ArucoDetector(marker_dictionary(), parameters)
    gray = cv.cvtColor(photo, cv.COLOR_RGB2GRAY)
    best: dict[int, np.ndarray] = {}
    for zoom in (1.0, 2.0, 0.5):  # small markers are found when enlarged, blurred ones when reduced
        if zoom > 1 and max(gray.shape) > MAX_SIDE / zoom:
            continue
        size = (round(zoom * gray.shape[1]), round(zoom * gray.shape[0]))
        method = cv.INTER_AREA if zoom < 1 else cv.INTER_CUBIC
        corners, numbers, _ = detector.detectMarkers(cv.resize(gray, size, interpolation=method))
        seen = [] if numbers is None else numbers.ravel().tolist()
        _refuse_several(seen)
        for number, quad in zip(seen, corners, strict=True):
            if place_of(number) is not None:
                best.setdefault(number, (quad.reshape(4, 2) + 0.5) / zoom - 0.5)
        if len(best) >= len(PLACES) + 3:
            break
    return best


def _refuse_several(numbers: list[int]) -> None:
    """Refuse a photo of several sheets, whose markers have the same numbers."""
    counts = Counter(number for number in numbers if number in PLACES)
    if sum(count > 1 for count in counts.values()) > MAX_FOREIGN:
        raise SheetError(
            "several sheets are seen, and which marker belongs to which is not. Photograph each "
            "sheet on its own, or cut the photo in pieces"
        )


def _layout(found: dict[int, np.ndarray]) -> Layout:
    seen = len(PLACES.keys() & found.keys())
    if not found:
        raise SheetError(
            "no marker of a sheet is seen. Photograph a page that `sheet make` has printed, the "
            "whole of it, sharp and in even light"
        )
    if seen < MIN_MARKERS:
        raise SheetError(
            f"only {seen} of the {len(PLACES)} markers in the margins are seen, and at least "
            f"{MIN_MARKERS} are needed. Photograph the whole page, sharp and in even light"
        )
    try:
        return Layout.from_markers(set(found))
    except ValueError as error:
        raise SheetError(f"{error}: uncover them, or photograph the page again") from None


def flatten(photo: np.ndarray, found: dict[int, np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the page as if it had been scanned, and how many pixels a millimeter has.

    A homography maps the plane page to the photo; what a curled page deviates from it at the
    markers is interpolated between them by a thin-plate spline.

    Returns
    -------
    page : ndarray of shape [H, W], dtype float32
        0 for paper, 1 for the black of the markers; the light is evened out.
    scale : float
    """
    cv = cv2()
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * MARKER
    on_page = np.concatenate([np.array(place_of(number)) + square for number in found])
    in_photo = np.concatenate(list(found.values())).astype(np.float64)
    marker = np.median(
        [np.sqrt(cv.contourArea(quad.astype(np.float32))) for quad in found.values()]
    )
    homography, inliers = cv.findHomography(on_page, in_photo, cv.RANSAC, 0.25 * marker)
    if homography is None or inliers.sum() < 4 * MIN_MARKERS:
        raise SheetError(
            "the markers do not lie as on a page: is it folded, or are these several sheets? "
            "Photograph one page, flat"
        )
    kept = inliers.ravel().astype(bool)
    scale = float(np.clip(marker / MARKER, *SCALES))
    x, y = np.meshgrid(np.arange(0, PAGE[0] + 6, 6), np.arange(0, PAGE[1] + 6, 6))
    coarse = np.stack([x.ravel(), y.ravel()], axis=1)
    bend = RBFInterpolator(
        on_page[kept], in_photo[kept] - _apply(homography, on_page[kept]), smoothing=1.0
    )
    places = (_apply(homography, coarse) + bend(coarse)).reshape(*x.shape, 2).astype(np.float32)
    width, height = round(PAGE[0] * scale), round(PAGE[1] * scale)
    # Pixel centers of the page, in steps of the coarse grid.
    columns = ((np.arange(width, dtype=np.float32) + 0.5) / scale / 6)[None].repeat(height, 0)
    rows = ((np.arange(height, dtype=np.float32) + 0.5) / scale / 6)[:, None].repeat(width, 1)
    maps = [
        cv.remap(np.ascontiguousarray(places[..., axis]), columns, rows, cv.INTER_LINEAR)
        for axis in (0, 1)
    ]
    flat = cv.remap(photo, *maps, cv.INTER_LINEAR, borderMode=cv.BORDER_REPLICATE)
    return _even_out(flat, scale), scale


def _apply(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    mapped = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ homography.T
    return mapped[:, :2] / mapped[:, 2:]


def _even_out(flat: np.ndarray, scale: float) -> np.ndarray:
    """Return how dark each pixel is compared with the paper around it and the markers' black."""
    cv = cv2()
    small = cv.resize(flat, None, fx=2 / scale, fy=2 / scale, interpolation=cv.INTER_AREA)
    kernel = cv.getStructuringElement(cv.MORPH_ELLIPSE, (29, 29))  # wider than a marker
    paper = cv.GaussianBlur(cv.morphologyEx(small, cv.MORPH_CLOSE, kernel), (0, 0), 6)
    paper = cv.resize(paper, flat.shape[1::-1], interpolation=cv.INTER_LINEAR).astype(np.float32)
    darkness = (1 - flat / np.maximum(paper, 1)).max(axis=2).astype(np.float32)
    blacks = []
    for left, top in PLACES.values():
        part = darkness[_slice(top, top + MARKER, scale), _slice(left, left + MARKER, scale)]
        blacks.append(np.percentile(part, 75))
    return np.clip(darkness / max(float(np.median(blacks)), 0.1), 0, 1)


def _slice(start: float, stop: float, scale: float) -> slice:
    return slice(max(0, round(start * scale)), round(stop * scale))


def read_writer(page: np.ndarray, scale: float) -> str | None:
    """Return the writer's name from the code on the page, or None if it cannot be read."""
    cv = cv2()
    left, top, side = CODE
    part = page[_slice(top - 4, top + side + 4, scale), _slice(left - 4, left + side + 4, scale)]
    gray = (255 * (1 - part)).astype(np.uint8)
    for zoom in (1, 2, 4):
        size = (zoom * gray.shape[1], zoom * gray.shape[0])
        copy = cv.resize(gray, size, interpolation=cv.INTER_CUBIC)
        text = cv.QRCodeDetector().detectAndDecode(copy)[0]
        if text.startswith(CODE_PREFIX):
            try:
                return base64.urlsafe_b64decode(text.removeprefix(CODE_PREFIX)).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
    return None


def _cut(
    page: np.ndarray, scale: float, layout: Layout, writer: str | None, name: str
) -> SheetDigits:
    """Cut out the boxes of a flat page, and preprocess what is written in them."""
    images, labels, crops, kept = [], [], [], []
    empty, crossed_out = [], []
    for number, box in enumerate(layout.boxes):
        crop = _crop(page, scale, box)
        if not _has_ink(crop, scale):
            empty.append(number)
            continue
        if _is_crossed_out(crop):
            crossed_out.append(number)
            continue
        pixels = np.round(255 * (1 - crop)).astype(np.uint8)
        try:
            images.append(to_mnist(pixels))
        except BlankImageError:
            empty.append(number)
            continue
        labels.append(box.label)
        crops.append(pixels)
        kept.append(number)
    stacked = np.array(images, np.uint8).reshape(-1, 1, 28, 28)
    source = f"{name}, by {writer}" if writer else name
    return SheetDigits(
        torch.from_numpy(stacked),
        torch.tensor(labels, dtype=torch.int64),
        source,
        crops,
        name,
        kept,
        writer,
        empty,
        crossed_out,
    )


def _crop(page: np.ndarray, scale: float, box: Box) -> np.ndarray:
    """Cut out what is inside a box's lines, without its label."""
    reach = round(REACH * scale)
    middle = (
        _slice(box.top + 3, box.bottom - 3, scale),
        _slice(box.left + 3, box.right - 3, scale),
    )
    columns, rows = page[middle[0]].mean(axis=0), page[:, middle[1]].mean(axis=1)
    inset = round(INSET * scale)
    left, right = (_line(columns, side * scale, reach) for side in (box.left, box.right))
    top, bottom = (_line(rows, side * scale, reach) for side in (box.top, box.bottom))
    crop = page[top + inset : bottom - inset + 1, left + inset : right - inset + 1].copy()
    width = round((LABEL[0] + 0.4) * scale) - inset
    height = round((LABEL[1] + 0.4) * scale) - inset
    crop[:height, :width] = 0
    edge = round(EDGE * scale)
    inner = crop[edge:-edge, edge:-edge].copy()
    crop[crop < INK] = 0  # what is left of a line on a curled page
    crop[edge:-edge, edge:-edge] = inner
    return crop


def _line(profile: np.ndarray, expected: float, reach: int) -> int:
    """Return where a printed line lies near the place where it should be."""
    start = max(0, round(expected) - reach)
    near = profile[start : round(expected) + reach + 1]
    if near.max() - np.median(near) < 0.04:
        return round(expected)
    return start + int(near.argmax())


def _has_ink(crop: np.ndarray, scale: float) -> bool:
    """Return whether a box holds more than specks."""
    cv = cv2()
    ink = np.uint8(cv.blur(crop, (3, 3)) > INK)
    _, _, stats, _ = cv.connectedComponentsWithStats(ink, connectivity=8)
    areas = stats[1:, cv.CC_STAT_AREA] / scale**2
    return bool(areas[areas > 0.2].sum() >= MIN_INK)


def _is_crossed_out(crop: np.ndarray) -> bool:
    """Return whether a line leads from corner to corner, as no digit does."""
    cv = cv2()
    square = cv.resize(crop, (64, 64), interpolation=cv.INTER_AREA)
    near = cv.dilate(np.uint8(square > INK), np.ones((7, 7), np.uint8))
    along = np.arange(6, 58)
    return bool(near[along, along].mean() > 0.95 or near[along, 63 - along].mean() > 0.95)
