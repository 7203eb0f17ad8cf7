"""What comes in over HTTP: limits, and the images in a request's body."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from fastapi import HTTPException, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from ..decode import InvalidImageError, decode_base64, open_image
from ..preprocess import to_mnist

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What a server accepts.

    Parameters
    ----------
    megabytes : float, default=25
        Of one request, in 10⁶ bytes.
    megapixels : float, default=50
        Of one image, in 10⁶ pixels, looked up before it is decoded.
    megapixels_together : float, default=100
        Of all images of one request. An upload of the page may have ten times as many: there
        they are preprocessed one by one, and leave the processors to others.
    images : int, default=256
        In one request, and in one upload of the page.
    capacity : int, default=1024
        Images that are inside at the same time, from arrival to answer.
    megabytes_in_flight : float, default=250
        Of all requests that are not answered yet, in 10⁶ bytes.
    connections : int, default=500
        Open at the same time; fewer if the system lets a process open fewer files.
    seconds : float, default=100
        Until a request must have arrived; for its head alone, a fifth of them.
    """

    megabytes: float = 25
    megapixels: float = 50
    megapixels_together: float = 100
    images: int = 256
    capacity: int = 1024
    megabytes_in_flight: float = 250
    connections: int = 500
    seconds: float = 100

    @property
    def bytes(self) -> int:
        """Bytes of one request."""
        return int(self.megabytes * 1e6)


def preprocess_upload(content: bytes, limits: Limits) -> np.ndarray:
    """Turn an uploaded file into an MNIST image: uint8 ``[28, 28]``; see `read_upload`."""
    return read_upload(content, limits, to_mnist, "the image")


def read_upload(content: bytes, limits: Limits, read: Callable[[bytes], T], what: str) -> T:
    """Read an uploaded image.

    Its size in pixels is looked up before it is decoded, so that a decompression bomb stays shut.

    Raises
    ------
    ValueError
        If it is not an image in one of `FORMATS`, damaged or too large, or if `read` refuses it; or
        if anything else goes wrong with it, which is logged: the other images are to be read.
    """
    try:
        check_pixels(content, limits)
        return read(content)
    except ValueError:
        raise
    except Exception as error:
        logging.getLogger(__name__).exception("%s could not be read", what)
        raise InvalidImageError(f"{what} could not be read: {type(error).__name__}") from error


def check_pixels(content: bytes, limits: Limits) -> int:
    """Return how many pixels an image has, without decoding it.

    Raises
    ------
    InvalidImageError
        If it is not an image, or has too many of them.
    """
    with open_image(io.BytesIO(content)) as image:
        width, height = image.size
    if width * height > limits.megapixels * 1e6:
        raise InvalidImageError(
            f"the image has {width:,} × {height:,} pixels: more than {limits.megapixels:g} "
            "million are not accepted. Reduce it first."
        )
    return width * height


def count_pixels(content: bytes, limits: Limits) -> int:
    """Return the number of pixels; 0 if `preprocess_upload` refuses the image undecoded."""
    try:
        return check_pixels(content, limits)
    except Exception:  # whatever it is, `preprocess_upload` tells it
        return 0


def check_total_pixels(contents: Sequence[bytes], limits: Limits) -> None:
    """Answer 413 if the images of a request have too many pixels together."""
    pixels = sum(count_pixels(content, limits) for content in contents)
    if pixels > limits.megapixels_together * 1e6:
        raise HTTPException(
            413,
            f"the images have {pixels / 1e6:.1f} million pixels together: more than "
            f"{limits.megapixels_together:g} million at once are not accepted. Send fewer, or "
            "reduce them first.",
        )


class OneImage(BaseModel):
    """The JSON of a request with one image, in base64."""

    image: str

    @property
    def contents(self) -> list[str]:
        """The images, in base64."""
        return [self.image]


class SeveralImages(BaseModel):
    """The JSON of a request with several images, each in base64."""

    images: list[str] = Field(min_length=1)

    @property
    def contents(self) -> list[str]:
        """The images, in base64."""
        return self.images


async def uploads(
    request: Request, form: str, json_: type[OneImage | SeveralImages], most: int
) -> list[tuple[str, bytes]]:
    """Return name and content of each image in a request, from a form or from JSON in base64.

    Parameters
    ----------
    request : Request
    form : str
        The field of a form that holds them.
    json_ : OneImage or SeveralImages
        What JSON must look like.
    most : int

    Raises
    ------
    HTTPException
        415 for another kind of body, 422 if images are missing or not in base64 or names not in
        the form's charset, 413 if there are more than `most`.
    """
    # FastAPI's own parameters would not do: one route takes forms and JSON, and JSON is bounded
    # before it is parsed, and in a thread.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        try:
            found = await _from_form(request, form)
        except UnicodeError as error:
            raise HTTPException(422, "the names in the form are not in its charset") from error
    elif kind == "application/json":
        # In a thread: 25 MB take their time, and others are to be answered meanwhile.
        found = await run_in_threadpool(_from_json, await request.body(), json_, most)
    else:
        raise HTTPException(
            415, f"send multipart/form-data or application/json, not {kind or 'an unnamed type'}"
        )
    if len(found) > most:
        raise HTTPException(413, f"{len(found)} images: more than {most} at once are not accepted")
    return found


async def _from_form(request: Request, field: str) -> list[tuple[str, bytes]]:
    """Return the files in a form."""
    async with request.form(max_files=10_000, max_fields=10) as form:
        sent = form.getlist(field)
        files = [file for file in sent if isinstance(file, UploadFile)]
        if not files or len(files) < len(sent):
            raise HTTPException(422, f"the form needs a file in its field {field!r}")
        return [
            (_sendable(file.filename or str(at)), await file.read())
            for at, file in enumerate(files)
        ]


def _sendable(name: str) -> str:
    r"""Return a name as JSON can hold it: half a character, as odd charsets make, is ``\ud800``."""
    return name.encode("utf-8", "backslashreplace").decode()


def _from_json(
    body: bytes, model: type[OneImage | SeveralImages], most: int
) -> list[tuple[str, bytes]]:
    """Return the images in a JSON object, one or a list of them, each in base64."""
    (field,) = model.model_fields
    expected = f"expected {{{field!r}: {'base64' if model is OneImage else '[base64, …]'}}}"
    values = sum(map(body.count, (b",", b"[", b"{")))  # at most; a data URL has a comma of its own
    if values > 4 * most + 1000:  # millions of empty lists would take a gigabyte to parse
        raise HTTPException(422, f"{expected}, not about {values:,} values")
    try:
        contents = model.model_validate_json(body).contents
    except ValidationError as error:
        raise HTTPException(422, expected) from error
    try:
        return [(str(at), decode_base64(content)) for at, content in enumerate(contents)]
    except ValueError as error:
        raise HTTPException(422, f"{field!r} is not base64: {error}") from error
