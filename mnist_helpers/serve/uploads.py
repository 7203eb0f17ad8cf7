"""What comes in over HTTP: limits, and the pictures in a request's body."""

from __future__ import annotations

import base64
import binascii
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..decode import PictureError, open_image
from ..preprocess import to_mnist


@dataclass(frozen=True)
class Limits:
    """What a server accepts.

    Parameters
    ----------
    megabytes : float
        Of one request, in 10⁶ bytes.
    megapixels : float
        Of one picture, in 10⁶ pixels, looked up before it is decoded.
    megapixels_together : float
        Of all pictures of one request. An upload of the page may have ten times as many: there
        they are read one by one, and leave the processors to others.
    pictures : int
        In one request, and in one upload of the page.
    room : int
        Pictures that are inside at the same time, from arrival to answer.
    """

    megabytes: float = 25
    megapixels: float = 50
    megapixels_together: float = 100
    pictures: int = 256
    room: int = 1024

    @property
    def bytes(self) -> int:
        """Bytes of one request."""
        return int(self.megabytes * 1e6)


def prepare(content: bytes, limits: Limits) -> np.ndarray:
    """Turn an uploaded file into an MNIST picture: uint8 ``[28, 28]``.

    Its size in pixels is looked up before it is decoded, so that a decompression bomb stays shut.

    Raises
    ------
    PictureError, EmptyPictureError
        If it is no picture in one of `FORMATS`, damaged, too large, or empty; or if anything else
        goes wrong with it, which is logged: the other pictures are to be read.
    """
    try:
        check_pixels(content, limits)
        return to_mnist(content)
    except ValueError:
        raise
    except Exception as error:
        logging.getLogger(__name__).exception("a picture could not be read")
        raise PictureError(f"the picture could not be read: {type(error).__name__}") from error


def check_pixels(content: bytes, limits: Limits) -> int:
    """Return how many pixels a picture has, without decoding it.

    Raises
    ------
    PictureError
        If it is no picture, or has too many of them.
    """
    with open_image(io.BytesIO(content)) as image:
        width, height = image.size
    if width * height > limits.megapixels * 1e6:
        raise PictureError(
            f"the picture has {width:,} × {height:,} pixels: more than {limits.megapixels:g} "
            "million are not read. Reduce it first."
        )
    return width * height


def pixels_to_decode(content: bytes, limits: Limits) -> int:
    """Return how many pixels a picture has; 0 if `prepare` refuses it without decoding it."""
    try:
        return check_pixels(content, limits)
    except Exception:  # whatever it is, `prepare` tells it
        return 0


def check_together(contents: Sequence[bytes], limits: Limits) -> None:
    """Answer 413 if the pictures of a request have too many pixels together."""
    pixels = sum(pixels_to_decode(content, limits) for content in contents)
    if pixels > limits.megapixels_together * 1e6:
        raise HTTPException(
            413,
            f"the pictures have {pixels / 1e6:.1f} million pixels together: more than "
            f"{limits.megapixels_together:g} million at once are not read. Send fewer, or reduce "
            "them first.",
        )


async def uploads(
    request: Request, form: str, json_: str, most: int, single: bool
) -> list[tuple[str, bytes]]:
    """Return name and content of each picture in a request, from a form or from JSON in base64.

    Parameters
    ----------
    request : Request
    form, json_ : str
        The field that holds them, in a form and in JSON.
    most : int
    single : bool
        Whether JSON holds one picture instead of a list.

    Raises
    ------
    HTTPException
        415 for another kind of body, 422 if pictures are missing or not in base64 or names not in
        the form's charset, 413 if there are more than `most`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        try:
            found = await _from_form(request, form)
        except UnicodeError as error:
            raise HTTPException(422, "the names in the form are not in its charset") from error
    elif kind == "application/json":
        found = _from_json(await request.body(), json_, single)
    else:
        raise HTTPException(
            415, f"send multipart/form-data or application/json, not {kind or 'an unnamed type'}"
        )
    if len(found) > most:
        raise HTTPException(413, f"{len(found)} pictures: more than {most} at once are not read")
    return found


async def _from_form(request: Request, field: str) -> list[tuple[str, bytes]]:
    """Return the files in a form."""
    async with request.form(max_files=10_000, max_fields=10) as form:
        files = form.getlist(field)
        if not files or not all(isinstance(file, UploadFile) for file in files):
            raise HTTPException(422, f"the form needs a file in its field {field!r}")
        return [
            (_sendable(file.filename or str(at)), await file.read())
            for at, file in enumerate(files)
        ]


def _sendable(name: str) -> str:
    r"""Return a name as JSON can hold it: half a character, as odd charsets make, is ``\ud800``."""
    return name.encode("utf-8", "backslashreplace").decode()


def _from_json(body: bytes, field: str, single: bool) -> list[tuple[str, bytes]]:
    """Return the pictures in a JSON object: base64 under `field`, one or a list of them."""
    expected = f"expected {{{field!r}: {'base64' if single else '[base64, …]'}}}"
    try:
        content = json.loads(body)
        values = content[field]
    except (ValueError, RecursionError, KeyError, TypeError, IndexError) as error:
        raise HTTPException(422, expected) from error
    values = [values] if single else values
    if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
        raise HTTPException(422, expected)
    try:
        return [
            (str(at), base64.b64decode(value.rpartition("base64,")[2], validate=True))
            for at, value in enumerate(values)
        ]
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, f"{field!r} is not base64: {error}") from error


class BodyLimit:
    """ASGI middleware: a request's body of more than so many bytes is answered with 413.

    The length that is announced is looked at first; what really comes is counted all the same.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        words = f"the request is larger than {self.most / 1e6:g} MB"
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.most:
            await JSONResponse({"detail": words}, 413)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most:
                raise HTTPException(413, words)
            return message

        await self.app(scope, counted, send)
