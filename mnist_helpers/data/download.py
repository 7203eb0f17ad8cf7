"""MNIST's files from torchvision's mirrors: verified, all or none, and never waited for long."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from threading import Thread

from ..files import atomic_write
from ..progress import progress_bar

SLOWEST = 20_000  # bytes a second below which a mirror is given up


class DownloadError(OSError):
    """No mirror delivered MNIST whole; says what each of them answered."""


def download_mnist(folder: str | Path, timeout: float = 10.0) -> None:
    """Download MNIST's four files to ``folder/MNIST/raw``, where torchvision finds them too.

    Mirrors and checksums are torchvision's. A mirror that hangs, refuses or delivers anything but
    the right bytes is left for the next one. Nothing is written before all four files are there
    and verified.

    Parameters
    ----------
    folder : path
        The data folder.
    timeout : float, default=10.0
        Seconds that a mirror may stay silent, or be slower than `SLOWEST`.

    Raises
    ------
    DownloadError
        If no mirror delivers; the message lists what each of them did.
    OSError
        If the folder cannot be written to.
    """
    from torchvision.datasets import MNIST

    files: dict[str, bytes] = {}
    answers = []
    for mirror in MNIST.mirrors:
        try:
            for name, md5 in MNIST.resources:
                if name not in files:
                    files[name] = _fetch(mirror + name, md5, timeout)
        except (OSError, ValueError, http.client.HTTPException) as error:
            answers.append(f"{mirror}: {_reason(error)}")
    if len(files) < len(MNIST.resources):
        raise DownloadError("MNIST could not be downloaded. " + "; ".join(answers))
    for name, content in files.items():
        with atomic_write(Path(folder) / "MNIST" / "raw" / name) as part:
            part.write_bytes(content)


def _reason(error: Exception) -> str:
    """Return why a mirror failed in the system's words, without what Python wraps around them.

    Examples
    --------
    >>> _reason(urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")))
    'Connection refused'
    """
    return getattr(getattr(error, "reason", error), "strerror", None) or str(error)


def _fetch(url: str, md5: str, timeout: float) -> bytes:
    """Return what `url` delivers, if its checksum is right."""
    content, started = bytearray(), time.monotonic()
    with _open(url, timeout) as response:
        total = int(response.headers.get("Content-Length") or 0) or None
        name = url.rpartition("/")[2]
        with progress_bar(desc=name, total=total, unit="B", unit_scale=True, leave=False) as bar:
            while chunk := response.read1(1 << 16):
                content += chunk
                bar.update(len(chunk))
                if len(content) < SLOWEST * (time.monotonic() - started - timeout):
                    raise TimeoutError(f"{name} comes at less than {SLOWEST / 1000:g} kB/s")
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(f"{name} arrived damaged (its MD5 checksum is wrong)")
    return bytes(content)


def _open(url: str, timeout: float) -> http.client.HTTPResponse:
    """Open `url` within `timeout` seconds in all.

    `urlopen` allows that time to each of a host's addresses, and sets looking them up no limit.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "mnist_helpers"})
    answer: Future = Future()

    def work() -> None:
        try:
            answer.set_result(urllib.request.urlopen(request, timeout=timeout))
        except Exception as error:
            answer.set_exception(error)

    Thread(target=work, daemon=True).start()
    try:
        return answer.result(timeout)
    except FutureTimeoutError:
        raise TimeoutError(f"no answer within {timeout:g} seconds") from None
