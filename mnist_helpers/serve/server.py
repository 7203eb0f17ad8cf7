"""The process that serves the app: a port, a browser, limits on connections, an end in order."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from json import dumps
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .uploads import Limits

GRACE = 30  # seconds for what has been accepted to be answered after Ctrl+C or SIGTERM
BACKLOG = 128  # connections that are taken at once; each of them needs an open file
SPARE = 100  # connections above the limit that are told so; what is above them is cut off
OTHER_FILES = 250  # that a server opens besides: what is uploaded, above all


def run(
    app: FastAPI, host: str = "127.0.0.1", port: int = 7860, browser: bool | None = None
) -> None:
    """Serve an app until Ctrl+C; print where it is.

    What has been accepted by then is answered, within 30 seconds.

    Parameters
    ----------
    app : FastAPI
    host : str, default="127.0.0.1"
        ``127.0.0.1`` is reached from this machine alone, ``0.0.0.0`` from everywhere, ``::`` from
        everywhere by IPv6 as well.
    port : int, default=7860
        0 takes one that is free.
    browser : bool, default=None
        Whether to open the page in a browser. If None, on a desktop.

    Raises
    ------
    OSError
        If the port is taken, or the host not this machine's; the message says what to do.
    """
    with listening(host, port) as (listener, address):
        print(f"The page: {address}\nThe REST API: {address}/docs\nCtrl+C ends both.")
        if host not in ("127.0.0.1", "localhost", "::1"):
            print("Everyone who can reach this machine can use it: there is no password.")
        if host == "::" and not _is_dual_stack(listener):
            print("It is reached by IPv6 alone: --host 0.0.0.0 is for IPv4.")
        sys.stdout.flush()
        open_page = browser if browser is not None else has_desktop()
        Server(app, address if open_page else None).run(sockets=[listener])


@contextmanager
def serving(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve an app in a thread as long as the block lasts; give its address.

    Parameters
    ----------
    app : FastAPI
        As `create_app` returns it.
    host : str, default="127.0.0.1"
    port : int, default=0
        0 takes one that is free.

    Yields
    ------
    str
        The address, such as ``http://127.0.0.1:49152``.

    Raises
    ------
    OSError
        As `run`.
    RuntimeError
        If the server does not start.
    """
    with listening(host, port) as (listener, address):
        server = Server(app)
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
    both = host == "::" and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise OSError(
            f"cannot listen on {host}, port {port} ({error.strerror}): another program may be "
            "using it. Choose another with --port, or --port 0 for any that is free."
        ) from error
    # What a listener has, its connections inherit: small answers leave at once.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        shown = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(host)
        shown = shown or (f"[{host}]" if ":" in host else host)
        yield listener, f"http://{shown}:{listener.getsockname()[1]}"


def _is_dual_stack(listener: socket.socket) -> bool:
    """Return whether a port of IPv6 is reached by IPv4 too."""
    return not listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def has_desktop() -> bool:
    """Return whether somebody sits before this machine, and has a browser that can be opened."""
    if "SSH_CONNECTION" in os.environ:
        return False
    if sys.platform not in ("win32", "darwin") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


class Server(uvicorn.Server):
    """A quiet server, patient with slow clients and with what has been accepted.

    Parameters
    ----------
    app : FastAPI
        Its ``state.limits`` say how many connections there may be; its ``state.ending`` is set
        when the server begins to end, so that streams without an end of their own do so too.
    page : str, default=None
        An address to open in a browser once the server answers.
    """

    def __init__(self, app: FastAPI, page: str | None = None) -> None:
        limits = getattr(app.state, "limits", None) or Limits()
        super().__init__(
            uvicorn.Config(
                app,
                http=limited_protocol(_connections(limits), limits.seconds / 5),
                log_level="warning",
                lifespan="on",
                backlog=BACKLOG,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self.app, self.page = app, page

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then open the page; in a thread, as some browsers only return when they end."""
        await super().startup(sockets)
        if self.started and self.page:
            threading.Thread(target=webbrowser.open, args=[self.page], daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams that would never end, and then shut down in order."""
        if ending := getattr(self.app.state, "ending", None):
            ending.set()
        await super().shutdown(sockets)


def _connections(limits: Limits) -> int:
    """Return how many connections there may be: each is an open file, and others are needed too."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return limits.connections
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits.connections
    return min(limits.connections, max(1, files - BACKLOG - SPARE - OTHER_FILES))


def limited_protocol(connections: int, seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with limits.

    Above `connections` a request is answered with 503. A connection on which no complete head of
    a request has arrived `seconds` after it was opened, or after its head began, is answered
    with 408.
    """
    protocol: Any = AutoHTTPProtocol  # one of two classes, by what is installed

    class LimitedProtocol(protocol):
        """One connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            """Take a connection, unless there are too many."""
            super().connection_made(transport)
            self._is_refused = len(self.connections) > connections
            self._deadline: asyncio.TimerHandle | None = None
            if len(self.connections) > connections + SPARE:
                transport.abort()
            else:  # one that is too many has a second to say what it wants, and to be told
                self._wait(1 if self._is_refused else seconds)

        def data_received(self, data: bytes) -> None:
            """Take a part of a request."""
            if self._is_refused:
                self._end(503, "too many connections at once: try again")
                return
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._wait(None)  # its head is whole
            elif self._deadline is None and not self.transport.is_closing():
                self._wait(seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget the connection."""
            self._wait(None)
            super().connection_lost(exc)

        def _wait(self, seconds: float | None) -> None:
            """End the connection in this many seconds; None cancels that."""
            if self._deadline:
                self._deadline.cancel()
            words = "no whole request has arrived"
            self._deadline = (
                self.loop.call_later(seconds, self._end, 408, words) if seconds else None
            )

        def _end(self, status: int, words: str) -> None:
            """Answer in uvicorn's place, and end the connection."""
            if self.transport.is_closing():
                return
            body = dumps({"detail": words})
            head = f"HTTP/1.1 {status} {PHRASES[status]}\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(body)}\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
            self.transport.write((head + body).encode())
            self.transport.close()

    return LimitedProtocol


PHRASES = {408: "Request Timeout", 503: "Service Unavailable"}
