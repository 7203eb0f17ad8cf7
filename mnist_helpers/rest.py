"""The REST interface: pictures come in over HTTP, digits go out as JSON."""

from __future__ import annotations

import base64
import binascii
import io
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import __version__
from .microbatch import MicroBatcher, TooBusyError
from .models import count_parameters
from .onnx import OnnxNetwork
from .prediction import CONFIDENT, MNISTPredictor, Prediction
from .preprocess import PictureError, to_mnist

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # what browsers, phones, scanners make


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


# ----------------------------------------------------------------------------------- what goes out


class Answer(BaseModel):
    """What the network read in one picture."""

    digit: int = Field(ge=0, le=9, description="the likeliest digit")
    confidence: float = Field(ge=0, le=1, description="its calibrated probability")
    probabilities: list[float] = Field(
        min_length=10, max_length=10, description="of the digits 0 to 9"
    )
    is_confident: bool = Field(
        description=f"whether the confidence reaches {CONFIDENT}; if not, a person should look"
    )

    @classmethod
    def of(cls, prediction: Prediction) -> Answer:
        """Return a prediction as what is sent."""
        return cls(
            digit=prediction.digit,
            confidence=prediction.confidence,
            probabilities=prediction.probs.tolist(),
            is_confident=prediction.is_confident,
        )


class Row(BaseModel):
    """One picture of several: its answer, or what is wrong with it."""

    name: str = Field(description="file name, or number in the list")
    answer: Answer | None = None
    error: str | None = None


class Answers(BaseModel):
    """What the network read in several pictures, in the order in which they came."""

    answers: list[Row]


class Health(BaseModel):
    """Whether the server is well, and how busy."""

    status: str = "ok"
    version: str = __version__
    inside: int = Field(description="pictures that are being read right now")
    room: int = Field(description="how many there may be")


class Model(BaseModel):
    """Which network answers."""

    name: str
    parameters: int | None = Field(description="null if it runs on ONNX Runtime")
    source: str = Field(description="the data it was trained on")
    recipe: dict[str, Any] | None
    temperature: float = Field(description="what logits are divided by")
    confident_from: float = Field(description="the threshold of is_confident")
    versions: dict[str, str]


class Problem(BaseModel):
    """What went wrong, and what to do."""

    detail: str


# ------------------------------------------------------------------------------------ what comes in


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
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
    except UnidentifiedImageError as error:
        raise PictureError(f"this is not a picture in one of {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"the picture is too large: {error}") from error
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        raise PictureError(f"the picture is damaged: {error}") from error
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


# --------------------------------------------------------------------------------------- the routes


def create_api(
    predictor: MNISTPredictor, limits: Limits, largest_batch: int = 256
) -> FastAPIOffline:
    """Return a FastAPI app with ``/predict``, ``/predict/batch``, ``/health``, ``/model``."""
    prepare_within = partial(prepare, limits=limits)
    batcher = MicroBatcher(prepare_within, predictor.probabilities, largest_batch, limits.room)

    @asynccontextmanager
    async def lifespan(_: FastAPIOffline) -> AsyncIterator[None]:
        async with batcher:
            yield

    app = FastAPIOffline(
        title="mnist_helpers",
        version=__version__,
        description="Reads handwritten digits in pictures of any kind.",
        lifespan=lifespan,
    )
    app.add_middleware(BodyLimit, most=limits.bytes)
    problems = {
        400: "Not a picture, or an empty one",
        413: "Too large, alone or together, or too many",
        415: "Neither a form nor JSON",
        422: "No picture where one should be",
        503: "Too busy; try again",
    }
    responses = {
        status: {"model": Problem, "description": words} for status, words in problems.items()
    }

    @app.exception_handler(TooBusyError)
    async def too_busy(_: Request, error: TooBusyError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"})

    @app.post(
        "/predict",
        responses=responses,
        openapi_extra=_body("file", "image", "A picture of one digit", many=False),
    )
    async def predict(request: Request) -> Answer:
        """Read the digit in one picture: a form with `file`, or JSON with `image` in base64."""
        ((_, content),) = await uploads(request, "file", "image", most=1, single=True)
        (found,) = await batcher.read([content])
        if isinstance(found, ValueError):
            raise HTTPException(400, str(found))
        return Answer.of(found)

    @app.post(
        "/predict/batch",
        responses=responses,
        openapi_extra=_body("files", "images", "Pictures of one digit each", many=True),
    )
    async def predict_batch(request: Request) -> Answers:
        """Read several pictures: a form with `files`, or JSON with `images` in base64.

        A picture that cannot be read has its error instead of an answer; the others are read.
        """
        sent = await uploads(request, "files", "images", limits.pictures, single=False)
        contents = [content for _, content in sent]
        await run_in_threadpool(check_together, contents, limits)
        found = await batcher.read(contents)
        return Answers(
            answers=[
                Row(name=name, error=str(one))
                if isinstance(one, ValueError)
                else Row(name=name, answer=Answer.of(one))
                for (name, _), one in zip(sent, found, strict=True)
            ]
        )

    @app.get("/health")
    async def health() -> Health:
        """Say that the server is well, and how busy it is."""
        return Health(inside=batcher.inside, room=batcher.room)

    @app.get("/model")
    async def model() -> Model:
        """Say which network answers."""
        return describe(predictor)

    return app


def describe(predictor: MNISTPredictor) -> Model:
    """Return what is known of a predictor's network."""
    checkpoint = predictor.checkpoint
    counted = not isinstance(predictor.model, OnnxNetwork)
    return Model(
        name=checkpoint.name,
        parameters=count_parameters(predictor.model) if counted else None,
        source=checkpoint.source,
        recipe=asdict(checkpoint.recipe) if checkpoint.recipe else None,
        temperature=checkpoint.temperature,
        confident_from=CONFIDENT,
        versions={name: str(version) for name, version in checkpoint.versions.items()},
    )


def _body(form: str, json_: str, words: str, many: bool) -> dict[str, Any]:
    """Describe the two kinds of body for the OpenAPI page."""

    def of(name: str, picture: dict[str, str]) -> dict[str, Any]:
        value = {"type": "array", "items": picture, "minItems": 1} if many else picture
        properties = {name: value | {"description": words}}
        return {"schema": {"type": "object", "required": [name], "properties": properties}}

    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": of(form, {"type": "string", "format": "binary"}),
                "application/json": of(json_, {"type": "string", "format": "byte"}),
            },
        }
    }
