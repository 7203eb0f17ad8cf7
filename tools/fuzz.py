"""Feed the readers with damaged files until one of them breaks: coverage-guided fuzzing.

    pip install atheris                               # Linux, with Python 3.11 to 3.13
    python tools/fuzz.py image --seconds 150        # or idx, csv, checkpoint, safetensors

A reader may refuse a file with `ValueError` or `OSError`, and with nothing else. What breaks one is
written to ``tests/fuzz/TARGET/``, where ``tests/test_fuzz.py`` tries it ever after.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import inspect
import io
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "fuzz"
LARGEST = 4096  # bytes of an input; the seeds are smaller


def targets() -> dict[str, Callable[[bytes], object]]:
    """Return each reader, as a function of a file's content."""
    from mnist_helpers.checkpoints import load_checkpoint
    from mnist_helpers.data import load_csv, read_idx
    from mnist_helpers.preprocess import to_mnist

    def from_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
        def from_content(content: bytes) -> object:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / name
                path.write_bytes(content)
                return read(path)

        return from_content

    return {
        "image": to_mnist,
        "idx": from_file(read_idx, "t10k-images-idx3-ubyte"),
        "idx_gz": from_file(read_idx, "t10k-images-idx3-ubyte.gz"),
        "csv": from_file(load_csv, "train.csv"),
        "checkpoint": from_file(load_checkpoint, "net.pt"),
        "safetensors": from_file(load_checkpoint, "net.safetensors"),
    }


def seeds() -> dict[str, list[bytes]]:
    """Return whole files of each kind to begin with, as small as they can be."""
    import numpy as np
    import torch
    from PIL import Image
    from safetensors.torch import save

    from mnist_helpers.strokes import draw_strokes, pen_strokes

    drawing = draw_strokes(pen_strokes(7, "round", 24), 24, 3)
    images = []
    for kind, mode in (("PNG", "L"), ("PNG", "RGBA"), ("JPEG", "L"), ("GIF", "P"), ("BMP", "L")):
        file = io.BytesIO()
        drawing.convert(mode).save(file, kind)
        images.append(file.getvalue())
    idx = struct.pack(">IIII", 2051, 2, 28, 28) + bytes(2 * 784)
    labels = struct.pack(">II", 2049, 3) + bytes([1, 2, 3])
    header = "label," + ",".join(f"pixel{number}" for number in range(784))
    table = f"{header}\n7,{','.join(['0'] * 784)}\n".encode()
    weights = {"layer.weight": torch.zeros(2, 3), "layer.bias": torch.zeros(2)}
    file = io.BytesIO()
    torch.save(weights, file)
    old = io.BytesIO()
    torch.save(weights, old, _use_new_zipfile_serialization=False)
    assert np.asarray(Image.open(io.BytesIO(images[0]))).shape == (24, 24)
    return {
        "image": images,
        "idx": [idx, labels],
        "idx_gz": [gzip.compress(idx), gzip.compress(labels)],
        "csv": [table, table.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + table],
        "checkpoint": [file.getvalue(), old.getvalue()],
        "safetensors": [save(weights)],
    }


def attempt(read: Callable[[bytes], object], content: bytes) -> None:
    """Read, and let a clear refusal pass."""
    try:
        read(content)
    except (ValueError, OSError) as error:
        if not str(error):
            raise AssertionError("a refusal without a word") from error


def instrument(*modules: str) -> None:
    """Let the fuzzer see which branches of modules' functions and methods are taken."""
    import atheris

    for module in map(importlib.import_module, modules):
        owners: list[Any] = [module]
        owners += [o for o in vars(module).values() if inspect.isclass(o)]
        for owner in owners:
            for name, function in list(vars(owner).items()):
                own = inspect.isfunction(function) and function.__module__ == module.__name__
                if own and not hasattr(function, "__wrapped__"):
                    setattr(owner, name, atheris.instrument_func(function))


def fuzz(target: str, seconds: int) -> None:
    """Fuzz one reader; write what breaks it to the corpus."""
    import atheris

    instrument("mnist_helpers.decode", "mnist_helpers.segment", "mnist_helpers.lines")
    instrument("mnist_helpers.data.tables", "mnist_helpers.data.idx", "mnist_helpers.data.packed")
    instrument("mnist_helpers.checkpoints")
    instrument("PIL.Image", "PIL.ImageFile", "PIL.PngImagePlugin", "PIL.GifImagePlugin")
    read = targets()[target]
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as beginning:
        for number, content in enumerate(seeds()[target]):
            (Path(beginning) / f"seed{number}").write_bytes(content)
        options = [f"-max_total_time={seconds}", f"-max_len={2 * LARGEST}", "-timeout=60"]
        options += [f"-artifact_prefix={folder}/", "-rss_limit_mb=8000", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], beginning, *options], lambda data: attempt(read, data))
        atheris.Fuzz()


def main() -> None:
    """Fuzz from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=list(targets()))
    parser.add_argument("--seconds", type=int, default=150)
    given = parser.parse_args()
    fuzz(given.target, given.seconds)


if __name__ == "__main__":
    main()
