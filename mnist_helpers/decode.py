"""Any file or array as an upright uint8 image, safely.

Paths, bytes, open files, PIL images, arrays and tensors: whatever comes is either an image of at
most `WORKING_SIDE` pixels in width and height, upright, opaque and of 8 bits, or an error that
names it.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from math import ceil, floor
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeGuard, cast

import numpy as np
from PIL import ExifTags, Image, ImageStat, UnidentifiedImageError

from .image_files import complaint_before_decoding, complaint_before_opening, complaint_of_exif

if TYPE_CHECKING:
    import torch

ImageLike: TypeAlias = (
    "str | os.PathLike | bytes | bytearray | BinaryIO | Image.Image | np.ndarray | torch.Tensor"
)

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "ICO")
USUAL_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM")  # tried first: importing all takes longer
WORKING_SIDE = 512  # larger images are reduced to this side before anything else is done
MAX_PIXELS = 120_000_000
SMALL = 1 << 16  # bytes of a file that is read at once: it is looked at more than once
MIN_SIDE = 5
BIT_DEPTHS = (8, 10, 12, 14, 16, 32)  # of what scanners and cameras store in 16 bits or more
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
NON_IMAGE_SIGNATURES = {  # how files begin that people take for images, and what to do with them
    b"%!PS": "is a drawing in PostScript, not an image: save it as PNG first",
    b"\xc5\xd0\xd3\xc6": "is a drawing in PostScript, not an image: save it as PNG first",
    b"\xd7\xcd\xc6\x9a": "is a drawing (WMF), not an image: save it as PNG first",
    b"%PDF": "is a PDF, not an image: save its page as PNG first",
    b"<svg": "is a drawing (SVG), not an image: save it as PNG first",
    b"version https://git-lfs": "is a Git LFS pointer, not the image itself: run `git lfs pull`",
    b"<!DOCTYPE html": "is a web page, not an image: download the image itself",
    b"<html": "is a web page, not an image: download the image itself",
}
TRANSPOSES = {  # how an image is turned, by the orientation in its EXIF data
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class InvalidImageError(ValueError):
    """The input is not an image, or not one that can be decoded."""


class BlankImageError(InvalidImageError):
    """There is no digit in the image."""


def decode(image: ImageLike) -> np.ndarray:
    """Read an image of any kind as uint8 ``[H, W]`` or ``[H, W, 3]``, upright and without alpha.

    Photos carry their rotation in EXIF data; it is applied. Transparent images are laid on
    white or on black, whichever their ink stands out from. Large ones are reduced.
    """
    return decode_with_scale(image)[0]


def decode_with_scale(image: ImageLike, max_side: int = WORKING_SIDE) -> tuple[np.ndarray, float]:
    """Return the decoded image, and how many pixels of the original one of its pixels is.

    It is reduced to at most `max_side` pixels in width and height.
    """
    if isinstance(image, np.ndarray) or _is_tensor(image):
        return _to_upright_array(_from_array(image), max_side)
    if isinstance(image, Image.Image):
        return _to_upright_array(image, max_side)
    name, file = "the image", image
    if isinstance(image, (str, os.PathLike)):
        name = os.fspath(image)
    elif isinstance(image, (bytes, bytearray)):
        file = io.BytesIO(image)
    elif not hasattr(image, "read"):
        raise InvalidImageError(
            "expected a path, bytes, an open file, a PIL image, an array or a tensor, "
            f"not {type(image).__name__}"
        )
    with open_image(cast("str | os.PathLike | BinaryIO", file), name) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise InvalidImageError(
                f"{name} has {opened.width:,} × {opened.height:,} pixels: more than "
                f"{MAX_PIXELS // 1_000_000} million are not read. Reduce it first."
            )
        size = opened.size
        opened.draft("RGB", (max_side, max_side))  # a smaller one, from JPEG
        opened.load()
        _refuse(complaint_of_exif(opened), name)
        return _to_upright_array(opened, max_side, size)


@contextmanager
def open_image(
    file: str | os.PathLike | BinaryIO, name: str = "the image"
) -> Iterator[Image.Image]:
    """Open an image file of one of `FORMATS` without decoding it; close it at the end.

    Parameters
    ----------
    file : path or binary file
    name : str, default="the image"
        What errors call it.

    Raises
    ------
    InvalidImageError
        If it is of another format or damaged, or asks its decoder for far more than an image of its
        size needs (see `image_files`); also for whatever goes wrong while it is used: Pillow's
        decoders raise errors of many kinds.
    FileNotFoundError, PermissionError, IsADirectoryError
        If the file cannot be opened.
    """
    try:
        with _as_binary(file) as opened, _open_within_bounds(opened, name) as image:
            yield image
    except (FileNotFoundError, PermissionError, IsADirectoryError, MemoryError, InvalidImageError):
        raise
    except UnidentifiedImageError as error:
        raise InvalidImageError(f"{name} {error}") from error
    except Image.DecompressionBombError as error:
        raise InvalidImageError(f"{name} is far too large to be read: {error}") from error
    except Exception as error:
        raise InvalidImageError(f"{name} is damaged: {error}") from error


@contextmanager
def _as_binary(file: str | os.PathLike | BinaryIO) -> Iterator[BinaryIO]:
    """Open a path; a small file, and one that cannot be sought, is read into memory."""
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as opened:
            content = opened.read(SMALL)
            yield io.BytesIO(content) if len(content) < SMALL else opened
    else:
        try:
            file.seek(0)
        except (AttributeError, io.UnsupportedOperation):
            file = io.BytesIO(file.read())
        yield file


@contextmanager
def _open_within_bounds(file: BinaryIO, name: str) -> Iterator[Image.Image]:
    """Open an image file that asks for no more than an image of its size needs."""
    _refuse(complaint_before_opening(file), name)
    try:
        try:
            image = Image.open(file, formats=USUAL_FORMATS)
        except UnidentifiedImageError:
            image = Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(_diagnose(file)) from error
    with image:
        _refuse(complaint_before_decoding(image), name)
        yield image


def _refuse(complaint: str | None, name: str) -> None:
    """Raise an error if there is anything to complain about."""
    if complaint:
        raise InvalidImageError(f"{name} {complaint}")


@cache
def _formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this installation can read: HEIF needs `pillow-heif`."""
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(format_ for format_ in FORMATS if format_ in Image.OPEN)


def _diagnose(file: BinaryIO) -> str:
    """Say what a file is that Pillow does not know as an image, by its first bytes."""
    file.seek(0)
    head = file.read(64)
    if not head:
        return "is empty: it has 0 bytes"
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        if "HEIF" in _formats():
            return "is a damaged HEIC photo"
        return (
            "is a HEIC photo, as iPhones take them: `pip install pillow-heif` lets it be read "
            '(or `pip install "mnist-helpers[heif]"`), or save it as JPEG'
        )
    for beginning, message in NON_IMAGE_SIGNATURES.items():
        if head.lstrip().lower().startswith(beginning.lower()):
            return message
    return f"is not an image in a format that can be read ({', '.join(_formats())})"


def decode_base64(text: str) -> bytes:
    r"""Decode base64 in the forms that people send: wrapped, URL-safe, unpadded, as a data URL.

    Raises
    ------
    InvalidImageError
        If it is not base64.

    Examples
    --------
    >>> decode_base64("data:image/png;base64,iVBO\nRw0K_-A")
    b'\x89PNG\r\n\xff\xe0'
    """
    digits = "".join(text.rpartition("base64,")[2].split()).rstrip("=")
    digits = digits.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError as error:
        raise InvalidImageError(f"this is not base64: {error}") from error


def _to_upright_array(
    image: Image.Image, max_side: int, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, float]:
    """Reduce, turn and flatten an image that was once of `size`; see `decode_with_scale`."""
    pixels = _flatten_alpha(_downscale(image, max_side))
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InvalidImageError(
            f"an image of {width}×{height} pixels is too small to hold a digit: at least "
            f"{MIN_SIDE}×{MIN_SIDE} are needed"
        )
    return pixels, max(size or image.size) / max(pixels.shape[:2])


def _is_tensor(given: object) -> TypeGuard[torch.Tensor]:
    """Return whether this is a PyTorch tensor, without importing PyTorch for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, torch.Tensor)


def _from_array(array: np.ndarray | torch.Tensor) -> Image.Image:
    """Turn an array or tensor into a PIL image."""
    return _from_ndarray(_from_tensor(array) if _is_tensor(array) else np.asarray(array))


def _from_ndarray(array: np.ndarray) -> Image.Image:
    """Turn an array into a PIL image."""
    if array.dtype.kind not in "biuf":
        raise InvalidImageError(f"expected numbers, not an array of {array.dtype}")
    return Image.fromarray(np.ascontiguousarray(_as_uint8(_channels_last(array))))


def _channels_last(array: np.ndarray) -> np.ndarray:
    """Return an array as ``[H, W]`` or ``[H, W, 3 or 4]``."""
    shape = array.shape
    if array.ndim == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)  # channels first, as in PyTorch
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InvalidImageError(
            f"expected [H, W], [H, W, 3 or 4] or [1 or 3, H, W], not {list(shape)}"
        )
    if 0 in array.shape:
        raise InvalidImageError(f"the image has no pixels: its shape is {list(shape)}")
    return array


def _as_uint8(array: np.ndarray) -> np.ndarray:
    """Bring values to uint8: bools, floats in [0, 1], whole numbers in 0 to 255, 16 bits."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16 and array.max() > 255:
        return _to_8_bits(array)
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise InvalidImageError(
                "floats must lie in [0, 1]; divide by 255, or pass whole numbers as uint8"
            )
        return np.round(array * 255).astype(np.uint8)
    if array.min() < 0 or array.max() > 255:
        raise InvalidImageError(f"{array.dtype} values must lie in 0 to 255")
    return array.astype(np.uint8)


def _from_tensor(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor's values as an array; NumPy lacks some of PyTorch's floats."""
    if tensor.is_floating_point():
        tensor = tensor.float()
    try:
        return tensor.detach().cpu().numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise InvalidImageError(f"the tensor has no pixels that can be read: {error}") from error


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Bring deep pixels to uint8, by the least of `BIT_DEPTHS` that holds the brightest of them.

    Scanners and cameras store 10, 12 or 14 bits in 16; floats may lie in [0, 1].
    """
    brightest = values.max()
    if not np.isfinite(brightest) or not np.isfinite(values.min()):
        raise InvalidImageError("some pixels are not numbers")
    depth = next((bits for bits in BIT_DEPTHS if brightest < 1 << bits), BIT_DEPTHS[-1])
    if values.dtype.kind == "f":
        values = values * (255 / (1 if brightest <= 1 else (1 << depth) - 1))
    elif depth > 8:
        values = values >> (depth - 8)
    return np.clip(values, 0, 255).astype(np.uint8)


def _downscale(image: Image.Image, max_side: int) -> Image.Image:
    """Return an image upright, of 8 bits, and at most `max_side` pixels wide and high."""
    image.load()
    turn = TRANSPOSES.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    image = _in_8_bits(image)
    if max(image.size) > max_side:
        size = _size_within(image.size, max_side)
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2)
    return image if turn is None else image.transpose(turn)


def _size_within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size that Pillow's `thumbnail` gives an image that is larger than this square.

    `thumbnail` itself would change the caller's image, or need a copy of all its pixels.
    """
    width, height = size
    aspect = width / height
    if width < height:
        exact = side * aspect
        return max(min(floor(exact), ceil(exact), key=lambda n: abs(aspect - n / side)), 1), side
    exact = side / aspect
    shorter = min(floor(exact), ceil(exact), key=lambda n: abs(aspect - side / n) if n else 0)
    return side, max(shorter, 1)


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Return an image in one of the modes L, LA, RGB and RGBA."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return Image.fromarray(_to_8_bits(np.asarray(image)))
    if image.mode in ("PA", "La", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")


def _flatten_alpha(image: Image.Image) -> np.ndarray:
    """Lay a transparent image on white or black, whichever its ink stands out from."""
    if image.mode not in ("RGBA", "LA"):
        return np.array(image)
    alpha = image.getchannel("A")
    if np.asarray(alpha).min() > 252:
        return np.array(image.convert("RGB"))
    image = image.convert("RGBA")
    *color, opacity = ImageStat.Stat(image.convert("RGBa")).sum  # colors times alpha
    paper = "white" if sum(color) < 3 * opacity / 2 else "black"
    sheet = Image.new("RGB", image.size, paper)
    sheet.paste(image, mask=alpha)
    return np.array(sheet)


@contextmanager
def name_in_errors(image: ImageLike) -> Iterator[None]:
    """Let the error about an empty image begin with its path, if it has one."""
    try:
        yield
    except BlankImageError as error:
        if not isinstance(image, (str, os.PathLike)):
            raise
        raise BlankImageError(f"{os.fspath(image)}: {error}") from error


def encode_png(image: Image.Image | np.ndarray) -> bytes:
    """Return an image as the bytes of a PNG file.

    Parameters
    ----------
    image : PIL image, or ndarray of shape [H, W] or [H, W, 3], dtype uint8
    """
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, "PNG")
    return file.getvalue()
