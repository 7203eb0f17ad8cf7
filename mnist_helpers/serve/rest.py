"""The REST interface: images come in over HTTP, digits go out as JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from .. import __version__
from ..models import count_parameters
from ..onnx import OnnxNetwork
from ..prediction import CONFIDENCE_THRESHOLD, MNISTPredictor
from ..sheet.opencv import cv2
from .microbatch import MicroBatcher, NetworkError, OverloadedError
from .numbers import predict_uploaded_number
from .schemas import (
    NO_SHEETS,
    PROBLEMS,
    Answer,
    Answers,
    Health,
    Model,
    NumberAnswer,
    Row,
    Sheets,
    body,
    responses,
)
from .sheets import ARCHIVE, describe_sheets, pack_sheets, read_uploaded_sheet
from .uploads import Limits, OneImage, SeveralImages, check_total_pixels, preprocess_upload, uploads

log = logging.getLogger(__name__)
T = TypeVar("T")
Work = Callable[[Sequence[bytes]], Coroutine[Any, Any, list[T | ValueError]]]
EXAMPLES = {
    "/predict": "file=@digit.png",
    "/predict/batch": "files=@3.png -F files=@7.png",
    "/predict/number": "file=@number.png",
    "/sheet": "files=@photo.jpg --output my_mnist.zip",
}


def create_api(predictor: MNISTPredictor, limits: Limits, max_batch_size: int = 256) -> FastAPI:
    """Return a FastAPI app with everything but the page; see `create_app`."""
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
    _add_numbers(app, batcher, predictor, limits)
    _add_sheets(app, batcher, limits)
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

    @app.post(
        "/predict",
        responses=responses(PROBLEMS),
        openapi_extra=body("file", "image", "An image of one digit", many=False),
    )
    async def predict(request: Request) -> Answer:
        """Predict the digit in one image: a form with `file`, or JSON with `image` in base64."""
        return Answer.of(await _answer_one(request, batcher.predict))

    @app.post(
        "/predict/batch",
        responses=responses(PROBLEMS),
        openapi_extra=body("files", "images", "Images of one digit each", many=True),
    )
    async def predict_batch(request: Request) -> Answers:
        """Predict several images: a form with `files`, or JSON with `images` in base64.

        An image that cannot be used has its error instead of an answer; the others have theirs.
        """
        names, found = await _answer_several(request, limits, batcher.predict)
        return Answers(answers=[Row.of(name, one) for name, one in zip(names, found, strict=True)])


def _add_numbers(
    app: FastAPI, batcher: MicroBatcher, predictor: MNISTPredictor, limits: Limits
) -> None:
    """Add ``/predict/number``."""
    work = partial(predict_uploaded_number, predictor=predictor, limits=limits)

    @app.post(
        "/predict/number",
        responses=responses(PROBLEMS),
        openapi_extra=body("file", "image", "An image of several digits in a row", many=False),
    )
    async def predict_number(request: Request) -> NumberAnswer:
        """Predict a number, several digits in a row: a form or JSON as for `/predict`."""
        return NumberAnswer.of(await _answer_one(request, partial(batcher.run, work)))


def _add_sheets(app: FastAPI, batcher: MicroBatcher, limits: Limits) -> None:
    """Add ``/sheet``."""
    work = partial(read_uploaded_sheet, limits=limits)
    described = responses(PROBLEMS | {501: "The extra `sheet` is not installed"})
    described[200] = {
        "description": "The digits and their labels: MNIST's own files, CSV and PNG; or counts",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }

    @app.post(
        "/sheet",
        response_model=Sheets,
        responses=described,
        openapi_extra=body("files", "images", "Photos of sheets that are filled in", many=True),
    )
    async def sheet(request: Request) -> Response | Sheets:
        """Turn photos of sheets, which `sheet make` prints, into a data set.

        The photos come as a form with `files`, or JSON with `images` in base64. A photo that cannot
        be read has its error in the archive's `sheets.csv`; the others are read. Who accepts
        `application/json` gets what was found in each photo, and no archive.
        """
        await run_in_threadpool(_need_opencv)
        names, found = await _answer_several(request, limits, partial(batcher.run, work))
        if all(isinstance(one, ValueError) for one in found):
            pairs = zip(names, found, strict=True)
            raise HTTPException(400, "; ".join(f"{name}: {error}" for name, error in pairs))
        if request.headers.get("accept", "").startswith("application/json"):
            return describe_sheets(names, found)
        try:
            archive = await run_in_threadpool(pack_sheets, names, found)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        head = {"Content-Disposition": f'attachment; filename="{ARCHIVE}.zip"'}
        return Response(archive, media_type="application/zip", headers=head)


def _need_opencv() -> None:
    """Answer 501 without what reads sheets."""
    try:
        cv2()
    except ImportError as error:
        raise HTTPException(501, NO_SHEETS) from error


def _add_descriptions(app: FastAPI, batcher: MicroBatcher, predictor: MNISTPredictor) -> None:
    """Add ``/health`` and ``/model``."""

    @app.get("/predict", include_in_schema=False)
    @app.get("/predict/batch", include_in_schema=False)
    @app.get("/predict/number", include_in_schema=False)
    @app.get("/sheet", include_in_schema=False)
    async def explain_post(request: Request) -> None:
        """Say how images are sent, to somebody who opens the address in a browser."""
        raise HTTPException(
            405,
            "send images with POST, as the page /docs shows: "
            f"curl -F {EXAMPLES[request.url.path]} {request.url.replace(query='')}",
            {"Allow": "POST"},
        )

    @app.get("/health", responses={503: {"model": Health, "description": "It cannot predict"}})
    async def health(response: Response) -> Health:
        """Say whether the server is well, and how busy it is."""
        response.status_code = 503 if batcher.trouble else 200
        status = batcher.trouble or "ok"
        return Health(status=status, in_flight=batcher.in_flight, capacity=batcher.capacity)

    @app.get("/model")
    async def model() -> Model:
        """Say which network answers."""
        return describe(predictor)


async def _answer_one(request: Request, work: Work[T]) -> T:
    """Do some work with the one image of a request; answer 400 if it cannot be used."""
    ((_, content),) = await uploads(request, "file", OneImage, most=1)
    (found,) = await cancel_on_disconnect(request, work([content]))
    if isinstance(found, ValueError):
        raise HTTPException(400, str(found))
    return found


async def _answer_several(
    request: Request, limits: Limits, work: Work[T]
) -> tuple[list[str], list[T | ValueError]]:
    """Do some work with all images of a request; return their names, and what was found."""
    sent = await uploads(request, "files", SeveralImages, limits.images)
    contents = [content for _, content in sent]
    await run_in_threadpool(check_total_pixels, contents, limits)
    return [name for name, _ in sent], await cancel_on_disconnect(request, work(contents))


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
