"""Many clients at once, each of which waits for its answer: a load for a server, and a server."""

from __future__ import annotations

import argparse
import asyncio
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def server(max_batch_size: int, checkpoint: Path | None = None) -> Iterator[str]:
    """Start a server in a process of its own; give its address.

    Raises
    ------
    RuntimeError
        If it does not start; the message is what it said.
    """
    command = [sys.executable, "-m", "mnist_helpers.serve.load", str(max_batch_size)]
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


async def load_test(
    address: str, images: list[bytes], right: list[int], requests: int, clients: int
) -> dict:
    """Send requests from many clients, each of which waits for its answer before the next."""
    import httpx

    waited: list[float] = []
    outcome = {"errors": 0, "wrong": 0}
    numbers = iter(range(requests))

    async def client(http: httpx.AsyncClient) -> None:
        for number in numbers:
            which = number % len(images)
            started = time.perf_counter()
            answer = await http.post("/predict", files={"file": images[which]})
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
    from . import create_app, serving

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("max_batch_size", type=int, help="images that are read together, at most")
    parser.add_argument("checkpoint", type=Path, nargs="?")
    given = parser.parse_args()
    app = create_app(
        given.checkpoint, device="cpu", page=False, max_batch_size=given.max_batch_size
    )
    with serving(app) as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
