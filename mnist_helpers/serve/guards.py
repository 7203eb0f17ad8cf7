"""What stands between the app and strangers: whose requests are answered, and how large they are.

Each guard is ASGI middleware, so that it holds for the page, the REST interface and whatever
Gradio brings along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .uploads import Limits

# Only from this server: no script, font or image from elsewhere, whatever a library asks for; and
# in no frame of another site, where clicks can be stolen.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


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


class SameOrigin:
    """ASGI middleware: what a browser sends on behalf of another site is refused.

    Without it, any site that somebody visits could use a server on the visitor's own machine: by
    sending it requests, or (DNS rebinding) by having its own name lead there.

    Parameters
    ----------
    app : ASGI app
    hosts : sequence of str, default=()
        Names, besides this machine's own, under which a server on loopback may be asked: those of
        a proxy in front of it.
    origins : sequence of str, default=()
        Other sites, such as ``"http://localhost:3000"``, whose pages may use the server.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str] = (), origins: Sequence[str] = ()
    ) -> None:
        self.app = app
        self.hosts = {host.lower() for host in hosts}
        self.origins = {origin.lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._is_known_host(scope, headers.get("host", "")):
            message = (
                f"this server is on one machine alone, and is not called "
                f"{headers.get('host', '')!r}: open it as http://127.0.0.1. If a proxy of yours "
                "stands in front of it, name the host with --trusted-host."
            )
            await JSONResponse({"detail": message}, 400)(scope, receive, send)
        elif not self._is_known_origin(headers):
            message = (
                f"the page of another site ({headers['origin']}) may not use this server. If that "
                "site is yours, name it with create_app(origins=[…])."
            )
            await JSONResponse({"detail": message}, 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_known_host(self, scope: Scope, host: str) -> bool:
        """Return whether a request over loopback names this machine, and not a site of its own."""
        if not _is_loopback((scope.get("server") or ("",))[0]):
            return True
        name = _hostname(f"//{host}")
        return name == "localhost" or _is_loopback(name) or name in self.hosts

    def _is_known_origin(self, headers: Headers) -> bool:
        """Return whether a page of this server, of a site that may, or no page at all asks."""
        origin = headers.get("origin", "").lower()
        if not origin or origin in self.origins:
            return True
        # Browsers set this header themselves; where a proxy changes the host, it still holds.
        if headers.get("sec-fetch-site") == "same-origin":
            return True
        return _without_port(urlsplit(origin).netloc) == _without_port(headers.get("host", ""))


def _is_loopback(name: str) -> bool:
    """Return whether this is an address by which a machine reaches itself."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _hostname(address: str) -> str:
    """Return the host in an address, or nothing if it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _without_port(host: str) -> str:
    """Return a host without the port that its scheme implies."""
    return host.lower().removesuffix(":80").removesuffix(":443")


class BodyLimit:
    """ASGI middleware: bodies that are too large, too slow or too many at once are refused.

    The length that is announced is looked at first; what really comes is counted all the same. A
    body that has not arrived after `Limits.seconds` is answered with 408, one beyond
    `Limits.megabytes` with 413, and with 503 if all that are here together are beyond
    `Limits.megabytes_in_flight`.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self.held = 0  # bytes of all requests that are not answered yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        too_large = f"the request is larger than {self.limits.megabytes:g} MB"
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > self.limits.bytes:
            await JSONResponse({"detail": too_large}, 413, CLOSE)(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        ends, seen, is_whole = loop.time() + self.limits.seconds, 0, False

        async def counted() -> Message:
            nonlocal seen, is_whole
            if is_whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), ends - loop.time())
            except asyncio.TimeoutError as error:
                words = f"the request has not arrived within {self.limits.seconds:g} seconds"
                raise HTTPException(408, words, CLOSE) from error
            is_whole = not message.get("more_body")
            size = len(message.get("body", b""))
            seen += size
            self.held += size
            if seen > self.limits.bytes:
                raise HTTPException(413, too_large, CLOSE)
            if self.held > self.limits.megabytes_in_flight * 1e6:
                raise HTTPException(503, "too many uploads at once: try again", BUSY)
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.held -= seen


CLOSE = {"Connection": "close"}  # what is still to come of the body is not waited for
BUSY = CLOSE | {"Retry-After": "5"}
