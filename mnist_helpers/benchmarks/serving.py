"""Many people at once: pictures read together, and one by one."""

from __future__ import annotations

import argparse
import asyncio
import io
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from ..data import load_mnist
from ..paths import outputs_folder
from ..prediction import MNISTPredictor
from .common import publish

NAMES = {1: "one by one", 256: "micro-batched"}


def benchmark(
    requests: int = 5000,
    clients: int = 50,
    repeats: int = 3,
    checkpoint: Path | None = None,
    data: Path | None = None,
) -> pd.DataFrame:
    """Send pictures to the REST interface from many clients at once, and check every answer.

    The server is a process of its own, on this machine's loopback, and reads the pictures that
    wait either together or one by one. Both take turns. The clients share the machine with it.

    Parameters
    ----------
    requests, clients, repeats : int
        Requests in a repeat, how many of them at the same time, and repeats of each way.
    checkpoint : path, optional
        The network. Default: the one that ships.
    data : path, optional
        Folder with MNIST, whose test pictures are sent as PNG.

    Returns
    -------
    DataFrame
        ``way``, ``errors`` and ``wrong`` (answers, over all repeats), ``per_second``, ``p50``,
        ``p95`` (milliseconds; all three the median of the repeats), ``times`` (throughput as a
        multiple of one by one).
    """
    images = load_mnist(root=data, val_size=0).test.images[:1000, 0].numpy()
    pictures = [as_png(image) for image in images]
    right = MNISTPredictor(checkpoint, "cpu").probabilities(images).argmax(1).tolist()
    done: dict[int, list[dict]] = {largest: [] for largest in NAMES}
    for _ in tqdm(range(repeats), desc="serving"):
        for largest, results in done.items():
            with server(largest, checkpoint) as address:
                asyncio.run(crowd(address, pictures, right, 200, clients))  # warm
                results.append(asyncio.run(crowd(address, pictures, right, requests, clients)))
    rows = [
        {"way": NAMES[largest]}
        | {name: sum(result[name] for result in results) for name in ("errors", "wrong")}
        | {
            name: float(np.median([result[name] for result in results]))
            for name in ("per_second", "p50", "p95")
        }
        for largest, results in done.items()
    ]
    table = pd.DataFrame(rows)
    table["times"] = table["per_second"] / table["per_second"].iloc[0]
    shown = table.assign(
        per_second=table["per_second"].map("{:,.0f}".format),
        p50=table["p50"].map("{:.0f} ms".format),
        p95=table["p95"].map("{:.0f} ms".format),
        times=table["times"].map("{:.2f}×".format),
    )
    details = {"requests": requests, "clients": clients, "repeats": list(done.values())}
    publish("serve", table, shown, details)
    from ..plots import plot_timings, save_figure

    waited = {NAMES[largest]: [r["p95"] for r in results] for largest, results in done.items()}
    label = f"milliseconds within which 95 % of answers came, {clients} clients at once"
    save_figure(plot_timings(waited, label), outputs_folder("benchmarks") / "serve.png")
    return table


def as_png(image: np.ndarray) -> bytes:
    """Return a picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@contextmanager
def server(largest: int, checkpoint: Path | None = None) -> Iterator[str]:
    """Start a server in a process of its own; give its address.

    Raises
    ------
    RuntimeError
        If it does not start; the message is what it said.
    """
    command = [sys.executable, "-m", "mnist_helpers.benchmarks.serving", str(largest)]
    command += [str(checkpoint)] if checkpoint else []
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr, "both are pipes"
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the server did not start: {process.stderr.read()[-2000:]}")
        yield address
    finally:
        process.communicate()  # closes its input, which ends it


async def crowd(
    address: str, pictures: list[bytes], right: list[int], requests: int, clients: int
) -> dict:
    """Send requests from many clients, each of which waits for its answer before the next."""
    import httpx

    waited: list[float] = []
    outcome = {"errors": 0, "wrong": 0}
    numbers = iter(range(requests))

    async def client(http: httpx.AsyncClient) -> None:
        for number in numbers:
            which = number % len(pictures)
            started = time.perf_counter()
            answer = await http.post("/predict", files={"file": pictures[which]})
            waited.append(1000 * (time.perf_counter() - started))
            outcome["errors"] += answer.status_code != 200
            outcome["wrong"] += answer.is_success and answer.json()["digit"] != right[which]

    async with AsyncExitStack() as stack:
        # One connection each; the certificates, which nobody needs here, are loaded only once.
        options: dict[str, Any] = {"base_url": address, "timeout": 300, "trust_env": False}
        options["verify"] = ssl.create_default_context()
        several = [
            await stack.enter_async_context(httpx.AsyncClient(**options)) for _ in range(clients)
        ]
        started = time.perf_counter()
        await asyncio.gather(*map(client, several))
        seconds = time.perf_counter() - started
    p50, p95 = np.quantile(waited, (0.5, 0.95))
    return outcome | {"per_second": requests / seconds, "p50": float(p50), "p95": float(p95)}


def main() -> None:
    """Serve until the standard input is closed; print the address first."""
    from ..serve import create_app, serving

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("largest", type=int, help="pictures that are read together, at most")
    parser.add_argument("checkpoint", type=Path, nargs="?")
    given = parser.parse_args()
    app = create_app(given.checkpoint, device="cpu", page=False, largest_batch=given.largest)
    with serving(app) as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
