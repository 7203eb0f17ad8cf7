"""One app for people and programs: a page to draw on, and a REST interface beside it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Lifespan

from ..checkpoints import load_checkpoint
from ..files import project_root
from ..prediction import PRETRAINED_NAME, PRETRAINED_WEIGHTS, MNISTPredictor
from .guards import BodyLimit, SafeHeaders, SameOrigin
from .rest import create_api
from .uploads import Limits


def create_app(
    checkpoints: str | Path | Sequence[str | Path] | None = None,
    *,
    device: str = "auto",
    page: bool = True,
    limits: Limits | None = None,
    max_batch_size: int = 256,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
) -> FastAPI:
    """Return one FastAPI app: the page at ``/``, the REST interface described at ``/docs``.

    ``POST /predict`` predicts one image, ``POST /predict/batch`` several, ``POST /predict/number``
    several digits in a row; ``POST /sheet`` turns photos of sheets into a data set; ``GET /health``
    and ``GET /model`` describe the server. Images of concurrent requests are predicted together.

    Parameters
    ----------
    checkpoints : path or sequence of paths, default=None
        Trained networks, as `load_checkpoint` reads them. The first one answers at ``/predict``;
        the page lets people choose. If None, the pretrained one.
    device : str, default="auto"
        See `choose_device`.
    page : bool, default=True
        Whether there is a page; without it, Gradio is not needed.
    limits : Limits, default=None
        How much one may upload, and how many at the same time.
    max_batch_size : int, default=256
        Images that are predicted together, at most.
    hosts : sequence of str, default=()
        Names of a proxy in front of the server, under which a server on ``127.0.0.1`` may be asked.
    origins : sequence of str, default=()
        Other sites, such as ``"http://localhost:3000"``, whose pages may use the REST interface.
        Pages of all others are refused.

    Raises
    ------
    ImportError
        If the extra ``serve`` is not installed.
    ValueError, OSError
        If a checkpoint cannot be loaded; see `load_checkpoint`.

    Examples
    --------
    >>> import httpx
    >>> from mnist_helpers.serve.server import serving
    >>> with serving(create_app(page=False)) as address:
    ...     httpx.get(f"{address}/health").status_code
    200
    """
    limits = limits or Limits()
    if checkpoints is None or isinstance(checkpoints, (str, os.PathLike)):
        checkpoints = [checkpoints] if checkpoints else []
    named = display_names(checkpoints or [PRETRAINED_WEIGHTS])
    predictors = {name: MNISTPredictor(path, device) for name, path in named.items()}
    app = create_api(next(iter(predictors.values())), limits, max_batch_size)
    app.state.limits = limits
    if page:
        from .page import create_page, mount_page

        mount_page(app, create_page(predictors, limits), limits)
    _add_guards(app, limits, hosts, origins)
    return app


def _add_guards(app: FastAPI, limits: Limits, hosts: Sequence[str], origins: Sequence[str]) -> None:
    """Put the guards around an app; the one that is added last is asked first."""
    app.add_middleware(BodyLimit, limits=limits)
    app.add_middleware(
        CORSMiddleware, allow_origins=list(origins), allow_methods=["*"], allow_headers=["*"]
    )
    app.add_middleware(SameOrigin, hosts=hosts, origins=origins)
    app.add_middleware(SafeHeaders)
    app.router.lifespan_context = _with_shutdown_event(app.router.lifespan_context)


def _with_shutdown_event(inner: Lifespan) -> Lifespan:
    """Let an app say when it ends; see `Server`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        app.state.ending = asyncio.Event()
        async with inner(app) as state:
            yield state

    return lifespan


def find_checkpoints() -> list[Path]:
    """Return the pretrained network, and those that were trained into ``outputs/train/``.

    One that cannot be loaded is left out, and named on stderr.
    """
    trained = sorted((project_root() / "outputs" / "train").glob("*/model.safetensors"))
    return [PRETRAINED_WEIGHTS, *filter(_loads, trained)]


def _loads(path: Path) -> bool:
    """Return whether a checkpoint can be loaded; if not, say why."""
    try:
        load_checkpoint(path)
    except (ValueError, OSError) as error:
        print("Left out of the page:", " ".join(str(error).split()), file=sys.stderr)
        return False
    return True


def display_names(checkpoints: Sequence[str | Path]) -> dict[str, Path]:
    """Return checkpoints by what they are called on the page.

    That is folder and file, or as much more of the path as makes them distinct: where they lie on
    the server is no visitor's business.
    """
    paths = list(dict.fromkeys(map(Path, checkpoints)))
    length = 2
    while len({path.parts[-length:] for path in paths}) < len(paths):
        length += 1
    ends = {str(Path(*path.parts[-length:])): path for path in paths}
    return {
        PRETRAINED_NAME if path == PRETRAINED_WEIGHTS else end: path for end, path in ends.items()
    }
