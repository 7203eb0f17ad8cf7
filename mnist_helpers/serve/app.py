"""One app for people and programs: a page to draw on, and a REST interface beside it."""

from __future__ import annotations

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

try:
    import fastapi_offline  # noqa: F401
    import uvicorn
    from fastapi import FastAPI
    from starlette.datastructures import MutableHeaders
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    raise ImportError(
        "the page and the API need the extra `serve`: pip install 'mnist-helpers[serve]'"
    ) from error

from ..checkpoints import load_checkpoint
from ..paths import project_root
from ..prediction import SHIPPED_NAME, SHIPPED_WEIGHTS, MNISTPredictor
from .rest import create_api
from .uploads import Limits

# Only from this server: no script, font or picture from elsewhere, whatever a library asks for.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    checkpoints: str | Path | Sequence[str | Path] | None = None,
    *,
    device: str = "auto",
    page: bool = True,
    limits: Limits | None = None,
    largest_batch: int = 256,
) -> FastAPI:
    """Return one FastAPI app: the page at ``/``, the REST interface described at ``/docs``.

    ``POST /predict`` reads one picture, ``POST /predict/batch`` several; ``GET /health`` and
    ``GET /model`` describe the server. Pictures of concurrent requests are read together.

    Parameters
    ----------
    checkpoints : path or sequence of paths, optional
        Trained networks, as `load_checkpoint` reads them. The first one answers at ``/predict``;
        the page lets people choose. Default: the one that ships.
    device : str
        See `choose_device`.
    page : bool
        Whether there is a page; without it, Gradio is not needed.
    limits : Limits, optional
        How much one may upload.
    largest_batch : int
        Pictures that are read together, at most.

    Raises
    ------
    ImportError
        If the extra ``serve`` is not installed.
    ValueError, OSError
        If a checkpoint cannot be loaded; see `load_checkpoint`.

    Examples
    --------
    >>> import httpx
    >>> with serving(create_app(page=False)) as address:
    ...     httpx.get(f"{address}/health").status_code
    200
    """
    limits = limits or Limits()
    if checkpoints is None or isinstance(checkpoints, (str, os.PathLike)):
        checkpoints = [checkpoints] if checkpoints else []
    named = names_of(checkpoints or [SHIPPED_WEIGHTS])
    predictors = {name: MNISTPredictor(path, device) for name, path in named.items()}
    app = create_api(next(iter(predictors.values())), limits, largest_batch)

    app.add_middleware(SafeHeaders)
    if page:
        from .page import create_page, mount_page

        mount_page(app, create_page(predictors, limits), limits)
    return app


class SafeHeaders:
    """ASGI middleware: each answer tells the browser to load nothing from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add to the head of its answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, with_headers)


def known_checkpoints() -> list[Path]:
    """Return the network that ships, and those that were trained into ``outputs/train/``.

    One that cannot be loaded is left out, and named on stderr.
    """
    trained = sorted((project_root() / "outputs" / "train").glob("*/model.safetensors"))
    return [SHIPPED_WEIGHTS, *filter(_loads, trained)]


def _loads(path: Path) -> bool:
    """Return whether a checkpoint can be loaded; if not, say why."""
    try:
        load_checkpoint(path)
    except (ValueError, OSError) as error:
        print("Left out of the page:", " ".join(str(error).split()), file=sys.stderr)
        return False
    return True


def names_of(checkpoints: Sequence[str | Path]) -> dict[str, Path]:
    """Return checkpoints by what they are called on the page.

    That is folder and file, or as much more of the path as tells them apart: where they lie on the
    server is no visitor's business.
    """
    paths = list(dict.fromkeys(map(Path, checkpoints)))
    length = 2
    while len({path.parts[-length:] for path in paths}) < len(paths):
        length += 1
    ends = {str(Path(*path.parts[-length:])): path for path in paths}
    return {SHIPPED_NAME if path == SHIPPED_WEIGHTS else end: path for end, path in ends.items()}


# ---------------------------------------------------------------------------------- the server


def run(app: FastAPI, host: str = "127.0.0.1", port: int = 7860, browser: bool = False) -> None:
    """Serve an app until Ctrl+C; print where it is.

    Parameters
    ----------
    app : FastAPI
    host : str
        ``127.0.0.1`` is reached from this machine alone, ``0.0.0.0`` from everywhere.
    port : int
        0 takes one that is free.
    browser : bool, default=False
        Whether to open the page in the browser as well.

    Raises
    ------
    OSError
        If the port is taken, or the host not this machine's; the message says what to do.
    """
    with listening(host, port) as (listener, address):
        if browser:  # the socket listens already, so the browser waits for the server
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        print(f"The page: {address}\nThe REST interface: {address}/docs\nCtrl+C ends both.")
        if host not in ("127.0.0.1", "localhost", "::1"):
            print("Everyone who can reach this machine can use it: there is no password.")
        _server(app).run(sockets=[listener])


@contextmanager
def serving(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve an app in a thread as long as the block lasts; give its address.

    Raises
    ------
    OSError
        As `run`.
    RuntimeError
        If the server does not start.
    """
    with listening(host, port) as (listener, address):
        server = _server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise RuntimeError("the server ended before it had started: see its log")
                thread.join(0.02)
            yield address
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def listening(host: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """Open a port, and give it with the address to reach it under."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            f"cannot listen on {host}, port {port} ({error.strerror}): another program may be "
            "using it. Choose another with --port, or --port 0 for any that is free."
        ) from error
    # What a listener has, its connections inherit: small answers leave at once.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        shown = "127.0.0.1" if host in ("0.0.0.0", "") else f"[{host}]" if ":" in host else host
        yield listener, f"http://{shown}:{listener.getsockname()[1]}"


def _server(app: FastAPI) -> uvicorn.Server:
    """Return a quiet server, patient with slow clients, that does not wait for them at its end."""
    config = uvicorn.Config(
        app, log_level="warning", lifespan="on", timeout_keep_alive=60, timeout_graceful_shutdown=2
    )
    return uvicorn.Server(config)
