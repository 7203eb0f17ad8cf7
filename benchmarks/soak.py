"""A server for a long time: uploads of all kinds, good and bad, and whether its memory grows."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.prediction import PRETRAINED_WEIGHTS, MNISTPredictor
from mnist_helpers.strokes import draw_strokes, pen_strokes

from .common import publish

SAMPLES = 40  # of the memory, over all requests
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO")
FLAT = 1.05  # the memory of the last quarter is at most this many times that of the third
_sessions = count()  # of visitors of the page
Send = Callable[[httpx.AsyncClient], Awaitable[bool]]  # whether the answer is right


class Kind(NamedTuple):
    """One kind of request, and how to send it."""

    name: str
    send: Send


def benchmark(requests: int = 20_000, clients: int = 50) -> pd.DataFrame:
    """Send requests of all kinds from many clients at once; check every answer, and the memory.

    The server is the app with its page, in a process of its own. A third of the requests is what
    people send by mistake or in bad faith: what each is answered with is known as well.

    Parameters
    ----------
    requests, clients : int
        Requests in all, and how many of them at the same time.

    Returns
    -------
    DataFrame
        ``kind``, ``requests`` and ``wrong``: answers other than the right one. Its attribute
        ``attrs["memory"]`` has the server's megabytes, `SAMPLES` times over all requests.

    Raises
    ------
    RuntimeError
        If the server does not start, or ends.
    """
    with app_server() as (address, process):
        kinds = all_kinds()
        rows, memory = asyncio.run(_soak(address, process, kinds, requests, clients))
        if process.poll() is not None:
            raise RuntimeError(f"the server has ended with status {process.returncode}")
    table = pd.DataFrame(rows)
    table.attrs["memory"] = memory
    third, last = (np.mean(memory[len(memory) * at // 4 :][: len(memory) // 4]) for at in (2, 3))
    publish("soak", table, table, {"clients": clients, "memory": memory})
    _plot_memory(memory, requests)
    print(
        f"{requests:,} requests, {int(table['wrong'].sum())} wrong answers. Memory of the server: "
        f"{third:.0f} MB in the third quarter, {last:.0f} MB in the last: "
        f"{'flat' if last <= FLAT * third else 'IT GROWS'}."
    )
    return table


def _plot_memory(memory: list[float], requests: int) -> None:
    """Draw the server's memory over the requests."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    ax.plot(np.linspace(0, requests, len(memory)), memory)
    ax.set(xlabel="requests", ylabel="memory of the server, MB", ylim=(0, 1.2 * max(memory)))
    save_figure(ax, outputs_folder("benchmarks") / "soak.png")


@contextmanager
def app_server() -> Iterator[tuple[str, subprocess.Popen]]:
    """Start the app in a process of its own; give its address and the process."""
    command = [sys.executable, "-m", "mnist_helpers", "app", "--port", "0", "--no-browser"]
    command += ["--no-cuda", "--checkpoint", str(PRETRAINED_WEIGHTS)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout, "it is a pipe"
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start: {' '.join(command)}")
        yield line.split()[-1], process
    finally:
        process.terminate()
        process.wait()


async def _soak(
    address: str, process: subprocess.Popen, kinds: list[Kind], requests: int, clients: int
) -> tuple[list[dict], list[float]]:
    """Send all requests; return rows of the table, and the server's memory over time."""
    rows: dict[str, dict[str, Any]]
    rows = {kind.name: {"kind": kind.name, "requests": 0, "wrong": 0} for kind in kinds}
    memory: list[float] = []
    numbers = iter(tqdm(range(requests), desc="soak", mininterval=5))
    every = max(1, requests // SAMPLES)

    async def client() -> None:
        options: dict[str, Any] = {"base_url": address, "timeout": 600, "trust_env": False}
        async with httpx.AsyncClient(**options) as http:
            for number in numbers:
                kind = kinds[number % len(kinds)]
                row = rows[kind.name]
                row["requests"] += 1
                row["wrong"] += not await kind.send(http)
                if number % every == 0:
                    memory.append(megabytes(process.pid))

    await asyncio.gather(*(client() for _ in range(clients)))
    return list(rows.values()), memory


def megabytes(process: int) -> float:
    """Return how much memory a process holds now, in 10⁶ bytes; not a number except on Linux."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# ------------------------------------------------------------------------- what is sent


def all_kinds() -> list[Kind]:
    """Return all kinds of requests, good ones and bad ones."""
    images = {kind: _drawing(number % 10, kind) for number, kind in enumerate(FORMATS)}
    predictor = MNISTPredictor(device="cpu")
    right = {kind: predictor.predict(image).digit for kind, image in images.items()}
    good = [
        Kind(f"/predict, {kind}", _one({"files": {"file": image}}, right[kind]))
        for kind, image in images.items()
    ]
    texts = [base64.b64encode(image).decode() for image in images.values()]
    first, digits = next(iter(right.values())), list(right.values())
    good += [
        Kind("/predict, JSON", _one({"json": {"image": texts[0]}}, first)),
        Kind("/predict/batch, a form", _several({"files": _files(images.values())}, digits)),
        Kind("/predict/batch, JSON", _several({"json": {"images": texts}}, digits)),
        Kind("the page, a zip archive", _archive_on_page(images["PNG"], right["PNG"])),
        Kind("the page, itself", _status("GET", "/", 200)),
        Kind("/health", _status("GET", "/health", 200)),
    ]
    return good + _bad_kinds(images["PNG"])


def _bad_kinds(png: bytes) -> list[Kind]:
    """Return requests that are refused, by mistake or in bad faith."""
    blank, bomb = io.BytesIO(), io.BytesIO()
    Image.new("L", (64, 64), 255).save(blank, "PNG")
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    refused = {"no image": b"seven", "half an image": png[: len(png) // 2]}
    refused |= {"a blank image": blank.getvalue(), "a bomb": bomb.getvalue()}
    refused |= {"overlapping tags": _overlapping_tags()}
    kinds = [
        Kind(f"refused: {name}", _status("POST", "/predict", 400, files={"file": content}))
        for name, content in refused.items()
    ]
    values = b'{"image": [' + b"[]," * 200_000 + b"[]]}"
    as_json = {"Content-Type": "application/json"}
    elsewhere = {"Origin": "http://evil.example"}
    post = {"method": "POST", "path": "/predict"}
    return [
        *kinds,
        Kind("refused: text", _status(**post, expected=415, content=b"7")),
        Kind("refused: a field", _status(**post, expected=422, json={"digit": "7"})),
        Kind(
            "refused: many values", _status(**post, expected=422, content=values, headers=as_json)
        ),
        Kind(
            "refused: too many images",
            _status("POST", "/predict/batch", 413, files=_files([png] * 300)),
        ),
        Kind(
            "refused: another site",
            _status(**post, expected=403, files={"file": png}, headers=elsewhere),
        ),
        Kind("refused: a file of the server", _status("GET", "/gradio_api/file=/etc/passwd", 403)),
        Kind("a client that leaves", _leaves(png)),
    ]


def _drawing(digit: int, kind: str) -> bytes:
    file = io.BytesIO()
    draw_strokes(pen_strokes(digit)).convert("P" if kind == "GIF" else "L").save(file, kind)
    return file.getvalue()


def _overlapping_tags() -> bytes:
    """Return a TIFF whose tags together are far larger than it is."""
    data = zlib.compress(bytes(4096)).ljust(4096, b"\0")
    tags = b"".join(struct.pack("<HHII", 40_000 + at, 7, 4000, 8) for at in range(200))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", 200) + tags


def _files(images: Any) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (f"{number}.png", image)) for number, image in enumerate(images)]


# ---------------------------------------------------------------------- how it is sent, and checked


def _one(options: dict[str, Any], digit: int) -> Send:
    async def send(http: httpx.AsyncClient) -> bool:
        answer = await http.post("/predict", **options)
        return answer.is_success and answer.json()["digit"] == digit

    return send


def _several(options: dict[str, Any], digits: list[int]) -> Send:
    async def send(http: httpx.AsyncClient) -> bool:
        answer = await http.post("/predict/batch", **options)
        if not answer.is_success:
            return False
        return [row["answer"]["digit"] for row in answer.json()["answers"]] == digits

    return send


def _status(method: str, path: str, expected: int, **options: Any) -> Send:
    async def send(http: httpx.AsyncClient) -> bool:
        return (await http.request(method, path, **options)).status_code == expected

    return send


def _archive_on_page(image: bytes, digit: int) -> Send:
    """Return what uploads a zip archive to the page, and waits for its table."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", image)
        archive.writestr("b.png", b"no image")
    content = file.getvalue()

    async def send(http: httpx.AsyncClient) -> bool:
        config = (await http.get("/config")).json()
        event = next(
            one["id"] for one in config["dependencies"] if one["targets"][0][1] == "upload"
        )
        files = {"files": ("digits.zip", content)}
        (path,) = (await http.post("/gradio_api/upload", files=files)).json()
        given = {"path": path, "meta": {"_type": "gradio.FileData"}}
        network = next(
            one["props"]["value"] for one in config["components"] if one["type"] == "dropdown"
        )
        session = f"soak{next(_sessions)}"
        body = {"fn_index": event, "session_hash": session, "data": [network, [given]]}
        joined = await http.post("/gradio_api/queue/join", json=body)
        if joined.status_code == 503:  # the page's queue is full, and says so
            return True
        stream = await http.get("/gradio_api/queue/data", params={"session_hash": session})
        done = [line for line in stream.text.splitlines() if "process_completed" in line]
        return bool(done) and f">{digit}<" in json.dumps(json.loads(done[0][6:])["output"])

    return send


def _leaves(image: bytes) -> Send:
    """Return what sends half a request, and leaves."""

    async def send(http: httpx.AsyncClient) -> bool:
        url = http.base_url
        _, writer = await asyncio.open_connection(url.host, url.port)
        head = f"POST /predict HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: application/json\r\n"
        writer.write(head.encode() + b"Content-Length: 99999\r\n\r\n" + image)
        await writer.drain()
        writer.close()
        return True

    return send
