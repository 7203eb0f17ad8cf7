"""What of Gradio strangers may use: what the page needs, and nothing else.

Gradio serves far more than a page: a proxy, downloads from any address that a visitor names, files,
recordings, a code editor. All of that is closed here; what visitors upload lies in a private folder
that goes when the server ends.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger(__name__)
API = "/gradio_api"
JOIN, HEARTBEAT = f"{API}/queue/join", f"{API}/heartbeat/"
PAGE_READS = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)|/(assets|static|svelte)/.+"
    rf"|{API}/(startup-events|heartbeat/\w+|queue/data|upload_progress|file=(?!\w\w+:).+)"
)
PAGE_SENDS = re.compile(rf"{API}/(queue/join|upload|cancel|reset/?)")
EVENT_BYTES = 2_000_000  # of an event: a drawing, or where uploaded files are
MAX_UNFETCHED = 300  # messages that wait for visitors who do not come for them


class PageGate:
    """ASGI middleware: lets through to Gradio what the page needs.

    Parameters
    ----------
    app : ASGI app
        Gradio's.
    parent : FastAPI
        The app that it is mounted in; see `Server` for its ``state.ending``.
    blocks : gr.Blocks
        The page.
    """

    def __init__(self, app: ASGIApp, parent: FastAPI, blocks: gr.Blocks) -> None:
        self.app, self.parent, self.blocks = app, parent, blocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer that there is nothing."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        known = {"GET": PAGE_READS, "HEAD": PAGE_READS, "POST": PAGE_SENDS}.get(scope["method"])
        if known is None or not known.fullmatch(path):
            await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send)
            return
        try:
            if path == JOIN:
                await self._drop_unfetched()
                await self.app(scope, _limited(receive), send)
            elif path.startswith(HEARTBEAT):
                await self._stream_until_shutdown(scope, receive, send)
            else:
                await self.app(scope, receive, send)
        except ClientDisconnect:
            log.warning("a client left before it was answered: %s", path)

    async def _drop_unfetched(self) -> None:
        """Forget the oldest answers that nobody has come for, if they are too many."""
        queue = self.blocks._queue
        messages = queue.pending_messages_per_session
        waiting = sum(one.qsize() for one in messages.values())
        for session in list(messages):
            if waiting <= MAX_UNFETCHED:
                break
            if count := messages[session].qsize():
                await queue.clean_events(session_hash=session)
                del messages[session]
                queue.pending_event_ids_session.pop(session, None)
                waiting -= count

    async def _stream_until_shutdown(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a stream that never ends, and end it when the server does."""
        stream = asyncio.ensure_future(self.app(scope, receive, send))
        ending = asyncio.ensure_future(self.parent.state.ending.wait())
        try:
            await asyncio.wait({stream, ending}, return_when=asyncio.FIRST_COMPLETED)
            if stream.done():
                stream.result()
        finally:
            ending.cancel()
            if not stream.done():
                stream.cancel()
                await asyncio.gather(stream, return_exceptions=True)
                await send({"type": "http.response.body", "body": b"", "more_body": False})


def _limited(receive: Receive) -> Receive:
    """Return what receives an event's body, up to a size that is enough for any of the page's."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > EVENT_BYTES:
            raise HTTPException(413, f"an event has at most {EVENT_BYTES:,} bytes")
        return message

    return limited


def block_url_fetching(page: gr.Blocks) -> None:
    """Let no part of a page fetch what a visitor names: only files that were uploaded to it."""
    for block in page.blocks.values():
        fetch = block.async_move_resource_to_block_cache

        async def local_only(name: str | Path | None, fetch: Any = fetch) -> str | None:
            if re.match(r"\w\w+:", str(name)):
                raise ValueError("addresses are not fetched: upload the file itself")
            return await fetch(name)

        vars(block)["async_move_resource_to_block_cache"] = local_only  # in the method's place


@cache
def visitor_folder() -> Path:
    """Return this process's private folder for what visitors upload, and have Gradio use it.

    Gradio's own is ``gradio`` in the system's folder for temporary files: the same for all users of
    a machine, so that only the first one of them may write there.
    """
    parent = os.environ.get("GRADIO_TEMP_DIR")
    if parent:
        Path(parent).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="mnist-helpers-", dir=parent)).resolve()
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # if no server takes it along
    return folder


_servers = 0  # in this process, whose visitors' files are in the folder


@contextmanager
def visitor_files() -> Iterator[Path]:
    """Have the folder for what visitors upload as long as the block lasts; then it is gone.

    The last server of a process takes it along.
    """
    global _servers
    folder = visitor_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    _servers += 1
    try:
        yield folder
    finally:
        _servers -= 1
        if not _servers:
            shutil.rmtree(folder, ignore_errors=True)
