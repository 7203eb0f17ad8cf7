"""Many people at once: images read together, and one by one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mnist_helpers.data import load_mnist
from mnist_helpers.decode import encode_png
from mnist_helpers.files import outputs_folder
from mnist_helpers.plots import save_figure
from mnist_helpers.prediction import MNISTPredictor
from mnist_helpers.serve.load import load_test, server

from .common import plot_timings, publish

NAMES = {1: "one by one", 256: "micro-batched"}


def benchmark(
    requests: int = 5000,
    clients: int = 50,
    repeats: int = 3,
    checkpoint: Path | None = None,
    data: Path | None = None,
) -> pd.DataFrame:
    """Send images to the REST interface from many clients at once, and check every answer.

    The server is a process of its own, on this machine's loopback, and reads the images that
    wait either together or one by one. Both take turns. The clients share the machine with it.

    Parameters
    ----------
    requests, clients, repeats : int, default=5000, 50, 3
        Requests in a repeat, how many of them at the same time, and repeats of each way.
    checkpoint : path, default=None
        The network. If None, the pretrained one.
    data : path, default=None
        Folder with MNIST, whose test images are sent as PNG.

    Returns
    -------
    DataFrame
        ``way``, ``errors`` and ``wrong`` (answers, over all repeats), ``per_second``, ``p50``,
        ``p95`` (milliseconds; all three the median of the repeats), ``times`` (throughput as a
        multiple of one by one).
    """
    images = load_mnist(root=data, val_size=0).test.images[:1000, 0].numpy()
    files = [encode_png(image) for image in images]
    right = MNISTPredictor(checkpoint, "cpu").predict_proba(images).argmax(1).tolist()
    done: dict[int, list[dict]] = {max_batch_size: [] for max_batch_size in NAMES}
    for _ in tqdm(range(repeats), desc="serving"):
        for max_batch_size, results in done.items():
            with server(max_batch_size, checkpoint) as address:
                asyncio.run(load_test(address, files, right, 200, clients))  # warm
                results.append(asyncio.run(load_test(address, files, right, requests, clients)))
    rows = [
        {"way": NAMES[max_batch_size]}
        | {name: sum(result[name] for result in results) for name in ("errors", "wrong")}
        | {
            name: float(np.median([result[name] for result in results]))
            for name in ("per_second", "p50", "p95")
        }
        for max_batch_size, results in done.items()
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
    waited = {
        NAMES[max_batch_size]: [r["p95"] for r in results]
        for max_batch_size, results in done.items()
    }
    label = f"milliseconds within which 95% of answers came, {clients} clients at once"
    save_figure(plot_timings(waited, label), outputs_folder("benchmarks") / "serve.png")
    return table
