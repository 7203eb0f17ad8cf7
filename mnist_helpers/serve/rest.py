"""The REST interface: images come in over HTTP, digits go out as JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from .. import __version__
from ..models import count_parameters
from ..onnx import OnnxNetwork
from ..prediction import CONFIDENCE_THRESHOLD, MNISTPredictor, Prediction
from .microbatch import ENDED, MicroBatcher, NetworkError, OverloadedError
from .uploads import Limits, OneImage, SeveralImages, check_total_pixels, preprocess_upload, uploads

log = logging.getLogger(__name__)
T = TypeVar("T")
PROBLEMS = {
    400: "Not an image, or a blank one",
    408: "The request did not arrive in time",
    413: "Too large, alone or together, or too many",
    415: "Neither a form nor JSON",
    422: "No image where one should be",
    500: "The network failed",
    503: "Too busy; try again",
}


class Answer(BaseModel):
    """What the network predicts for one image."""

    digit: int = Field(ge=0, le=9, description="the most probable digit")
    confidence: float = Field(ge=0, le=1, description="its calibrated probability")
    probabilities: list[float] = Field(
        min_length=10, max_length=10, description="of the digits 0 to 9"
    )
    is_confident: bool = Field(
        description=f"whether the confidence reaches {CONFIDENCE_THRESHOLD}; "
        "if not, a human should look"
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
    """One image of several: its answer, or what is wrong with it."""

    name: str = Field(description="file name, or number in the list")
    answer: Answer | None = None
    error: str | None = None

    @classmethod
    def of(cls, name: str, found: Prediction | ValueError) -> Row:
        """Return an image's prediction, or what is wrong with it, as what is sent."""
        if isinstance(found, ValueError):
            return cls(name=name, error=str(found))
        return cls(name=name, answer=Answer.of(found))


class Answers(BaseModel):
    """What the network predicts for several images, in the order in which they came."""

    answers: list[Row]


class Health(BaseModel):
    """Whether the server is well, and how busy."""

    status: str = Field(default="ok", description="ok, or what is wrong; then the answer is a 503")
    version: str = __version__
    in_flight: int = Field(description="images that are being predicted right now")
    capacity: int = Field(description="how many there may be")


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


def create_api(predictor: MNISTPredictor, limits: Limits, max_batch_size: int = 256) -> FastAPI:
    """Return a FastAPI app with ``/predict``, ``/predict/batch``, ``/health``, ``/model``."""
    preprocess = partial(preprocess_upload, limits=limits)
    batcher = MicroBatcher(preprocess, predictor.predict_proba, max_batch_size, limits.capacity)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield

    app = FastAPIOffline(
        title="mnist_helpers",
        version=__version__,
        description="Predicts handwritten digits in images of any kind.",
        lifespan=lifespan,
    )
    _answer_errors(app)
    _add_predictions(app, batcher, limits)
    _add_descriptions(app, batcher, predictor)
    return app


def _answer_errors(app: FastAPI) -> None:
    """Answer what goes wrong on the way to the network with a status and the reason."""

    @app.exception_handler(OverloadedError)
    async def too_busy(_: Request, error: OverloadedError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"})

    @app.exception_handler(NetworkError)
    async def failed(_: Request, error: NetworkError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 500)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, _: ClientDisconnect) -> Response:
        log.warning("a client left before it was answered: %s", request.url.path)
        return Response(status_code=499)  # nobody receives it


def _add_predictions(app: FastAPI, batcher: MicroBatcher, limits: Limits) -> None:
    """Add ``/predict`` and ``/predict/batch``."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": words} for status, words in PROBLEMS.items()
    }

    @app.post(
        "/predict",
        responses=responses,
        openapi_extra=_body("file", "image", "An image of one digit", many=False),
    )
    async def predict(request: Request) -> Answer:
        """Predict the digit in one image: a form with `file`, or JSON with `image` in base64."""
        ((_, content),) = await uploads(request, "file", OneImage, most=1)
        (found,) = await cancel_on_disconnect(request, batcher.predict([content]))
        if isinstance(found, ValueError):
            raise HTTPException(400, str(found))
        return Answer.of(found)

    @app.post(
        "/predict/batch",
        responses=responses,
        openapi_extra=_body("files", "images", "Images of one digit each", many=True),
    )
    async def predict_batch(request: Request) -> Answers:
        """Predict several images: a form with `files`, or JSON with `images` in base64.

        An image that cannot be used has its error instead of an answer; the others have theirs.
        """
        sent = await uploads(request, "files", SeveralImages, limits.images)
        contents = [content for _, content in sent]
        await run_in_threadpool(check_total_pixels, contents, limits)
        found = await cancel_on_disconnect(request, batcher.predict(contents))
        rows = [Row.of(name, one) for (name, _), one in zip(sent, found, strict=True)]
        return Answers(answers=rows)


def _add_descriptions(app: FastAPI, batcher: MicroBatcher, predictor: MNISTPredictor) -> None:
    """Add ``/health`` and ``/model``."""

    @app.get("/predict", include_in_schema=False)
    @app.get("/predict/batch", include_in_schema=False)
    async def explain_post(request: Request) -> None:
        """Say how images are sent, to somebody who opens the address in a browser."""
        raise HTTPException(
            405,
            "send images with POST, as the page /docs shows: "
            f"curl -F file=@digit.png {request.url_for('predict')}",
            {"Allow": "POST"},
        )

    @app.get("/health", responses={503: {"model": Health, "description": "It cannot predict"}})
    async def health(response: Response) -> Health:
        """Say whether the server is well, and how busy it is."""
        if batcher.is_alive:
            return Health(in_flight=batcher.in_flight, capacity=batcher.capacity)
        response.status_code = 503
        return Health(status=ENDED, in_flight=batcher.in_flight, capacity=batcher.capacity)

    @app.get("/model")
    async def model() -> Model:
        """Say which network answers."""
        return describe(predictor)


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Wait for some work; if the client leaves before it is done, cancel it.

    Raises
    ------
    ClientDisconnect
        If the client leaves.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect()
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    """Return once the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
        confident_from=CONFIDENCE_THRESHOLD,
        versions={name: str(version) for name, version in checkpoint.versions.items()},
    )


def _body(form: str, json_: str, words: str, many: bool) -> dict[str, Any]:
    """Describe the two kinds of body for the OpenAPI page."""

    def of(name: str, image: dict[str, str]) -> dict[str, Any]:
        value = {"type": "array", "items": image, "minItems": 1} if many else image
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
