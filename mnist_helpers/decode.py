"""Any file or array as an upright uint8 image, safely.

Paths, bytes, open files, PIL images, arrays and tensors: whatever comes is either an image of at
most `WORKING_SIDE` pixels a side, upright, opaque and of 8 bits, or an error that names it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeGuard

import numpy as np
from PIL import ExifTags, Image, ImageStat, UnidentifiedImageError

if TYPE_CHECKING:
    import torch

Picture: TypeAlias = (
    "str | os.PathLike | bytes | bytearray | BinaryIO | Image.Image | np.ndarray | torch.Tensor"
)

WORKING_SIDE = 512  # larger pictures are reduced to this side before anything else is done
MOST_PIXELS = 120_000_000
LEAST_SIDE = 5
FOR_OTHER_PROGRAMS = ("EPS", "WMF")  # Pillow would have others draw them: Ghostscript, Windows
UPRIGHT = {  # how a picture is turned, by the orientation in its EXIF data
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(ValueError):
    """What was given is no picture that can be read."""


class EmptyPictureError(PictureError):
    """There is nothing to read in the picture."""


def decode(picture: Picture) -> np.ndarray:
    """Read a picture of any kind as uint8 ``[H, W]`` or ``[H, W, 3]``, upright and without alpha.

    Photos carry their rotation in EXIF data; it is applied. Transparent pictures are laid on
    white or on black, whichever their ink stands out from. Large ones are reduced.
    """
    return decode_with_scale(picture)[0]


def decode_with_scale(picture: Picture) -> tuple[np.ndarray, float]:
    """Return the decoded picture, and how many pixels of the original one of its pixels is."""
    if isinstance(picture, np.ndarray) or _is_tensor(picture):
        return _upright(_from_array(picture))
    if isinstance(picture, Image.Image):
        return _upright(picture)
    name = os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else "the picture"
    if isinstance(picture, (bytes, bytearray)):
        picture = io.BytesIO(picture)
    elif name == "the picture" and not hasattr(picture, "read"):
        raise PictureError(
            "expected a path, bytes, an open file, a PIL picture, an array or a tensor, "
            f"not {type(picture).__name__}"
        )
    try:
        with Image.open(picture) as image:
            if image.format in FOR_OTHER_PROGRAMS:
                raise PictureError(f"{name} is a drawing, not a picture: save it as PNG first")
            if image.width * image.height > MOST_PIXELS:
                raise PictureError(
                    f"{name} has {image.width:,} × {image.height:,} pixels: more than "
                    f"{MOST_PIXELS // 1_000_000} million are not read. Reduce it first."
                )
            size = image.size
            image.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # a smaller one, from JPEG
            return _upright(image, size)
    except (FileNotFoundError, PermissionError, IsADirectoryError, MemoryError, PictureError):
        raise
    except UnidentifiedImageError as error:
        raise PictureError(f"{name} is not a picture in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name} is far too large to be read: {error}") from error
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise PictureError(f"{name} is damaged: {error}") from error


def _upright(image: Image.Image, size: tuple[int, int] | None = None) -> tuple[np.ndarray, float]:
    """Reduce, turn and flatten a picture that was once of `size`; see `decode_with_scale`."""
    pixels = _opaque(_reduced(image))
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise PictureError(
            f"a picture of {width}×{height} pixels is too small to hold a digit: at least "
            f"{LEAST_SIDE}×{LEAST_SIDE} are needed"
        )
    return pixels, max(size or image.size) / max(pixels.shape[:2])


def _is_tensor(given: object) -> TypeGuard[torch.Tensor]:
    """Return whether this is a PyTorch tensor, without importing PyTorch for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, torch.Tensor)


def _from_array(array: np.ndarray | torch.Tensor) -> Image.Image:
    """Turn an array or tensor into a PIL picture."""
    if _is_tensor(array):
        array = array.detach().cpu().numpy()
    shape = array.shape
    if array.ndim == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)  # channels first, as in PyTorch
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise PictureError(f"expected [H, W], [H, W, 3 or 4] or [1 or 3, H, W], not {list(shape)}")
    if 0 in array.shape:
        raise PictureError(f"the picture has no pixels: its shape is {list(shape)}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16 and array.max() > 255:
        array = (array >> 8).astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise PictureError(
                "floats must lie in [0, 1]; divide by 255, or pass whole numbers as uint8"
            )
        array = np.round(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 255:
            raise PictureError(f"{array.dtype} values must lie in 0 to 255")
        array = array.astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))


def _reduced(image: Image.Image) -> Image.Image:
    """Turn a picture upright, to 8 bits, and to at most `WORKING_SIDE` pixels a side."""
    image.load()
    turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        values = np.asarray(image)
        if values.max() > 255:
            values = values // 257  # 65,535 becomes 255
        elif image.mode == "F" and values.max() <= 1:
            values = values * 255
        image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    elif image.mode not in ("L", "RGB", "RGBA", "LA"):
        has_alpha = image.mode in ("PA", "La", "RGBa") or "transparency" in image.info
        image = image.convert("RGBA" if has_alpha else "L" if image.mode == "1" else "RGB")
    if max(image.size) > WORKING_SIDE:
        image = image.copy()
        image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    return image if turn is None else image.transpose(turn)


def _opaque(image: Image.Image) -> np.ndarray:
    """Lay a transparent picture on white or black, whichever its ink stands out from."""
    if image.mode not in ("RGBA", "LA"):
        return np.array(image)
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] > 252:
        return np.array(image.convert("RGB"))
    image = image.convert("RGBA")
    *colour, opacity = ImageStat.Stat(image.convert("RGBa")).sum  # colours times alpha
    paper = "white" if sum(colour) < 3 * opacity / 2 else "black"
    sheet = Image.new("RGB", image.size, paper)
    sheet.paste(image, mask=alpha)
    return np.array(sheet)


@contextmanager
def naming(picture: Picture) -> Iterator[None]:
    """Let the error about an empty picture begin with its path, if it has one."""
    try:
        yield
    except EmptyPictureError as error:
        if not isinstance(picture, (str, os.PathLike)):
            raise
        raise EmptyPictureError(f"{os.fspath(picture)}: {error}") from error
